package parsec3_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// asked counts how often a store is asked who somebody is, and nothing else.
type asked struct {
	rules.Store
	count *atomic.Int64
}

func (s *asked) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (rules.Standing, error) {
	s.count.Add(1)
	return s.Store.Authentication(ctx, organization, device)
}

// newReader returns a server, the right request of bob for a vlob that there is not,
// whose token was verified a moment ago, and how often the store was asked who somebody
// is.
func newReader(t *testing.T) (*fixture, *request, *atomic.Int64) {
	t.Helper()
	count := &atomic.Int64{}
	f := newFixture(t, func(o *testkit.GenerationsOptions) {
		o.WrapStore3 = func(store rules.Store) rules.Store { return &asked{store, count} }
	})
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
	for i, first := range faults {
		for _, also := range [][]fault{nil, faults[i+1:]} {
			also = also[:min(len(also), 1)]
			t.Run(fmt.Sprintf("%s/%d", first.name, len(also)), func(t *testing.T) {
				t.Parallel()
				f, r, _ := newReader(t)
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
