package parsec2_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec2/rules"
)

// fullStore has no room for what is written.
type fullStore struct{ rules.Store }

func (*fullStore) Ready(context.Context) error { return outage.ErrNoRoom }

// TestReadinessWithoutRoom has commands go on, of which those that write fail.
func TestReadinessWithoutRoom(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) {
		options.WrapStore = func(store rules.Store) rules.Store { return &fullStore{store} }
	})
	response := f.get("/readyz")
	body, err := io.ReadAll(response.Body)
	f.ok(err)
	if response.StatusCode != http.StatusServiceUnavailable || string(body) != "the disk of the database is full\n" {
		t.Errorf("readyz: HTTP %d %q", response.StatusCode, body)
	}
	f.wantPong(f.connect("alice@dev1"))
}
