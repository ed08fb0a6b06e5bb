// Command check is the test command of the project: vet, linters, a look for
// functions that no command reaches, every test with the race detector, on real
// components, and a minute of fuzzing. It needs nothing but Go:
// where there is no C compiler, which the race detector needs, or no server of
// some kind, it says so and tests without. With -long, tests that have larger
// numbers take them, which lasts an hour or so.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// toolsModule holds the tools, apart from the product.
const toolsModule = "internal/tools/go.mod"

func main() {
	long := flag.Bool("long", false, "test with larger numbers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := check(ctx, os.Stdout, *long)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stdout, "check: %v\n", err)
		os.Exit(1)
	}
}

func check(ctx context.Context, out io.Writer, long bool) error {
	limit := "20m"
	if long {
		limit = "90m"
		if err := os.Setenv("PARSEC_TEST_LONG", "1"); err != nil { // see testkit.Long
			return err
		}
	}
	gopath, err := goEnvironment(ctx, "GOPATH")
	if err != nil {
		return err
	}
	missing, err := missingTags(ctx, out, gopath)
	if err != nil {
		return err
	}
	programs, err := os.MkdirTemp("", "parsec-test-programs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(programs)                                        //nolint:errcheck // it is of the system
	if err := os.Setenv("PARSEC_TEST_PROGRAMS", programs); err != nil { // see testkit.BuildParsec
		return err
	}
	tags := "-tags=" + strings.Join(missing, ",")
	// What one checkout has built serves the next one, wherever that is.
	if err := os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath")); err != nil {
		return err
	}
	// Most packages wait for processes that they start more than they compute.
	tests := []string{"test", tags, "-timeout", limit, "-p", strconv.Itoa(runtime.NumCPU() + 1)}
	if hasCompiler(ctx) {
		tests = append(tests, "-race")
	} else {
		fmt.Fprintln(out, "check: no C compiler, so the tests run without the race detector")
	}
	// Another check on this machine, of anybody, is no reason to fail.
	lint := []string{"tool", "-modfile=" + toolsModule, "golangci-lint", "run", "--allow-parallel-runners"}
	if len(missing) > 0 {
		// What only tests use that are left out is not to blame.
		lint = append(lint, "--build-tags="+strings.Join(missing, ","), "--disable=unused,unparam")
	}
	for _, step := range [][]string{{"vet", tags, "./..."}, append(lint, "./...")} {
		if err := run(ctx, out, nil, step); err != nil {
			return err
		}
	}
	if err := checkReached(ctx, out, ".", "./cmd/parsec"); err != nil {
		return err
	}
	for _, step := range [][]string{
		append(tests, "./..."),
		// The files for Kubernetes and Docker Compose, with a module of its own for
		// what reads them.
		{"test", "-C", "internal/manifests", "./..."},
	} {
		if err := run(ctx, out, nil, step); err != nil {
			return err
		}
	}
	if err := fuzz(ctx, out, tags, long); err != nil {
		return err
	}
	if slices.Contains(missing, postgreSQLTag) {
		return nil
	}
	// The rules, and the stories of clients, hold on every store. Those that
	// choose their store themselves, or run the command, have run.
	return run(ctx, out, []string{"PARSEC_TEST_STORE=POSTGRESQL"},
		slices.Concat(tests, []string{"-skip", "^(" + strings.Join(onOwnStore, "|") + ")$"}, onEveryStore))
}

// onOwnStore are the tests of these packages that do not get their store from the
// environment.
var onOwnStore = []string{
	"TestRAIDLosesNothing", "TestBrowser", "TestBinary", "TestPlatform", "TestOfficialFiles", "TestAdministrationDocument",
	"TestEnrolmentsOnPostgreSQL", "TestRendezvousOnTwoInstances",
}

// onEveryStore are the packages whose tests run on PostgreSQL, too.
var onEveryStore = []string{"./pkg/parsec2/rules", "./pkg/parsec3/rules", "./pkg/parsec3/export", "./internal/e2e"}

// fuzzed are the fuzz tests of what strangers send. The tests run all of them on their
// seeds alone.
var fuzzed = []struct{ target, folder string }{
	{"FuzzScan", "./pkg/wire"},
	{"FuzzUnmarshal", "./pkg/wire"},
	{"FuzzDeviceToken", "./pkg/server/parsec3"},
	{"FuzzCommands", "./pkg/server/parsec3"},
	{"FuzzLoad", "./pkg/parsec3/certificate"},
	{"FuzzReadLink", "./pkg/parsec3/rules"},
}

// fuzz looks for new inputs for a while.
func fuzz(ctx context.Context, out io.Writer, tags string, long bool) error {
	each := "10s"
	if long {
		each = "5m"
	}
	for _, test := range fuzzed {
		if err := run(ctx, out, nil, []string{"test", tags, "-run", "^$", "-fuzz", "^" + test.target + "$", "-fuzztime", each, test.folder}); err != nil {
			return err
		}
	}
	return nil
}

// checkReached fails when the module in folder has functions that the command
// does not reach: what only tests need is in internal/testkit.
func checkReached(ctx context.Context, out io.Writer, folder, command string) error {
	modfile, err := filepath.Abs(toolsModule)
	if err != nil {
		return err
	}
	var found bytes.Buffer
	tool := exec.CommandContext(ctx, "go", "tool", "-modfile="+modfile, "deadcode", command)
	tool.Dir, tool.Stdout, tool.Stderr = folder, &found, out
	fmt.Fprintf(out, "check: %s\n", strings.Join(tool.Args, " "))
	if err := tool.Run(); err != nil {
		return fmt.Errorf("deadcode: %w", err)
	}
	if found.Len() > 0 {
		return fmt.Errorf("no command reaches:\n%s", &found)
	}
	return nil
}

// run runs the Go tool and prints what it does.
func run(ctx context.Context, out io.Writer, environment, arguments []string) error {
	start := time.Now()
	name := strings.Join(slices.Concat(environment, []string{"go"}, arguments), " ")
	fmt.Fprintf(out, "check: %s\n", name)
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = out, out
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(out, "check: took %s\n", time.Since(start).Round(time.Second))
	return nil
}

// hasCompiler reports whether Go can use cgo.
func hasCompiler(ctx context.Context) bool {
	enabled, err := goEnvironment(ctx, "CGO_ENABLED")
	if err != nil || enabled != "1" {
		return false
	}
	compiler, err := goEnvironment(ctx, "CC")
	if err != nil {
		return false
	}
	_, err = exec.LookPath(compiler)
	return err == nil
}

func goEnvironment(ctx context.Context, name string) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(output)), nil
}
