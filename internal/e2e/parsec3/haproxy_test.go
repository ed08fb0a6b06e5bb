//go:build !without_postgresql && !without_haproxy

package parsec3_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// TestUploadsOverHAProxy replaces two servers behind a real HAProxy, one after the
// other: each is out of the balancer before it stops.
func TestUploadsOverHAProxy(t *testing.T) {
	t.Parallel()
	dsn := testkit.NewPostgres(t)
	servers := make([]*testkit.Parsec, 2)
	for i := range servers {
		servers[i] = testkit.StartParsec(t, program, "--db", dsn, "--blockstore", "POSTGRESQL", "--shutdown-delay", "2")
	}
	w := newWorld(t, servers...)
	proxy := balance(t, servers)
	w.addresses = []parsec.ServerAddress{must(parsec.ParseServerAddress("parsec://" + proxy + "?no_ssl=true"))}
	for place := range servers {
		awaitBehind(w.ctx, t, proxy, place)
	}
	replaced := 0
	w.uploadOver(func() {
		place := replaced % len(servers)
		replaced++
		if err := servers[place].Stop(); err != nil {
			t.Errorf("server %d ends with %v", place, err)
		}
		servers[place].Start()
		awaitBehind(w.ctx, t, proxy, place)
	})
}

// answeredBy is the header that names the server.
const answeredBy = "X-Answered-By"

// balance runs HAProxy in front of servers, and returns its address.
func balance(t *testing.T, servers []*testkit.Parsec) string {
	t.Helper()
	address := "127.0.0.1:" + testkit.FreePort(t)
	configuration := `
defaults
	mode http
	timeout connect 30s
	timeout check 30s
	timeout client 120s
	timeout server 120s
	option redispatch 1
	retries 3
frontend clients
	bind ` + address + `
	default_backend servers
backend servers
	balance roundrobin
	option httpchk GET /readyz
	http-response set-header ` + answeredBy + ` %s
`
	for i, server := range servers {
		configuration += fmt.Sprintf("\tserver %d %s check inter 100ms fall 1 rise 1\n", i, hostAndPort(server.Address))
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	process := testkit.StartProcess(t, nil, testkit.FindProgram(t, "haproxy", "apt-get install haproxy"), "-db", "-f", file)
	process.AwaitPort(t, address[strings.LastIndex(address, ":")+1:])
	return address
}

// awaitBehind waits until HAProxy sends requests to a server.
func awaitBehind(ctx context.Context, t *testing.T, proxy string, place int) {
	t.Helper()
	testkit.Await(t, "HAProxy takes the server", func() bool { return behind(ctx, proxy) == fmt.Sprint(place) })
}

// behind returns which server answers a request to the proxy, "" for none.
func behind(ctx context.Context, proxy string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+proxy+"/healthz", nil)
	if err != nil {
		return ""
	}
	request.Close = true
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return ""
	}
	_ = answer.Body.Close()
	return answer.Header.Get(answeredBy)
}
