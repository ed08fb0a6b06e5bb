package storetest

import (
	"strings"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/rules"
)

// fixture is a store and one organization of it. Its methods end the check
// when the store fails.
type fixture struct {
	*testing.T
	store        rules.Store
	bus          *event.Bus
	organization parsec.OrganizationID
}

// try runs a transaction on the organization.
func (f *fixture) try(scope rules.Scope, rule func(rules.Tx) error) error {
	scope.Organization = f.organization
	return f.store.Update(f.Context(), scope, rule)
}

// update runs a transaction that must commit.
func (f *fixture) update(scope rules.Scope, rule func(rules.Tx) error) {
	f.Helper()
	if err := f.try(scope, rule); err != nil {
		f.Fatalf("update: %v", err)
	}
}

// queue commits effects that need no fact.
func (f *fixture) queue(scope rules.Scope, effects func(rules.Tx)) {
	f.Helper()
	f.update(scope, func(tx rules.Tx) error {
		effects(tx)
		return nil
	})
}

// no ends the check on a failure of the store.
func (f *fixture) no(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("unexpected error: %v", err)
	}
}

// bootstrap creates the organization, and its first user alice.
func (f *fixture) bootstrap() {
	f.Helper()
	f.queue(onOrganization(), func(tx rules.Tx) {
		tx.PutOrganization(rules.Organization{
			ID:             f.organization,
			RootVerifyKey:  &parsec.VerifyKey{1},
			CreatedOn:      at(0),
			BootstrappedOn: new(at(0)),
		})
		tx.CreateUser(newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{}))
		tx.CreateDevice(newDevice(aliceOne, parsec.DeviceID{}))
	})
}

// enrol creates users of a profile, each with its device "one", certified by
// alice.
func (f *fixture) enrol(profile parsec.UserProfile, users ...parsec.UserID) {
	f.Helper()
	f.queue(onOrganization(), func(tx rules.Tx) {
		for _, id := range users {
			tx.CreateUser(newUser(id, profile, aliceOne))
			tx.CreateDevice(newDevice(deviceID(id.String()+"@one"), aliceOne))
		}
	})
}

func (f *fixture) revoke(id parsec.UserID, revocation rules.Revocation) {
	f.Helper()
	f.queue(onOrganization(), func(tx rules.Tx) { tx.RevokeUser(id, revocation) })
}

// newUser returns a user whose handle comes from its id.
func newUser(id parsec.UserID, profile parsec.UserProfile, certifier parsec.DeviceID) rules.User {
	name := id.String()
	return rules.User{
		ID:                  id,
		Profile:             profile,
		HumanHandle:         must(parsec.ParseHumanHandle(name+"@example.com", strings.ToUpper(name[:1])+name[1:])),
		Certificate:         []byte("user " + name),
		RedactedCertificate: []byte("redacted user " + name),
		Certifier:           certifier,
		CreatedOn:           at(0),
	}
}

func newDevice(id parsec.DeviceID, certifier parsec.DeviceID) rules.Device {
	return rules.Device{
		ID:                  id,
		Label:               must(parsec.ParseDeviceLabel("the " + id.Name().String())),
		VerifyKey:           parsec.VerifyKey{2, id.String()[0]},
		Certificate:         []byte("device " + id.String()),
		RedactedCertificate: []byte("redacted device " + id.String()),
		Certifier:           certifier,
		CreatedOn:           at(0),
	}
}

// createRealm creates a realm whose OWNER is alice.
func (f *fixture) createRealm() parsec.RealmID {
	f.Helper()
	realm := newRealmID()
	f.createRealmAs(realm)
	return realm
}

func (f *fixture) createRealmAs(realm parsec.RealmID) {
	f.Helper()
	f.queue(onRealm(realm), func(tx rules.Tx) {
		tx.CreateRealm(at(0))
		tx.AddRole(newRole(realm, alice, parsec.RoleOwner, 0))
	})
}

// newRole returns a role certificate of alice.
func newRole(realm parsec.RealmID, user parsec.UserID, role parsec.RealmRole, seconds int) rules.RoleCertificate {
	return rules.RoleCertificate{
		Realm:       realm,
		User:        user,
		Role:        role,
		Certificate: []byte("role " + string(role) + " of " + user.String()),
		Author:      aliceOne,
		CertifiedOn: at(seconds),
	}
}

func (f *fixture) grant(realm parsec.RealmID, user parsec.UserID, role parsec.RealmRole, seconds int) {
	f.Helper()
	f.queue(onRealm(realm), func(tx rules.Tx) { tx.AddRole(newRole(realm, user, role, seconds)) })
}

// createVlob writes version 1.
func (f *fixture) createVlob(realm parsec.RealmID, author parsec.DeviceID, seconds int, blob string) parsec.VlobID {
	f.Helper()
	vlob := newVlobID()
	f.writeVlob(onVlobCreate(realm, vlob), author, seconds, blob)
	return vlob
}

// updateVlob writes the next version.
func (f *fixture) updateVlob(vlob parsec.VlobID, author parsec.DeviceID, seconds int, blob string) {
	f.Helper()
	f.writeVlob(onVlobUpdate(vlob), author, seconds, blob)
}

func (f *fixture) writeVlob(scope rules.Scope, author parsec.DeviceID, seconds int, blob string) {
	f.Helper()
	f.update(scope, func(tx rules.Tx) error {
		writeNext(tx, rules.VlobVersion{Blob: []byte(blob), Author: author, Timestamp: at(seconds)})
		return nil
	})
}

// writeNext writes the next version of the vlob of the scope, and returns its
// checkpoint.
func writeNext(tx rules.Tx, version rules.VlobVersion) uint64 {
	realm, _ := tx.Realm()
	vlob, found := tx.Vlob()
	version.Version = 1
	if found {
		version.Version = vlob.Version + 1
	}
	tx.WriteVlob(version, realm.Checkpoint+1, nil)
	return realm.Checkpoint + 1
}

// realm reads a realm that must exist.
func (f *fixture) realm(id parsec.RealmID, user parsec.UserID) *rules.Realm {
	f.Helper()
	realm, found, err := f.store.Realm(f.Context(), f.organization, id, user)
	f.no(err)
	if !found {
		f.Fatalf("realm %v not found", id)
	}
	return realm
}

// recorder gets the events of one organization.
type recorder struct {
	f      *fixture
	events chan event.Event
}

// record begins to record the events of the organization for everybody, and
// those of the topics.
func (f *fixture) record(topics ...event.Topic) *recorder {
	const most = 10_000 // more than any check emits: receivers must not block
	r := &recorder{f, make(chan event.Event, most)}
	topics = append(topics, event.OrganizationTopic(f.organization))
	subscription := f.bus.Subscribe(func(e event.Event) { r.events <- e }, topics...)
	f.Cleanup(subscription.Close)
	return r
}

// take returns the events published until now, in order.
func (r *recorder) take() []event.Event {
	r.f.Helper()
	end := event.Event{Organization: r.f.organization, Author: aliceOne, Body: notice.Pinged{Ping: parsec.NewUUID().Hex()}}
	r.f.no(r.f.store.Publish(r.f.Context(), end))
	var events []event.Event
	for e := range r.events {
		if e == end {
			break
		}
		events = append(events, e)
	}
	return events
}

// another returns the same store with another organization, in which the same
// names and ids stand for other things.
func (f *fixture) another() *fixture {
	other := *f
	other.organization = newOrganizationID()
	return &other
}
