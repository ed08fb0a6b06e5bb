package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization/organizationtest"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
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
	realm, reencrypting parsec.RealmID
	// vlob is in realm, old in reencrypting.
	vlob, old parsec.VlobID
	block     parsec.BlockID
	token     parsec.InvitationToken
	service   rules.SequesterService
}

func newWorld() *world {
	return &world{
		realm: newRealmID(), reencrypting: newRealmID(), vlob: newVlobID(), old: newVlobID(), block: newBlockID(),
		token:   parsec.InvitationToken(parsec.NewUUID()),
		service: rules.SequesterService{ID: parsec.SequesterServiceID{7}, Label: "S", Certificate: []byte("s"), CreatedOn: at(1)},
	}
}

// populate creates the world in the organization.
func (f *fixture) populate(w *world) {
	f.Helper()
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.queue(onOrganization(), func(tx rules.Tx) { tx.PutSequesterService(w.service) })
	f.createRealmAs(w.realm)
	f.createRealmAs(w.reencrypting)
	f.writeVlob(onVlobCreate(w.realm, w.vlob), aliceOne, 1, "vlob")
	f.writeVlob(onVlobCreate(w.reencrypting, w.old), aliceOne, 1, "old")
	f.start(w.reencrypting)
	f.reserve(w.realm, newUpload(w.block, 1), 0)
	f.send("hello", bob)
	f.queue(rules.Scope{}, func(tx rules.Tx) {
		tx.PutInvitation(rules.Invitation{Token: w.token, Type: parsec.InvitationDevice, Greeter: alice, CreatedOn: at(1)})
		tx.PutInvitationV1(rules.InviteeV1{User: carol}, rules.InvitationV1{Creator: aliceOne, CreatedOn: at(1)})
	})
}

// observation is the answer to one question.
type observation struct {
	what  string
	found bool
	facts []any
}

// observe returns all that readers and transactions see of the world.
func (f *fixture) observe(w *world) []observation {
	f.Helper()
	ctx, id := f.Context(), f.organization
	var observations []observation
	note := func(what string, found bool, err error, facts ...any) {
		f.Helper()
		f.no(err)
		observations = append(observations, observation{what, found, facts})
	}
	organization, found, err := f.store.Organization(ctx, id)
	note("organization", found, err, organization)
	statistics, err := f.store.OrganizationStatistics(ctx, []parsec.OrganizationID{id}, nil)
	note("statistics", true, err, statistics)
	services, err := f.store.SequesterServices(ctx, id)
	note("services", true, err, services)
	invitation, err := f.store.Invitation(ctx, id, w.token)
	note("invitation", true, err, invitation.Invitation)
	invitationV1, err := f.store.InvitationV1(ctx, id, rules.InviteeV1{User: carol})
	note("invitation of API 1", true, err, invitationV1.Invitation, invitationV1.InviteeExists)
	for _, user := range []parsec.UserID{alice, bob, carol} {
		facts, found, err := f.store.UserAndDevices(ctx, id, user)
		note("user", found, err, facts)
		messages, _, err := f.store.Messages(ctx, id, user, 0, math.MaxUint64)
		note("messages", true, err, messages)
	}
	for _, realm := range []parsec.RealmID{w.realm, w.reencrypting, {9}} {
		for _, user := range []parsec.UserID{alice, bob} {
			facts, blocks, vlobs, found, err := f.store.RealmStatistics(ctx, id, realm, user)
			note("realm", found, err, facts, blocks, vlobs)
		}
		_, roles, found, err := f.store.RoleCertificates(ctx, id, realm, alice)
		note("roles", found, err, roles)
		_, batch, found, err := f.store.ReencryptionBatch(ctx, id, alice, itemsOf(realm, 100))
		note("batch", found, err, batch)
		_, changes, found, err := f.store.Changes(ctx, id, alice, realm, 0)
		note("changes", found, err, changes)
	}
	for _, vlob := range []parsec.VlobID{w.vlob, w.old, {9}} {
		for _, revision := range []uint64{1, 2} {
			_, version, found, err := f.store.ReadVlob(ctx, id, alice, rules.VlobSelection{Vlob: vlob, EncryptionRevision: revision})
			note("vlob", found, err, version)
		}
	}
	_, block, found, err := f.store.Block(ctx, id, alice, w.block)
	note("block", found, err, block)
	var upload *rules.BlockUpload
	f.update(onBlock(w.realm, w.block), func(tx rules.Tx) error {
		_, upload = tx.Block()
		return nil
	})
	note("upload", upload != nil, nil, upload)
	return observations
}

// effect is one that changes what observe returns.
type effect struct {
	name  string
	scope rules.Scope
	apply func(tx rules.Tx) error
}

// everyEffect returns each effect once; they may be applied in this order.
func (f *fixture) everyEffect(w *world) []effect {
	queue := func(effects func(rules.Tx)) func(rules.Tx) error {
		return func(tx rules.Tx) error {
			effects(tx)
			return nil
		}
	}
	newRealm := parsec.RealmID{9}
	return []effect{
		{"PutOrganization", onOrganization(), queue(func(tx rules.Tx) { tx.PutOrganization(organizationtest.Full(f.organization)) })},
		{"PutSequesterService", onOrganization(), queue(func(tx rules.Tx) {
			tx.PutSequesterService(rules.SequesterService{ID: parsec.SequesterServiceID{8}, Label: "T", Certificate: []byte("t")})
		})},
		{"CreateUser", onOrganization(), queue(func(tx rules.Tx) { tx.CreateUser(newUser(carol, parsec.ProfileStandard, aliceOne)) })},
		{"CreateDevice", onOrganization(), queue(func(tx rules.Tx) { tx.CreateDevice(newDevice(carolOne, aliceOne)) })},
		{"FreezeUser", onOrganization(), queue(func(tx rules.Tx) { tx.FreezeUser(bob, true) })},
		{"RevokeUser", onOrganization(), queue(func(tx rules.Tx) {
			tx.RevokeUser(bob, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(2)})
		})},
		{"CreateRealm", onRealm(newRealm), queue(func(tx rules.Tx) { tx.CreateRealm(at(2)) })},
		{"AddRole", onRealm(w.realm), queue(func(tx rules.Tx) { tx.AddRole(newRole(w.realm, bob, parsec.RoleReader, 3)) })},
		{"TouchRoleChange", onRealm(w.realm), queue(func(tx rules.Tx) { tx.TouchRoleChange(alice, at(4)) })},
		{"TouchArchivingChange", onRealm(w.realm), queue(func(tx rules.Tx) { tx.TouchArchivingChange(alice, at(4)) })},
		{"AddArchiving", onRealm(w.realm), queue(func(tx rules.Tx) {
			tx.AddArchiving(rules.Archiving{Type: parsec.ArchivingAvailable, ConfiguredOn: at(4), ConfiguredBy: aliceOne}, []byte("a"))
		})},
		{"WriteVlob creating", onVlobCreate(w.realm, parsec.VlobID{9}), queue(func(tx rules.Tx) {
			writeNext(tx, rules.VlobVersion{Blob: []byte("new"), Author: aliceOne, Timestamp: at(5)})
		})},
		{"WriteVlob updating", onVlobUpdate(w.vlob), queue(func(tx rules.Tx) {
			writeNext(tx, rules.VlobVersion{Blob: []byte("newer"), Author: aliceOne, Timestamp: at(5)})
		})},
		{"CreateBlock", onBlock(w.realm, w.block), queue(func(tx rules.Tx) { tx.CreateBlock(newBlock(w.realm, w.block, 5)) })},
		{"StartMaintenance", onRealm(w.realm), queue(func(tx rules.Tx) {
			tx.StartMaintenance(rules.Maintenance{Type: parsec.MaintenanceReencryption, StartedOn: at(6), StartedBy: aliceOne})
		})},
		{"SaveReencrypted", onRealm(w.reencrypting), func(tx rules.Tx) error {
			_, _, err := tx.SaveReencrypted(f.Context(), []protocol.ReencryptionItem{item(w.old, 1, "new")})
			return err
		}},
		{"FinishMaintenance", onRealm(w.reencrypting), queue(func(tx rules.Tx) { tx.FinishMaintenance() })},
		{"AddMessage", onRealm(w.realm), func(tx rules.Tx) error {
			counts, err := tx.MessageCounts(f.Context(), []parsec.UserID{bob})
			if err != nil {
				return err
			}
			tx.AddMessage(rules.Message{Recipient: bob, Index: counts[bob] + 1, Sender: aliceOne, Timestamp: at(6), Body: []byte("m")})
			return nil
		}},
		{"PutInvitation", rules.Scope{}, queue(func(tx rules.Tx) {
			tx.PutInvitation(rules.Invitation{Token: w.token, Type: parsec.InvitationDevice, Greeter: alice, CreatedOn: at(1), DeletedOn: new(at(2))})
		})},
		{"PutInvitationV1", rules.Scope{}, queue(func(tx rules.Tx) {
			tx.PutInvitationV1(rules.InviteeV1{User: carol}, rules.InvitationV1{Creator: bobOne, CreatedOn: at(2)})
		})},
		{"DeleteInvitationV1", rules.Scope{}, queue(func(tx rules.Tx) { tx.DeleteInvitationV1(rules.InviteeV1{User: carol}) })},
	}
}

// atomicity wants nothing of a refused transaction, each effect after the
// ones before it.
func atomicity(f *fixture) {
	w := newWorld()
	f.populate(w)
	refusal := errors.New("refused")
	for _, effect := range f.everyEffect(w) {
		before := f.observe(w)
		err := f.try(effect.scope, func(tx rules.Tx) error {
			if err := effect.apply(tx); err != nil {
				return err
			}
			return refusal
		})
		if !errors.Is(err, refusal) {
			f.Errorf("%s: error %v, want that of the rule", effect.name, err)
		}
		equal(f, effect.name+" refused", f.observe(w), before)
		f.update(effect.scope, effect.apply)
		if reflect.DeepEqual(f.observe(w), before) {
			f.Errorf("%s: committed, but it left nothing", effect.name)
		}
	}
}

// isolation has two organizations with the same ids.
func isolation(f *fixture) {
	other := &fixture{T: f.T, store: f.store, bus: f.bus, organization: newOrganizationID()}
	w := newWorld()
	other.populate(w)
	before := other.observe(w)
	f.populate(w)
	for _, effect := range f.everyEffect(w) {
		f.update(effect.scope, effect.apply)
		equal(f, "another organization after "+effect.name, other.observe(w), before)
	}
	changed := f.observe(w)
	for _, effect := range other.everyEffect(w) {
		other.update(effect.scope, effect.apply)
	}
	equal(f, "the first organization after the changes of the other one", f.observe(w), changed)
}

func (f *fixture) ping(text string) event.Event {
	return event.Event{Organization: f.organization, Author: aliceOne, Body: notice.Pinged{Ping: text}}
}

func refusedEvents(f *fixture) {
	f.bootstrap()
	events := f.record()
	refusal := errors.New("refused")
	err := f.try(onOrganization(), func(tx rules.Tx) error {
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
	var want []event.Event
	for i := range 20 {
		emitted := []event.Event{
			f.ping(fmt.Sprint("first of ", i)),
			{Organization: f.organization, Author: aliceOne, Body: notice.RealmVlobsUpdated{Realm: realm, Checkpoint: uint64(i)}},
			f.ping("the same"),
			f.ping("the same"),
			{Organization: f.organization, Author: bobOne, Body: notice.MessageReceived{Recipient: bob, Index: uint64(i)}},
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

// eventBodies sends every event of the package event, and changes what it
// gave before it receives them.
func eventBodies(f *fixture) {
	f.bootstrap()
	realm, token := newRealmID(), parsec.InvitationToken(parsec.NewUUID())
	events := f.record(
		notice.RealmTopic(f.organization, realm),
		notice.UserTopic(f.organization, bob),
		notice.InvitationTopic(f.organization, token),
		notice.UserInviteTopic(f.organization, carol),
		notice.DeviceInviteTopic(f.organization, carolOne),
	)
	bodies := func() ([]event.Body, func()) {
		bytes := [][]byte{[]byte("one"), []byte("two"), []byte("three"), []byte("four"), []byte("five"), make([]byte, 100_000)}
		greeters := []parsec.UserID{alice, bob}
		deletion, expiration := at(5), at(6)
		spoil := func() {
			for _, b := range bytes {
				copy(b, "spoiled")
			}
			clear(greeters)
			deletion, expiration = 0, 0
		}
		return []event.Body{
			notice.Pinged{Ping: "é"},
			notice.MessageReceived{Recipient: bob, Index: 1 << 40},
			notice.RealmRolesUpdated{Realm: realm, User: bob, Role: parsec.RoleManager},
			notice.RealmRolesUpdated{Realm: realm, User: bob},
			notice.RealmVlobsUpdated{Realm: realm, Checkpoint: 3, Source: parsec.VlobID{3}, SourceVersion: 4},
			notice.RealmMaintenanceStarted{Realm: realm, EncryptionRevision: 2},
			notice.RealmMaintenanceFinished{Realm: realm, EncryptionRevision: 2},
			notice.RealmArchivingUpdated{Realm: realm, Configuration: protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}},
			notice.RealmArchivingUpdated{Realm: realm, Configuration: protocol.ArchivingConfiguration{
				Type: parsec.ArchivingDeletionPlanned, DeletionDate: &deletion,
			}},
			notice.InviteStatusChanged{Greeters: greeters, Token: token, Status: parsec.InvitationReady},
			notice.UserRevoked{User: bob},
			notice.UserFrozen{User: bob},
			event.OrganizationExpiration{Date: &expiration},
			event.OrganizationExpiration{},
			notice.UserCreated{User: carol, UserCertificate: bytes[0], DeviceCertificate: bytes[1]},
			notice.DeviceCreated{Device: carolOne, DeviceCertificate: bytes[2], EncryptedAnswer: bytes[3]},
			notice.UserClaimed{User: carol, EncryptedClaim: bytes[4]},
			notice.DeviceClaimed{Device: carolOne, EncryptedClaim: bytes[5]},
			notice.UserInvitationCancelled{User: carol},
			notice.DeviceInvitationCancelled{Device: carolOne},
		}, spoil
	}
	var want []event.Event
	original, _ := bodies()
	for _, body := range original {
		want = append(want, event.Event{Organization: f.organization, Author: bobOne, Body: body})
	}
	for _, send := range []struct {
		name string
		send func([]event.Event)
	}{
		{"emitted", func(list []event.Event) {
			f.queue(rules.Scope{}, func(tx rules.Tx) {
				for _, e := range list {
					tx.Emit(e)
				}
			})
		}},
		{"published", func(list []event.Event) {
			for _, e := range list {
				f.no(f.store.Publish(f.Context(), e))
			}
		}},
	} {
		given, spoil := bodies()
		list := slices.Clone(want)
		for i := range list {
			list[i].Body = given[i]
		}
		send.send(list)
		spoil()
		got := events.take()
		equal(f, "number of events "+send.name, len(got), len(want))
		for i := range min(len(got), len(want)) {
			equal(f, fmt.Sprintf("%T %s", want[i].Body, send.name), got[i], want[i])
		}
	}
}

func eventScope(f *fixture) {
	other := &fixture{T: f.T, store: f.store, bus: f.bus, organization: newOrganizationID()}
	f.bootstrap()
	other.bootstrap()
	realm := parsec.RealmID{1}
	events, others := f.record(notice.RealmTopic(f.organization, realm)), other.record(notice.RealmTopic(other.organization, realm))
	update := event.Event{
		Organization: f.organization, Author: aliceOne, Body: notice.RealmVlobsUpdated{Realm: realm, Checkpoint: 1},
	}
	f.queue(rules.Scope{}, func(tx rules.Tx) { tx.Emit(update) })
	equalList(f, "events of the other organization", others.take(), nil)
	equalList(f, "events", events.take(), []event.Event{update})
}

func cancelledContext(f *fixture) {
	f.bootstrap()
	events := f.record()
	cancelled, cancel := context.WithCancel(f.Context())
	cancel()
	for _, organization := range []parsec.OrganizationID{f.organization, newOrganizationID()} {
		err := f.store.Update(cancelled, rules.Scope{Organization: organization, LockOrganization: true}, func(rules.Tx) error {
			f.Error("the rule runs")
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			f.Errorf("update: error %v, want %v", err, context.Canceled)
		}
	}
	if err := f.store.Publish(cancelled, f.ping("cancelled")); !errors.Is(err, context.Canceled) {
		f.Errorf("publish: error %v, want %v", err, context.Canceled)
	}
	if _, _, err := f.store.Organization(cancelled, f.organization); !errors.Is(err, context.Canceled) {
		f.Errorf("read: error %v, want %v", err, context.Canceled)
	}
	upload := newUpload(newBlockID(), 1)
	if _, err := f.store.ReserveBlock(cancelled, f.organization, alice, newRealmID(), upload, at(0)); !errors.Is(err, context.Canceled) {
		f.Errorf("reserve: error %v, want %v", err, context.Canceled)
	}
	if err := f.store.ReleaseBlock(cancelled, f.organization, upload.ID, upload.Token); !errors.Is(err, context.Canceled) {
		f.Errorf("release: error %v, want %v", err, context.Canceled)
	}
	equalList(f, "events", events.take(), nil)
	f.no(f.store.Ready(f.Context()))
}
