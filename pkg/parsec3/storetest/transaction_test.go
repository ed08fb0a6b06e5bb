package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/rules"
)

var transactionChecks = []check{
	{"atomicity", atomicity},
	{"organizations do not interact", isolation},
	{"events of a refused transaction", refusedEvents},
	{"order of events", eventOrder},
	{"bodies of events", eventBodies},
	{"events reach their organization", eventScope},
	{"cancelled context", cancelledContext},
}

// world is what the organization of a check has in the checks below.
type world struct {
	realm, doomed, created parsec.RealmID
	vlob                   parsec.VlobID
	block, reserved        parsec.BlockID
	service, second        parsec.SequesterServiceID
	// setup is that of bob.
	setup rules.ShamirSetup
}

func newWorld() *world {
	return &world{
		realm: newRealmID(), doomed: newRealmID(), created: newRealmID(), vlob: newVlobID(), block: newBlockID(), reserved: newBlockID(),
		service: parsec.SequesterServiceID{1}, second: parsec.SequesterServiceID{2},
	}
}

// populate creates the world in the organization.
func (f *fixture) populate(w *world) {
	f.Helper()
	f.bootstrapSequestered()
	f.enrol(parsec.ProfileStandard, bob)
	f.createService(w.service)
	w.setup = f.setUp(bob, alice)
	for _, realm := range []parsec.RealmID{w.realm, w.doomed} {
		f.createRealmAs(realm, alice)
		f.rotate(realm, 1, map[parsec3.UserID]string{alice: "access"})
		f.write(realm, w.vlob, aliceOne, f.next(), "vlob")
	}
}

// observation is the answer to one question.
type observation struct {
	what  string
	facts []any
}

// observe returns all that readers and transactions see of the world.
func (f *fixture) observe(w *world) []observation {
	f.Helper()
	ctx, id := f.Context(), f.organization
	var observations []observation
	note := func(what string, err error, facts ...any) {
		f.Helper()
		f.no(err)
		observations = append(observations, observation{what, facts})
	}
	stored, found, err := f.store.Organization(ctx, id)
	note("organization", err, stored, found)
	statistics, err := f.store.StatisticsOf(ctx, []parsec.OrganizationID{id}, nil)
	note("statistics", err, statistics)
	users, err := f.store.Users(ctx, id)
	note("users", err, users)
	list, err := f.store.SequesterServices(ctx, id)
	note("services", err, list)
	for _, device := range []parsec3.DeviceID{aliceOne, aliceTwo, bobOne, carolOne} {
		standing, err := f.store.Authentication(ctx, id, device)
		note("standing", err, standing)
		_, certificates, err := f.store.Certificates(ctx, id, device, rules.CertificatesAfter{}, 1<<30)
		note("certificates", err, certificates)
		_, realms, err := f.store.Registration(ctx, id, device)
		note("realms", err, sorted(realms))
		for _, realm := range []parsec.RealmID{w.realm, w.doomed, w.created} {
			_, facts, bundle, err := f.store.KeysBundle(ctx, id, device, realm, 1)
			note("keys", err, facts, bundle)
			_, _, bundle, err = f.store.KeysBundle(ctx, id, device, realm, 2)
			note("new keys", err, bundle)
			reading, err := f.store.ReadVersions(ctx, id, device, realm, []rules.VlobNumber{{Vlob: w.vlob, Version: 1}, {Vlob: w.vlob, Version: 2}}, math.MaxInt64)
			note("versions", err, reading)
			_, _, changes, err := f.store.Changes(ctx, id, device, realm, 0)
			note("changes", err, changes)
			_, _, block, err := f.store.ReadBlock(ctx, id, device, realm, w.block)
			note("block", err, block)
		}
	}
	for _, block := range []parsec.BlockID{w.block, w.reserved} {
		f.update(onBlock(w.realm, block), func(tx rules.Tx) error {
			exists, upload := tx.Block()
			note("upload", nil, exists, upload)
			return nil
		})
	}
	for _, user := range []parsec3.UserID{alice, bob, carol} {
		note("traces", nil, f.traces(user))
	}
	note("topics", nil, f.topics())
	return observations
}

// effect is one that changes what observe returns.
type effect struct {
	name  string
	scope rules.Scope
	apply func(tx rules.Tx)
}

// everyEffect returns each effect once; they may be applied in this order.
func everyEffect(w *world, id parsec.OrganizationID) []effect {
	founding := rules.Scope{Founding: true}
	return []effect{
		{"PutOrganization", founding, func(tx rules.Tx) {
			tx.PutOrganization(organization.Organization{ID: id, BootstrapToken: "another", CreatedOn: at(7)})
		}},
		{"CreateUser", onCommon(), func(tx rules.Tx) { createUserIn(tx, newUser(carol, parsec.ProfileStandard, at(101)), carolOne) }},
		{"CreateDevice", onCommon(), func(tx rules.Tx) {
			tx.CreateDevice(newDevice(aliceTwo, alice, at(102)), redactable(aliceOne, at(102), "device"))
		}},
		{"UpdateProfile", onCommon(), func(tx rules.Tx) {
			tx.UpdateProfile(bob, parsec.ProfileOutsider, certificate(aliceOne, at(103), "update"))
		}},
		{"FreezeUser", rules.Scope{}, func(tx rules.Tx) { tx.FreezeUser(bob, true) }},
		{"AcceptTOS", rules.Scope{}, func(tx rules.Tx) { tx.AcceptTOS(bob, at(5)) }},
		{"CreateRealm", onRealm(w.created), func(tx rules.Tx) { tx.CreateRealm(alice, certificate(aliceOne, at(104), "realm")) }},
		{"SetRole", onRealm(w.realm), func(tx rules.Tx) {
			tx.SetRole(bob, parsec.RoleReader, []byte("access of bob"), certificate(aliceOne, at(105), "role"))
		}},
		{"NameRealm", onRealm(w.realm), func(tx rules.Tx) { tx.NameRealm(certificate(aliceOne, at(106), "name")) }},
		{"RotateKey", onRealm(w.realm), func(tx rules.Tx) {
			tx.RotateKey(rules.KeyRotation{
				KeyIndex: 2, KeysBundle: []byte("bundle"), Participants: map[parsec3.UserID][]byte{alice: []byte("a"), bob: []byte("b")},
				Services: map[parsec.SequesterServiceID][]byte{w.service: []byte("s")},
			}, certificate(aliceOne, at(107), "rotation"))
		}},
		{"ArchiveRealm", onRealm(w.realm), func(tx rules.Tx) {
			tx.ArchiveRealm(parsec.ArchivingDeletionPlanned, new(at(5000)), certificate(aliceOne, at(108), "archiving"))
		}},
		{"WriteVlob", onVlob(w.realm, w.vlob), func(tx rules.Tx) {
			writeNext(tx, rules.VlobVersion{Vlob: w.vlob, Author: aliceOne, Timestamp: at(109), Blob: []byte("new")})
		}},
		{"ReserveBlock", onBlock(w.realm, w.reserved), func(tx rules.Tx) {
			// Nothing prunes it, however long the test takes.
			tx.ReserveBlock(rules.BlockUpload{ID: w.reserved, Token: parsec.UUID{1}, Until: at(3_000_000_000)})
		}},
		{"CreateBlock", onBlock(w.realm, w.block), func(tx rules.Tx) { tx.CreateBlock(newBlock(w.realm, w.block, 5, at(110))) }},
		{"CreateService", onSequester(), func(tx rules.Tx) { createServiceIn(tx, w.second, at(111)) }},
		{"RevokeService", onSequester(), func(tx rules.Tx) {
			tx.RevokeService(w.service, rules.Certificate{Timestamp: at(112), Bytes: []byte("revoked service")})
		}},
		{"CreateShamirSetup", onShamir(), func(tx rules.Tx) { createSetupIn(tx, newSetup(alice, at(112), bob), bob) }},
		{"DeleteShamirSetup", onShamir(), func(tx rules.Tx) { tx.DeleteShamirSetup(&w.setup, certificate(bobOne, at(113), "deletion")) }},
		{"ConfigureService", rules.Scope{}, func(tx rules.Tx) { tx.ConfigureService(w.second, "https://example.com") }},
		{"RevokeUser", onCommon(), func(tx rules.Tx) { tx.RevokeUser(bob, certificate(aliceOne, at(114), "revoked")) }},
		{"MarkRealmDeleted", onRealm(w.doomed), rules.Tx.MarkRealmDeleted},
	}
}

// atomicity wants nothing of a refused transaction, each effect after the
// ones before it.
func atomicity(f *fixture) {
	w := newWorld()
	f.populate(w)
	refusal := errors.New("refused")
	for _, effect := range everyEffect(w, f.organization) {
		before := f.observe(w)
		err := f.try(effect.scope, func(tx rules.Tx) error {
			effect.apply(tx)
			return refusal
		})
		if !errors.Is(err, refusal) {
			f.Errorf("%s: error %v, want that of the rule", effect.name, err)
		}
		equal(f, effect.name+" refused", f.observe(w), before)
		f.queue(effect.scope, effect.apply)
		if reflect.DeepEqual(f.observe(w), before) {
			f.Errorf("%s: committed, but it left nothing", effect.name)
		}
	}
}

// isolation has two organizations with the same ids.
func isolation(f *fixture) {
	other := f.another()
	w := newWorld()
	other.populate(w)
	before := other.observe(w)
	f.populate(w)
	for _, effect := range everyEffect(w, f.organization) {
		f.queue(effect.scope, effect.apply)
		equal(f, "another organization after "+effect.name, other.observe(w), before)
	}
	changed := f.observe(w)
	for _, effect := range everyEffect(w, other.organization) {
		other.queue(effect.scope, effect.apply)
	}
	equal(f, "the first organization after the changes of the other one", f.observe(w), changed)
}

func (f *fixture) ping(text string) event.Event {
	return event.Event{Organization: f.organization, Body: notice.Pinged{ID: notice.NewID(), Ping: text}}
}

func refusedEvents(f *fixture) {
	f.bootstrap()
	events := f.record()
	refusal := errors.New("refused")
	err := f.try(onCommon(), func(tx rules.Tx) error {
		tx.Emit(f.ping("refused"))
		return refusal
	})
	if !errors.Is(err, refusal) {
		f.Errorf("error %v, want that of the rule", err)
	}
	equalList(f, "events", events.take(), nil)
}

// eventOrder has events of one transaction, equal ones included, and of
// several.
func eventOrder(f *fixture) {
	f.bootstrap()
	realm := parsec.RealmID{1}
	events := f.record(notice.RealmTopic(f.organization, realm), notice.UserTopic(f.organization, bob))
	same := f.ping("the same")
	var want []event.Event
	for i := range 20 {
		emitted := []event.Event{
			f.ping(fmt.Sprint("first of ", i)),
			{Organization: f.organization, Body: notice.Vlob{ID: notice.NewID(), Realm: realm, Author: aliceOne, Version: uint32(i)}},
			same,
			same,
			{Organization: f.organization, Body: notice.UserUpdated{User: bob, Profile: parsec.ProfileOutsider}},
		}
		f.queue(rules.Scope{}, func(tx rules.Tx) {
			for _, e := range emitted {
				tx.Emit(e)
			}
		})
		alone := f.ping(fmt.Sprint("alone ", i))
		f.no(f.store.Publish(f.Context(), alone))
		want = append(append(want, emitted...), alone)
	}
	equalList(f, "events", events.take(), want)
}

// eventBodies sends every event of both packages, and changes what it gave
// before it receives them.
func eventBodies(f *fixture) {
	f.bootstrap()
	realm, vlob := newRealmID(), newVlobID()
	events := f.record(notice.RealmTopic(f.organization, realm), notice.UserTopic(f.organization, bob))
	id := notice.NewID()
	bodies := func() ([]event.Body, func()) {
		blob, expiration, users := []byte("blob"), at(6), []parsec3.UserID{carol, bob}
		spoil := func() {
			clear(blob)
			clear(users)
			expiration = 0
		}
		return []event.Body{
			notice.Pinged{ID: id, Ping: "é"},
			notice.CommonCertificate{ID: id, Timestamp: at(1)},
			notice.SequesterCertificate{ID: id, Timestamp: at(2)},
			notice.ShamirCertificate{ID: id, Timestamp: at(2), Users: users},
			notice.RealmCertificate{ID: id, Timestamp: at(3), Realm: realm, User: bob},
			notice.RealmCertificate{ID: id, Timestamp: at(3), Realm: realm, User: bob, RoleRemoved: true},
			notice.Vlob{
				ID: id, Realm: realm, Vlob: vlob, Author: aliceTwo, Timestamp: at(4), Version: math.MaxUint32, Blob: blob,
				LastCommon: at(2), LastCertificate: at(3),
			},
			notice.Vlob{ID: id, Realm: realm, Vlob: vlob, Author: aliceTwo, Timestamp: at(4), Version: 2},
			notice.UserUpdated{User: bob, Profile: parsec.ProfileOutsider},
			notice.UserRevokedOrFrozen{User: bob},
			notice.UserUnfrozen{User: bob},
			event.OrganizationExpiration{Date: &expiration},
			event.OrganizationExpiration{},
			event.OrganizationTOSUpdated{},
		}, spoil
	}
	var want []event.Event
	original, _ := bodies()
	for _, body := range original {
		want = append(want, event.Event{Organization: f.organization, Body: body})
	}
	for name, send := range map[string]func([]event.Event){
		"emitted": func(list []event.Event) {
			f.queue(rules.Scope{}, func(tx rules.Tx) {
				for _, e := range list {
					tx.Emit(e)
				}
			})
		},
		"published": func(list []event.Event) {
			for _, e := range list {
				f.no(f.store.Publish(f.Context(), e))
			}
		},
	} {
		given, spoil := bodies()
		list := slices.Clone(want)
		for i := range list {
			list[i].Body = given[i]
		}
		send(list)
		spoil()
		got := events.take()
		equal(f, "number of events "+name, len(got), len(want))
		for i := range min(len(got), len(want)) {
			equal(f, fmt.Sprintf("%T %s", want[i].Body, name), got[i], want[i])
		}
	}
}

func eventScope(f *fixture) {
	other := f.another()
	f.bootstrap()
	other.bootstrap()
	realm := parsec.RealmID{1}
	events, others := f.record(notice.RealmTopic(f.organization, realm)), other.record(notice.RealmTopic(other.organization, realm))
	written := event.Event{Organization: f.organization, Body: notice.Vlob{ID: notice.NewID(), Realm: realm, Version: 1}}
	f.queue(rules.Scope{}, func(tx rules.Tx) { tx.Emit(written) })
	equalList(f, "events of the other organization", others.take(), nil)
	equalList(f, "events", events.take(), []event.Event{written})
}

func cancelledContext(f *fixture) {
	f.bootstrap()
	events := f.record()
	cancelled, cancel := context.WithCancel(f.Context())
	cancel()
	want := func(what string, err error) {
		f.Helper()
		if !errors.Is(err, context.Canceled) {
			f.Errorf("%s: error %v, want %v", what, err, context.Canceled)
		}
	}
	for _, id := range []parsec.OrganizationID{f.organization, newOrganizationID()} {
		want("update", f.store.Update(cancelled, rules.Scope{Organization: id, Founding: true}, func(rules.Tx) error {
			f.Error("the rule runs")
			return nil
		}))
	}
	want("publish", f.store.Publish(cancelled, f.ping("cancelled")))
	_, _, err := f.store.Organization(cancelled, f.organization)
	want("read", err)
	_, err = f.store.Authentication(cancelled, f.organization, aliceOne)
	want("authentication", err)
	_, _, err = f.store.Certificates(cancelled, f.organization, aliceOne, rules.CertificatesAfter{}, 1<<30)
	want("certificates", err)
	want("release", f.store.ReleaseBlock(cancelled, f.organization, newBlockID(), parsec.NewUUID()))
	equalList(f, "events", events.take(), nil)
	f.no(f.store.Ready(f.Context()))
}
