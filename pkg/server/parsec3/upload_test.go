package parsec3_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/pipes"
	clientparsec3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	server3 "parsec-server/pkg/server/parsec3"
)

// fadingStore is out of reach when a test says so.
type fadingStore struct {
	rules.Store
	// away is not nil while the store fails.
	away atomic.Pointer[error]
	// hangs has what organization_info reads take as long as it may.
	hangs atomic.Bool
	// written is called once something is written.
	written atomic.Pointer[func()]
}

func (s *fadingStore) err() error {
	if failure := s.away.Load(); failure != nil {
		return *failure
	}
	return nil
}

// fade has the store fail, for good if it lasts for 0.
func (s *fadingStore) fade(lasts time.Duration) {
	s.away.Store(new(outage.ErrUnavailable))
	if lasts > 0 {
		time.AfterFunc(lasts, s.back)
	}
}

func (s *fadingStore) back() { s.away.Store(nil) }

func (s *fadingStore) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, error) {
	if err := s.err(); err != nil {
		return rules.Standing{}, err
	}
	return s.Store.Authentication(ctx, organization, device)
}

func (s *fadingStore) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	if err := s.err(); err != nil {
		return err
	}
	err := s.Store.Update(ctx, scope, rule)
	if written := s.written.Load(); written != nil {
		(*written)()
	}
	return err
}

func (s *fadingStore) Usage(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, rules.Usage, error) {
	if s.hangs.Load() {
		<-ctx.Done()
		return rules.Standing{}, rules.Usage{}, ctx.Err()
	}
	return s.Store.Usage(ctx, organization, device)
}

func (s *fadingStore) Ready(ctx context.Context) error { return cmp.Or(s.err(), s.Store.Ready(ctx)) }

// uploads is a server in a bubble whose store may fade, with a realm of alice.
type uploads struct {
	*fixture
	store *fadingStore
	realm parsec.RealmID
}

func newUploads(t *testing.T, changes ...func(*testkit.GenerationsOptions)) *uploads {
	t.Helper()
	network, u := pipes.New(), &uploads{realm: parsec.RealmID{1}}
	u.fixture = newFixtureOver(t.Context(), t, network.Dial, append(changes, func(o *testkit.GenerationsOptions) {
		o.Listener = lifecycle.NewSocket(network, slog.New(slog.DiscardHandler))
		o.WrapStore3 = func(store rules.Store) rules.Store {
			u.store = &fadingStore{Store: store}
			return u.store
		}
	})...)
	creation, err := u.alice.NewRealm(u.realm, u.clock.Now())
	u.ok(err)
	call(u.fixture, u.client.Authenticated(u.alice), protocol.RealmCreate, creation)
	u.clock.Advance(time.Second)
	return u
}

// handle has the server answer a command, and returns how long that took.
func (u *uploads) handle(ctx context.Context, device *clientparsec3.Device, body io.Reader) (status int, reply []byte, lasted time.Duration) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/authenticated/CoolOrg", body)
	r.Header = u.newRequest(http.MethodPost, "", device).header
	begin, answer := time.Now(), httptest.NewRecorder()
	u.Server.Handler().ServeHTTP(answer, r)
	return answer.Code, answer.Body.Bytes(), time.Since(begin)
}

func (u *uploads) send3(device *clientparsec3.Device, command string, fields any) (status int, lasted time.Duration) {
	status, _, lasted = u.handle(u.t.Context(), device, bytes.NewReader(message(command, fields)))
	return status, lasted
}

func (u *uploads) vlob(id byte) *protocol.VlobCreateRequest {
	return &protocol.VlobCreateRequest{RealmID: u.realm, VlobID: parsec.VlobID{id}, Timestamp: u.clock.Now(), Blob: []byte("blob")}
}

func (u *uploads) block(id byte) *protocol.BlockCreateRequest {
	return &protocol.BlockCreateRequest{RealmID: u.realm, BlockID: parsec.BlockID{id}, Block: make([]byte, 512<<10)}
}

// looksFor returns the status of a read of one vlob that is not there.
func (u *uploads) looksFor(device *clientparsec3.Device) int {
	status, _ := u.send3(device, "vlob_read_batch", &protocol.VlobReadBatchRequest{RealmID: u.realm, Vlobs: []parsec.VlobID{{99}}})
	return status
}

// inABubble runs a test whose waits take no time.
func inABubble(t *testing.T, test func(t *testing.T, u *uploads), changes ...func(*testkit.GenerationsOptions)) {
	synctest.Test(t, func(t *testing.T) { test(t, newUploads(t, changes...)) })
}

// While nobody knows who sends it, an upload is held, and everything else refused.
func TestUploadsAreHeld(t *testing.T) {
	inABubble(t, func(t *testing.T, u *uploads) {
		for i, command := range []struct {
			name   string
			fields any
		}{{"vlob_create", u.vlob(1)}, {"vlob_update", &protocol.VlobUpdateRequest{RealmID: u.realm, VlobID: parsec.VlobID{1}, Version: 2, Timestamp: u.clock.Now(), Blob: []byte("blob")}}, {"block_create", u.block(1)}} {
			u.store.fade(40 * time.Second)
			status, lasted := u.send3(u.alice, command.name, command.fields)
			if status != http.StatusOK || lasted < 40*time.Second || lasted > 43*time.Second {
				t.Errorf("%s: status %d after %s", command.name, status, lasted)
			}
			u.store.fade(0)
			if status, lasted := u.send3(u.alice, command.name, command.fields); status != http.StatusServiceUnavailable || lasted != outage.Patience {
				t.Errorf("%s: status %d after %s", command.name, status, lasted)
			}
			if status, lasted := u.send3(u.alice, "vlob_read_batch", &protocol.VlobReadBatchRequest{RealmID: u.realm}); status != http.StatusServiceUnavailable || lasted != 0 {
				t.Errorf("%d: a read: status %d after %s", i, status, lasted)
			}
			u.store.back()
			<-time.After(5 * time.Second) // the server finds out
		}
	})
}

// Of one network no more are held than strangers may make the server hold.
func TestHeldUploadsAreBounded(t *testing.T) {
	inABubble(t, func(t *testing.T, u *uploads) {
		u.store.fade(0)
		answers := make(chan time.Duration, 2)
		for range cap(answers) {
			go func() {
				_, lasted := u.send3(u.alice, "block_create", u.block(1))
				answers <- lasted
			}()
		}
		synctest.Wait()
		if status, lasted := u.send3(u.alice, "block_create", u.block(3)); status != http.StatusServiceUnavailable || lasted != 0 {
			t.Errorf("the third of a network: status %d after %s", status, lasted)
		}
		for range cap(answers) {
			if lasted := <-answers; lasted != outage.Patience {
				t.Errorf("held for %s", lasted)
			}
		}
	}, func(o *testkit.GenerationsOptions) { o.Server.Memory = 1 << 20 })
}

// countingReader counts what is read.
type countingReader struct {
	io.Reader
	read atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read.Add(int64(n))
	return n, err
}

// The rest of what is held waits in the connection.
func TestBodiesWaitInTheConnection(t *testing.T) {
	inABubble(t, func(t *testing.T, u *uploads) {
		u.store.fade(30 * time.Second)
		body := &countingReader{Reader: bytes.NewReader(message("block_create", u.block(1)))}
		answered := make(chan int)
		go func() {
			status, _, _ := u.handle(t.Context(), u.alice, body)
			answered <- status
		}()
		<-time.After(29 * time.Second)
		if read := body.read.Load(); read == 0 || read > server3.OpeningBytes {
			t.Errorf("%d bytes are read", read)
		}
		if status := <-answered; status != http.StatusOK || body.read.Load() < 512<<10 {
			t.Errorf("status %d, of %d bytes", status, body.read.Load())
		}
	})
}

// What is held when the server stops is held until the end of the grace period.
func TestHeldUntilTheEnd(t *testing.T) {
	inABubble(t, func(t *testing.T, u *uploads) {
		u.store.fade(0)
		answered := make(chan time.Duration)
		go func() {
			status, lasted := u.send3(u.alice, "vlob_create", u.vlob(1))
			if status != http.StatusServiceUnavailable {
				t.Errorf("status %d", status)
			}
			answered <- lasted
		}()
		synctest.Wait()
		const grace = 20 * time.Second
		ctx, cancel := context.WithTimeout(t.Context(), grace)
		defer cancel()
		// The request is of no connection of the server, which alone would not wait.
		if !u.Server.Start(func() { <-u.Server.Commands().Done() }) {
			t.Error("the server ends already")
		}
		u.Server.Shutdown(ctx)
		if lasted := <-answered; lasted != grace {
			t.Errorf("held for %s", lasted)
		}
		if !u.Parsec3.HasFailedUploads() {
			t.Error("the upload has not failed")
		}
	})
}

// After a failed upload the device, and no other, looks again for what is not there.
func TestFailedUploads(t *testing.T) {
	for name, fail := range map[string]func(u *uploads){
		"refused": func(u *uploads) {
			u.store.fade(0)
			defer u.store.back()
			if status, _ := u.send3(u.alice, "vlob_create", u.vlob(1)); status != http.StatusServiceUnavailable {
				u.t.Errorf("status %d", status)
			}
		},
		"block refused": func(u *uploads) {
			u.store.fade(0)
			defer u.store.back()
			u.send3(u.alice, "block_create", u.block(1))
		},
		"cut before the end of the body": func(u *uploads) {
			body := message("block_create", u.block(1))
			u.handle(u.t.Context(), u.alice, io.MultiReader(bytes.NewReader(body[:1000]), failingReader{}))
		},
		"gone meanwhile": func(u *uploads) {
			ctx, leave := context.WithCancel(u.t.Context())
			u.store.written.Store(new(func() { leave() }))
			defer u.store.written.Store(nil)
			u.handle(ctx, u.alice, bytes.NewReader(message("block_create", u.block(1))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inABubble(t, func(t *testing.T, u *uploads) {
				if got := u.looksFor(u.alice); got != http.StatusOK {
					t.Errorf("before: status %d", got)
				}
				fail(u)
				<-time.After(5 * time.Second) // the server finds out that the store is back
				if got := u.looksFor(u.alice); got != http.StatusServiceUnavailable {
					t.Errorf("after: status %d", got)
				}
				u.clock.Advance(time.Minute)
				if got := u.looksFor(u.alice); got != http.StatusOK {
					t.Errorf("a minute after: status %d", got)
				}
			})
		})
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// Nothing that clients survive has them look again.
func TestHarmlessFailures(t *testing.T) {
	inABubble(t, func(t *testing.T, u *uploads) {
		u.store.fade(0)
		u.send3(u.alice, "vlob_update", &protocol.VlobUpdateRequest{RealmID: u.realm, VlobID: parsec.VlobID{1}, Version: 2, Timestamp: u.clock.Now()})
		u.send3(u.alice, "ping", &protocol.PingRequest{})
		u.store.back()
		<-time.After(5 * time.Second)
		refused := u.vlob(1)
		refused.RealmID = parsec.RealmID{9}
		u.send3(u.alice, "vlob_create", refused)
		u.send3(u.alice, "vlob_create", u.vlob(1))
		if got := u.looksFor(u.alice); got != http.StatusOK {
			t.Errorf("status %d", got)
		}
	})
}

// Whatever takes too long ends, and is answered so that clients try again.
func TestEveryRequestEnds(t *testing.T) {
	inABubble(t, func(t *testing.T, u *uploads) {
		u.store.hangs.Store(true)
		status, lasted := u.send3(u.alice, "organization_info", nil)
		if status != http.StatusServiceUnavailable || lasted != server3.RequestLimit {
			t.Errorf("status %d after %s", status, lasted)
		}
	})
}

func TestCommandOfABody(t *testing.T) {
	for opening, want := range map[string]struct {
		form *rpc.Form
		more bool
	}{
		"":                                    {nil, true},
		"\x84":                                {nil, true},
		"\x84\xa3cm":                          {nil, true},
		"\x84\xa3cmd\xabvlob_":                {nil, true},
		"\x84\xa3cmd\xabvlob_create":          {protocol.VlobCreate.Form, false},
		"\x84\xa3cmd\xabvlob_createxyz":       {protocol.VlobCreate.Form, false},
		"\x84\xa3cmd\xabvlob_update":          {protocol.VlobUpdate.Form, false},
		"\x84\xa3cmd\xacblock_create":         {protocol.BlockCreate.Form, false},
		"\xde\x00":                            {nil, true},
		"\xde\x00\x04\xa3cmd\xacblock_crea":   {nil, true},
		"\xde\x00\x04\xa3cmd\xacblock_create": {protocol.BlockCreate.Form, false},
		"\xdf\x00\x00\x00\x04\xa3cmd\xacblock_create": {protocol.BlockCreate.Form, false},
		"\x83\xa3cmd\xb3invite_greeter_step":          {protocol.InviteGreeterStep.Form, false},
		"\x83\xa3cmd\xb3invite_claimer_step":          {protocol.InviteClaimerStep.Form, false},
		"\x83\xa3cmd\xb3invite_":                      {nil, true},
		"\x84\xa3cmd\xaablock_read":                   {nil, false},
		"\x84\xa3cmd\xa4ping":                         {nil, false},
		"\x84\xa3cmc":                                 {nil, false},
		"\x84\xa4blob":                                {nil, false},
		"\x94\xa3cmd\xacblock_create":                 {nil, false},
		"block_create":                                {nil, false},
	} {
		if form, more := server3.CommandOf(opening); form != want.form || more != want.more {
			t.Errorf("%q: %v, %t", opening, form, more)
		}
	}
}
