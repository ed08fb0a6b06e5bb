package parsec3_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
)

// counts is an observer that counts what it is told.
type counts struct {
	server.Unobserved
	mu   sync.Mutex // guards told
	told map[string]int
}

func (c *counts) add(what string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told[what] += by
}

func (c *counts) RequestRefused(kind string, status int) {
	c.add(fmt.Sprintf("%s %d", kind, status), 1)
}

func (c *counts) ConnectionBegun(transport server.Transport, kind string, api parsec.APIVersion) (ended func()) {
	name := fmt.Sprintf("%s %s %d", transport, kind, api.Major)
	c.add(name, 1)
	return func() { c.add(name, -1) }
}

// take returns what was counted since the last time.
func (c *counts) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := maps.Clone(c.told)
	maps.DeleteFunc(told, func(_ string, count int) bool { return count == 0 })
	clear(c.told)
	return told
}

func (c *counts) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told[what]
}

// What is answered by a status is counted once by that, and streams while they are
// open.
func TestObserver(t *testing.T) {
	told := &counts{told: map[string]int{}}
	f := newFixture(t, func(o *testkit.GenerationsOptions) { o.Server.Observer = told })
	told.take()
	for _, route := range routes {
		r := f.requestOf(route.method, route.path)
		badVersion.spoil(f, r)
		f.send(r)
		if got := told.take(); len(got) != 1 || !slices.Equal(slices.Collect(maps.Values(got)), []int{1}) {
			t.Errorf("%s %s of a wrong version: %v is counted", route.method, route.path, got)
		}
	}
	r := f.requestOf(http.MethodPost, "/authenticated/CoolOrg")
	badSignature.spoil(f, r)
	f.send(r)
	if got, want := told.take(), map[string]int{"authenticated 403": 1}; !maps.Equal(got, want) {
		t.Errorf("counted are %v, want %v", got, want)
	}
	s := f.openStream(f.bob, "")
	s.event()
	if got := told.count("sse authenticated 5"); got != 1 {
		t.Errorf("%d streams are open", got)
	}
	f.ok(s.response.Body.Close())
	testkit.Await(t, "the stream is counted out", func() bool { return told.count("sse authenticated 5") == 0 })
}

// What fails inside a command, or is refused by it, is counted as well.
func TestObserverOfFailures(t *testing.T) {
	for failure, want := range map[error]string{outage.ErrUnavailable: "authenticated 503", errPanic: "authenticated 500", rules.UserRevoked: "authenticated 461"} {
		told := &counts{told: map[string]int{}}
		f := newFixture(t, func(o *testkit.GenerationsOptions) {
			o.Server.Observer = told
			o.WrapStore3 = func(store rules.Store) rules.Store { return &failingStore{store, failure} }
		})
		told.take()
		r := f.requestOf(http.MethodPost, "/authenticated/CoolOrg")
		r.body = message("organization_info", nil)
		f.send(r)
		if got := told.take(); !maps.Equal(got, map[string]int{want: 1}) {
			t.Errorf("%v: counted are %v", failure, got)
		}
	}
}
