package parsec2_test

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// listener is a connection of a device that listens to events.
type listener struct {
	f    *fixture
	conn *parsec2.Conn
}

// listen subscribes a new connection of a device of CoolOrg.
func (f *fixture) listen(device string, versions ...parsec.APIVersion) *listener {
	f.t.Helper()
	return f.listenAs(f.device(device), versions...)
}

func (f *fixture) listenAs(device *parsec2.Device, versions ...parsec.APIVersion) *listener {
	f.t.Helper()
	f.flush() // or events from before might come
	l := &listener{f, f.connectAs(device, versions...)}
	f.must(parsec2.Call(f.ctx, l.conn, protocol.EventsSubscribe, nil))
	return l
}

// next waits for an event.
func (l *listener) next() protocol.Event {
	l.f.t.Helper()
	told, err := parsec2.EventsListen(l.f.ctx, l.conn, &protocol.EventsListenRequest{Wait: true})
	l.f.ok(err)
	return told
}

// mark tells everybody in an organization that what was published before is
// all that there is.
func (f *fixture) mark(organization parsec.OrganizationID) {
	f.Bus.Publish([]event.Event{{Organization: organization, Body: notice.Pinged{Ping: "mark"}}})
}

// want compares the events up to the next mark.
func (l *listener) want(expected ...protocol.Event) {
	l.f.t.Helper()
	var got []protocol.Event
	for {
		told := l.next()
		if reflect.DeepEqual(told, &protocol.PingedEvent{Ping: "mark"}) {
			break
		}
		got = append(got, told)
	}
	if len(got) != len(expected) || len(got) > 0 && !reflect.DeepEqual(got, expected) {
		l.f.t.Errorf("events %s, want %s", show(got), show(expected))
	}
}

func show(events []protocol.Event) string {
	texts := make([]string, len(events))
	for i, told := range events {
		texts[i] = fmt.Sprintf("%s%+v", told.EventName(), told)
	}
	return strings.Join(texts, " ")
}

// must returns the reply of a command, as in f.must(conn.Ping(…)).
func (f *fixture) must(_ any, err error) {
	f.t.Helper()
	f.ok(err)
}

// now moves the clock: no two certificates have the same date.
func (f *fixture) now() parsec.DateTime {
	f.clock.Advance(time.Second)
	return f.clock.Now()
}

func realmID(last byte) parsec.RealmID { return parsec.RealmID{0: 0xAA, 15: last} }
func vlobID(last byte) parsec.VlobID   { return parsec.VlobID{0: 0xBB, 15: last} }

// createRealm makes the device's user the owner.
func (f *fixture) createRealm(conn *parsec2.Conn, owner *parsec2.Device, id parsec.RealmID) {
	f.t.Helper()
	request, err := owner.NewRealm(id, f.now())
	f.ok(err)
	f.must(parsec2.Call(f.ctx, conn, protocol.RealmCreate, request))
}

// grant grants or takes a role.
func (f *fixture) grant(conn *parsec2.Conn, author *parsec2.Device, id parsec.RealmID, user string, role parsec.RealmRole, message ...byte) {
	f.t.Helper()
	request, err := author.UpdateRole(id, userID(user), role, f.now())
	f.ok(err)
	request.RecipientMessage = message
	f.must(parsec2.Call(f.ctx, conn, protocol.RealmUpdateRoles, request))
}

func (f *fixture) createVlob(conn *parsec2.Conn, realm parsec.RealmID, id parsec.VlobID) {
	f.t.Helper()
	f.must(parsec2.Call(f.ctx, conn, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: realm, EncryptionRevision: 1, VlobID: id, Timestamp: f.now(), Blob: []byte("blob"),
	}))
}

func vlobEvent(realm parsec.RealmID, checkpoint uint64, id parsec.VlobID) protocol.Event {
	return &protocol.RealmVlobsUpdatedEvent{RealmID: realm, Checkpoint: checkpoint, SourceID: id, SourceVersion: 1}
}

// The tests below are the properties of docs/protocol/events.md §7, by number.

func TestEvents01SubscriptionIsIdempotent(t *testing.T) {
	f := newFixture(t)
	speaker, never, twice := f.connect("alice@dev1"), f.connect("bob@dev1"), f.listen("bob@dev1")
	f.must(parsec2.Call(f.ctx, speaker, protocol.Ping, &protocol.PingRequest{Ping: "1"}))
	f.must(parsec2.Call(f.ctx, twice.conn, protocol.EventsSubscribe, nil))
	f.must(parsec2.Call(f.ctx, speaker, protocol.Ping, &protocol.PingRequest{Ping: "2"}))
	f.mark(coolOrg)
	twice.want(&protocol.PingedEvent{Ping: "1"}, &protocol.PingedEvent{Ping: "2"})
	wantNoEvents(t, f, never)
	f.send(never, "events_listen") // waits for ever, even for the coming ones
	f.must(parsec2.Call(f.ctx, speaker, protocol.Ping, &protocol.PingRequest{Ping: "3"}))
	f.flush()
	f.wantPong(never)
}

func TestEvents02NoEvents(t *testing.T) {
	f := newFixture(t)
	wantNoEvents(t, f, f.listen("alice@dev1").conn)
}

// publishPing has everybody of the organization told of a ping, however many
// there were.
func (f *fixture) publishPing(text string) {
	f.Bus.Publish([]event.Event{{Organization: coolOrg, Body: notice.Pinged{Ping: text}}})
}

func wantNoEvents(t *testing.T, f *fixture, conn *parsec2.Conn) {
	t.Helper()
	f.send(conn, "events_listen", wire.Field{Key: "wait", Value: false})
	if reply := f.receive(conn); reply["status"] != "no_events" {
		t.Errorf("reply %v", reply)
	}
}

func TestEvents03AbandonedListen(t *testing.T) {
	f := newFixture(t)
	l := f.listen("alice@dev1")
	for i := range 200 {
		f.send(l.conn, "events_listen")
		f.wantPong(l.conn) // and nothing before it
		if i%2 == 0 {
			continue
		}
		text := strconv.Itoa(i)
		f.publishPing(text)
		if told := l.next(); !reflect.DeepEqual(told, &protocol.PingedEvent{Ping: text}) {
			t.Fatalf("event %v, want %s", told, text)
		}
	}
}

// The next request may come before the server knows what the first one is.
func TestEvents03ListenAndNextRequestAtOnce(t *testing.T) {
	f := newFixture(t)
	raw := f.dialRaw("alice@dev1", api3)
	for i := range 300 {
		text := strconv.Itoa(i)
		both := appendFrame(nil, opBinary, true, message("events_listen"))
		both = appendFrame(both, opBinary, true, message("ping", wire.Field{Key: "ping", Value: text}))
		_, err := raw.conn.Write(both)
		f.ok(err)
		if _, reply := raw.readFrame(); decodeMap(t, reply)["pong"] != text {
			t.Fatalf("reply %v, want pong %s", decodeMap(t, reply), text)
		}
	}
}

// Events come while listens are abandoned: whatever the timing, none is lost
// or doubled, and they keep their order.
func TestEvents03NoEventIsLost(t *testing.T) {
	f := newFixture(t)
	l := f.listen("alice@dev1")
	const count = 1000
	received := make(chan struct{}, 40) // at most so many wait in the queue
	go func() {
		for i := range count {
			select {
			case received <- struct{}{}:
			case <-f.ctx.Done():
				return
			}
			f.publishPing(strconv.Itoa(i))
		}
	}()
	for seen := range count {
		f.send(l.conn, "events_listen")
		f.send(l.conn, "ping", wire.Field{Key: "ping", Value: "interruption"})
		reply := f.receive(l.conn)
		if reply["pong"] != "interruption" { // the event came first
			if pong := f.receive(l.conn); pong["pong"] != "interruption" {
				t.Fatalf("reply %v, want the pong", pong)
			}
		} else { // a listen that is not abandoned gets it
			f.send(l.conn, "events_listen")
			reply = f.receive(l.conn)
		}
		if reply["ping"] != strconv.Itoa(seen) {
			t.Fatalf("reply %v, want event %d", reply, seen)
		}
		<-received
	}
}

func TestEvents04AuthorIsExcluded(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	author, sameDevice, otherDevice, member := f.connect("alice@dev1"), f.listen("alice@dev1"), f.listen("alice@dev2"), f.listen("bob@dev1")
	f.createRealm(author, alice, realmID(1))
	f.grant(author, alice, realmID(1), "bob", parsec.RoleReader)
	f.must(parsec2.Call(f.ctx, author, protocol.Ping, &protocol.PingRequest{Ping: "hello"}))
	f.createVlob(author, realmID(1), vlobID(1))
	started := &protocol.RealmStartReencryptionRequest{
		RealmID: realmID(1), EncryptionRevision: 2, Timestamp: f.now(),
		PerParticipantMessage: map[parsec.UserID][]byte{userID("alice"): {1}, userID("bob"): {2}},
	}
	f.must(parsec2.Call(f.ctx, author, protocol.RealmStartReencryption, started))
	f.must(parsec2.Call(f.ctx, author, protocol.VlobSaveReencryptionBatch, &protocol.VlobSaveReencryptionBatchRequest{
		RealmID: realmID(1), EncryptionRevision: 2, Batch: []protocol.ReencryptionItem{{VlobID: vlobID(1), Version: 1, Blob: []byte{3}}},
	}))
	f.must(parsec2.Call(f.ctx, author, protocol.RealmFinishReencryption, &protocol.RealmFinishReencryptionRequest{RealmID: realmID(1), EncryptionRevision: 2}))
	archived := protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}
	request, err := alice.UpdateArchiving(realmID(1), archived, f.now())
	f.ok(err)
	f.must(parsec2.Call(f.ctx, author, protocol.RealmUpdateArchiving, request))
	f.mark(coolOrg)

	created := &protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleOwner}
	data := []protocol.Event{
		&protocol.PingedEvent{Ping: "hello"},
		vlobEvent(realmID(1), 1, vlobID(1)),
		&protocol.RealmMaintenanceStartedEvent{RealmID: realmID(1), EncryptionRevision: 2},
		&protocol.MessageReceivedEvent{Index: 1},
		&protocol.RealmMaintenanceFinishedEvent{RealmID: realmID(1), EncryptionRevision: 2},
		&protocol.RealmArchivingUpdatedEvent{RealmID: realmID(1), Configuration: archived},
	}
	sameDevice.want(created, &protocol.MessageReceivedEvent{Index: 1})
	otherDevice.want(append([]protocol.Event{created}, data...)...)
	member.want(append([]protocol.Event{&protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleReader}}, data...)...)
}

func TestEvents05RolesAreToldToTheUser(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	author := f.connect("alice@dev1")
	owner, target, member := f.listen("alice@dev2"), f.listen("bob@dev1"), f.listen("carol@dev1")
	f.createRealm(author, alice, realmID(1))
	f.grant(author, alice, realmID(1), "carol", parsec.RoleReader)
	f.grant(author, alice, realmID(1), "bob", parsec.RoleContributor)
	f.grant(author, alice, realmID(1), "bob", parsec.RoleNone)
	f.mark(coolOrg)
	owner.want(&protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleOwner})
	member.want(&protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleReader})
	target.want(
		&protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleContributor},
		&protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleNone},
	)
}

func TestEvents06RealmSet(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	author := f.connect("alice@dev1")
	f.createRealm(author, alice, realmID(1))
	f.createRealm(author, alice, realmID(2))
	f.grant(author, alice, realmID(1), "bob", parsec.RoleReader)
	l := f.listen("bob@dev1") // has realm 1 already
	f.createVlob(author, realmID(1), vlobID(1))
	f.createVlob(author, realmID(2), vlobID(2)) // not yet
	f.grant(author, alice, realmID(2), "bob", parsec.RoleReader)
	f.createVlob(author, realmID(2), vlobID(3))
	f.grant(author, alice, realmID(1), "bob", parsec.RoleNone)
	f.createVlob(author, realmID(1), vlobID(4)) // no more
	f.grant(author, alice, realmID(1), "bob", parsec.RoleContributor)
	f.createVlob(author, realmID(1), vlobID(5))
	f.mark(coolOrg)
	l.want(
		vlobEvent(realmID(1), 1, vlobID(1)),
		&protocol.RealmRolesUpdatedEvent{RealmID: realmID(2), Role: parsec.RoleReader},
		vlobEvent(realmID(2), 2, vlobID(3)),
		&protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleNone},
		&protocol.RealmRolesUpdatedEvent{RealmID: realmID(1), Role: parsec.RoleContributor},
		vlobEvent(realmID(1), 3, vlobID(5)),
	)
}

func TestEvents07MessageIndex(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	author, l := f.connect("alice@dev1"), f.listen("bob@dev1")
	for i := range 3 {
		f.createRealm(author, alice, realmID(byte(i)))
		f.grant(author, alice, realmID(byte(i)), "bob", parsec.RoleReader, byte(i), 1)
	}
	reply, err := parsec2.Call(f.ctx, l.conn, protocol.MessageGet, &protocol.MessageGetRequest{})
	f.ok(err)
	for i, message := range reply.Messages {
		if roles := l.next(); roles.EventName() != "realm.roles_updated" {
			t.Fatalf("event %s comes before the role", roles.EventName())
		}
		if told := l.next(); !reflect.DeepEqual(told, &protocol.MessageReceivedEvent{Index: message.Count}) || message.Body[0] != byte(i) {
			t.Errorf("event %v of message %v", told, message)
		}
	}
}

func TestEvents08RefusedCommands(t *testing.T) {
	f := newFixture(t)
	alice, bob := f.device("alice@dev1"), f.device("bob@dev1")
	author, stranger := f.connect("alice@dev1"), f.connect("bob@dev1")
	f.createRealm(author, alice, realmID(1))
	f.createVlob(author, realmID(1), vlobID(1))
	owner, other := f.listen("alice@dev2"), f.listen("bob@dev1")
	refused := func(_ any, err error) {
		t.Helper()
		if err == nil {
			t.Error("accepted")
		}
	}
	refused(parsec2.Call(f.ctx, stranger, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: realmID(1), EncryptionRevision: 1, VlobID: vlobID(2), Timestamp: f.now(), Blob: []byte{1},
	}))
	refused(parsec2.Call(f.ctx, author, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
		EncryptionRevision: 1, VlobID: vlobID(1), Version: 9, Timestamp: f.now(), Blob: []byte{1},
	}))
	request, err := bob.UpdateRole(realmID(1), userID("carol"), parsec.RoleReader, f.now())
	f.ok(err)
	refused(parsec2.Call(f.ctx, stranger, protocol.RealmUpdateRoles, request))
	revocation, err := bob.RevokeUser(userID("alice"), f.now())
	f.ok(err)
	refused(parsec2.Call(f.ctx, stranger, protocol.UserRevoke, revocation))
	f.mark(coolOrg)
	owner.want()
	other.want()
}

func TestEvents12OrganizationsAreApart(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	author := f.connect("alice@dev1")
	otherAuthor := f.connectAs(f.deviceOf(otherOrg, "alice@dev1"))
	f.createRealm(otherAuthor, f.deviceOf(otherOrg, "alice@dev1"), realmID(1))
	f.createRealm(author, alice, realmID(1)) // of the same id
	here, there := f.listen("alice@dev2"), f.listenAs(f.deviceOf(otherOrg, "alice@dev2"))
	f.createVlob(author, realmID(1), vlobID(1))
	f.must(parsec2.Call(f.ctx, author, protocol.Ping, &protocol.PingRequest{Ping: "here"}))
	f.grant(author, alice, realmID(1), "bob", parsec.RoleReader, 1)
	f.mark(coolOrg)
	f.mark(otherOrg)
	here.want(vlobEvent(realmID(1), 1, vlobID(1)), &protocol.PingedEvent{Ping: "here"})
	there.want()
	revocation, err := alice.RevokeUser(userID("bob"), f.now())
	f.ok(err)
	elsewhere := f.connectAs(f.deviceOf(otherOrg, "bob@dev1"))
	f.must(parsec2.Call(f.ctx, author, protocol.UserRevoke, revocation))
	f.flush()
	f.wantPong(elsewhere)
}

// New events are not for old clients, who could not read them.
func TestEvents13OldClients(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	author := f.connect("alice@dev1")
	f.createRealm(author, alice, realmID(1))
	archived := protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}
	enrollment := &protocol.PKIEnrollmentUpdatedEvent{}
	invitation := &protocol.InviteStatusChangedEvent{Token: pendingToken, Status: parsec.InvitationReady}
	archiving := &protocol.RealmArchivingUpdatedEvent{RealmID: realmID(1), Configuration: archived}
	expected := map[parsec.APIVersion][]protocol.Event{
		{Major: 1, Minor: 3}:  nil,
		{Major: 1, Minor: 99}: nil,
		{Major: 2, Minor: 0}:  {invitation},
		{Major: 2, Minor: 5}:  {invitation},
		{Major: 2, Minor: 6}:  {invitation, enrollment},
		{Major: 2, Minor: 9}:  {invitation, enrollment},
		{Major: 2, Minor: 10}: {invitation, enrollment, archiving},
		{Major: 3, Minor: 0}:  {invitation, enrollment},
		{Major: 3, Minor: 3}:  {invitation, enrollment},
		{Major: 3, Minor: 4}:  {invitation, enrollment, archiving},
		{Major: 3, Minor: 99}: {invitation, enrollment, archiving},
	}
	listeners := map[parsec.APIVersion]*listener{}
	for api := range expected {
		listeners[api] = f.listen("alice@dev2", api)
	}
	f.ok(f.Store.Update(f.ctx, rules.Scope{Organization: coolOrg}, func(tx rules.Tx) error {
		tx.Emit(event.Event{Organization: coolOrg, Body: notice.InviteStatusChanged{
			Greeters: []parsec.UserID{userID("alice"), userID("bob"), userID("alice")}, Token: pendingToken, Status: parsec.InvitationReady,
		}})
		tx.Emit(event.Event{Organization: coolOrg, Body: notice.PKIEnrollmentUpdated{}})
		return nil
	}))
	request, err := alice.UpdateArchiving(realmID(1), archived, f.now())
	f.ok(err)
	f.must(parsec2.Call(f.ctx, author, protocol.RealmUpdateArchiving, request))
	f.mark(coolOrg)
	for api, events := range expected {
		t.Run(api.String(), func(t *testing.T) {
			l := listeners[api]
			l.f = f.with(t)
			l.want(events...)
		})
	}
}

// Clients up to 2.12 read at most 64 characters.
func TestEventsLongPing(t *testing.T) {
	f := newFixture(t)
	l, speaker := f.listen("bob@dev1"), f.connect("alice@dev1")
	short, long := strings.Repeat("é", 64), strings.Repeat("é", 65)
	f.must(parsec2.Call(f.ctx, speaker, protocol.Ping, &protocol.PingRequest{Ping: short}))
	f.must(parsec2.Call(f.ctx, speaker, protocol.Ping, &protocol.PingRequest{Ping: long}))
	f.mark(coolOrg)
	l.want(&protocol.PingedEvent{Ping: short})
}
