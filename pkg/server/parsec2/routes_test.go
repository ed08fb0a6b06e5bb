package parsec2_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/server"
	wing "parsec-server/pkg/server/parsec2"
)

func TestUpgrade(t *testing.T) {
	f := newEmptyFixture(t)
	official := upgradeHeaders()
	for _, item := range []struct {
		name    string
		target  string
		headers []string
		status  int
	}{
		{"official client", "/ws", official, http.StatusSwitchingProtocols},
		{"query", "/ws?x=1", official, http.StatusSwitchingProtocols},
		{"token lists", "/ws", append([]string{"Connection: keep-alive, UPGRADE", "Upgrade: foo, websocket"}, official[2:]...), http.StatusSwitchingProtocols},
		{"any origin", "/ws", append([]string{"Origin: https://elsewhere.example"}, official...), http.StatusSwitchingProtocols},
		{"plain GET", "/ws", nil, http.StatusBadRequest},
		{"no Connection", "/ws", official[1:], http.StatusBadRequest},
		{"no Upgrade", "/ws", append([]string{official[0]}, official[2:]...), http.StatusBadRequest},
		{"no version", "/ws", append([]string{official[3]}, official[:2]...), http.StatusBadRequest},
		{"other version", "/ws", append([]string{"Sec-WebSocket-Version: 8", official[3]}, official[:2]...), http.StatusBadRequest},
		{"no key", "/ws", official[:3], http.StatusBadRequest},
		{"bad key", "/ws", append([]string{"Sec-WebSocket-Key: short"}, official[:3]...), http.StatusBadRequest},
		{"other path", "/", official, http.StatusOK},
		{"below", "/ws/", official, http.StatusNotFound},
		{"other case", "/WS", official, http.StatusNotFound},
	} {
		_, response := f.tryUpgrade(item.target, item.headers...)
		if response.StatusCode != item.status {
			t.Errorf("%s: HTTP %d, want %d", item.name, response.StatusCode, item.status)
		}
		for _, header := range []string{"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
			if value := response.Header.Get(header); value != "" {
				t.Errorf("%s: %s: %s", item.name, header, value)
			}
		}
	}
	if response := f.do(http.MethodPost, "/ws", nil); response.StatusCode != http.StatusNotFound {
		t.Errorf("POST: HTTP %d", response.StatusCode)
	}
}

func TestUpgradeIgnoresSubprotocolsAndCompression(t *testing.T) {
	f := newEmptyFixture(t)
	_, response := f.tryUpgrade("/ws", append(upgradeHeaders(),
		"Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate")...)
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Sec-WebSocket-Protocol") != "" ||
		response.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("HTTP %d %v", response.StatusCode, response.Header)
	}
}

func TestRoutes(t *testing.T) {
	f := newFixture(t)
	for _, item := range []struct {
		method, target string
		status         int
		allow          string
	}{
		{http.MethodOptions, "/anonymous/CoolOrg", http.StatusMethodNotAllowed, "POST, GET"},
		{http.MethodGet, "/anonymous", http.StatusNotFound, ""},
		{http.MethodGet, "/anonymous/", http.StatusNotFound, ""},
		{http.MethodGet, "/anonymous/CoolOrg/x", http.StatusNotFound, ""},
		{http.MethodPut, "/anonymous/CoolOrg", http.StatusMethodNotAllowed, "POST, GET"},
		{http.MethodGet, "/authenticated/CoolOrg", http.StatusMethodNotAllowed, "POST"},
		{http.MethodHead, "/authenticated/CoolOrg", http.StatusMethodNotAllowed, "POST"},
		{http.MethodHead, "/anonymous/CoolOrg", http.StatusMethodNotAllowed, "POST, GET"},
		{http.MethodHead, "/authenticated/CoolOrg/events", http.StatusMethodNotAllowed, "GET"},
		{http.MethodHead, "/invited/CoolOrg", http.StatusMethodNotAllowed, "POST"},
		{http.MethodGet, "/invited/CoolOrg", http.StatusMethodNotAllowed, "POST"},
		{http.MethodPost, "/authenticated/CoolOrg/events", http.StatusMethodNotAllowed, "GET"},
	} {
		response := f.do(item.method, item.target, nil)
		if response.StatusCode != item.status || response.Header.Get("Allow") != item.allow {
			t.Errorf("%s %s: HTTP %d, Allow %q", item.method, item.target, response.StatusCode, response.Header.Get("Allow"))
		}
		if server := response.Header.Get("Server"); server != "parsec" {
			t.Errorf("%s %s: Server: %s", item.method, item.target, server)
		}
	}
}

func withLostStore(options *testkit.InstanceOptions) {
	options.WrapStore = func(store rules.Store) rules.Store { return &lostStore{store} }
}

func TestReadiness(t *testing.T) {
	f := newEmptyFixture(t, withLostStore)
	response := f.get("/readyz")
	body, err := io.ReadAll(response.Body)
	f.ok(err)
	if response.StatusCode != http.StatusServiceUnavailable || !bytes.Contains(body, []byte(errBroken.Error())) {
		t.Errorf("readyz: HTTP %d %s", response.StatusCode, body)
	}
	// Never a refused handshake: clients would take it as final.
	for _, target := range []string{"/ws", "/anonymous/CoolOrg"} {
		_, response := f.tryUpgrade(target, upgradeHeaders()...)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: HTTP %d, Retry-After %q", target, response.StatusCode, response.Header.Get("Retry-After"))
		}
	}
}

func TestDrainingServerRefuses(t *testing.T) {
	f := newEmptyFixture(t)
	front := server.New(f.Organizations, f.clock.Now, discard(), server.Options{}, func(s *server.Server) server.Wing {
		return wing.New(s, f.Rules, f.Organizations, wing.Options{})
	})
	front.Shutdown(f.ctx)
	upgrade := httptest.NewRequestWithContext(f.ctx, http.MethodGet, "/ws", nil)
	for _, header := range upgradeHeaders() {
		name, value, _ := strings.Cut(header, ": ")
		upgrade.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	front.Handler().ServeHTTP(answer, upgrade)
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("HTTP %d", answer.Code)
	}
	if answer.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
