//go:build !without_postgresql

package parsec3_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// TestCheckOfARestore has the command find what is wrong in a database and its blocks, as
// after a restore, while a server runs on them.
func TestCheckOfARestore(t *testing.T) {
	t.Parallel()
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	w := newWorld(t, testkit.StartParsec(t, program, "--db", dsn, "--blockstore", "POSTGRESQL"))
	alice := w.login("alice", w.found("alice"))
	realm, err := alice.NewWorkspace(w.ctx, "work")
	w.do("make a workspace", err)
	vlob, block, lost := parsec.VlobID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID())
	w.do("upload a block", alice.UploadBlock(w.ctx, realm, vlob, block, content("block", 1000)))
	w.do("upload a block", alice.UploadBlock(w.ctx, realm, vlob, lost, content("lost", 1000)))
	w.do("upload a vlob", alice.Upload(w.ctx, realm, vlob, []byte("manifest")))

	check := func(code int, want string, options ...string) {
		t.Helper()
		command := exec.CommandContext(w.ctx, program, append([]string{"backend", "check", "--db", dsn, "--blockstore", "POSTGRESQL"}, options...)...)
		output, err := command.CombinedOutput()
		got := 0
		if exit, failed := errors.AsType[*exec.ExitError](err); failed {
			got = exit.ExitCode()
		} else {
			w.do("run the command", err)
		}
		if got != code || !strings.Contains(string(output), want) {
			t.Errorf("check %q: exit code %d, want %d and %q:\n%s", options, got, code, want, output)
		}
	}
	sound := func() {
		t.Helper()
		check(0, "1 organizations checked, 6 certificates and versions, 2 blocks: nothing wrong.")
		check(0, `"complete":true`, "--json", "--blocks", "deep")
		check(0, "0 blocks: nothing wrong.", "--blocks", "none", "--organization", w.organization.String())
		check(0, "2 blocks: nothing wrong.", "--organization", w.organization.String())
	}
	sound()
	check(2, "--blocks", "--blocks", "all")
	check(2, "--organization", "--organization", "no/name")
	check(1, "There is no organization Nobody in the database", "--organization", "Nobody")
	check(2, "extra argument", "more")

	connection := testkit.Connect(t, dsn)
	plant := func(sql string) { testkit.Execute(t, connection, sql) }
	plant("UPDATE parsec3.vlob SET version = 2")
	check(3, "its latest version should be 2, and is 1")
	check(3, `"rule":"v5_versions","invariant":"v5.36"`, "--json")
	check(3, "1 fault.", "--organization", w.organization.String())
	plant("UPDATE parsec3.vlob SET version = 1")

	plant("UPDATE block_data SET data = overlay(data PLACING '\\x00000000' FROM 10)")
	check(0, "2 blocks: nothing wrong.")
	check(3, "4 faults.", "--blocks", "deep") // each is wrong, and so lost
	check(3, `"rule":"blocks","invariant":"49, v5.42"`, "--blocks", "deep", "--json")
	plant("DELETE FROM block_data WHERE block_id = '" + parsec.UUID(lost).String() + "'")
	check(3, "block "+parsec.UUID(lost).String())
	check(0, "nothing wrong.", "--blocks", "none")
}
