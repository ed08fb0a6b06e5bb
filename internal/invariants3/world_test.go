//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
)

// patience bounds what a test waits for.
const patience = 2 * time.Minute

// world is a home, with an organization of the test whose first user is alice, an
// ADMIN. It is sequestered, so that every lock counts, and begins without service.
type world struct {
	testing.TB
	*home
	ctx          context.Context
	organization parsec.OrganizationID
	alice        *member
}

func newWorld(t testing.TB, on *home) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{TB: t, home: on, ctx: ctx}
	return w.another()
}

// another returns another organization of the same home.
func (w *world) another() *world {
	w.Helper()
	other := w.unfounded()
	device, request, err := parsec3.NewOrganization(parsec3.Founding{
		Organization: other.organization, Token: other.create(), AuthorityVerifyKey: rsaKeys(w)["sequester_authority"].Public,
	}, person("alice"), now())
	w.no(err)
	other.ok(send(other.clients[1].Anonymous(other.organization), protocol.OrganizationBootstrap, request))
	other.alice = other.member(device)
	return other
}

// unfounded returns an organization that does not exist.
func (w *world) unfounded() *world {
	other := *w
	other.organization = must(parsec.ParseOrganizationID("Org" + parsec.NewUUID().Hex()[:20]))
	return &other
}

// create has an administrator create the organization, and returns the token of its
// bootstrap.
func (w *world) create() *vocabulary.AccessToken {
	w.Helper()
	token, err := w.administration.Create(w.ctx, organization.Administrator{}, w.organization, organization.Change{})
	w.no(err)
	return new(must(vocabulary.ParseAccessToken(token)))
}

// settle has an administrator change settings.
func (w *world) settle(change organization.Change) {
	w.Helper()
	w.no(w.administration.Update(w.ctx, organization.Administrator{}, w.organization, change))
}

// keyPair is an RSA key of the vectors.
type keyPair struct {
	Public  []byte `json:"public_der"`
	Private []byte `json:"private_pkcs8_der"`
}

func rsaKeys(t testing.TB) map[string]keyPair {
	t.Helper()
	return vectors.Load[struct {
		Keys struct {
			RSA map[string]keyPair `json:"rsa"`
		} `json:"keys"`
	}](t, "v5/certificates.json").Keys.RSA
}

func authorityKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	return must(x509.ParsePKCS8PrivateKey(rsaKeys(t)["sequester_authority"].Private)).(*rsa.PrivateKey)
}

// service is a sequester service that an administrator creates; webhook is "" for one
// of type storage.
func (w *world) createsService(id parsec.SequesterServiceID, webhook string, date parsec.DateTime) call {
	signed := must(certificate.SequesterService{
		Timestamp: date, ServiceID: id, ServiceLabel: "service", EncryptionKeyDER: rsaKeys(w)["sequester_service"].Public,
	}.Sign(authorityKey(w)))
	return func(ctx context.Context) error {
		return w.rules.CreateSequesterService(ctx, w.organization, signed, webhook)
	}
}

func (w *world) revokesService(id parsec.SequesterServiceID, date parsec.DateTime) call {
	signed := must(certificate.SequesterRevokedService{Timestamp: date, ServiceID: id}.Sign(authorityKey(w)))
	return func(ctx context.Context) error { return w.rules.RevokeSequesterService(ctx, w.organization, signed) }
}

// member is a device that sends commands to both instances.
type member struct {
	*parsec3.Device
	w  *world
	on [2]*parsec3.RPC
}

func (w *world) member(device *parsec3.Device) *member {
	m := &member{Device: device, w: w}
	for i := range m.on {
		m.on[i] = w.clients[i].Authenticated(device)
	}
	return m
}

var people atomic.Int64

// person has an e-mail of its own.
func person(name string) parsec3.Person {
	return personWith(fmt.Sprintf("%s%d@example.com", name, people.Add(1)), name)
}

func personWith(email, name string) parsec3.Person {
	return parsec3.Person{
		Label:       must(vocabulary.ParseDeviceLabel("device of " + name)),
		HumanHandle: must(vocabulary.ParseHumanHandle(email, name)),
	}
}

// addUser has alice create a user.
func (w *world) addUser(name string, profile parsec.UserProfile) *member {
	w.Helper()
	user, create := w.alice.creates(0, person(name), profile, anytime)
	w.ok(create)
	return user
}

// knowledge polls everything through an instance, and verifies it as official clients
// do.
func (m *member) knowledge(instance int) *testclient3.Knowledge {
	m.w.Helper()
	known := testclient3.NewKnowledge(m.Device)
	next, err := m.learn(known, instance)
	if err != nil {
		m.w.Fatalf("certificates of %s: %v", m.Label, err)
	}
	return next
}

func (m *member) learn(known *testclient3.Knowledge, instance int) (*testclient3.Knowledge, error) {
	reply, err := parsec3.Call(m.w.ctx, m.on[instance], protocol.CertificateGet, known.After())
	if err != nil {
		return nil, err
	}
	return known.Learn(reply)
}

// coherent has members verify what they are told.
func (w *world) coherent(members ...*member) *testclient3.Knowledge {
	w.Helper()
	for i, m := range members {
		m.knowledge(i % 2)
	}
	return w.alice.knowledge(1)
}

// call is a command with its request.
type call func(ctx context.Context) error

func send[Request, Reply any](by *parsec3.RPC, command *rpc.Command[Request, Reply], request *Request) call {
	return func(ctx context.Context) error {
		_, err := parsec3.Call(ctx, by, command, request)
		return err
	}
}

// ask sends a command that must be accepted.
func ask[Request, Reply any](m *member, instance int, command *rpc.Command[Request, Reply], request *Request) *Reply {
	m.w.Helper()
	reply, err := parsec3.Call(m.w.ctx, m.on[instance], command, request)
	if err != nil {
		m.w.Fatalf("%s: %v", command.Name, err)
	}
	return reply
}

// anytime dates what is signed at the time of the call, and later as often as the
// server asks for it.
const anytime parsec.DateTime = 0

// dated sends what sign makes for a date.
func dated[Request, Reply any](by *parsec3.RPC, command *rpc.Command[Request, Reply], date parsec.DateTime, sign func(parsec.DateTime) (*Request, error)) call {
	return func(ctx context.Context) error {
		on := date
		if date == anytime {
			on = now()
		}
		for {
			request, err := sign(on)
			if err != nil {
				return err
			}
			_, err = parsec3.Call(ctx, by, command, request)
			last, refused := requiredDate(err)
			if date != anytime || !refused {
				return err
			}
			on = max(now(), last+1)
		}
	}
}

// requiredDate returns what a date must be greater than, if that is why it is refused.
func requiredDate(err error) (parsec.DateTime, bool) {
	refusal, refused := errors.AsType[*protocol.Refusal](err)
	if !refused || refusal.Status != protocol.StatusRequireGreaterTimestamp {
		return 0, false
	}
	return refusal.Details.(*protocol.RequireGreaterTimestampDetails).StrictlyGreaterThan, true
}

// status shows the outcome of a call; HTTP statuses are as "HTTP 461".
func status(err error) protocol.Status {
	if err == nil {
		return protocol.StatusOK
	}
	if refusal, refused := errors.AsType[*protocol.Refusal](err); refused {
		return refusal.Status
	}
	if answer, answered := errors.AsType[*client.HTTPError](err); answered {
		return onHTTP(answer.Status)
	}
	if _, refused := errors.AsType[*organization.GreaterTimestampError](err); refused {
		return protocol.StatusRequireGreaterTimestamp
	}
	return protocol.Status("failure: " + err.Error())
}

func onHTTP(code int) protocol.Status { return protocol.Status(fmt.Sprintf("HTTP %d", code)) }

// revoked is the outcome of what a revoked user asks for.
var revoked = onHTTP(461)

func (w *world) no(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) ok(calls ...call) {
	w.Helper()
	for _, call := range calls {
		w.no(call(w.ctx))
	}
}

// want makes a call that must end so.
func (w *world) want(status_ protocol.Status, call call) {
	w.Helper()
	if got := status(call(w.ctx)); got != status_ {
		w.Fatalf("got %s, want %s", got, status_)
	}
}

// wantAfter makes a call that must be refused for its date, which must be after one.
func (w *world) wantAfter(date parsec.DateTime, call call) {
	w.Helper()
	err := call(w.ctx)
	if last, refused := requiredDate(err); !refused || last != date {
		w.Fatalf("got %v, want a date after %s", err, date)
	}
}

// race makes calls all at once, and returns the outcome of each.
func (w *world) race(calls ...call) []protocol.Status {
	w.Helper()
	return w.start(calls, new(atomic.Int64))()
}

// start begins calls, which done counts the ends of, and returns what waits for them.
func (w *world) start(calls []call, done *atomic.Int64) (wait func() []protocol.Status) {
	got := make([]protocol.Status, len(calls))
	begin := make(chan struct{})
	var running sync.WaitGroup
	for i, call := range calls {
		running.Go(func() {
			<-begin
			got[i] = status(call(w.ctx))
			done.Add(1)
		})
	}
	close(begin)
	return func() []protocol.Status {
		running.Wait()
		return got
	}
}

// collide is race, but on PostgreSQL nothing is written before every call has either
// read its facts, or waits for a lock that another one holds: what locks do not keep
// apart meets.
func (w *world) collide(calls ...call) []protocol.Status {
	w.Helper()
	if w.stall == nil {
		return w.race(calls...)
	}
	var done atomic.Int64
	var wait func() []protocol.Status
	w.no(pgx.BeginFunc(w.ctx, w.stall, func(tx pgx.Tx) error {
		// Writers wait for this mode; readers, and who locks rows, do not.
		if _, err := tx.Exec(w.ctx, "LOCK TABLE organization, "+w.tables()+" IN SHARE MODE"); err != nil {
			return err
		}
		wait = w.start(calls, &done)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for waiting := int64(0); waiting+done.Load() < int64(len(calls)); {
			select {
			case <-ticker.C:
			case <-w.ctx.Done():
				return w.ctx.Err()
			}
			// A transaction knows only the connections of its first look, else.
			if _, err := tx.Exec(w.ctx, "SELECT pg_stat_clear_snapshot()"); err != nil {
				return err
			}
			err := tx.QueryRow(w.ctx, `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
			if err != nil {
				return err
			}
		}
		return nil
	}))
	return wait()
}

// tables names those of Parsec 3.
func (w *world) tables() string {
	rows, err := w.stall.Query(w.ctx, "SELECT string_agg(format('parsec3.%I', tablename), ', ') FROM pg_tables WHERE schemaname = 'parsec3'")
	w.no(err)
	names, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	w.no(err)
	return names
}

// each makes n calls, through either instance in turn.
func each(n int, prepare func(i, instance int) call) []call {
	calls := make([]call, n)
	for i := range calls {
		calls[i] = prepare(i, i%2)
	}
	return calls
}

// outcomes is how many calls ended how.
type outcomes = map[protocol.Status]int

func (w *world) wantOutcomes(got []protocol.Status, want outcomes) {
	w.Helper()
	counts := outcomes{}
	for _, status := range got {
		counts[status]++
	}
	if !reflect.DeepEqual(counts, want) {
		w.Fatalf("got %v, want %v", counts, want)
	}
}

// wantEither wants the outcomes of one of the serial orders.
func (w *world) wantEither(got []protocol.Status, orders ...[]protocol.Status) {
	w.Helper()
	for _, order := range orders {
		if slices.Equal(got, order) {
			return
		}
	}
	w.Fatalf("got %v, want one of %v", got, orders)
}

// serial is the outcomes of calls.
func serial(statuses ...protocol.Status) []protocol.Status { return statuses }

// inBothOrders runs a race as often as locks need to be caught, with its calls begun in
// either order; prepare returns them, and what is wanted of their outcomes.
func (w *world) inBothOrders(rounds int, prepare func() (first, second call, check func(first, second protocol.Status))) {
	w.Helper()
	for round := range rounds {
		first, second, check := prepare()
		if round%2 == 0 {
			got := w.collide(first, second)
			check(got[0], got[1])
		} else {
			got := w.collide(second, first)
			check(got[1], got[0])
		}
	}
}

// rounds is how often two calls meet that locks keep apart.
const rounds = 6

// neverBoth is a check of two calls of which one must be refused.
func (w *world) neverBoth(what string) func(first, second protocol.Status) {
	return func(first, second protocol.Status) {
		w.Helper()
		if (first == protocol.StatusOK) == (second == protocol.StatusOK) {
			w.Fatalf("%s: %s and %s", what, first, second)
		}
	}
}

// stream follows the events of a member through an instance.
type stream struct {
	w    *world
	stop context.CancelFunc

	mu     sync.Mutex
	events []protocol.Event
	err    error // why it ended
}

func (m *member) listen(instance int) *stream {
	m.w.Helper()
	ctx, cancel := context.WithCancel(m.w.ctx)
	events, err := m.on[instance].Events(ctx, "")
	m.w.no(err)
	s := &stream{w: m.w, stop: cancel}
	if _, err = events.Next(); err != nil { // the configuration
		m.w.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			message, err := events.Next()
			s.mu.Lock()
			if err != nil {
				s.err = err
				s.mu.Unlock()
				return
			}
			s.events = append(s.events, message.Event)
			s.mu.Unlock()
		}
	}()
	m.w.Cleanup(func() {
		cancel()
		_ = events.Close() // It may have ended.
		<-ended
	})
	return s
}

// heard returns the events so far.
func (s *stream) heard() []protocol.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// await waits until holds is true of the events so far.
func (s *stream) await(what string, holds func([]protocol.Event) bool) []protocol.Event {
	s.w.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		if events := s.heard(); holds(events) {
			return events
		}
		select {
		case <-ticker.C:
		case <-s.w.ctx.Done():
			s.w.Fatalf("the stream does not tell of %s", what)
		}
	}
}

// awaitEnd waits until the server has ended the stream.
func (s *stream) awaitEnd() {
	s.w.Helper()
	s.await("its end", func([]protocol.Event) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.err != nil
	})
}

// all returns the events of what is committed so far: alice adds a device, and that is
// heard last.
func (s *stream) all() []protocol.Event {
	s.w.Helper()
	date := s.w.mark()
	isMark := func(e protocol.Event) bool {
		common, is := e.(*protocol.CommonCertificateEvent)
		return is && common.Timestamp == date
	}
	events := s.await("a mark", func(events []protocol.Event) bool { return slices.ContainsFunc(events, isMark) })
	return events[:slices.IndexFunc(events, isMark)]
}

// mark adds a device of alice, and returns its date.
func (w *world) mark() (date parsec.DateTime) {
	w.Helper()
	w.ok(dated(w.alice.on[0], protocol.DeviceCreate, anytime, func(on parsec.DateTime) (*protocol.DeviceCreateRequest, error) {
		date = on
		_, request, err := w.alice.NewDevice(must(vocabulary.ParseDeviceLabel("mark")), on)
		return request, err
	}))
	return date
}

// place returns where the first event that is as wanted stands, -1 for nowhere.
func place[E any](events []protocol.Event, wanted func(E) bool) int {
	return slices.IndexFunc(events, func(e protocol.Event) bool {
		typed, is := e.(E)
		return is && wanted(typed)
	})
}

// before reports whether of two events the first is there, and before the second.
func before(first, second int) bool { return first >= 0 && (second < 0 || first < second) }

func commonAt(date parsec.DateTime) func(*protocol.CommonCertificateEvent) bool {
	return func(e *protocol.CommonCertificateEvent) bool { return e.Timestamp == date }
}

func realmAt(realm parsec.RealmID, date parsec.DateTime) func(*protocol.RealmCertificateEvent) bool {
	return func(e *protocol.RealmCertificateEvent) bool { return e.RealmID == realm && e.Timestamp == date }
}

func sequesterAt(date parsec.DateTime) func(*protocol.SequesterCertificateEvent) bool {
	return func(e *protocol.SequesterCertificateEvent) bool { return e.Timestamp == date }
}

func vlobOf(vlob parsec.VlobID) func(*protocol.VlobEvent) bool {
	return func(e *protocol.VlobEvent) bool { return e.VlobID == vlob }
}

var lastDate atomic.Int64

// now returns the time, later at each call.
func now() parsec.DateTime {
	for {
		last := lastDate.Load()
		next := max(int64(systemClock()), last+1)
		if lastDate.CompareAndSwap(last, next) {
			return parsec.DateTime(next)
		}
	}
}

// ahead returns a date that a clock which is fast gives.
func ahead(seconds int) parsec.DateTime { return now().Add(time.Duration(seconds) * time.Second) }

// must is for what does not depend on the servers.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newRealmID() parsec.RealmID              { return parsec.RealmID(parsec.NewUUID()) }
func newVlobID() parsec.VlobID                { return parsec.VlobID(parsec.NewUUID()) }
func newBlockID() parsec.BlockID              { return parsec.BlockID(parsec.NewUUID()) }
func newServiceID() parsec.SequesterServiceID { return parsec.SequesterServiceID(parsec.NewUUID()) }
