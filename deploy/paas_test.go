//go:build !without_postgresql && !without_bash

package deploy_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
)

// token is one that nobody guesses.
const token = "V7r2kQ0fXcPz9mWb4nLs"

// paas is an application on a platform that runs the lines of a Procfile.
type paas struct {
	t           *testing.T
	ctx         context.Context
	processes   map[string]string
	environment []string
	origin      string
}

// newPaaS sets what the manifest says, and what the platform says beside it.
// Nothing of this machine is set.
func newPaaS(t *testing.T, manifest string, platform ...string) *paas {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	port := testkit.FreePort(t)
	p := &paas{t: t, ctx: ctx, processes: procfile(t), origin: "http://127.0.0.1:" + port}
	p.environment = []string{"PORT=" + port, "HOME=" + application, "PATH=" + os.Getenv("PATH"), "DATABASE_URL=" + databaseURL(t)}
	p.environment = append(p.environment, platform...)
	return p.configure(manifest)
}

// procfile returns the lines of the Procfile by the types of their processes.
func procfile(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile("../Procfile")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^([A-Za-z0-9_-]+):\s*(.+)$`).FindAllStringSubmatch(string(content), -1) {
		lines[line[1]] = line[2]
	}
	return lines
}

// databaseURL returns the address of a database as platforms write it.
func databaseURL(t *testing.T) string {
	t.Helper()
	config, err := pgx.ParseConfig(testkit.NewBlankPostgres(t))
	if err != nil {
		t.Fatal(err)
	}
	address := url.URL{Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Path: "/" + config.Database}
	query := url.Values{"host": {config.Host}}
	if config.TLSConfig == nil {
		query.Set("sslmode", "disable")
	}
	address.RawQuery = query.Encode()
	return address.String()
}

// configure sets the variables of a manifest: those with a value, those that
// the platform generates, and those that it asks the owner for.
func (p *paas) configure(manifest string) *paas {
	p.t.Helper()
	content, err := os.ReadFile("../" + manifest)
	if err != nil {
		p.t.Fatal(err)
	}
	var parsed struct {
		Env map[string]struct{ Value, Generator string }
	}
	if err := json.Unmarshal(content, &parsed); err != nil {
		p.t.Fatalf("%s: %v", manifest, err)
	}
	for name, variable := range parsed.Env {
		value := variable.Value
		switch {
		case variable.Generator == "secret":
			value = token
		case name == "PARSEC_BACKEND_ADDR":
			value = "parsec://parsec.example.com"
		}
		if value == "" {
			p.t.Errorf("%s: %s has no value", manifest, name)
		}
		p.environment = append(p.environment, name+"="+value)
	}
	return p
}

// command returns how platforms run a line, in a shell in the folder of the
// application.
func (p *paas) command(kind string) (program string, arguments []string) {
	p.t.Helper()
	line, found := p.processes[kind]
	if !found {
		p.t.Fatalf("the Procfile has no %s", kind)
	}
	arguments = append([]string{"--ignore-environment", "--chdir=" + application}, p.environment...)
	return "env", append(arguments, "bash", "-c", line)
}

// once runs a process that ends.
func (p *paas) once(kind string) {
	p.t.Helper()
	program, arguments := p.command(kind)
	if output, err := exec.CommandContext(p.ctx, program, arguments...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v: %s", kind, err, output)
	}
}

// web starts the process that serves, and waits until it answers like that.
func (p *paas) web(status int) *testkit.Process {
	p.t.Helper()
	program, arguments := p.command("web")
	process := testkit.StartProcess(p.t, nil, program, arguments...)
	p.await(process, status)
	return process
}

func (p *paas) await(process *testkit.Process, status int) {
	p.t.Helper()
	process.Await(p.t, func(ctx context.Context) error {
		return testkit.GetStatus(ctx, p.origin+"/readyz", status)
	})
}

// use has a client store a file, and requests come by the router of the
// platform.
func (p *paas) use() {
	p.t.Helper()
	address := must(parsec.ParseServerAddress(strings.Replace(p.origin, "http", "parsec", 1) + "?no_ssl=true"))
	c := parsec2.New(address, client.Options{})
	defer c.Close()
	device := found(p.ctx, p.t, c, address, token)
	conn, err := c.DialAuthenticated(p.ctx, device)
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.CloseNow()
	store(p.ctx, p.t, conn, device).read(p.ctx, p.t, conn)
	for proto, want := range map[string]int{"http": http.StatusMovedPermanently, "https": http.StatusOK} {
		if got := get(p.ctx, p.t, http.DefaultTransport, p.origin+"/", http.Header{"X-Forwarded-Proto": {proto}}); got.StatusCode != want {
			p.t.Errorf("a request that the router got by %s: %s", proto, got.Status)
		}
	}
	if got := get(p.ctx, p.t, http.DefaultTransport, p.origin+"/redirect/Acme", nil); got.Header.Get("Location") != "parsec://parsec.example.com/Acme" {
		p.t.Errorf("/redirect goes to %q", got.Header.Get("Location"))
	}
}

// end does what platforms do before they start another container.
func (p *paas) end(process *testkit.Process) {
	p.t.Helper()
	if err := process.Stop(); err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
	if strings.Contains(process.Output(), "unknown variable") {
		p.t.Errorf("printed %s", process.Output())
	}
}

// TestHeroku migrates before the web processes start.
func TestHeroku(t *testing.T) {
	t.Parallel()
	p := newPaaS(t, "app.json", "DYNO=web.1")
	p.once("release")
	process := p.web(http.StatusOK)
	p.use()
	p.end(process)
}

// TestScalingo migrates when the web processes run already.
func TestScalingo(t *testing.T) {
	t.Parallel()
	p := newPaaS(t, "scalingo.json", "CONTAINER=web-1")
	process := p.web(http.StatusServiceUnavailable)
	p.once("postdeploy")
	p.await(process, http.StatusOK)
	p.use()
	p.end(process)
}

// TestPaaSArguments has every option in PARSEC_CMD_ARGS, which follows each
// line of the Procfile.
func TestPaaSArguments(t *testing.T) {
	t.Parallel()
	p := newPaaS(t, "app.json", "DYNO=web.1")
	p.environment = append(p.environment, "PARSEC_CMD_ARGS=--db=$DATABASE_URL --port=$PORT --log-level=WARNING")
	p.once("release")
	p.end(p.web(http.StatusOK))
}
