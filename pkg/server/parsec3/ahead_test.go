package parsec3_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	clientparsec3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// asked counts how often a store is asked who somebody is, and what they have in view.
type asked struct {
	rules.Store
	count *atomic.Int64
}

func (s *asked) Greeting(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID, token *parsec3.AccessToken, attempt parsec3.GreetingAttemptID) (rules.Standing, rules.Greeting, error) {
	s.count.Add(1)
	return s.Store.Greeting(ctx, organization, device, token, attempt)
}

func (s *asked) Invited(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken) (rules.InvitedStanding, error) {
	s.count.Add(1)
	return s.Store.Invited(ctx, organization, token)
}

func (s *asked) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, error) {
	s.count.Add(1)
	return s.Store.Authentication(ctx, organization, device)
}

// newAsked returns a server, whose steps wait for nobody, and how often its store is asked.
func newAsked(t *testing.T) (*fixture, *atomic.Int64) {
	t.Helper()
	count := &atomic.Int64{}
	return newFixture(t, func(o *testkit.GenerationsOptions) {
		o.WrapStore3 = func(store rules.Store) rules.Store { return &asked{store, count} }
		o.Parsec3.GreetingPatience = time.Nanosecond
	}), count
}

// newReader returns a server, the right request of bob for a vlob that there is not,
// whose token was verified a moment ago, and how often the store was asked who somebody
// is.
func newReader(t *testing.T) (*fixture, *request, *atomic.Int64) {
	t.Helper()
	f, count := newAsked(t)
	realm := parsec.RealmID{1}
	call(f, f.client.Authenticated(f.bob), protocol.RealmCreate, must(f.bob.NewRealm(realm, f.clock.Now())))
	f.clock.Advance(time.Second)
	r := f.newRequest(http.MethodPost, "/authenticated/CoolOrg", f.bob)
	r.body = message(protocol.VlobReadBatch.Name, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{{1}}})
	for _, want := range []int64{1, 0} {
		before := count.Load()
		if got := f.send(r); got.status != http.StatusOK || count.Load()-before != want {
			t.Fatalf("status %d, asked %d times who it is, want %d", got.status, count.Load()-before, want)
		}
	}
	return f, r, count
}

// TestReadsAtOnceAreCheckedInOrder gives who was let in a moment ago the answers that
// everybody gets, those about the body last.
func TestReadsAtOnceAreCheckedInOrder(t *testing.T) {
	t.Parallel()
	badFields := fault{"fields", 415, func(_ *fixture, r *request) {
		r.body = message(protocol.VlobReadBatch.Name, &protocol.PingRequest{Ping: "hello"})
	}}
	faults := []fault{
		badVersion, badOrganization, badContentType, badToken, unknownOrg, expired, unknownDevice, badSignature,
		revoked, frozen, tos, tokenExpired, badFields,
	}
	checkFaults(t, faults, func(t *testing.T) (*fixture, *request) {
		f, r, _ := newReader(t)
		return f, r
	})
}

// checkFaults has a right request spoiled by each fault, alone and with the next one.
func checkFaults(t *testing.T, faults []fault, begin func(*testing.T) (*fixture, *request)) {
	t.Helper()
	for i, first := range faults {
		for _, also := range [][]fault{nil, faults[i+1:]} {
			also = also[:min(len(also), 1)]
			t.Run(fmt.Sprintf("%s/%d", first.name, len(also)), func(t *testing.T) {
				t.Parallel()
				f, r := begin(t)
				for _, wrong := range append(slices.Clone(also), first) {
					wrong.spoil(f, r)
				}
				response := f.open(r)
				if response.StatusCode != first.status {
					t.Errorf("status %d, want %d", response.StatusCode, first.status)
				}
				checkHeaders(t, response)
			})
		}
	}
}

// TestReadsAtOnceAreAnsweredAsOthers compares with what is sent without a length, and so
// admitted first: what is found, what is refused, and what is not understood.
func TestReadsAtOnceAreAnsweredAsOthers(t *testing.T) {
	t.Parallel()
	f, r, count := newReader(t)
	in := func(realm parsec.RealmID, vlobs ...parsec.VlobID) []byte {
		return message(protocol.VlobReadBatch.Name, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: vlobs})
	}
	mine := parsec.RealmID{1}
	for id := range byte(2) {
		call(f, f.client.Authenticated(f.bob), protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: mine, VlobID: parsec.VlobID{10 + id}, Timestamp: f.clock.Now(), Blob: []byte("blob"),
		})
	}
	for name, item := range map[string]struct {
		body   []byte
		status int
		// unasked is whether who asks is read with what they ask for.
		unasked bool
	}{
		"one":             {in(mine, parsec.VlobID{10}), 200, true},
		"two":             {in(mine, parsec.VlobID{10}, parsec.VlobID{11}), 200, false},
		"none":            {in(mine), 200, false},
		"unknown realm":   {in(parsec.RealmID{9}, parsec.VlobID{10}), 200, true},
		"too many":        {in(mine, make([]parsec.VlobID, 400)...), 200, false},
		"another command": {message(protocol.Ping.Name, &protocol.PingRequest{Ping: "hello"}), 200, false},
		"cut":             {in(mine, parsec.VlobID{10})[:40], 415, false},
		"two names": {slices.Concat([]byte{0x84}, in(mine, parsec.VlobID{10})[1:], must(wire.Microseconds.AppendMap(nil, []wire.Field{
			{Key: "cmd", Value: "ping"}}, nil))[1:]), 415, false},
	} {
		r.body = item.body
		r.chunked = true
		want := f.send(r)
		r.chunked = false
		before := count.Load()
		got := f.send(r)
		if got.status != item.status || want.status != item.status || string(got.body) != string(want.body) {
			t.Errorf("%s: got %d %q, want %d %d %q", name, got.status, got.body, item.status, want.status, want.body)
		}
		if asked := count.Load() - before; (asked == 0) != item.unasked {
			t.Errorf("%s: asked %d times who it is", name, asked)
		}
	}
}

// meeting is bob, who greets another device of his, on a server that has not seen the
// attempt yet.
type meeting struct {
	*fixture
	token   parsec3.AccessToken
	attempt parsec3.GreetingAttemptID
	asked   *atomic.Int64
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	f, count := newAsked(t)
	m := &meeting{fixture: f, asked: count}
	m.token = call(f, f.client.Authenticated(f.bob), protocol.InviteNewDevice, &protocol.InviteNewDeviceRequest{}).Token
	m.attempt = call(f, f.client.Authenticated(f.bob), protocol.InviteGreeterStartGreetingAttempt,
		&protocol.InviteGreeterStartGreetingAttemptRequest{Token: m.token}).GreetingAttempt
	call(f, f.client.Invited(coolOrg, m.token), protocol.InviteClaimerStartGreetingAttempt,
		&protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: f.bob.User})
	f.settle()
	return m
}

// step is the first step of a side in an attempt.
func (m *meeting) step(side protocol.Side, attempt parsec3.GreetingAttemptID) *request {
	part := make([]byte, 32)
	if side == protocol.Greeter {
		r := m.requestOf(http.MethodPost, "/authenticated/CoolOrg")
		r.body = message(protocol.InviteGreeterStep.Name, &protocol.InviteGreeterStepRequest{
			GreetingAttempt: attempt, GreeterStep: protocol.GreeterStepOf(0, part)})
		return r
	}
	r := m.requestOf(http.MethodPost, "/invited/CoolOrg")
	r.header.Set("Authorization", "Bearer "+m.token.String())
	r.body = message(protocol.InviteClaimerStep.Name, &protocol.InviteClaimerStepRequest{
		GreetingAttempt: attempt, ClaimerStep: protocol.ClaimerStepOf(0, part)})
	return r
}

var sides = []protocol.Side{protocol.Greeter, protocol.Claimer}

// TestStepsAreCheckedInOrder gives who polls the answers that everybody gets, those about
// the body last.
func TestStepsAreCheckedInOrder(t *testing.T) {
	t.Parallel()
	badFields := fault{"fields", 415, func(_ *fixture, r *request) { r.body = r.body[:len(r.body)-1] }}
	for side, faults := range map[protocol.Side][]fault{
		protocol.Greeter: {
			badVersion, badOrganization, badContentType, badToken, unknownOrg, expired, unknownDevice, badSignature,
			revoked, frozen, tos, tokenExpired, badFields,
		},
		protocol.Claimer: {
			badVersion, badOrganization, badContentType, badToken, unknownOrg, expired,
			{"unknown invitation", 403, func(_ *fixture, r *request) {
				r.header.Set("Authorization", "Bearer "+parsec3.NewAccessToken().String())
			}},
			{"cancelled", 410, func(f *fixture, r *request) {
				token := must(parsec3.ParseAccessToken(strings.TrimPrefix(r.header.Get("Authorization"), "Bearer ")))
				if _, err := clientparsec3.Call(f.ctx, f.client.Authenticated(f.bob), protocol.InviteCancel, &protocol.InviteCancelRequest{Token: token}); err != nil {
					f.t.Log(err) // of the token that nobody knows
				}
			}},
			badFields,
		},
	} {
		checkFaults(t, faults, func(t *testing.T) (*fixture, *request) {
			m := newMeeting(t)
			return m.fixture, m.step(side, m.attempt)
		})
	}
}

// TestStepsAskOnce has who asks read with the attempt, and nothing once both are in view.
func TestStepsAskOnce(t *testing.T) {
	t.Parallel()
	for _, side := range sides {
		m := newMeeting(t)
		r := m.step(side, m.attempt)
		for poll, want := range []int64{1, 0, 0} {
			before := m.asked.Load()
			if got := m.send(r); got.status != http.StatusOK || m.asked.Load()-before != want {
				t.Errorf("poll %d of the %s: status %d, asked %d times", poll, side, got.status, m.asked.Load()-before)
			}
		}
	}
}

// TestStepsAreAnsweredAsOthers compares with what is sent without a length, and so
// admitted first.
func TestStepsAreAnsweredAsOthers(t *testing.T) {
	t.Parallel()
	for _, side := range sides {
		m := newMeeting(t)
		for name, item := range map[string]struct {
			body   []byte
			status int
		}{
			"right":           {m.step(side, m.attempt).body, 200},
			"another attempt": {m.step(side, parsec3.GreetingAttemptID{1}).body, 200},
			"no attempt":      {message(commandOf(side), &protocol.PingRequest{Ping: "hello"}), 415},
			"cut":             {m.step(side, m.attempt).body[:40], 415},
			"nothing more":    {append(m.step(side, m.attempt).body, 0xc0), 415},
		} {
			r := m.step(side, m.attempt)
			r.body, r.chunked = item.body, true
			want := m.send(r)
			r.chunked = false
			if got := m.send(r); got.status != item.status || want.status != item.status || string(got.body) != string(want.body) {
				t.Errorf("%s of the %s: got %d %q, want %d %d %q", name, side, got.status, got.body, item.status, want.status, want.body)
			}
		}
	}
}

func commandOf(side protocol.Side) string {
	if side == protocol.Greeter {
		return protocol.InviteGreeterStep.Name
	}
	return protocol.InviteClaimerStep.Name
}
