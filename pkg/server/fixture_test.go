package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// patience bounds how long a test waits for what must happen.
const patience = 60 * time.Second

// fixture is an instance without organization.
type fixture struct {
	*testkit.Instance
	t     testing.TB
	ctx   context.Context // ends when patience does
	clock *testkit.Clock
}

// newEmptyFixture ends with the test.
func newEmptyFixture(t testing.TB, changes ...func(*testkit.InstanceOptions)) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	f := &fixture{t: t, ctx: ctx, clock: testkit.NewClock(must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z")))}
	options := testkit.InstanceOptions{Now: f.clock.Now}
	for _, change := range changes {
		change(&options)
	}
	f.Instance = testkit.Start(t, options)
	return f
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// get sends a request whose headers are "Name: value", and follows nothing.
func (f *fixture) get(target string, headers ...string) *http.Response {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, f.Address.HTTPOrigin()+target, bytes.NewReader(nil))
	f.ok(err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Add(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	f.ok(err)
	f.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// must is for what does not depend on the code under test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
