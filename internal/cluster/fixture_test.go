//go:build !without_postgresql

package cluster_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/sleep"
)

const (
	// patience bounds a whole test.
	patience = 10 * time.Minute
	// rounds is how often two racing commands are tried: either may win.
	rounds = 12
)

// program is the command under test.
var program string

func TestMain(m *testing.M) { testkit.RunWith(m, testkit.BuildParsec, &program) }

// cluster is two server processes over one database, and an organization whose
// first user is alice, an ADMIN.
type cluster struct {
	t         *testing.T
	ctx       context.Context
	dsn       string
	processes [2]*testkit.Parsec
	clients   [2]*parsec2.Client
	alice     *member
}

// newCluster has no organization.
func newCluster(t *testing.T, dsn string) *cluster {
	t.Helper()
	c := &cluster{t: t, ctx: limited(t), dsn: dsn}
	for i := range c.processes {
		c.processes[i] = testkit.StartParsec(t, program, "--db", dsn, "--blockstore", "POSTGRESQL")
		c.clients[i] = parsec2.New(c.processes[i].Address, client.Options{})
		t.Cleanup(c.clients[i].Close)
	}
	return c
}

// within returns the cluster in a test of its own, with an organization of its
// own.
func (c *cluster) within(t *testing.T) *cluster {
	t.Helper()
	other := *c
	other.t, other.ctx = t, limited(t)
	other.alice = other.found(parsec.NewUUID().Hex())
	return &other
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// member is a device that sends commands to both processes, over HTTP.
type member struct {
	c      *cluster
	device *parsec2.Device
	on     [2]parsec2.Transport
}

var latest = parsec.APIVersion{Major: 3, Minor: 4}

func (c *cluster) member(device *parsec2.Device) *member {
	m := &member{c: c, device: device}
	for i, reached := range c.clients {
		m.on[i] = reached.AuthenticatedRPC(device, latest)
	}
	return m
}

func (m *member) id() parsec.UserID { return m.device.ID.User() }

// create creates an organization, and returns the address to bootstrap it.
func (c *cluster) create(organization string) parsec.BootstrapAddress {
	c.t.Helper()
	id := must(parsec.ParseOrganizationID(organization))
	token, err := c.administration(0).Create(c.ctx, id, client.OrganizationSettings{})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.processes[0].Address.BootstrapAddress(id, token)
}

func (c *cluster) administration(process int) *client.Administration {
	return c.clients[process].Administration(testkit.AdministrationToken)
}

// found returns the first device of a new organization.
func (c *cluster) found(organization string) *member {
	c.t.Helper()
	device, request, err := parsec2.NewOrganization(c.create(organization), person("alice@laptop"), now())
	if err == nil {
		err = c.clients[1].Bootstrap(c.ctx, device.Organization, request)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return c.member(device)
}

// person has an e-mail of its own.
func person(device string) parsec2.Person {
	id := deviceID(device)
	return parsec2.Person{
		ID: id, Label: must(parsec.ParseDeviceLabel("The " + id.Name().String())),
		HumanHandle: must(parsec.ParseHumanHandle(id.User().String()+"@example.com", id.User().String())),
	}
}

// addUser has alice create a user.
func (c *cluster) addUser(device string, profile parsec.UserProfile) *member {
	c.t.Helper()
	user, request := c.newUser(person(device), profile)
	c.ok(send(c.alice.on[0], protocol.UserCreate, request))
	return user
}

// newUser returns what alice sends to create a user.
func (c *cluster) newUser(person parsec2.Person, profile parsec.UserProfile) (*member, *protocol.UserCreateRequest) {
	user, request, err := c.alice.device.NewUser(person, profile, now())
	if err != nil {
		c.t.Fatal(err)
	}
	return c.member(user), request
}

// newDevice returns what m sends to create a device.
func (m *member) newDevice(name string) (*member, *protocol.DeviceCreateRequest) {
	device, request, err := m.device.NewDevice(must(parsec.ParseDeviceName(name)), must(parsec.ParseDeviceLabel(name)), now())
	if err != nil {
		m.c.t.Fatal(err)
	}
	return m.c.member(device), request
}

func (m *member) addDevice(name string) *member {
	m.c.t.Helper()
	device, request := m.newDevice(name)
	m.c.ok(send(m.on[0], protocol.DeviceCreate, request))
	return device
}

// addRealm creates a realm of m.
func (m *member) addRealm() parsec.RealmID {
	m.c.t.Helper()
	realm := parsec.RealmID(parsec.NewUUID())
	m.c.ok(send(m.on[0], protocol.RealmCreate, must(m.device.NewRealm(realm, now()))))
	return realm
}

// grant gives a role at once.
func (m *member) grant(realm parsec.RealmID, to *member, role parsec.RealmRole) {
	m.c.t.Helper()
	m.c.ok(m.changesRole(0, realm, to, role, now()))
}

// call returns a command with its request.
type call func(ctx context.Context) error

func send[Request, Reply any](by parsec2.Transport, command *rpc.Command[Request, Reply], request *Request) call {
	return func(ctx context.Context) error {
		_, err := parsec2.Call(ctx, by, command, request)
		return err
	}
}

// What follows are the calls of a member through a process.

func (m *member) changesRole(process int, realm parsec.RealmID, of *member, role parsec.RealmRole, date parsec.DateTime) call {
	return send(m.on[process], protocol.RealmUpdateRoles, must(m.device.UpdateRole(realm, of.id(), role, date)))
}

func (m *member) archives(process int, realm parsec.RealmID, date parsec.DateTime) call {
	configuration := protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}
	return send(m.on[process], protocol.RealmUpdateArchiving, must(m.device.UpdateArchiving(realm, configuration, date)))
}

func (m *member) revokes(process int, user parsec.UserID) call {
	return send(m.on[process], protocol.UserRevoke, must(m.device.RevokeUser(user, now())))
}

// createsVlob writes a new vlob, with its id as content.
func (m *member) createsVlob(process int, realm parsec.RealmID, vlob parsec.VlobID, date parsec.DateTime) call {
	return send(m.on[process], protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: date, Blob: []byte(vlob.String()),
	})
}

func (m *member) updatesVlob(process int, vlob parsec.VlobID, version uint32, date parsec.DateTime, blob []byte) call {
	return send(m.on[process], protocol.VlobUpdate, &protocol.VlobUpdateRequest{
		EncryptionRevision: 1, VlobID: vlob, Timestamp: date, Version: version, Blob: blob,
	})
}

func (m *member) startsReencryption(process int, realm parsec.RealmID, participants ...*member) call {
	messages := map[parsec.UserID][]byte{}
	for _, participant := range participants {
		messages[participant.id()] = []byte("key")
	}
	return send(m.on[process], protocol.RealmStartReencryption, &protocol.RealmStartReencryptionRequest{
		RealmID: realm, EncryptionRevision: 2, Timestamp: now(), PerParticipantMessage: messages,
	})
}

func (c *cluster) ok(call call) {
	c.t.Helper()
	if err := call(c.ctx); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends a command that must be accepted.
func ask[Request, Reply any](c *cluster, by parsec2.Transport, command *rpc.Command[Request, Reply], request *Request) *Reply {
	c.t.Helper()
	reply, err := parsec2.Call(c.ctx, by, command, request)
	if err != nil {
		c.t.Fatalf("%T: %v", request, err)
	}
	return reply
}

// sessionOver is how status shows that the author may do nothing any more.
const sessionOver protocol.Status = "session over"

func status(err error) protocol.Status {
	if err == nil {
		return protocol.StatusOK
	}
	if refusal, refused := errors.AsType[*protocol.Refusal](err); refused {
		return refusal.Status
	}
	if answer, answered := errors.AsType[*client.HTTPError](err); answered {
		switch answer.Status {
		case client.StatusUserRevoked, client.StatusUserFrozen, client.StatusOrganizationExpired:
			return sessionOver
		}
	}
	return protocol.Status("failure: " + err.Error())
}

// race runs calls all at once, and returns the outcome of each.
func (c *cluster) race(calls ...call) []protocol.Status {
	got := make([]protocol.Status, len(calls))
	start := make(chan struct{})
	var running sync.WaitGroup
	for i, call := range calls {
		running.Go(func() {
			<-start
			got[i] = status(call(c.ctx))
		})
	}
	close(start)
	running.Wait()
	return got
}

// repeat makes n calls, of which every other one goes through either process.
func repeat(n int, prepare func(i, process int) call) []call {
	calls := []call{}
	for i := range n {
		calls = append(calls, prepare(i, i%2))
	}
	return calls
}

// outcomes is how many calls ended how.
type outcomes = map[protocol.Status]int

func (c *cluster) wantOutcomes(got []protocol.Status, want outcomes) {
	c.t.Helper()
	counts := outcomes{}
	for _, status := range got {
		counts[status]++
	}
	if !reflect.DeepEqual(counts, want) {
		c.t.Fatalf("got %v, want %v", counts, want)
	}
}

// order is the outcomes of calls, one after the other.
type order = []protocol.Status

// wantEither wants the outcomes of one of the serial orders.
func (c *cluster) wantEither(got []protocol.Status, orders ...order) {
	c.t.Helper()
	for _, order := range orders {
		if slices.Equal(got, order) {
			return
		}
	}
	c.t.Fatalf("got %v, want one of %v", got, orders)
}

// nothingAfter has streams of calls go through both processes until each is
// refused as want says, because of a change that is made meanwhile. It fails if
// an event of the authors of the streams is committed after those of the
// change, which are not theirs.
func (c *cluster) nothingAfter(change call, want protocol.Status, authors []*member, streams ...func(process int) call) {
	c.t.Helper()
	var under, running sync.WaitGroup
	under.Add(2 * len(streams))
	before := len(c.outboxAuthors())
	for i, stream := range slices.Concat(streams, streams) {
		process := i / len(streams)
		running.Go(func() {
			for n := 0; ; n++ {
				if n == 1 {
					under.Done()
				}
				got := status(stream(process)(c.ctx))
				if got == protocol.StatusOK {
					continue
				}
				if n == 0 {
					under.Done()
				}
				if got != want {
					c.t.Errorf("a stream ends with %s, want %s", got, want)
				}
				return
			}
		})
	}
	under.Wait()
	c.ok(change)
	running.Wait()
	changed := false
	committed := c.outboxAuthors()[before:]
	for i, author := range committed {
		theirs := slices.ContainsFunc(authors, func(m *member) bool { return m.device.ID == author })
		if theirs && changed {
			c.t.Fatalf("%d of %d events are committed after the change, which is number %d", len(committed)-i, len(committed), i)
		}
		changed = changed || !theirs
	}
	if !changed {
		c.t.Fatal("the change has no event")
	}
}

// outboxAuthors returns the authors of the events of the organization, in
// commit order.
func (c *cluster) outboxAuthors() (authors []parsec.DeviceID) {
	c.t.Helper()
	connection, err := pgx.Connect(c.ctx, c.dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = connection.Close(c.ctx) }() // It has done its work.
	rows, err := connection.Query(c.ctx,
		"SELECT unnest(authors) FROM event_outbox WHERE $1 = ANY (organizations) ORDER BY id", c.alice.device.Organization.String())
	if err != nil {
		c.t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range names {
		author, _ := parsec.ParseDeviceID(name) // Some have none.
		authors = append(authors, author)
	}
	return authors
}

var lastDate atomic.Int64

// now returns the time, later at each call.
func now() parsec.DateTime {
	for {
		last := lastDate.Load()
		next := max(int64(parsec.DateTimeOf(time.Now())), last+1)
		if lastDate.CompareAndSwap(last, next) {
			return parsec.DateTime(next)
		}
	}
}

// must is for what does not depend on the servers.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func deviceID(text string) parsec.DeviceID { return must(parsec.ParseDeviceID(text)) }

func newVlobID() parsec.VlobID { return parsec.VlobID(parsec.NewUUID()) }

// await waits until a condition holds.
func (c *cluster) await(name string, condition func() bool) {
	c.t.Helper()
	for !condition() {
		if pause(c.ctx) != nil {
			c.t.Fatalf("%s does not come", name)
		}
	}
}

// retryPause is between two attempts of what does not work yet.
const retryPause = 50 * time.Millisecond

func pause(ctx context.Context) error { return sleep.For(ctx, retryPause) }
