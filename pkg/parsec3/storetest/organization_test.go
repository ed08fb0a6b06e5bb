package storetest

import (
	"errors"
	"maps"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

var organizationChecks = []check{
	{"bootstrap of one created before", bootstrapCreated},
	{"spontaneous bootstrap", bootstrapSpontaneous},
	{"topics", topics},
	{"usage", usage},
	{"statistics of now and then", statisticsThen},
	{"statistics of several", statisticsOfSeveral},
}

func (f *fixture) topics() (topics rules.Topics) {
	f.Helper()
	f.update(rules.Scope{Author: aliceOne}, func(tx rules.Tx) error {
		topics = tx.Topics()
		return nil
	})
	return topics
}

func bootstrapCreated(f *fixture) {
	limit := uint64(7)
	created := organization.Organization{
		ID: f.organization, BootstrapToken: "token", ExpirationDate: new(at(1000)), UserProfileOutsiderAllowed: true,
		ActiveUsersLimit: &limit, MinimumArchivingPeriod: 12, CreatedOn: at(0),
	}
	f.create(created)
	equal(f, "topics before", f.topics(), rules.Topics{})
	f.update(rules.Scope{Founding: true}, func(tx rules.Tx) error {
		stored, found := tx.Organization()
		equal(f, "organization found", found, true)
		equal(f, "organization", stored, &created)
		foundAt(tx, *stored, at(3))
		_, founded := tx.Author()
		equal(f, "device seen before the end of its rule", founded, nil)
		return nil
	})
	want := created
	want.RootVerifyKey, want.BootstrappedOn, want.CreatedOn, want.Generation = &parsec.VerifyKey{1}, new(at(3)), at(3), organization.Parsec3
	stored, _, err := f.store.Organization(f.Context(), f.organization)
	f.no(err)
	equal(f, "organization", stored, &want)
	f.wantStanding(aliceOne, new(newUser(alice, parsec.ProfileAdmin, at(3))), new(newDevice(aliceOne, alice, at(3))))
	equal(f, "topics", f.topics(), rules.Topics{Common: at(3)})
	f.wantCertificates(aliceOne, rules.CertificatesAfter{}, certificates{common: []string{"user alice", "device alice 1"}})
}

func bootstrapSpontaneous(f *fixture) {
	refusal := errors.New("refused")
	err := f.try(rules.Scope{Founding: true}, func(tx rules.Tx) error {
		_, found := tx.Organization()
		equal(f, "organization found", found, false)
		foundAt(tx, organization.Organization{ID: f.organization}, at(1))
		return refusal
	})
	if !errors.Is(err, refusal) {
		f.Errorf("error %v, want that of the rule", err)
	}
	_, found, err := f.store.Organization(f.Context(), f.organization)
	f.no(err)
	equal(f, "organization found after a refusal", found, false)
	f.wantStanding(aliceOne, nil, nil)
	f.bootstrapSequestered()
	equal(f, "topics", f.topics(), rules.Topics{Common: at(1), Sequester: at(1)})
	f.wantCertificates(aliceOne, rules.CertificatesAfter{}, certificates{
		common: []string{"user alice", "device alice 1"}, sequester: []string{"authority"},
	})
}

// topics has every kind of certificate.
func topics(f *fixture) {
	f.bootstrapSequestered()
	want := rules.Topics{Common: f.last(), Sequester: f.last()}
	common := func() { want.Common = f.last() }
	realm, service := newRealmID(), parsec.SequesterServiceID{1}
	for _, step := range []struct {
		name   string
		step   func()
		raises func()
	}{
		{"user", func() { f.enrol(parsec.ProfileStandard, bob, carol) }, common},
		{"device", func() { f.addDevice(bob, bobTwo) }, common},
		{"update", func() { f.setProfile(bob, parsec.ProfileOutsider) }, common},
		{"freezing", func() { f.freeze(bob, true) }, func() {}},
		{"revocation", func() { f.revoke(bob) }, common},
		{"realm", func() { f.createRealmAs(realm, alice) }, func() {}},
		{"role", func() { f.grant(realm, carol, parsec.RoleReader) }, func() {}},
		{"vlob", func() { f.createVlob(realm, "blob") }, func() {}},
		{"service", func() { f.createService(service) }, func() { want.Sequester = f.last() }},
		{"revoked service", func() { f.revokeService(service) }, func() { want.Sequester = f.last() }},
	} {
		step.step()
		step.raises()
		equal(f, "topics after "+step.name, f.topics(), want)
		reading, err := f.store.ReadVlobs(f.Context(), f.organization, aliceOne, newRealmID(), nil, nil, 0)
		f.no(err)
		equal(f, "topics read after "+step.name, reading.Topics, want)
	}
	equal(f, "topics of another organization", f.another().topics(), rules.Topics{})
}

func (f *fixture) wantUsage(metadata, data uint64) {
	f.Helper()
	_, got, err := f.store.Usage(f.Context(), f.organization, aliceOne)
	f.no(err)
	equal(f, "usage", got, rules.Usage{Metadata: metadata, Data: data})
	statistics := f.statistics(nil)
	equal(f, "sizes of the statistics", [2]uint64{statistics.MetadataSize, statistics.DataSize}, [2]uint64{metadata, data})
}

func usage(f *fixture) {
	other := f.another()
	other.bootstrap()
	other.createVlob(other.createRealm(), "of another organization")
	f.bootstrap()
	f.wantUsage(0, 0)
	realm, doomed := f.createRealm(), f.createRealm()
	vlob := f.createVlob(realm, "1")
	f.write(realm, vlob, aliceOne, f.next(), "22")
	f.write(realm, vlob, aliceOne, f.next(), "")
	f.createVlob(doomed, "4444")
	f.createBlock(realm, newBlockID(), 1000)
	f.createBlock(doomed, newBlockID(), 1<<33)
	f.reserve(realm, newUpload(newBlockID()))
	f.wantUsage(7, 1000+1<<33)
	refusal := errors.New("refused")
	_ = f.try(onVlob(realm, vlob), func(tx rules.Tx) error {
		writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: aliceOne, Timestamp: at(1), Blob: []byte("refused")})
		return refusal
	})
	f.wantUsage(7, 1000+1<<33)
	f.prune()
	f.wantUsage(7, 1000+1<<33)
	f.deleteRealm(doomed)
	f.wantUsage(3, 1000)
	f.write(realm, vlob, aliceOne, f.next(), "55555")
	f.wantUsage(8, 1000)
	f.prune()
	f.wantUsage(8, 1000)
	other.wantUsage(uint64(len("of another organization")), 0)
	_, got, err := f.store.Usage(f.Context(), newOrganizationID(), aliceOne)
	f.no(err)
	equal(f, "usage of nothing", got, rules.Usage{})
}

// statistics returns the statistics at a date, or now if at is nil.
func (f *fixture) statistics(at *parsec.DateTime) organization.Statistics {
	f.Helper()
	all, err := f.store.StatisticsOf(f.Context(), []parsec.OrganizationID{f.organization}, at)
	f.no(err)
	return all[0]
}

type profiles = map[parsec.UserProfile]uint64

func statisticsThen(f *fixture) {
	f.bootstrap()                               // alice, an ADMIN at 1
	f.enrol(parsec.ProfileStandard, bob, carol) // at 2 and 3
	realm, doomed := f.createRealm(), f.createRealm()
	second := newRealmID() // all realms: 4, 5 and 6
	f.createRealmAs(second, bob)
	vlob := f.createVlob(realm, "1")               // at 7
	f.write(realm, vlob, aliceOne, f.next(), "22") // at 8
	f.createVlob(doomed, "4444")                   // at 9
	f.createBlock(realm, newBlockID(), 1000)       // at 10
	f.createBlock(doomed, newBlockID(), 5000)      // at 11
	f.setProfile(carol, parsec.ProfileOutsider)    // at 12
	f.revoke(carol)                                // at 13
	f.deleteRealm(doomed)
	f.freeze(bob, true)
	f.statisticsOfStory()
	f.prune()
	f.statisticsOfStory()
}

// statisticsOfStory wants those of each date of statisticsThen.
func (f *fixture) statisticsOfStory() {
	f.Helper()
	for _, test := range []struct {
		name                           string
		at                             *parsec.DateTime
		realms, dataSize, metadataSize uint64
		active, revoked                profiles
	}{
		{"before all", new(at(1) - 1), 0, 0, 0, profiles{}, profiles{}},
		{"1", new(at(1)), 0, 0, 0, profiles{"ADMIN": 1}, profiles{}},
		{"3", new(at(3)), 0, 0, 0, profiles{"ADMIN": 1, "STANDARD": 2}, profiles{}},
		{"5", new(at(5)), 1, 0, 0, profiles{"ADMIN": 1, "STANDARD": 2}, profiles{}},
		{"just before 8", new(at(8) - 1), 2, 0, 1, profiles{"ADMIN": 1, "STANDARD": 2}, profiles{}},
		{"8", new(at(8)), 2, 0, 3, profiles{"ADMIN": 1, "STANDARD": 2}, profiles{}},
		{"11", new(at(11)), 2, 1000, 3, profiles{"ADMIN": 1, "STANDARD": 2}, profiles{}},
		{"12", new(at(12)), 2, 1000, 3, profiles{"ADMIN": 1, "STANDARD": 1, "OUTSIDER": 1}, profiles{}},
		{"just before 13", new(at(13) - 1), 2, 1000, 3, profiles{"ADMIN": 1, "STANDARD": 1, "OUTSIDER": 1}, profiles{}},
		{"13", new(at(13)), 2, 1000, 3, profiles{"ADMIN": 1, "STANDARD": 1}, profiles{"OUTSIDER": 1}},
		{"now", nil, 2, 1000, 3, profiles{"ADMIN": 1, "STANDARD": 1}, profiles{"OUTSIDER": 1}},
	} {
		got := f.statistics(test.at)
		equal(f, test.name+": sizes", [3]uint64{got.Realms, got.DataSize, got.MetadataSize}, [3]uint64{test.realms, test.dataSize, test.metadataSize})
		for _, counts := range []profiles{got.Active, got.Revoked} {
			maps.DeleteFunc(counts, func(_ parsec.UserProfile, count uint64) bool { return count == 0 })
		}
		equal(f, test.name+": users", [2]profiles{got.Active, got.Revoked}, [2]profiles{test.active, test.revoked})
	}
}

// statisticsOfSeveral asks for those of several organizations at once, of one that
// does not exist, and one that is not bootstrapped.
func statisticsOfSeveral(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.createVlob(f.createRealm(), "333")
	other, empty := f.another(), f.another()
	other.bootstrap()
	empty.create(organization.Organization{})
	for _, instant := range []*parsec.DateTime{nil, new(at(100))} {
		ids := []parsec.OrganizationID{other.organization, newOrganizationID(), f.organization, empty.organization}
		all, err := f.store.StatisticsOf(f.Context(), ids, instant)
		f.no(err)
		equal(f, "number", len(all), len(ids))
		for i, want := range []struct{ users, metadataSize uint64 }{{users: 1}, {}, {2, 3}, {}} {
			active, revoked := all[i].Users()
			equal(f, "users", [2]uint64{active, revoked}, [2]uint64{want.users, 0})
			equal(f, "metadata size", all[i].MetadataSize, want.metadataSize)
		}
	}
	none, err := f.store.StatisticsOf(f.Context(), nil, nil)
	f.no(err)
	equal(f, "of no organization", len(none), 0)
}

// ids returns those of users.
func ids(users []rules.User) []parsec3.UserID {
	list := make([]parsec3.UserID, len(users))
	for i := range users {
		list[i] = users[i].ID
	}
	return list
}
