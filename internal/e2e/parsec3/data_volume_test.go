//go:build !without_postgresql_programs && !without_mount

package parsec3_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
)

// TestDataFolderOnVolume fills the volume of a server's folder, has the folder go, and the
// volume be read-only: each time it is said why nothing is served, and all is served again
// once it can be.
func TestDataFolderOnVolume(t *testing.T) {
	t.Parallel()
	volume := testkit.MountVolume(t, "400m")
	if err := os.Chmod(filepath.Dir(volume.Path), 0o711); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(volume.Path, "data")
	server := testkit.StartParsec(t, program, "--data", folder)
	w := newWorld(t, server)
	load := newBlockLoad(w)
	end := load.start()
	said := func(text string) {
		t.Helper()
		testkit.Await(t, text, func() bool { return strings.Contains(server.Output(), text) })
	}
	fill := func() (free func()) {
		t.Helper()
		other, chunk := must(os.Create(filepath.Join(volume.Path, "other"))), make([]byte, 1<<20)
		for full := false; !full; {
			_, err := other.Write(chunk)
			full = err != nil
		}
		return func() {
			t.Helper()
			w.do("free the volume", errors.Join(other.Close(), os.Remove(other.Name())))
		}
	}
	refused := func(reason string) {
		t.Helper()
		output, err := exec.CommandContext(t.Context(), program, "backend", "run", "--data", folder, "--port", testkit.FreePort(t)).CombinedOutput()
		if err == nil || !strings.Contains(strings.ToLower(string(output)), reason) {
			t.Errorf("%v: %s", err, output)
		}
	}
	load.awaitMore()

	free := fill()
	connection := testkit.Connect(t, "host="+folder+"/run user=parsec dbname=parsec")
	if _, err := connection.Exec(t.Context(), "SELECT pg_logical_emit_message(false, '', repeat('x', 100000000))"); err == nil {
		t.Error("PostgreSQL finds room where there is none")
	}
	said("No space left on device")
	free()
	load.awaitMore()

	away := folder + ".away"
	w.do("move the folder", os.Rename(folder, away))
	said("no such block store, mount its volume")
	said("it was moved, removed, or another volume is mounted")
	w.do("move the folder back", os.Rename(away, folder))
	load.awaitMore()
	said("data folder available again")
	end()

	if err := server.Stop(); err != nil {
		t.Errorf("%v: %s", err, server.Output())
	}
	volume.Remount("ro")
	refused("read-only file system")
	volume.Remount("rw")
	free = fill()
	refused("no space left on device")
	free()
	server.Start()
	load.wantBlocks(load.written())
	if said := runParsec(t, "backend", "check", "--data", folder, "--blocks", "deep"); !strings.Contains(said, "nothing wrong") {
		t.Errorf("check says %q", said)
	}
	if err := server.Stop(); err != nil {
		t.Errorf("%v: %s", err, server.Output())
	}
}
