//go:build !without_postgresql_programs

package parsec3_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
)

// debianGuide runs what docs/hosting.md has the user postgres of Debian run.
type debianGuide struct {
	t *testing.T
	// commands are by the program that each runs.
	commands    map[string]string
	folder      string
	environment []string
}

func newDebianGuide(t *testing.T, database *testkit.BreakablePostgres) *debianGuide {
	t.Helper()
	text, err := os.ReadFile("../../../docs/hosting.md")
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(database.DSN, "host="), " ")
	g := &debianGuide{
		t: t, commands: make(map[string]string), folder: t.TempDir(),
		environment: []string{"PATH=" + os.Getenv("PATH"), "PGHOST=" + host, "PGUSER=postgres"},
	}
	for _, found := range regexp.MustCompile(`(?m)^su - postgres -c ('(\w+).*)$`).FindAllStringSubmatch(string(text), -1) {
		g.commands[found[2]] = "sh -c " + found[1]
	}
	return g
}

func (g *debianGuide) run(program string) {
	g.t.Helper()
	command := exec.CommandContext(g.t.Context(), "sh", "-c", g.commands[program])
	command.Dir, command.Env = g.folder, g.environment
	if output, err := command.CombinedOutput(); err != nil || g.commands[program] == "" {
		g.t.Fatalf("%s of the guide, %q: %v: %s", program, g.commands[program], err, output)
	}
}

// TestDebianBackup makes a database, saves it while clients of both generations write, and
// restores it, by the commands of the guide: nothing is wrong then, and all that was
// confirmed before is read.
func TestDebianBackup(t *testing.T) {
	t.Parallel()
	database := testkit.StartBreakablePostgres(t)
	guide := newDebianGuide(t, database)
	guide.run("createuser")
	guide.run("createdb")
	dsn := strings.NewReplacer("user=postgres", "user=parsec", "dbname=postgres", "dbname=parsec").Replace(database.DSN)
	server := testkit.StartParsec(t, program, "--db", dsn, "--migrate", "--blockstore", "POSTGRESQL")
	load := newBlockLoad(newWorld(t, server))
	end := load.start()
	load.awaitMore()
	saved := load.written()
	guide.run("pg_dump")
	load.awaitMore()
	end()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	guide.run("pg_restore")
	server.Start()
	if said := runParsec(t, "backend", "check", "--db", dsn, "--blockstore", "POSTGRESQL", "--blocks", "deep"); !strings.Contains(said, "2 organizations checked") || !strings.Contains(said, "nothing wrong") {
		t.Errorf("check says %q", said)
	}
	load.wantBlocks(saved)
}
