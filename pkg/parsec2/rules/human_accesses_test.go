package rules_test

import (
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// TestOrderOfOneHuman has several users of one person, all but one revoked: they
// come in order of creation, those of one instant in order of their ids, and
// people in order of labels, then of e-mails.
func TestOrderOfOneHuman(t *testing.T) {
	f := newFixture(t)
	before := f.clock.now()
	create := func(id, email, label string, createdOn parsec.DateTime, revoked bool) {
		t.Helper()
		user := rules.User{ID: userID(id), Profile: parsec.ProfileStandard, Certifier: aliceID, CreatedOn: createdOn}
		if label != "" {
			handle, err := parsec.ParseHumanHandle(email, label)
			f.ok(nil, err)
			user.HumanHandle = handle
		}
		f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, LockOrganization: true}, func(tx rules.Tx) error {
			tx.CreateUser(user)
			tx.CreateDevice(rules.Device{ID: user.ID.Device(aliceID.Name()), CreatedOn: createdOn})
			return nil
		}))
		if revoked {
			f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, LockOrganization: true}, func(tx rules.Tx) error {
				tx.RevokeUser(user.ID, rules.Revocation{Certifier: aliceID, On: createdOn})
				return nil
			}))
		}
	}
	later := func(seconds int) parsec.DateTime { return before.Add(time.Duration(seconds) * time.Second) }
	// Neither the order of ids nor that of their rows is that of the dates.
	create("p3", "pat@example.com", "Pat Order", later(1), true)
	create("p9", "pat@example.com", "Pat Order", later(3), true)
	create("p1", "pat@example.com", "Pat Order", later(3), true)
	create("p5", "pat@example.com", "Pat Order", later(3), true)
	create("p2", "pat@example.com", "Pat Order", later(2), false)
	create("order-bot", "", "", later(0), false)
	create("q2", "b@example.com", "Pat Order", later(0), false)
	create("q1", "c@example.com", "Ann Order", later(9), false)

	accesses, err := f.Accesses(t.Context(), acme, []string{"order"})
	f.ok(accesses, err)
	var people [][]string
	for _, person := range accesses {
		var users []string
		for _, user := range person.Users {
			users = append(users, user.User.ID.String())
		}
		people = append(people, users)
	}
	equal(t, "accesses", people, [][]string{{"q1"}, {"q2"}, {"p3", "p2", "p1", "p5", "p9"}, {"order-bot"}})

	humans, err := f.Users(t.Context(), acme)
	f.ok(humans, err)
	var ids []string
	for i := range humans {
		if id := humans[i].ID; id[0] == 'p' || id[0] == 'q' {
			ids = append(ids, id)
		}
	}
	equal(t, "users", ids, []string{"q2", "p3", "p2", "p1", "p5", "p9", "q1"})

	found, err := f.HumanFind(t.Context(), f.alice(), &protocol.HumanFindRequest{Query: "pat@", Page: 1, PerPage: 100})
	f.ok(found, err)
	ids = nil
	for _, result := range found.Results {
		ids = append(ids, result.UserID.String())
	}
	equal(t, "found", ids, []string{"p1", "p2", "p3", "p5", "p9"})
}

// TestOrderOfAccesses has the realms of a user in order of their first change,
// and the changes of each in order of date.
func TestOrderOfAccesses(t *testing.T) {
	f := newFixture(t)
	realms := []parsec.RealmID{{9}, {1}, {5}}
	for i, realm := range realms {
		for _, at := range []int{20 - i, i, 10 + i} { // as certified, not as stored
			f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, Author: aliceID, Realm: realm, By: rules.RealmExclusive}, func(tx rules.Tx) error {
				if _, found := tx.Realm(); !found {
					tx.CreateRealm(0)
				}
				tx.AddRole(rules.RoleCertificate{Realm: realm, User: bobID.User(), Role: parsec.RoleReader, Author: aliceID, CertifiedOn: parsec.DateTime(at)})
				return nil
			}))
		}
	}
	accesses, err := f.Accesses(t.Context(), acme, []string{bobID.User().String()})
	f.ok(accesses, err)
	got := accesses[0].Users[0].Realms
	for i, realm := range realms {
		if got[i].Realm != realm {
			t.Errorf("realm %d is %v", i, got[i].Realm)
		}
		dates := make([]parsec.DateTime, 0, 3)
		for _, change := range got[i].Changes {
			dates = append(dates, change.CertifiedOn)
		}
		if len(dates) != 3 || !slices.IsSorted(dates) {
			t.Errorf("changes of realm %d: %v", i, dates)
		}
	}
}
