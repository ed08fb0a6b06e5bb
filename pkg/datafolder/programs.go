package datafolder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"parsec-server/pkg/datafolder/layout"
)

// minMajor is the first PostgreSQL that the server works with.
const minMajor = 12

// programs are those of one version of PostgreSQL.
type programs struct {
	folder string
	major  int
}

func (p programs) path(name string) string { return filepath.Join(p.folder, name) }

// programPlaces are where systems put what is not on the PATH.
var programPlaces = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql*/bin", "/usr/local/pgsql/bin",
	"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin", "/usr/libexec/postgresql*",
}

const installHint = "install it, such as by `apt-get install postgresql`, `dnf install postgresql-server` or `brew install postgresql`"

var versionOfProgram = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// findPrograms lists those that are installed: what is on the PATH comes first, then
// the latest.
func findPrograms(ctx context.Context) []programs {
	var folders []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if followed, err := filepath.EvalSymlinks(path); err == nil {
			path = followed
		}
		folders = append(folders, filepath.Dir(path))
	}
	onPath := len(folders)
	for _, place := range programPlaces {
		found, _ := filepath.Glob(place) // The patterns are good.
		folders = append(folders, found...)
	}
	var all []programs
	for i, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err != nil || slices.Index(folders, folder) < i {
			continue
		}
		output, err := exec.CommandContext(ctx, filepath.Join(folder, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		if found := versionOfProgram.FindSubmatch(output); found != nil {
			major, _ := strconv.Atoi(string(found[1])) // They are digits.
			all = append(all, programs{folder, major})
		}
	}
	if len(all) > onPath {
		slices.SortStableFunc(all[onPath:], func(a, b programs) int { return b.major - a.major })
	}
	return all
}

// latestPrograms are those that new data is made with.
func latestPrograms(ctx context.Context) (programs, error) {
	for _, found := range findPrograms(ctx) {
		if found.major >= minMajor {
			return found, nil
		}
	}
	return programs{}, fmt.Errorf("no PostgreSQL %d or later on this machine, neither on the PATH nor in /usr/lib/postgresql: %s", minMajor, installHint)
}

// majorOf is the version of the data in a folder of PostgreSQL, 0 if there is none.
func majorOf(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION is damaged: %q", data, text)
	}
	return major, nil
}

// programsOf are those that the data of a folder is of.
func programsOf(ctx context.Context, folder layout.Folder, major int) (programs, error) {
	all := findPrograms(ctx)
	latest := 0
	for _, found := range all {
		if found.major == major {
			return found, nil
		}
		latest = max(latest, found.major)
	}
	switch {
	case latest == 0:
		return programs{}, fmt.Errorf("the folder %s is of PostgreSQL %d, and there is none on this machine: install PostgreSQL %d", folder, major, major)
	case latest < major:
		return programs{}, fmt.Errorf("the folder %s is of PostgreSQL %d, and this machine has only %d: install PostgreSQL %d", folder, major, latest, major)
	default:
		return programs{}, fmt.Errorf("the folder %s is of PostgreSQL %d, and this machine has %d: install PostgreSQL %d as well, then run `parsec backend upgrade %s`",
			folder, major, latest, major, folder)
	}
}

// newestPrograms are the latest of the machine, wherever they are.
func newestPrograms(ctx context.Context) (newest programs, err error) {
	for _, found := range findPrograms(ctx) {
		if found.major > newest.major {
			newest = found
		}
	}
	if newest.major < minMajor {
		return programs{}, fmt.Errorf("no PostgreSQL %d or later on this machine: %s", minMajor, installHint)
	}
	return newest, nil
}
