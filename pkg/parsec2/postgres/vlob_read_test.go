//go:build !without_postgresql

package postgres_test

import (
	"context"
	"errors"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec2/rules"
)

// TestGatheredReads has reads that are answered together, when one of them is
// abandoned, and when their connection is lost.
func TestGatheredReads(t *testing.T) {
	p := testkit.StartPostgresProxy(t, testkit.NewPostgres(t, testkit.Unsound))
	store := open(t, options(p.DSN+" default_query_exec_mode=exec"), testkit.NewBus(t))
	populate(t, store)
	read := func(ctx context.Context) error {
		_, version, _, err := store.ReadVlob(ctx, acme, alice, rules.VlobSelection{Vlob: theVlob, EncryptionRevision: 1})
		if err == nil && string(version.Blob) != "one" {
			t.Errorf("read %q", version.Blob)
		}
		return err
	}
	together := func(check func(error) bool) {
		t.Helper()
		var reads sync.WaitGroup
		for range 40 {
			reads.Go(func() {
				if err := read(t.Context()); !check(err) {
					t.Errorf("read: %v", err)
				}
			})
		}
		reads.Wait()
	}
	succeeds := func(err error) bool { return err == nil }
	together(succeeds)

	var others sync.WaitGroup
	change(t, store, rules.Scope{}, func(rules.Tx) { // on the only connection
		others.Go(func() { together(succeeds) })
		ctx, cancel := context.WithCancel(t.Context())
		abandoned := make(chan error)
		go func() { abandoned <- read(ctx) }()
		cancel()
		if err := <-abandoned; !errors.Is(err, context.Canceled) {
			t.Errorf("abandoned: %v", err)
		}
	})
	others.Wait()

	for _, executed := range []bool{false, true} {
		p.Lose(testkit.PostgresFault{Statement: "unnest", Executed: executed})
		together(succeeds) // again, on another connection
	}

	p.Refusals.Store(1 << 30)
	p.Cut()
	together(func(err error) bool { return err != nil })
	p.Refusals.Store(0)
	together(succeeds)

	testkit.Await(t, "no goroutine is left", func() bool {
		var stacks strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(stacks.String(), "(*Gatherer[")
	})
}
