//go:build !without_nginx

package parsec3_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// TestNginxAsItComes has nginx buffer, and speak HTTP/1.0 to the server, as it does
// with proxy_pass alone: events and keepalives arrive in time all the same
// (docs/protocol/v5/transport.md §6).
func TestNginxAsItComes(t *testing.T) {
	t.Parallel()
	const (
		keepalive = 6 * time.Second
		// What nginx keeps back comes with what is sent next, so later than soon after
		// an event, and than late after a keepalive.
		soon = 3 * time.Second
		late = keepalive * 18 / 10
	)
	server := testkit.StartParsec(t, program, "--sse-keepalive", "6")
	w := newWorld(t, server)
	device := w.found("alice")
	address := must(parsec.Parsec3Scheme.ParseServerAddress(
		"parsec3" + strings.TrimPrefix(testkit.NginxBefore(t, server.Address.HTTPOrigin(), ""), "http") + "?no_ssl=true"))
	through := client3.New(address, client3.LatestVersion, client.Options{})
	t.Cleanup(through.Close)
	alice := testclient3.NewResident(through, device)
	w.do("poll", alice.Poll(w.ctx))

	asked := time.Now()
	stream, err := through.OpenEvents(w.ctx, "/authenticated/"+w.organization.String()+"/events", http.Header{
		"Api-Version": {client3.LatestVersion.String()}, "Authorization": {device.Token(now())},
	})
	w.do("listen", err)
	defer func() { _ = stream.Close() }() // all that is wanted is read
	next := func(what, name string, since time.Time, limit time.Duration) time.Time {
		t.Helper()
		event, err := stream.Next()
		w.do(what, err)
		if took := time.Since(since); event.Name != name || took > limit {
			t.Errorf("%s is %q after %s", what, event.Name, took)
		}
		return time.Now()
	}
	last := next("the first event", "", asked, soon)
	for range 2 {
		last = next("a keepalive", "keepalive", last, late)
	}
	_, err = alice.AddDevice(w.ctx, must(parsec3.ParseDeviceLabel("phone")))
	w.do("add a device", err)
	last = next("an event", "", time.Now(), soon)
	next("a keepalive", "keepalive", last, late)
}
