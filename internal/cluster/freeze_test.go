//go:build !without_postgresql

package cluster_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// TestFrozenProcess has a process stop, without dying, inside a transaction
// that holds the lock of a realm: others write to the realm within the ten
// seconds that they wait for a lock.
func TestFrozenProcess(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	c := newCluster(t, dsn)
	c.alice = c.found("Frozen")
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	realm := c.alice.addRealm()

	// The lock of the recipient of a message is the last one of a transaction
	// that changes a role.
	blocker := must(pgx.Connect(c.ctx, dsn))
	defer func() { _ = blocker.Close(c.ctx) }()
	for _, statement := range []string{"BEGIN", "SELECT FROM user_ WHERE user_id = 'bob' FOR UPDATE"} {
		if _, err := blocker.Exec(c.ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	grant := must(c.alice.device.UpdateRole(realm, bob.id(), parsec.RoleReader, now()))
	grant.RecipientMessage = []byte("message")
	granted := make(chan error, 1)
	go func() { granted <- send(c.alice.on[0], protocol.RealmUpdateRoles, grant)(c.ctx) }()
	watcher := must(pgx.Connect(c.ctx, dsn))
	defer func() { _ = watcher.Close(c.ctx) }()
	c.await("the transaction holds the realm, and waits for the recipient", func() bool {
		var waiting int
		err := watcher.QueryRow(c.ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%message_count%'`).Scan(&waiting)
		return err == nil && waiting == 1
	})
	c.processes[0].Freeze()
	if _, err := blocker.Exec(c.ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	c.ok(c.alice.createsVlob(1, realm, newVlobID(), now()))

	// The process goes on without its transaction. When it only notices that
	// in COMMIT, the client has to ask again.
	c.processes[0].Thaw()
	if err := <-granted; err != nil {
		t.Logf("the process that was frozen answers: %v", err)
	}
	if got := status(send(c.alice.on[0], protocol.RealmUpdateRoles, grant)(c.ctx)); got != protocol.StatusOK && got != protocol.StatusAlreadyGranted {
		t.Errorf("granted again: %s", got)
	}
	ask(c, bob.on[1], protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: realm})
}

// TestKilledDuringUpload kills a process while it uploads a block: the client
// uploads it through another one at once, instead of being refused until the
// reservation of the dead one ends by its date.
func TestKilledDuringUpload(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	c := newCluster(t, dsn)
	c.alice = c.found("Killed")
	realm := c.alice.addRealm()
	blocker, watcher := must(pgx.Connect(c.ctx, dsn)), must(pgx.Connect(c.ctx, dsn))
	defer func() { _, _ = blocker.Close(c.ctx), watcher.Close(c.ctx) }()
	for _, statement := range []string{"BEGIN", "LOCK TABLE block_data IN ACCESS EXCLUSIVE MODE"} {
		if _, err := blocker.Exec(c.ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	request := &protocol.BlockCreateRequest{BlockID: parsec.BlockID(parsec.NewUUID()), RealmID: realm, Block: []byte("block")}
	cut := make(chan error, 1)
	go func() { cut <- send(c.alice.on[0], protocol.BlockCreate, request)(c.ctx) }()
	c.await("the block is reserved, and its upload under way", func() bool {
		var waiting int
		err := watcher.QueryRow(c.ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%block_data%'`).Scan(&waiting)
		return err == nil && waiting == 1
	})
	c.processes[0].Kill()
	if err := <-cut; err == nil {
		t.Error("the killed process has answered")
	}
	if _, err := blocker.Exec(c.ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	// It waits a minute at most, the reservation lasts for two.
	c.ok(send(c.alice.on[1], protocol.BlockCreate, request))
	if read := ask(c, c.alice.on[1], protocol.BlockRead, &protocol.BlockReadRequest{BlockID: request.BlockID}); string(read.Block) != "block" {
		t.Errorf("got %q", read.Block)
	}
}
