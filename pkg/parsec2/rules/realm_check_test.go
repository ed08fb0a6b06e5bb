package rules

import (
	"cmp"
	"math"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

const allowed protocol.Status = "allowed"

// statusOf composes checks as commands do.
func statusOf(checks ...error) protocol.Status {
	if err := cmp.Or(checks...); err != nil {
		return err.(*protocol.Refusal).Status //nolint:errorlint // checks return it bare
	}
	return allowed
}

func TestArchivingStates(t *testing.T) {
	const (
		now      parsec.DateTime = 1000
		archived                 = protocol.StatusRealmArchived
		deleted                  = protocol.StatusRealmDeleted
	)
	date := func(d parsec.DateTime) *parsec.DateTime { return &d }
	for name, test := range map[string]struct {
		archiving         Archiving
		deleted, archived protocol.Status
	}{
		"never configured": {Archiving{}, allowed, allowed},
		"available":        {Archiving{Type: parsec.ArchivingAvailable}, allowed, allowed},
		"archived":         {Archiving{Type: parsec.ArchivingArchived}, allowed, archived},
		"planned":          {Archiving{Type: parsec.ArchivingDeletionPlanned, DeletionDate: date(now + 1)}, allowed, archived},
		"planned for now":  {Archiving{Type: parsec.ArchivingDeletionPlanned, DeletionDate: date(now)}, deleted, archived},
		"planned before":   {Archiving{Type: parsec.ArchivingDeletionPlanned, DeletionDate: date(now - 1)}, deleted, archived},
	} {
		t.Run(name, func(t *testing.T) {
			realm := &Realm{Archiving: test.archiving}
			if got := statusOf(realm.checkNotDeleted(now)); got != test.deleted {
				t.Errorf("checkNotDeleted: got %s, want %s", got, test.deleted)
			}
			if got := statusOf(realm.checkNotArchived()); got != test.archived {
				t.Errorf("checkNotArchived: got %s, want %s", got, test.archived)
			}
		})
	}
}

// TestRevisions is the table of docs/protocol/commands.md §1.7.
func TestRevisions(t *testing.T) {
	const (
		none    = parsec.MaintenanceNone
		running = parsec.MaintenanceReencryption
		other   = parsec.MaintenanceGarbageCollection

		busy = protocol.StatusInMaintenance
		idle = protocol.StatusNotInMaintenance
		bad  = protocol.StatusBadEncryptionRevision
	)
	for _, test := range []struct {
		maintenance       parsec.MaintenanceType
		current, revision uint64
		write, read       protocol.Status // with the revision
		plainRead, batch  protocol.Status
		start             protocol.Status
	}{
		{none, 1, 0, bad, bad, allowed, idle, bad},
		{none, 1, 1, allowed, allowed, allowed, idle, bad},
		{none, 1, 2, bad, bad, allowed, idle, allowed},
		{none, 1, math.MaxUint64, bad, bad, allowed, idle, bad},
		{none, 3, 2, bad, bad, allowed, idle, bad},
		{none, 3, 3, allowed, allowed, allowed, idle, bad},
		{running, 2, 0, busy, bad, allowed, bad, busy},
		{running, 2, 1, busy, allowed, allowed, bad, busy},
		{running, 2, 2, busy, busy, allowed, allowed, busy},
		{running, 2, 3, busy, bad, allowed, bad, busy},
		{running, 2, math.MaxUint64, busy, bad, allowed, bad, busy},
		{other, 1, 1, busy, busy, busy, allowed, busy},
		{other, 1, 2, busy, busy, busy, bad, busy},
	} {
		r := &Realm{EncryptionRevision: test.current, Maintenance: Maintenance{Type: test.maintenance}}
		for name, outcome := range map[string][2]protocol.Status{
			"write":      {statusOf(r.checkNoMaintenance(), r.checkRevision(test.revision)), test.write},
			"read":       {statusOf(r.checkReadableRevision(test.revision)), test.read},
			"plain read": {statusOf(r.checkReadable()), test.plainRead},
			"batch":      {statusOf(r.checkMaintained(), r.checkRevision(test.revision)), test.batch},
			"start":      {statusOf(r.checkNoMaintenance(), r.checkNextRevision(test.revision)), test.start},
		} {
			if outcome[0] != outcome[1] {
				t.Errorf("maintenance %q, current revision %d, %s of %d: got %s, want %s",
					test.maintenance, test.current, name, test.revision, outcome[0], outcome[1])
			}
		}
	}
}

func TestRoles(t *testing.T) {
	const no = protocol.StatusNotAllowed
	for role, want := range map[parsec.RealmRole]struct{ read, write, own protocol.Status }{
		parsec.RoleNone:        {no, no, no},
		parsec.RoleReader:      {allowed, no, no},
		parsec.RoleContributor: {allowed, allowed, no},
		parsec.RoleManager:     {allowed, allowed, no},
		parsec.RoleOwner:       {allowed, allowed, allowed},
	} {
		m := &Member{Role: role}
		if got := statusOf(m.checkReader()); got != want.read {
			t.Errorf("%q reads: got %s", role, got)
		}
		if got := statusOf(m.checkWriter()); got != want.write {
			t.Errorf("%q writes: got %s", role, got)
		}
		if got := statusOf(m.checkOwner()); got != want.own {
			t.Errorf("%q owns: got %s", role, got)
		}
	}
}

// TestRoleChanges covers every author, present and wanted role.
func TestRoleChanges(t *testing.T) {
	roles := []parsec.RealmRole{
		parsec.RoleNone, parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner,
	}
	const managers = 3 // the index of the first role that only owners give
	for _, author := range roles {
		for i, present := range roles {
			for j, wanted := range roles {
				want := protocol.StatusNotAllowed
				if author == parsec.RoleOwner || author == parsec.RoleManager && i < managers && j < managers {
					want = allowed
				}
				m := &Member{Role: author}
				if got := statusOf(m.checkRoleChange(present, wanted)); got != want {
					t.Errorf("%q changes %q to %q: got %s", author, present, wanted, got)
				}
			}
		}
	}
}

// TestRoleCausality gives each rule a date of its own, so that what is asked
// for names the rule.
func TestRoleCausality(t *testing.T) {
	const (
		archiving parsec.DateTime = 10 + iota*10 // C3
		certified                                // C4
		written                                  // C5
		changed                                  // C6
		own                                      // C9
	)
	const fine parsec.DateTime = 0
	author := &Member{RoleCertifiedOn: own}
	for _, test := range []struct {
		present, wanted parsec.RealmRole
		timestamp, want parsec.DateTime
	}{
		{parsec.RoleOwner, parsec.RoleReader, archiving, archiving},
		{parsec.RoleOwner, parsec.RoleManager, archiving, archiving},
		{parsec.RoleManager, parsec.RoleReader, archiving, certified},
		{parsec.RoleOwner, parsec.RoleReader, archiving + 1, certified},
		{parsec.RoleReader, parsec.RoleManager, certified, certified},
		{parsec.RoleContributor, parsec.RoleReader, certified + 1, written},
		{parsec.RoleContributor, parsec.RoleReader, written, written},
		{parsec.RoleContributor, parsec.RoleNone, written, written},
		{parsec.RoleOwner, parsec.RoleContributor, written, changed},
		{parsec.RoleManager, parsec.RoleContributor, changed, changed},
		{parsec.RoleManager, parsec.RoleReader, changed, changed},
		{parsec.RoleManager, parsec.RoleNone, changed, changed},
		{parsec.RoleOwner, parsec.RoleManager, certified + 1, changed},
		{parsec.RoleOwner, parsec.RoleManager, changed, changed},
		{parsec.RoleOwner, parsec.RoleManager, changed + 1, own},
		{parsec.RoleManager, parsec.RoleOwner, certified + 1, own},
		{parsec.RoleManager, parsec.RoleNone, changed + 1, own},
		{parsec.RoleManager, parsec.RoleNone, own, own},
		{parsec.RoleManager, parsec.RoleNone, own + 1, fine},
		{parsec.RoleReader, parsec.RoleOwner, own + 1, fine},
	} {
		target := &Member{
			Role: test.present, RoleCertifiedOn: certified, LastVlobUpdate: written,
			LastRoleChange: changed, LastArchivingChange: archiving,
		}
		got := fine
		if err := checkRoleCausality(author, target, test.wanted, test.timestamp); err != nil {
			got = err.(*protocol.Refusal).Details.(*protocol.RequireGreaterTimestampDetails).StrictlyGreaterThan //nolint:errorlint // checks return it bare
		}
		if got != test.want {
			t.Errorf("%q to %q at %d: must be after %d, want %d", test.present, test.wanted, test.timestamp, got, test.want)
		}
	}
}

func TestDates(t *testing.T) {
	for _, test := range []struct {
		timestamp        parsec.DateTime
		after, notBefore protocol.Status
	}{
		{99, protocol.StatusRequireGreaterTimestamp, protocol.StatusRequireGreaterTimestamp},
		{100, protocol.StatusRequireGreaterTimestamp, allowed},
		{101, allowed, allowed},
	} {
		if got := statusOf(checkAfter(test.timestamp, 100)); got != test.after {
			t.Errorf("checkAfter(%d, 100): got %s", test.timestamp, got)
		}
		if got := statusOf(checkNotBefore(test.timestamp, 100)); got != test.notBefore {
			t.Errorf("checkNotBefore(%d, 100): got %s", test.timestamp, got)
		}
	}
}

func TestArchivingPeriod(t *testing.T) {
	const (
		second = 1_000_000
		short  = protocol.StatusArchivingPeriodTooShort
	)
	for _, test := range []struct {
		configured, deletion parsec.DateTime
		minimum              uint64
		want                 protocol.Status
	}{
		{100, 100, 0, allowed},
		{100, 99, 0, short},
		{100, 100 + 10*second - 1, 10, short},
		{100, 100 + 10*second, 10, allowed},
		{100, parsec.MaxDateTime, math.MaxUint64, short},
		{parsec.MinDateTime, parsec.MaxDateTime, 300_000_000_000, allowed},
		{parsec.MaxDateTime, parsec.MinDateTime, 0, short},
	} {
		a := &Archiving{Type: parsec.ArchivingDeletionPlanned, ConfiguredOn: test.configured, DeletionDate: &test.deletion}
		if got := statusOf(a.checkArchivingPeriod(test.minimum)); got != test.want {
			t.Errorf("%d to %d with %d s: got %s", test.configured, test.deletion, test.minimum, got)
		}
	}
	archived := &Archiving{Type: parsec.ArchivingArchived, ConfiguredOn: 100}
	if err := archived.checkArchivingPeriod(math.MaxUint64); err != nil {
		t.Error(err)
	}
}
