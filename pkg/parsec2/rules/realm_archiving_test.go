package rules_test

import (
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

const month = 30 * 24 * time.Hour

func TestRealmUpdateArchivingTable(t *testing.T) {
	type scenario struct {
		*realmScenario
		*archivingChange
	}
	// breakC8 dates the present configuration a minute ahead.
	breakC8 := func(s *scenario) {
		s.changeRealm(func(tx rules.Tx, realm *rules.Realm) {
			archiving := realm.Archiving
			if archiving.Type == "" {
				archiving.Type = parsec.ArchivingAvailable
			}
			archiving.ConfiguredOn = s.clock.now().Add(time.Minute)
			tx.AddArchiving(archiving, []byte("archiving"))
		})
	}
	exerciseTable(t, func(t *testing.T) *scenario {
		s := newRealmScenario(t)
		return &scenario{s, s.archivingChange(s.author, s.realm, parsec.ArchivingDeletionPlanned)}
	}, func(s *scenario) error {
		_, err := s.RealmUpdateArchiving(s.t.Context(), s.author, s.request())
		return err
	}, []row[*scenario]{
		{"1 key", protocol.StatusInvalidCertification, func(s *scenario) { s.key = signingKey(bobID) }, nil},
		{"2 date", protocol.StatusBadTimestamp, func(s *scenario) { s.Timestamp = s.clock.now().Add(-330 * time.Second) }, nil},
		{"3 unknown realm", protocol.StatusNotFound, func(s *scenario) { s.RealmID = unknownRealm }, nil},
		{"4 deleted", protocol.StatusRealmDeleted, func(s *scenario) { s.breakDeleted() }, nil},
		{"5 role", protocol.StatusNotAllowed, func(s *scenario) { s.breakOwner() }, nil},
		{"6 period", protocol.StatusArchivingPeriodTooShort, func(s *scenario) {
			date := s.Timestamp.Add(month) - 1
			s.DeletionDate = &date
		}, nil},
		{"7 C7", protocol.StatusRequireGreaterTimestamp, func(s *scenario) { s.breakCausality() }, nil},
		{"7 C8", protocol.StatusRequireGreaterTimestamp, breakC8, nil},
	})
}

func TestArchivingCausalityDates(t *testing.T) {
	s := newRealmScenario(t)
	granted := s.clock.now()
	s.grant(s.alice(), bobID.User(), parsec.RoleOwner)
	change := s.archivingChange(s.bob(), s.realm, parsec.ArchivingArchived)
	change.Timestamp = granted
	_, err := s.RealmUpdateArchiving(t.Context(), s.bob(), change.request())
	checkRequireGreater(t, err, granted) // C7
	s.clock.advance(time.Second)
	archived := s.clock.now()
	s.archive(s.alice(), parsec.ArchivingArchived)
	change.Timestamp = archived
	_, err = s.RealmUpdateArchiving(t.Context(), s.bob(), change.request())
	checkRequireGreater(t, err, archived) // C8
	change.Timestamp = archived + 1
	s.ok(s.RealmUpdateArchiving(t.Context(), s.bob(), change.request()))
}

// TestArchivingTransitions goes from each configuration to each, during a
// maintenance; only a deletion that happened cannot be taken back.
func TestArchivingTransitions(t *testing.T) {
	kinds := []parsec.ArchivingType{parsec.ArchivingAvailable, parsec.ArchivingArchived, parsec.ArchivingDeletionPlanned}
	s := newRealmScenario(t)
	s.startReencryption(2)
	s.events.take()
	for _, from := range kinds {
		for _, to := range kinds {
			s.archive(s.alice(), from)
			s.events.take()
			change := s.archivingChange(s.alice(), s.realm, to)
			if to == parsec.ArchivingDeletionPlanned {
				date := change.Timestamp.Add(month) // Equality is accepted.
				change.DeletionDate = &date
			}
			s.ok(s.RealmUpdateArchiving(t.Context(), s.alice(), change.request()))
			configuration := protocol.ArchivingConfiguration{Type: to, DeletionDate: change.DeletionDate}
			s.checkEvents(by(s.alice(), notice.RealmArchivingUpdated{Realm: s.realm, Configuration: configuration}))
			config := must(s.ArchivingConfig(t.Context(), s.bob(), &protocol.ArchivingConfigRequest{})).ArchivingConfig
			if len(config) != 1 || config[0].RealmID != s.realm || *config[0].ConfiguredOn != change.Timestamp ||
				config[0].ConfiguredBy != aliceID || config[0].Configuration.Type != to {
				t.Errorf("%s to %s: got %+v", from, to, config)
			} else if date := config[0].Configuration.DeletionDate; (date == nil) != (change.DeletionDate == nil) || date != nil && *date != *change.DeletionDate {
				t.Errorf("%s to %s: got deletion date %v", from, to, date)
			}
			s.clock.advance(time.Second)
		}
	}
	s.clock.advance(2 * month)
	for _, to := range kinds {
		got := status(s.RealmUpdateArchiving(t.Context(), s.alice(), s.archivingChange(s.alice(), s.realm, to).request()))
		if got != protocol.StatusRealmDeleted {
			t.Errorf("%s: got %s", to, got)
		}
	}
}

// TestArchivingConfig covers realms of others, lost, and never configured; a
// deleted realm is still there.
func TestArchivingConfig(t *testing.T) {
	s := newRealmScenario(t)
	second := s.createRealm(s.bob(), 2)
	s.setArchiving(parsec.ArchivingDeletionPlanned, 0)
	list := func(author *rules.Author) map[parsec.RealmID]protocol.RealmArchiving {
		t.Helper()
		items := map[parsec.RealmID]protocol.RealmArchiving{}
		for _, item := range must(s.ArchivingConfig(t.Context(), author, &protocol.ArchivingConfigRequest{})).ArchivingConfig {
			items[item.RealmID] = item
		}
		return items
	}
	if got := list(s.mallory()); len(got) != 0 {
		t.Errorf("mallory: got %+v", got)
	}
	if got := list(s.alice()); len(got) != 1 || got[s.realm].Configuration.Type != parsec.ArchivingDeletionPlanned {
		t.Errorf("alice: got %+v", got)
	}
	got := list(s.bob())
	never := protocol.RealmArchiving{
		RealmID: second, Configuration: protocol.ArchivingConfiguration{Type: parsec.ArchivingAvailable},
	}
	if len(got) != 2 || got[second] != never {
		t.Errorf("bob: got %+v", got)
	}
	s.setRole(bobID.User(), parsec.RoleNone, 0)
	if got := list(s.bob()); len(got) != 1 {
		t.Errorf("bob, removed from one: got %+v", got)
	}
}
