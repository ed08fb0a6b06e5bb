package storetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/rules"
)

// fixture is a store and one organization of it. Its methods end the check
// when the store fails. Its steps are dated one second after another.
type fixture struct {
	*testing.T
	store        rules.Store
	bus          *event.Bus
	organization parsec.OrganizationID
	// seconds is the last date of the steps.
	seconds *atomic.Int64
}

// next returns the date of a step.
func (f *fixture) next() parsec.DateTime { return at(int(f.seconds.Add(1))) }

// last returns the date of the last step.
func (f *fixture) last() parsec.DateTime { return at(int(f.seconds.Load())) }

// another returns the same store with another organization, in which the same
// names and ids stand for other things.
func (f *fixture) another() *fixture {
	other := *f
	other.organization, other.seconds = newOrganizationID(), &atomic.Int64{}
	return &other
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
	f.update(scope, queued(effects))
}

// queued is a rule that has effects alone.
func queued(effects func(rules.Tx)) func(rules.Tx) error {
	return func(tx rules.Tx) error {
		effects(tx)
		return nil
	}
}

// no ends the check on a failure of the store.
func (f *fixture) no(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("unexpected error: %v", err)
	}
}

// certificate returns one whose bytes say what it is.
func certificate(author parsec3.DeviceID, date parsec.DateTime, what string) rules.Certificate {
	return rules.Certificate{Timestamp: date, Author: author, Bytes: []byte(what)}
}

// redactable returns a certificate that has a redacted form.
func redactable(author parsec3.DeviceID, date parsec.DateTime, what string) rules.Certificate {
	whole := certificate(author, date, what)
	whole.Redacted = []byte("redacted " + what)
	return whole
}

// newUser returns a user whose handle comes from its name.
func newUser(id parsec3.UserID, profile parsec.UserProfile, date parsec.DateTime) rules.User {
	name, known := names[id]
	if !known {
		name = id.String()
	}
	return rules.User{
		ID: id, Profile: profile, CreatedOn: date,
		HumanHandle: must(parsec.ParseHumanHandle(name+"@example.com", "The "+name)),
	}
}

func newDevice(id parsec3.DeviceID, user parsec3.UserID, date parsec.DateTime) rules.Device {
	return rules.Device{ID: id, User: user, VerifyKey: parsec.VerifyKey{2, id[0], id[1]}, CreatedOn: date}
}

// bootstrap creates the organization, and its first user alice.
func (f *fixture) bootstrap() {
	f.Helper()
	f.found(organization.Organization{ID: f.organization})
}

// bootstrapSequestered is bootstrap, with a sequester authority.
func (f *fixture) bootstrapSequestered() {
	f.Helper()
	f.found(organization.Organization{ID: f.organization, SequesterAuthorityCertificate: []byte("authority"), SequesterVerifyKeyDER: []byte("key")})
}

func (f *fixture) found(o organization.Organization) {
	f.Helper()
	date := f.next()
	f.queue(rules.Scope{Founding: true}, func(tx rules.Tx) { foundAt(tx, o, date) })
}

// foundAt bootstraps an organization.
func foundAt(tx rules.Tx, o organization.Organization, date parsec.DateTime) {
	o.RootVerifyKey, o.CreatedOn, o.BootstrappedOn, o.Generation = &parsec.VerifyKey{1}, date, &date, organization.Parsec3
	var authority *rules.Certificate
	if o.SequesterAuthorityCertificate != nil {
		authority = new(certificate(root, date, "authority"))
	}
	tx.PutOrganization(o)
	tx.Found(newUser(alice, parsec.ProfileAdmin, date), redactable(root, date, "user alice"),
		newDevice(aliceOne, alice, date), redactable(root, date, "device alice 1"), authority)
}

// enrol creates users of a profile, each with its first device, certified by
// alice.
func (f *fixture) enrol(profile parsec.UserProfile, users ...parsec3.UserID) {
	f.Helper()
	for _, id := range users {
		f.createUser(newUser(id, profile, f.next()), ones[id])
	}
}

// createUser creates a user dated as it says.
func (f *fixture) createUser(user rules.User, device parsec3.DeviceID) {
	f.Helper()
	f.queue(onCommon(), func(tx rules.Tx) { createUserIn(tx, user, device) })
}

func createUserIn(tx rules.Tx, user rules.User, device parsec3.DeviceID) {
	name := names[user.ID]
	tx.CreateUser(user, redactable(aliceOne, user.CreatedOn, "user "+name),
		newDevice(device, user.ID, user.CreatedOn), redactable(aliceOne, user.CreatedOn, "device "+name+" 1"))
}

// addDevice adds a device that the first one of its user certifies.
func (f *fixture) addDevice(user parsec3.UserID, device parsec3.DeviceID) {
	f.Helper()
	date := f.next()
	f.queue(onCommon(), func(tx rules.Tx) {
		tx.CreateDevice(newDevice(device, user, date), redactable(ones[user], date, fmt.Sprint("device ", names[user], " ", device[1])))
	})
}

func (f *fixture) setProfile(user parsec3.UserID, profile parsec.UserProfile) {
	f.Helper()
	date := f.next()
	f.queue(onCommon(), func(tx rules.Tx) {
		tx.UpdateProfile(user, profile, certificate(aliceOne, date, "update "+names[user]+" "+string(profile)))
	})
}

func (f *fixture) revoke(user parsec3.UserID) {
	f.Helper()
	date := f.next()
	f.queue(onCommon(), func(tx rules.Tx) { tx.RevokeUser(user, certificate(aliceOne, date, "revoked "+names[user])) })
}

func (f *fixture) freeze(user parsec3.UserID, frozen bool) {
	f.Helper()
	f.queue(rules.Scope{}, func(tx rules.Tx) { tx.FreezeUser(user, frozen) })
}

// createRealm creates a realm whose OWNER is alice.
func (f *fixture) createRealm() parsec.RealmID {
	f.Helper()
	realm := newRealmID()
	f.createRealmAs(realm, alice)
	return realm
}

func (f *fixture) createRealmAs(realm parsec.RealmID, owner parsec3.UserID) {
	f.Helper()
	date := f.next()
	f.queue(by(ones[owner], onRealm(realm)), func(tx rules.Tx) {
		tx.CreateRealm(owner, certificate(ones[owner], date, "created by "+names[owner]))
	})
}

// grant gives a user a role, or takes it, without access to a key.
func (f *fixture) grant(realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole) {
	f.Helper()
	f.share(realm, user, role, nil)
}

// share is grant, with an access unless it is nil.
func (f *fixture) share(realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole, access []byte) {
	f.Helper()
	date := f.next()
	f.queue(onRealm(realm), func(tx rules.Tx) {
		tx.SetRole(user, role, access, certificate(aliceOne, date, "role of "+names[user]+": "+string(role)))
	})
}

// rotate adds a key, whose accesses are texts.
func (f *fixture) rotate(realm parsec.RealmID, keyIndex uint64, accesses map[parsec3.UserID]string) {
	f.Helper()
	date, participants := f.next(), map[parsec3.UserID][]byte{}
	for user, access := range accesses {
		participants[user] = []byte(access)
	}
	f.queue(onRealm(realm), func(tx rules.Tx) {
		tx.RotateKey(rules.KeyRotation{KeyIndex: keyIndex, KeysBundle: fmt.Append(nil, "bundle ", keyIndex), Participants: participants},
			certificate(aliceOne, date, fmt.Sprint("rotation ", keyIndex)))
	})
}

func (f *fixture) rename(realm parsec.RealmID) {
	f.Helper()
	date := f.next()
	f.queue(onRealm(realm), func(tx rules.Tx) { tx.NameRealm(certificate(aliceOne, date, "name")) })
}

func (f *fixture) archive(realm parsec.RealmID, archiving parsec.ArchivingType, deletion *parsec.DateTime) {
	f.Helper()
	date := f.next()
	f.queue(onRealm(realm), func(tx rules.Tx) {
		tx.ArchiveRealm(archiving, deletion, certificate(aliceOne, date, "archiving "+string(archiving)))
	})
}

func (f *fixture) deleteRealm(realm parsec.RealmID) {
	f.Helper()
	f.queue(onRealm(realm), rules.Tx.MarkRealmDeleted)
}

// janitor is a store that does some things later.
type janitor interface {
	Prune(ctx context.Context) error
}

// prune has the store do what it does later, if anything.
func (f *fixture) prune() {
	f.Helper()
	if store, does := f.store.(janitor); does {
		f.no(store.Prune(f.Context()))
	}
}

// createVlob writes version 1 of a vlob of alice.
func (f *fixture) createVlob(realm parsec.RealmID, blob string) parsec.VlobID {
	f.Helper()
	vlob := newVlobID()
	f.write(realm, vlob, aliceOne, f.next(), blob)
	return vlob
}

// write writes the next version.
func (f *fixture) write(realm parsec.RealmID, vlob parsec.VlobID, author parsec3.DeviceID, date parsec.DateTime, blob string) {
	f.Helper()
	f.update(onVlob(realm, vlob), func(tx rules.Tx) error {
		writeNext(tx, rules.VlobVersion{Vlob: vlob, Author: author, Timestamp: date, Blob: []byte(blob)})
		return nil
	})
}

// writeNext writes the next version of the vlob of the scope.
func writeNext(tx rules.Tx, version rules.VlobVersion) {
	realm, _ := tx.Realm()
	version.Version, version.KeyIndex = tx.Vlob()+1, realm.KeyIndex
	tx.WriteVlob(version)
}

// realm reads a realm that must exist, for the first device of a user.
func (f *fixture) realm(id parsec.RealmID, user parsec3.UserID) rules.Realm {
	f.Helper()
	_, realm, _, err := f.store.Changes(f.Context(), f.organization, ones[user], id, 0)
	f.no(err)
	if realm == nil {
		f.Fatalf("realm %v not found", id)
	}
	return *realm
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
	end := event.Event{Organization: r.f.organization, Body: notice.Pinged{ID: notice.NewID()}}
	r.f.no(r.f.store.Publish(r.f.Context(), end))
	var events []event.Event
	for e := range r.events {
		if e.Body == end.Body {
			break
		}
		events = append(events, e)
	}
	return events
}
