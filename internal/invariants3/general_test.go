//go:build !without_postgresql

package invariants3_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

func TestInvariant47WebhooksDecide(t *testing.T)          { everywhere(t, webhooksDecide) }
func TestInvariant48ServicesAndRotations(t *testing.T)    { everywhere(t, servicesAndRotations) }
func TestInvariant49RefusedWritesNothing(t *testing.T)    { everywhere(t, refusedWritesNothing) }
func TestInvariant50EventsInOrder(t *testing.T)           { everywhere(t, eventsInOrder) }
func TestInvariant51NoDeadlock(t *testing.T)              { everywhere(t, noDeadlock) }
func TestInvariant52MalformedInput(t *testing.T)          { everywhere(t, malformedInput) }
func TestInvariant53TermsOfService(t *testing.T)          { everywhere(t, termsOfService) }
func TestInvariant54CountsOfOneOrganization(t *testing.T) { everywhere(t, countsOfOneOrganization) }

// sequesterService answers what it is told to, and meanwhile does what it is told to.
type sequesterService struct {
	status    atomic.Int64
	asked     atomic.Int64
	meanwhile atomic.Pointer[func()]
}

func (h *sequesterService) ServeHTTP(answer http.ResponseWriter, _ *http.Request) {
	h.asked.Add(1)
	if meanwhile := h.meanwhile.Load(); meanwhile != nil {
		(*meanwhile)()
	}
	answer.WriteHeader(int(h.status.Load()))
}

func webhooksDecide(w *world) {
	asked := &sequesterService{}
	service := httptest.NewServer(asked)
	w.Cleanup(service.Close)
	id := newServiceID()
	w.ok(w.createsService(id, service.URL, now()))
	asked.status.Store(http.StatusOK)
	realm := w.alice.addRealm(id)

	for code, refusal := range map[int]protocol.Status{
		http.StatusBadRequest:          protocol.StatusRejectedBySequesterService,
		http.StatusInternalServerError: protocol.StatusSequesterServiceUnavailable,
	} {
		asked.status.Store(int64(code))
		vlob := newVlobID()
		refused := make(chan protocol.Status, 2) // together, as an absent service is waited for
		for _, command := range []call{
			w.alice.createsVlob(0, realm, vlob, 1, anytime),
			w.alice.rotates(1, realm, 2, []*member{w.alice}, []parsec.SequesterServiceID{id}, anytime),
		} {
			go func() { refused <- status(command(w.ctx)) }()
		}
		for range cap(refused) {
			if got := <-refused; got != refusal {
				w.Fatalf("got %s, want %s", got, refusal)
			}
		}
		if items := w.alice.reads(1, realm, vlob).Items; len(items) != 0 {
			w.Errorf("a refused vlob is stored: %+v", items)
		}
		if index := w.coherent().Realm(realm).KeyIndex; index != 1 {
			w.Errorf("a refused rotation is stored: key %d", index)
		}
	}

	// Whatever locks the same is done while the service thinks.
	asked.status.Store(http.StatusNoContent)
	meanwhile := func() {
		for _, exclusive := range []call{w.alice.addsDevice(1, anytime), w.alice.names(1, realm, 1, false, anytime)} {
			if got := status(exclusive(w.ctx)); got != protocol.StatusOK {
				w.Errorf("a command during the call of a webhook: %s", got)
			}
		}
	}
	asked.meanwhile.Store(&meanwhile)
	before := asked.asked.Load()
	w.ok(
		w.alice.createsVlob(0, realm, newVlobID(), 1, ahead(30)),
		w.alice.rotates(0, realm, 2, []*member{w.alice}, []parsec.SequesterServiceID{id}, ahead(40)),
	)
	if times := asked.asked.Load() - before; times != 2 {
		w.Errorf("the service is asked %d times for two commands", times)
	}
	w.coherent()
}

// servicesAndRotations has a service come, or go, while the key is rotated for those
// that are there: what is accepted is committed before that.
func servicesAndRotations(w *world) {
	realm := w.alice.addRealm()
	heard := w.alice.listen(1)
	key, first, last := uint64(1), newServiceID(), newServiceID()
	active := []parsec.SequesterServiceID{}
	w.ok(w.createsService(first, "", now()))
	active = append(active, first)
	w.inBothOrders(2*rounds, func() (call, call, func(first, second protocol.Status)) {
		here, date := slices.Clone(active), now()
		change := w.revokesService(last, date)
		if len(active) == 1 {
			last = newServiceID()
			change = w.createsService(last, "", date)
			active = append(active, last)
		} else {
			active = active[:1]
		}
		return change, w.alice.rotates(1, realm, key+1, []*member{w.alice}, here, date), func(change, rotation protocol.Status) {
			w.Helper()
			if change != protocol.StatusOK {
				w.Fatalf("the change of the services ends with %s", change)
			}
			events := heard.all()
			changed, rotated := place(events, sequesterAt(date)), place(events, realmAt(realm, date))
			switch {
			case rotation == protocol.StatusSequesterServiceMismatch:
			case rotation != protocol.StatusOK:
				w.Fatalf("the rotation ends with %s", rotation)
			case !before(rotated, changed):
				w.Fatal("a rotation for other services is committed after their change")
			default:
				key++
			}
		}
	})
	w.servicesAgainstEachOther()
	w.want(protocol.StatusSequesterServiceMismatch, w.alice.rotates(0, realm, key+1, []*member{w.alice}, nil, anytime))
	w.ok(w.alice.rotates(1, realm, key+1, []*member{w.alice}, active, anytime))
	w.coherent()
}

// servicesAgainstEachOther has two services come at once: their dates increase in the
// order of the commits.
func (w *world) servicesAgainstEachOther() {
	w = w.another()
	heard := w.alice.listen(0)
	w.inBothOrders(2*rounds, func() (call, call, func(first, second protocol.Status)) {
		earlier, later := now(), now()
		return w.createsService(newServiceID(), "", earlier), w.createsService(newServiceID(), "", later), func(first, second protocol.Status) {
			w.Helper()
			events := heard.all()
			if second != protocol.StatusOK || first == protocol.StatusOK && !before(place(events, sequesterAt(earlier)), place(events, sequesterAt(later))) {
				w.Fatalf("a service is committed after a later one: %s and %s", first, second)
			}
		}
	})
	w.coherent()
}

// stored is what members can see, and what administrators count.
func (w *world) stored(realm parsec.RealmID, members ...*member) []any {
	w.Helper()
	statistics, err := w.administration.Statistics(w.ctx, w.organization)
	w.no(err)
	all := []any{statistics}
	for _, m := range members {
		all = append(all,
			ask(m, 0, protocol.CertificateGet, testclient3.NewKnowledge(m.Device).After()),
			ask(m, 1, protocol.OrganizationInfo, &protocol.OrganizationInfoRequest{}), m.changes(0, realm, 0))
	}
	return all
}

// refused are commands that are, each for a reason of its own; frank is revoked.
func (w *world) refused(realm parsec.RealmID, vlob parsec.VlobID, block parsec.BlockID, bob, frank *member) map[string]call {
	old := now().Add(-patience)
	newUser := func(by *member, date parsec.DateTime) call {
		_, create := by.creates(0, person("new"), parsec.ProfileStandard, date)
		return create
	}
	_, again := w.alice.creates(1, personWith(bob.HumanHandle.Email(), "again"), parsec.ProfileStandard, anytime)
	return map[string]call{
		"user_create by a STANDARD": newUser(bob, anytime), "user_create of the past": newUser(w.alice, old),
		"user_create with an e-mail": again, "user_create by nobody": newUser(frank, anytime),
		"user_update to the same":   w.alice.setsProfile(0, bob, parsec.ProfileStandard, anytime),
		"user_update by a STANDARD": bob.setsProfile(0, w.alice, parsec.ProfileOutsider, anytime),
		"user_revoke again":         w.alice.revokes(1, frank, anytime),
		"user_revoke of the past":   w.alice.revokes(1, bob, old),
		"device_create of the past": bob.addsDevice(0, old),
		"realm_create again":        w.alice.createsRealm(0, realm, anytime),
		"realm_share with frank":    w.alice.shares(0, realm, 1, frank, parsec.RoleReader, anytime),
		"realm_share by a reader":   bob.shares(1, realm, 1, w.alice, parsec.RoleReader, anytime),
		"realm_share with no key":   w.alice.shares(0, realm, 2, bob, parsec.RoleContributor, anytime),
		"realm_share of the past":   w.alice.shares(0, realm, 1, bob, parsec.RoleContributor, old),
		"realm_unshare by a reader": bob.unshares(1, realm, w.alice, anytime),
		"realm_rotate_key for one":  w.alice.rotates(0, realm, 2, []*member{w.alice}, nil, anytime),
		"realm_rotate_key again":    w.alice.rotates(0, realm, 1, []*member{w.alice, bob}, nil, anytime),
		"realm_rename by a reader":  bob.names(1, realm, 1, false, anytime),
		"realm_update_archiving":    bob.archives(0, realm, parsec.ArchivingArchived, nil, anytime),
		"self-promotion":            bob.promotesItself(1, realm, anytime),
		"vlob_create again":         w.alice.createsVlob(0, realm, vlob, 1, anytime),
		"vlob_create of the past":   w.alice.createsVlob(0, realm, newVlobID(), 1, old),
		"vlob_create by a reader":   bob.createsVlob(1, realm, newVlobID(), 1, anytime),
		"vlob_update of a version":  w.alice.updatesVlob(0, realm, vlob, 1, 1, "x", anytime),
		"vlob_update of nothing":    w.alice.updatesVlob(0, realm, newVlobID(), 1, 2, "x", anytime),
		"setup by frank":            frank.setsUp(0, anytime, w.alice),
		"setup for frank":           bob.setsUp(1, anytime, frank, w.alice),
		"setup of the past":         bob.setsUp(0, old, w.alice),
		"block_create again":        w.alice.createsBlock(1, realm, block, 1, "again"),
		"block_create, no realm":    w.alice.createsBlock(1, newRealmID(), newBlockID(), 1, "again"),
	}
}

func refusedWritesNothing(w *world) {
	bob, frank := w.addUser("bob", parsec.ProfileStandard), w.addUser("frank", parsec.ProfileAdmin)
	realm, vlob, block := w.alice.addRealmWith(parsec.RoleReader, bob), newVlobID(), newBlockID()
	w.ok(
		w.alice.createsVlob(0, realm, vlob, 1, anytime), w.alice.createsBlock(1, realm, block, 1, "block"),
		w.alice.revokes(0, frank, anytime),
	)
	heard := bob.listen(1)
	begun := len(heard.all())
	was := w.stored(realm, w.alice, bob)
	for name, refused := range w.refused(realm, vlob, block, bob, frank) {
		if got := status(refused(w.ctx)); got == protocol.StatusOK || strings.HasPrefix(string(got), "failure") {
			w.Errorf("%s: %s", name, got)
		}
	}
	if is := w.stored(realm, w.alice, bob); !reflect.DeepEqual(is, was) {
		w.Errorf("what is stored is\n%+v\nand was\n%+v", is, was)
	}
	if events := heard.all()[begun:]; len(events) != 1 { // the mark of before
		w.Errorf("events of commands that are refused: %+v", events[1:])
	}
}

// ofTopics has the dates of the events by the topics that they tell of.
func ofTopics(events []protocol.Event) map[any][]string {
	lists := map[any][]string{}
	for _, event := range events {
		switch told := event.(type) {
		case *protocol.CommonCertificateEvent:
			lists["common"] = append(lists["common"], told.Timestamp.String())
		case *protocol.RealmCertificateEvent:
			lists[told.RealmID] = append(lists[told.RealmID], told.Timestamp.String())
		case *protocol.VlobEvent:
			lists[told.RealmID] = append(lists[told.RealmID], parsec.UUID(told.VlobID).Hex())
		}
	}
	return lists
}

func eventsInOrder(w *world) {
	bob, carol := w.addUser("bob", parsec.ProfileAdmin), w.addUser("carol", parsec.ProfileStandard)
	realms := []parsec.RealmID{w.alice.addRealmWith(parsec.RoleOwner, bob, carol), w.alice.addRealmWith(parsec.RoleOwner, bob, carol)}
	streams := []*stream{carol.listen(0), carol.listen(1)}
	begun := w.mark()
	var committed []string
	for range rounds {
		var calls []call
		for i, realm := range realms {
			calls = append(calls,
				w.alice.createsVlob(i, realm, newVlobID(), 1, anytime), bob.createsVlob(1-i, realm, newVlobID(), 1, anytime),
				bob.names(i, realm, 1, false, anytime), w.alice.names(1-i, realm, 1, false, anytime))
		}
		w.wantOutcomes(w.race(append(calls, bob.addsDevice(0, anytime), w.alice.addsDevice(1, anytime))...), outcomes{protocol.StatusOK: 10})
		committed = append(committed, w.mark().String())
	}
	ended := w.mark()
	var told [2]map[any][]string
	for i, stream := range streams {
		events := stream.await("the end", func(events []protocol.Event) bool { return place(events, commonAt(ended)) >= 0 })
		told[i] = ofTopics(events[place(events, commonAt(begun)):])
	}
	if !reflect.DeepEqual(told[0], told[1]) {
		w.Errorf("one instance tells of\n%v\nthe other of\n%v", told[0], told[1])
	}
	for _, realm := range realms {
		if events := told[0][realm]; len(events) != 4*rounds {
			w.Errorf("%d events of a realm, want %d", len(events), 4*rounds)
		}
	}
	if !slices.IsSorted(told[1]["common"]) || len(told[1]["common"]) != 2+3*rounds || len(committed) != rounds {
		w.Errorf("common certificates: %v", told[1]["common"])
	}
}

// noDeadlock has every command that locks meet every other one.
func noDeadlock(w *world) {
	members := []*member{w.alice}
	for _, name := range []string{"bob", "carol"} {
		members = append(members, w.addUser(name, parsec.ProfileAdmin))
	}
	realms := []parsec.RealmID{w.alice.addRealmWith(parsec.RoleOwner, members[1:]...), w.alice.addRealmWith(parsec.RoleOwner, members[1:]...)}
	for range rounds / 2 {
		fired := w.addUser("fired", parsec.ProfileStandard)
		_, create := w.alice.creates(0, person("new"), parsec.ProfileStandard, anytime)
		calls := []call{
			create, w.alice.revokes(1, fired, anytime), w.alice.setsProfile(0, members[1], parsec.ProfileStandard, anytime),
			w.alice.setsProfile(1, members[1], parsec.ProfileAdmin, anytime), w.createsService(newServiceID(), "", now()),
			w.createsService(newServiceID(), "", now()), members[1].createsRealm(0, newRealmID(), anytime),
			w.addUser("recovering", parsec.ProfileStandard).setsUp(0, anytime, fired, w.alice),
			w.addUser("recovering", parsec.ProfileStandard).setsUp(1, anytime, fired, members[1]),
		}
		for i, m := range members {
			for j, realm := range realms {
				vlob := newVlobID()
				calls = append(calls,
					m.rotates(i%2, realm, 2, members, nil, anytime), m.names(j, realm, 1, false, anytime), m.addsDevice(i%2, anytime),
					m.createsVlob(j, realm, vlob, 1, anytime), m.createsBlock(1-j, realm, newBlockID(), 1, "block"),
					m.shares(1-j, realm, 1, fired, parsec.RoleReader, anytime), m.unshares(j, realm, fired, anytime))
			}
		}
		for _, got := range w.race(calls...) {
			if strings.HasPrefix(string(got), "failure") || strings.HasPrefix(string(got), "HTTP") {
				w.Errorf("a command ends with %s", got)
			}
		}
	}
	w.coherent(members...)
}

// malformedInput sends what is no request of the family.
func malformedInput(w *world) {
	realm := w.alice.addRealm()
	was := w.stored(realm, w.alice)
	good := must(wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: protocol.VlobCreate.Name}}, &protocol.VlobCreateRequest{
		RealmID: realm, VlobID: newVlobID(), KeyIndex: 1, Timestamp: now(), Blob: []byte("blob"),
	}))
	with := func(name string, value any) []byte {
		return must(wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: name}, {Key: "key_index", Value: value}}, nil))
	}
	bodies := map[string][]byte{
		"nothing": {}, "no map": {0xc0}, "no msgpack": []byte("hello"), "truncated": good[:len(good)-1], "more": append(bytes.Clone(good), 0),
		"an unknown command": with("no_such_command", 1), "no command": {0x80}, "missing fields": with(protocol.VlobCreate.Name, 1),
		"a number too large": with(protocol.RealmGetKeysBundle.Name, uint64(1<<63)), "nested": bytes.Repeat([]byte{0x91}, 10_000),
		"a command of another family": must(wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "cmd", Value: protocol.TOSGet.Name}}, nil)),
	}
	for at := range good {
		spoilt := bytes.Clone(good)
		spoilt[at] = 0xc1 // which no message has, but in the middle of bytes
		if wire.Microseconds.Scan(spoilt) != nil {
			bodies[strings.Repeat("x", at+1)] = spoilt
		}
	}
	for name, body := range bodies {
		for _, on := range w.alice.on {
			_, err := on.RoundTrip(w.ctx, body)
			if got := status(err); got != onHTTP(http.StatusUnsupportedMediaType) {
				w.Errorf("%s: %s", name, got)
			}
		}
	}
	for instance, on := range w.alice.on {
		_, err := on.RoundTrip(w.ctx, make([]byte, 9<<20))
		if got := status(err); got != onHTTP(http.StatusRequestEntityTooLarge) {
			w.Errorf("9 MiB: %s", got)
		}
		_, err = w.clients[instance].Anonymous(w.organization).RoundTrip(w.ctx, make([]byte, 2<<20))
		if got := status(err); got != onHTTP(http.StatusRequestEntityTooLarge) {
			w.Errorf("2 MiB of a stranger: %s", got)
		}
	}
	if is := w.stored(realm, w.alice); !reflect.DeepEqual(is, was) {
		w.Errorf("what is stored is\n%+v\nand was\n%+v", is, was)
	}
}

func termsOfService(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := bob.addRealm()
	accepts := func(m *member, instance int, date parsec.DateTime) call {
		return send(w.clients[instance].TOS(m.Device), protocol.TOSAccept, &protocol.TOSAcceptRequest{TOSUpdatedOn: date})
	}
	mustAccept := onHTTP(463)
	w.want(protocol.StatusNoTOS, accepts(bob, 0, now()))
	old := parsec.DateTime(0)
	for range rounds / 2 {
		w.settle(organization.Change{TOS: &organization.TOSChange{PerLocaleURLs: map[string]string{"en_US": "https://example.com/tos"}}})
		stored, err := w.administration.Find(w.ctx, w.organization)
		w.no(err)
		date := stored.TOS.UpdatedOn
		for instance := range bob.on {
			w.want(mustAccept, bob.createsVlob(instance, realm, newVlobID(), 1, anytime))
			w.want(mustAccept, send(bob.on[instance], protocol.Ping, &protocol.PingRequest{}))
			_, err := bob.on[instance].Events(w.ctx, "")
			if got := status(err); got != mustAccept {
				w.Errorf("a stream before the acceptance: %s", got)
			}
			w.want(protocol.StatusTOSMismatch, accepts(bob, instance, old))
			w.want(protocol.StatusTOSMismatch, accepts(bob, instance, date+1))
			w.want(mustAccept, bob.createsVlob(instance, realm, newVlobID(), 1, anytime))
		}
		w.ok(accepts(bob, 0, date), accepts(bob, 1, date))
		for instance := range bob.on {
			w.ok(bob.createsVlob(instance, realm, newVlobID(), 1, anytime))
		}
		w.want(mustAccept, w.alice.addsDevice(0, anytime)) // who has accepted nothing herself
		heard := bob.listen(1)
		old = date
		w.Cleanup(func() { heard.stop() })
	}
	// The terms change while bob accepts the former ones.
	changes := func(urls map[string]string) call {
		return func(ctx context.Context) error {
			return w.administration.Update(ctx, organization.Administrator{}, w.organization, organization.Change{TOS: &organization.TOSChange{PerLocaleURLs: urls}})
		}
	}
	w.inBothOrders(rounds, func() (call, call, func(accepted, changed protocol.Status)) {
		stored, err := w.administration.Find(w.ctx, w.organization)
		w.no(err)
		change := changes(map[string]string{"en_US": "https://example.com/other"})
		return accepts(bob, 0, stored.TOS.UpdatedOn), change, func(_, changed protocol.Status) {
			if changed != protocol.StatusOK {
				w.Errorf("a change of the terms: %s", changed)
			}
			w.want(mustAccept, bob.createsVlob(1, realm, newVlobID(), 1, anytime))
		}
	})
	w.ok(changes(nil), w.alice.addsDevice(0, anytime), bob.addsDevice(1, anytime))
}

func countsOfOneOrganization(w *world) {
	other := w.another()
	other.addUser("twin", parsec.ProfileStandard)
	theirs := other.alice.addRealm()
	bob, frank := w.addUser("bob", parsec.ProfileStandard), w.addUser("frank", parsec.ProfileAdmin)
	realm, vlob, block := w.alice.addRealmWith(parsec.RoleReader, bob), newVlobID(), newBlockID()
	w.ok(
		w.alice.createsVlobWith(0, realm, vlob, 1, "seven b", anytime), w.alice.updatesVlob(1, realm, vlob, 1, 2, "three", anytime),
		w.alice.createsBlock(1, realm, block, 1, "block"), w.alice.revokes(0, frank, anytime),
		other.alice.createsVlobWith(0, theirs, vlob, 1, strings.Repeat("x", 1000), anytime),
		other.alice.createsBlock(0, theirs, block, 1, strings.Repeat("x", 2000)),
	)
	check := func() {
		w.Helper()
		for _, m := range []*member{w.alice, bob} {
			for instance := range m.on {
				info := *ask(m, instance, protocol.OrganizationInfo, &protocol.OrganizationInfoRequest{})
				if want := (protocol.OrganizationInfoReply{TotalMetadataBytes: 12, TotalBlockBytes: 5}); info != want {
					w.Errorf("the organization has %+v, want %+v", info, want)
				}
			}
		}
		statistics, err := w.administration.Statistics(w.ctx, w.organization)
		w.no(err)
		if active, revoked := statistics.Users(); active != 2 || revoked != 1 || statistics.Realms != 1 || statistics.MetadataSize != 12 || statistics.DataSize != 5 {
			w.Errorf("statistics: %+v", statistics)
		}
		people, err := w.administration.Users(w.ctx, w.organization)
		w.no(err)
		if len(people) != 2 {
			w.Errorf("%d active users", len(people))
		}
	}
	check()
	for name, refused := range w.refused(realm, vlob, block, bob, frank) {
		if got := status(refused(w.ctx)); got == protocol.StatusOK {
			w.Errorf("%s: %s", name, got)
		}
	}
	check()
	calls := each(8, func(_, instance int) call {
		return w.alice.createsVlobWith(instance, realm, newVlobID(), 1, "x", anytime)
	})
	w.wantOutcomes(w.collide(calls...), outcomes{protocol.StatusOK: 8})
	if info := ask(bob, 1, protocol.OrganizationInfo, &protocol.OrganizationInfoRequest{}); info.TotalMetadataBytes != 20 {
		w.Errorf("after eight more bytes there are %d", info.TotalMetadataBytes)
	}
}
