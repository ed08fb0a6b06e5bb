package rules_test

import (
	"bytes"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// realmArchiving has alice plan the deletion of the realm.
type realmArchiving struct {
	realmCommand
	*archiving
}

func newRealmArchiving(t *testing.T) *realmArchiving {
	c := newRealmCommand(t)
	return &realmArchiving{c, c.archiving(c.alice(), parsec.ArchivingDeletionPlanned)}
}

func (s *realmArchiving) run() error {
	return failure(s.RealmUpdateArchiving(s.t.Context(), s.author, s.request()))
}

func TestRealmUpdateArchivingTable(t *testing.T) {
	checkTable(t, "realm_update_archiving", newRealmArchiving, realmRows([]row[*realmArchiving]{
		{"1", "another key", func(s *realmArchiving) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		{"2", "too late", func(s *realmArchiving) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "unknown realm", func(s *realmArchiving) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"4", "deleted", func(s *realmArchiving) { s.delete() }, protocol.StatusRealmDeleted},
		{"5", "not OWNER", func(s *realmArchiving) { s.forceRole(aliceID, parsec.RoleManager) }, protocol.StatusAuthorNotAllowed},
		{"6", "too short", func(s *realmArchiving) { *s.DeletionDate-- }, protocol.StatusArchivingPeriodTooShort},
		{"7", "not after C", func(s *realmArchiving) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
	}), append(standingApart, [2]string{"unknown realm", "deleted"})...)
}

// The shortest period is that of the organization as it is now, from the date of the
// certificate on.
func TestInvariant32ArchivingPeriods(t *testing.T) {
	const second = int64(1_000_000)
	for _, test := range []struct {
		minimum uint64
		period  int64 // in microseconds
		want    protocol.Status
	}{
		{0, 0, protocol.StatusOK},
		{0, -1, protocol.StatusArchivingPeriodTooShort},
		{1, second, protocol.StatusOK},
		{1, second - 1, protocol.StatusArchivingPeriodTooShort},
		{1 << 62, 1000 * 365 * 24 * 3600 * second, protocol.StatusArchivingPeriodTooShort},
	} {
		s := newRealmArchiving(t)
		s.changeOrganization(acme, func(o *organization.Organization) { o.MinimumArchivingPeriod = test.minimum })
		*s.DeletionDate = s.Timestamp + parsec.DateTime(test.period)
		if got := status(nil, s.run()); got != test.want {
			t.Errorf("%d s, %d µs: got %s, want %s", test.minimum, test.period, got, test.want)
		}
	}
}

// Any configuration may follow any, and its date passing changes nothing.
func TestArchivingTransitions(t *testing.T) {
	kinds := []parsec.ArchivingType{parsec.ArchivingAvailable, parsec.ArchivingArchived, parsec.ArchivingDeletionPlanned}
	c := newRealmCommand(t)
	for _, from := range kinds {
		for _, to := range kinds {
			c.archive(c.alice(), from)
			c.clock.advance(31 * 24 * time.Hour)
			c.events.take()
			change := c.archiving(c.alice(), to)
			c.ok(c.RealmUpdateArchiving(t.Context(), c.alice(), change.request()))
			c.clock.advance(time.Second)
			c.checkEvents(notice.RealmCertificate{Timestamp: change.Timestamp, Realm: c.realm, User: aliceID})
			if got := c.facts(); got.Archiving != to || got.Deleted || got.Timestamp != change.Timestamp {
				t.Errorf("%s to %s: got %+v", from, to, got)
			}
			if certificates := c.realmCertificates(c.alice()); !bytes.Equal(certificates[len(certificates)-1], change.request().ArchivingCertificate) {
				t.Errorf("%s to %s: the certificate is not the last one", from, to)
			}
		}
	}
}

func TestArchivingDates(t *testing.T) {
	s := newRealmArchiving(t)
	s.forceRole(bobID, parsec.RoleReader)
	s.checkDate(&s.Timestamp, func() error {
		*s.DeletionDate = s.Timestamp.Add(31 * 24 * time.Hour)
		return s.run()
	})
}
