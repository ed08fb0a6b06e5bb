//go:build !without_postgresql

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"parsec-server/internal/testkit"
)

// program is the path of the command, which is this program under its name.
func (e *estate) program() string {
	e.t.Helper()
	itself, err := os.Executable()
	if err != nil {
		e.t.Fatal(err)
	}
	program := filepath.Join(e.t.TempDir(), "parsec")
	if err := os.Symlink(itself, program); err != nil {
		e.t.Fatal(err)
	}
	return program
}

// command is `parsec realm delete-due` in a process of its own.
func (e *estate) command() (command *exec.Cmd, output *bytes.Buffer) {
	e.t.Helper()
	command = exec.CommandContext(e.t.Context(), e.program(), "realm", "delete-due")
	for name, value := range e.variables {
		command.Env = append(command.Env, name+"="+value)
	}
	output = &bytes.Buffer{}
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		e.t.Fatal(err)
	}
	return command, output
}

// left counts what is still to be erased of realms: rows, and objects that are listed.
func (e *estate) left(realms ...*estateRealm) int64 {
	e.t.Helper()
	count := testkit.Number(e.t, e.database, "SELECT count(*) FROM erasure_object")
	for _, realm := range realms {
		count += e.rows(realm)
	}
	return count
}

// TestRealmDeleteKilled kills the command at points by chance: between rows, between
// rows and objects, between objects. The next one goes on, and in the end all is gone
// and nothing else is.
func TestRealmDeleteKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		blocks int
		nodes  []string
	}{
		"PostgreSQL": {1500, nil},
		"folder":     {600, []string{folderText(t)}},
		"RAID5":      {600, []string{"RAID5:0:" + folderText(t), "RAID5:1:" + folderText(t), "RAID5:2:POSTGRESQL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killRealmDelete(t, test.blocks, test.nodes)
		})
	}
}

// folderText is the text of a store in a folder of its own.
func folderText(t *testing.T) string { return "file:" + filepath.Join(t.TempDir(), "blocks") }

func killRealmDelete(t *testing.T, blocks int, nodes []string) {
	e := newEstate(t, nodes...)
	due := []*estateRealm{e.addRealm("Three", longAgo, blocks, estateAlice), e.addRealm("Two", longAgo, blocks)}
	kept := []*estateRealm{e.addRealm("Three", "", 10, estateAlice), e.addRealm("Two", "", 10)}
	const kills = 8
	for range kills {
		started := testkit.Number(t, e.database, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
		command, output := e.command()
		begin := e.left(due...)
		below := begin - rand.Int64N(begin/kills+1)
		testkit.Await(t, "some of it goes", func() bool { return e.left(due...) < below || begin == 0 })
		_ = command.Process.Kill() // It may have ended.
		_ = command.Wait()
		// What waits in its sockets is done until its sessions have ended.
		testkit.Await(t, "its sessions end", func() bool {
			return testkit.Number(t, e.database, `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND extract(epoch FROM backend_start) * 1000000 > $1`, started) == 0
		})
		t.Logf("killed with %d of %d left: %s", e.left(due...), begin, output)
		e.expireHolds()
	}
	e.run(0, []string{"delete-due"})
	e.wantLeft(kept...)
}

// TestRealmDeleteTwice has two processes share the work.
func TestRealmDeleteTwice(t *testing.T) {
	e := newEstate(t)
	const blocks = 600
	e.addRealm("Three", longAgo, blocks, estateAlice)
	e.addRealm("Two", longAgo, blocks)
	kept := []*estateRealm{e.addRealm("Three", "", 10, estateAlice), e.addRealm("Two", "", 10)}
	first, firstOutput := e.command()
	second, secondOutput := e.command()
	for command, output := range map[*exec.Cmd]*bytes.Buffer{first: firstOutput, second: secondOutput} {
		if err := command.Wait(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	}
	e.wantLeft(kept...)
}
