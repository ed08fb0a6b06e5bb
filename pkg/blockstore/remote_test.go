//go:build !without_minio || !without_swift

package blockstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// place is a bucket or a container that tests open stores on.
type place struct {
	// address is that of the server.
	address string
	// open returns a store with some options replaced, where they are not "".
	open func(t testing.TB, address, name, secret string) remoteStore
}

func s3Place(settings config.S3) place {
	return place{settings.Endpoint, func(t testing.TB, address, name, secret string) remoteStore {
		t.Helper()
		store, err := blockstore.NewS3(blockstore.S3Options{
			Endpoint: or(address, settings.Endpoint),
			Region:   settings.Region,
			Bucket:   or(name, settings.Bucket),
			Key:      settings.Key.Reveal(),
			Secret:   or(secret, settings.Secret.Reveal()),
		})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}}
}

func swiftPlace(settings config.Swift) place {
	return place{settings.AuthURL, func(t testing.TB, address, name, secret string) remoteStore {
		t.Helper()
		store, err := blockstore.NewSwift(blockstore.SwiftOptions{
			AuthURL:   or(address, settings.AuthURL),
			Tenant:    settings.Tenant,
			Container: or(name, settings.Container),
			User:      settings.User,
			Password:  or(secret, settings.Password.Reveal()),
		})
		if err != nil {
			t.Fatal(err)
		}
		return store
	}}
}

func or(replacement, usual string) string {
	if replacement != "" {
		return replacement
	}
	return usual
}

// initialized returns a store, as the server uses it, whose place exists.
func (p place) initialized(t testing.TB) *blockstore.Limited {
	t.Helper()
	store := blockstore.NewLimited(p.open(t, "", "", ""), blockstore.DefaultLimits())
	if err := store.Init(t.Context()); err != nil {
		t.Fatalf("init: %v", err)
	}
	return store
}

func exerciseRemoteStore(t *testing.T, place place) {
	store := place.initialized(t)
	t.Run("conformance", func(t *testing.T) {
		exerciseStore(t, func(*testing.T) blockstore.Store { return store })
		exerciseInventory(t, func(*testing.T) blockstore.Inventory { return store })
	})
	t.Run("init", func(t *testing.T) { missingPlace(t, place) })
	t.Run("wrong secret", func(t *testing.T) { wrongSecret(t, place) })
	t.Run("nobody listens", func(t *testing.T) {
		proxy, address := testkit.StandInFor(t, place.address)
		proxy.Set(testkit.Fault{Reset: true})
		wantFailures(t, place.open(t, address, "", ""), "")
	})
	t.Run("network", func(t *testing.T) { networkFaults(t, place, store) })
}

// missingPlace wants a clear line, until Init has been called, maybe twice.
func missingPlace(t *testing.T, place place) {
	store := place.open(t, "", "parsec-test-"+parsec.NewUUID().Hex(), "")
	wantFailures(t, store, "create it with `parsec backend blockstore init`")
	for range 2 {
		if err := store.Init(t.Context()); err != nil {
			t.Fatalf("init: %v", err)
		}
		if err := store.Ready(t.Context()); err != nil {
			t.Errorf("ready: %v", err)
		}
	}
	if err := store.Read(t.Context(), organization(t), newBlockID(), nil, make([]byte, 10)); !errors.Is(err, blockstore.ErrNotFound) {
		t.Errorf("read of a new place: %v", err)
	}
}

// exerciseLeastPrivilege has somebody with few rights use a place that somebody
// else has made.
func exerciseLeastPrivilege(t *testing.T, owned, limited place) {
	t.Helper()
	owned.initialized(t)
	store := limited.initialized(t)
	if err := store.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
	id := newBlockID()
	mustCreate(t, store, id, blockOf(1000))
	wantVerified(t, store, id, blockOf(1000))
	if err := store.Read(t.Context(), organization(t), newBlockID(), nil, make([]byte, 10)); !errors.Is(err, blockstore.ErrNotFound) {
		t.Errorf("read an absent block: %v", err)
	}
}

// wantNotCreated wants the refusal of who may not create a place.
func wantNotCreated(t *testing.T, limited place) {
	t.Helper()
	store := limited.open(t, "", "", "")
	if err := store.Init(t.Context()); err == nil || !strings.HasPrefix(err.Error(), store.String()+": ") {
		t.Errorf("init without the right to create: %v", err)
	}
}

func wrongSecret(t *testing.T, place place) {
	const wrong = "this-is-not-the-secret"
	store := place.open(t, "", "", wrong)
	wantFailures(t, store, "")
	for _, err := range []error{store.Ready(t.Context()), store.Init(t.Context())} {
		if err == nil || strings.Contains(err.Error(), wrong) {
			t.Errorf("with a wrong secret: %v", err)
		}
	}
}

// wantFailures wants errors, with a hint, from everything that a store does.
func wantFailures(t *testing.T, store remoteStore, hint string) {
	t.Helper()
	read := store.Read(t.Context(), organization(t), newBlockID(), nil, make([]byte, 10))
	create := store.Create(t.Context(), organization(t), newBlockID(), blockOf(10))
	for action, err := range map[string]error{"read": read, "create": create, "ready": store.Ready(t.Context())} {
		if err == nil || errors.Is(err, blockstore.ErrNotFound) || strings.Contains(err.Error(), "\n") ||
			!strings.HasPrefix(err.Error(), store.String()+": ") || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v, want one line that names the store, with %q", action, err, hint)
		}
	}
}

// networkFaults reads and writes through networks that fail: what is read is
// right, what is written is stored, whatever is said to have gone well.
func networkFaults(t *testing.T, place place, direct blockstore.Store) {
	proxy, address := testkit.StandInFor(t, place.address)
	remote := place.open(t, address, "", "")
	patient := blockstore.NewLimited(remote, blockstore.DefaultLimits())
	hasty := blockstore.NewLimited(remote, blockstore.Limits{
		Try: 300 * time.Millisecond, Call: time.Second, Tries: 2, Pause: time.Millisecond, Concurrency: 4,
	})
	block := blockOf(512<<10 + 40)
	known := newBlockID()
	mustCreate(t, direct, known, block)
	for _, test := range []struct {
		name                   string
		fault                  testkit.Fault
		limits                 *blockstore.Limited
		readFails, createFails bool
	}{
		{"none", testkit.Fault{}, patient, false, false},
		{"latency", testkit.Fault{Latency: 20 * time.Millisecond}, patient, false, false},
		{"latency above the limit", testkit.Fault{Latency: time.Minute}, hasty, true, true},
		{"narrow", testkit.Fault{BytesPerSecond: 10 << 10}, hasty, true, false},
		{"reset", testkit.Fault{Reset: true}, hasty, true, true},
		{"lost in the middle of an answer", testkit.Fault{CutAfter: 100 << 10}, hasty, true, false},
		{"lost before the answer", testkit.Fault{CutAfter: 1}, hasty, true, true},
		{"half-open", testkit.Fault{Silent: true}, hasty, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				proxy.Set(testkit.Fault{})
				proxy.CloseConnections()
				wantBlock(t, patient, known, block)
			}()
			proxy.Set(test.fault)
			read := make([]byte, len(block))
			err := test.limits.Read(t.Context(), organization(t), known, nil, read)
			switch {
			case errors.Is(err, blockstore.ErrNotFound):
				t.Errorf("read: %v", err)
			case err == nil && !bytes.Equal(read, block):
				t.Error("read wrong bytes")
			case err == nil && test.readFails, err != nil && !test.readFails:
				t.Errorf("read: %v", err)
			}
			id := newBlockID()
			err = test.limits.Create(t.Context(), organization(t), id, block)
			if test.createFails && err == nil {
				t.Error("create: ok without an answer")
			}
			if err == nil {
				wantBlock(t, direct, id, block)
			} else if test.limits == patient {
				t.Errorf("create: %v", err)
			}
		})
	}
}

func exerciseRemoteRAID(t *testing.T, s3, swift place) {
	proxy, address := testkit.StandInFor(t, s3.address)
	nodes := []blockstore.Store{
		blockstore.NewLimited(s3.open(t, address, "", ""), blockstore.DefaultLimits()),
		swift.initialized(t),
		blockstore.NewMemory(),
	}
	for _, level := range []int{1, 5} {
		raid := openRAID(t, level, nodes, false, nil)
		t.Cleanup(raid.Close)
		if err := blockstore.Init(t.Context(), raid); err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprintf("RAID%d", level), func(t *testing.T) {
			exerciseStore(t, func(*testing.T) blockstore.Store { return raid })
		})
		for name, fault := range map[string]testkit.Fault{"reset": {Reset: true}, "half-open": {Silent: true}} {
			t.Run(fmt.Sprintf("RAID%d with a node that is %s", level, name), func(t *testing.T) {
				block := blockOf(512<<10 + 40)
				ids := make([]parsec.BlockID, 8)
				for i := range ids {
					ids[i] = newBlockID()
					mustCreate(t, raid, ids[i], block)
				}
				proxy.Set(fault)
				defer proxy.CloseConnections()
				defer proxy.Set(testkit.Fault{})
				for _, id := range ids {
					wantBlock(t, raid, id, block)
				}
				if err := raid.Ready(t.Context()); err != nil {
					t.Errorf("ready: %v", err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err := raid.Create(ctx, organization(t), newBlockID(), block)
				if err == nil || !strings.Contains(err.Error(), "node 0 (S3 bucket ") {
					t.Errorf("create: %v", err)
				}
			})
		}
	}
}
