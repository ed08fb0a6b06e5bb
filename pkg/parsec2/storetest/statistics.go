package storetest

import (
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var statisticsChecks = []check{
	{"pages", surveyPages},
	{"past", surveyPast},
}

// survey gives the ids of a page after id that begin with prefix.
func (f *fixture) survey(prefix, id string, limit int, at *parsec.DateTime) string {
	f.Helper()
	page, err := f.store.Survey(f.Context(), must(parsec.ParseOrganizationID(id)), limit, at)
	f.no(err)
	if len(page) > limit {
		f.Errorf("%d organizations, more than %d", len(page), limit)
	}
	var names []string
	for _, found := range page {
		if name, mine := strings.CutPrefix(found.Organization.ID.String(), prefix); mine {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func surveyPages(f *fixture) {
	prefix := f.organization.String()
	// In byte order, whatever the language of the database.
	for i, name := range []string{"-B", "-a", "-b", "_a", "é"} {
		f.organization = must(parsec.ParseOrganizationID(prefix + name))
		f.queue(onOrganization(), func(tx rules.Tx) {
			tx.PutOrganization(rules.Organization{ID: f.organization, CreatedOn: at(i)})
		})
	}
	equal(f, "first page", f.survey(prefix, prefix, 3, nil), "-B -a -b")
	equal(f, "second page", f.survey(prefix, prefix+"-b", 3, nil), "_a é")
	equal(f, "page after one that does not exist", f.survey(prefix, prefix+"-c", 1, nil), "_a")
	equal(f, "page of the past", f.survey(prefix, prefix, 3, new(at(1))), "-B -a")
}

// surveyed gives what the survey says of the organization; false if nothing.
func (f *fixture) surveyed(at *parsec.DateTime) (rules.SurveyedOrganization, bool) {
	f.Helper()
	text := f.organization.String()
	before := must(parsec.ParseOrganizationID(text[:len(text)-1]))
	page, err := f.store.Survey(f.Context(), before, 100, at)
	f.no(err)
	for _, found := range page {
		if found.Organization.ID == f.organization {
			return found, true
		}
	}
	return rules.SurveyedOrganization{}, false
}

func surveyPast(f *fixture) {
	f.bootstrap() // alice, an ADMIN at 0
	late := newUser(carol, parsec.ProfileOutsider, aliceOne)
	late.CreatedOn = at(30)
	f.enrol(parsec.ProfileStandard, bob) // at 0
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateUser(late) })
	f.revoke(bob, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(40)})
	realm, second := f.createRealm(), newRealmID() // at 0
	f.queue(onRealm(second), func(tx rules.Tx) {
		tx.CreateRealm(at(20))
		tx.AddRole(newRole(second, alice, parsec.RoleOwner, 20))
	})
	vlob := f.createVlob(realm, aliceOne, 10, "1")
	f.updateVlob(vlob, aliceOne, 20, "22")
	f.createVlob(second, aliceOne, 30, "333")
	for i, size := range []uint64{1000, 2000} {
		block := newBlockID()
		f.queue(onBlock(realm, block), func(tx rules.Tx) {
			tx.CreateBlock(rules.Block{ID: block, Realm: realm, Author: aliceOne, Size: size, CreatedOn: at(10 + 20*i)})
		})
	}
	pending := rules.BlockUpload{ID: newBlockID(), Token: parsec.NewUUID(), Until: at(1000)}
	_, err := f.store.ReserveBlock(f.Context(), f.organization, alice, realm, pending, at(0))
	f.no(err)
	f.start(realm)
	f.save(realm, 2, 1, item(vlob, 1, "another copy of the version"))

	type profiles = map[parsec.UserProfile]uint64
	people := func(statistics rules.Statistics) [2]profiles {
		told := [2]profiles{{}, {}}
		for i, counts := range []profiles{statistics.Active, statistics.Revoked} {
			for profile, count := range counts {
				if count > 0 {
					told[i][profile] = count
				}
			}
		}
		return told
	}
	both := profiles{parsec.ProfileAdmin: 1, parsec.ProfileStandard: 1}
	three := profiles{parsec.ProfileAdmin: 1, parsec.ProfileStandard: 1, parsec.ProfileOutsider: 1}
	others := profiles{parsec.ProfileAdmin: 1, parsec.ProfileOutsider: 1}
	for _, item := range []struct {
		name                           string
		at                             *parsec.DateTime
		realms, dataSize, metadataSize uint64
		active, revoked                profiles
	}{
		{"begin", new(at(0)), 1, 0, 0, both, profiles{}},
		{"just before", new(at(10) - 1), 1, 0, 0, both, profiles{}},
		{"10", new(at(10)), 1, 1000, 1, both, profiles{}},
		{"20", new(at(20)), 2, 1000, 3, both, profiles{}},
		{"30", new(at(30)), 2, 3000, 6, three, profiles{}},
		{"just before the revocation", new(at(40) - 1), 2, 3000, 6, three, profiles{}},
		{"40", new(at(40)), 2, 3000, 6, others, profiles{parsec.ProfileStandard: 1}},
		{"now", nil, 2, 3000, 6, others, profiles{parsec.ProfileStandard: 1}},
	} {
		found, ok := f.surveyed(item.at)
		if !ok {
			f.Errorf("%s: no organization", item.name)
			continue
		}
		got := found.Statistics
		equal(f, item.name+": sizes", [3]uint64{got.Realms, got.DataSize, got.MetadataSize}, [3]uint64{item.realms, item.dataSize, item.metadataSize})
		equal(f, item.name+": users", people(got), [2]profiles{item.active, item.revoked})
		equal(f, item.name+": created on", found.Organization.CreatedOn, at(0))
	}
	if _, found := f.surveyed(new(at(0) - 1)); found {
		f.Error("found before it is created")
	}
	whole, err := f.store.OrganizationStatistics(f.Context(), f.organization)
	f.no(err)
	now, _ := f.surveyed(nil)
	equal(f, "survey of now", [3]uint64{now.Statistics.Realms, now.Statistics.DataSize, now.Statistics.MetadataSize},
		[3]uint64{whole.Realms, whole.DataSize, whole.MetadataSize})
}
