package datafolder

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/datafolder/layout"
)

func optionsFor(path string) Options {
	return Options{Path: path, User: "nobody", Logger: slog.New(slog.DiscardHandler)}
}

// A folder is of one process at a time, which is named.
func TestFolderInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	folder, err := Open(t.Context(), optionsFor(path))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(t.Context(), optionsFor(path))
	inUse := (*InUseError)(nil)
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.Host != hostName() {
		t.Errorf("a second one gets %v (%v)", second, err)
	}
	// A process that is being started has all files, until it becomes another program.
	forked, err := syscall.Dup(int(folder.lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(forked) //nolint:errcheck // it is of the system
	folder.Close()
	again, err := Open(t.Context(), optionsFor(path))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// foreign is the claim of another machine, which no lock of this one tells of.
func foreign(t *testing.T, path string, beat int64) *lock {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(path, layout.LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	l := &lock{folder: layout.Folder(path), file: file, claim: claim{Host: "elsewhere", Boot: "another", PID: 7, Token: "token", Beat: beat}}
	if err := l.beat(); err != nil {
		t.Fatal(err)
	}
	return l
}

// A machine that shares the folder, but no locks, is seen by what it writes; one that
// writes no more has ended.
func TestFolderOfAnotherMachine(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		other := foreign(t, path, 1)
		go func() {
			time.Sleep(beatPeriod) //nolint:forbidigo // The clock of the bubble.
			if err := other.beat(); err != nil {
				t.Error(err)
			}
		}()
		begin := time.Now()
		_, err := take(t.Context(), layout.Folder(path), slog.New(slog.DiscardHandler))
		inUse := (*InUseError)(nil)
		if !errors.As(err, &inUse) || inUse.Host != "elsewhere" || inUse.PID != 7 || time.Since(begin) > beatPatience {
			t.Errorf("a living one: %v after %s", err, time.Since(begin))
		}
		begin = time.Now()
		held, err := take(t.Context(), layout.Folder(path), slog.New(slog.DiscardHandler))
		if err != nil || time.Since(begin) < beatPatience {
			t.Fatalf("one that has ended: %v after %s", err, time.Since(begin))
		}
		// The other one goes on all the same, and this one notices.
		if err := other.beat(); err != nil {
			t.Error(err)
		}
		begin = time.Now()
		<-held.lost
		if time.Since(begin) > 2*beatPeriod {
			t.Errorf("noticed after %s", time.Since(begin))
		}
		held.release()
	})
}

// A folder that holds something else is left alone.
func TestFolderOfSomethingElse(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), optionsFor(path)); err == nil || !strings.Contains(err.Error(), "holds something else (letter.txt)") {
		t.Errorf("opened: %v", err)
	}
	if names, err := os.ReadDir(path); err != nil || len(names) != 1 {
		t.Errorf("left %v (%v)", names, err)
	}
}

// The token is made once.
func TestToken(t *testing.T) {
	t.Parallel()
	folder, err := Open(t.Context(), optionsFor(filepath.Join(t.TempDir(), "data")))
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for i, token := range []string{"first", "second"} {
		if isNew, err := folder.KeepToken(token); err != nil || isNew != (i == 0) {
			t.Errorf("%s: %t, %v", token, isNew, err)
		}
	}
	if text, err := os.ReadFile(folder.Token()); err != nil || string(text) != "first\n" {
		t.Errorf("kept %q (%v)", text, err)
	}
}

// A path that is too long for a socket is told, by how much.
func TestSocketPath(t *testing.T) {
	t.Parallel()
	folder := &Folder{Folder: layout.Folder("/" + strings.Repeat("a", maxSocketPath-len("/")-len("/run/")-len(layout.SocketName)))}
	if err := folder.checkSocket(); err != nil {
		t.Error(err)
	}
	folder.Folder += "bc"
	if err := folder.checkSocket(); err == nil || !strings.Contains(err.Error(), "too long by 2 bytes") {
		t.Errorf("too long: %v", err)
	}
}

// Data is run by programs of its own version alone, and what to do is said.
func TestPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	old := programPlaces
	t.Cleanup(func() { programPlaces = old })
	place := t.TempDir()
	programPlaces = []string{place + "/*/bin"}
	if _, err := latestPrograms(t.Context()); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("none: %v", err)
	}
	if _, err := programsOf(t.Context(), "/data", 16); err == nil || !strings.Contains(err.Error(), "install PostgreSQL 16") {
		t.Errorf("none for data: %v", err)
	}
	for _, major := range []string{"9", "15", "17"} {
		folder := filepath.Join(place, major, "bin")
		script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + major + ".3 (Debian)'\n"
		if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, "initdb"), nil, 0o600),
			os.WriteFile(filepath.Join(folder, "postgres"), []byte(script), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := latestPrograms(t.Context()); err != nil || found.major != 17 {
		t.Errorf("latest: %v, %v", found, err)
	}
	for major, want := range map[int]string{
		15: "", 17: "",
		16: "is of PostgreSQL 16, and this machine has 17: install PostgreSQL 16 as well, then run `parsec backend upgrade /data`",
		18: "is of PostgreSQL 18, and this machine has only 17: install PostgreSQL 18",
	} {
		found, err := programsOf(t.Context(), "/data", major)
		if want == "" && (err != nil || found.major != major) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d: %v, %v", major, found, err)
		}
	}
}

// archived is what an archive of two files looks like.
func archived(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := newArchiveWriter(&out)
	if err := errors.Join(w.addText(headName, `{"format":1,"postgresql":15}`), w.addText("blocks/a/8/0/80", "block"), w.close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// readArchive reads an archive to its end.
func readArchive(archive []byte) (files int, err error) {
	r := newArchiveReader(bytes.NewReader(archive))
	if _, err := r.readHead(); err != nil {
		return 0, err
	}
	for {
		name, content, err := r.next()
		if err != nil || name == "" {
			return files, err
		}
		if _, err := new(bytes.Buffer).ReadFrom(content); err != nil {
			return files, err
		}
		files++
	}
}

// Whatever byte of an archive is another, and wherever it is cut, somebody notices.
func TestDamagedArchives(t *testing.T) {
	t.Parallel()
	archive := archived(t)
	if files, err := readArchive(archive); err != nil || files != 1 {
		t.Fatalf("%d files, %v", files, err)
	}
	block := bytes.Index(archive, []byte("block\x00"))
	damaged := bytes.Clone(archive)
	damaged[block] ^= 1
	if _, err := readArchive(damaged); !errors.Is(err, errDamagedArchive) {
		t.Errorf("another byte: %v", err)
	}
	for _, length := range []int{0, 100, 600, 1600, block + 3, len(archive) - 2048} {
		if _, err := readArchive(archive[:length]); err == nil {
			t.Errorf("cut at %d of %d: no error", length, len(archive))
		}
	}
	for _, name := range []string{"../x", "blocks/../../x", "blocks//x", "/blocks/x", "etc"} {
		var out bytes.Buffer
		w := newArchiveWriter(&out)
		if err := errors.Join(w.addText(headName, `{"format":1}`), w.addText(name, ""), w.close()); err != nil {
			t.Fatal(err)
		}
		if _, err := readArchive(out.Bytes()); !errors.Is(err, errDamagedArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
