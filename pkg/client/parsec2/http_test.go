package parsec2_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// rpcHandler shows each request and refuses it with status "tested".
func rpcHandler(t *testing.T, show func(request map[any]any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		show(decode(body))
		w.Header().Set("Content-Type", "application/msgpack")
		_, _ = w.Write(must(wire.Marshal(map[string]any{"status": "tested", "reason": "It is a test."})))
	})
}

type rpcVector struct {
	Name    string            `json:"name"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
}

// TestHTTPRequests makes the requests of the vectors that official clients
// would send.
func TestHTTPRequests(t *testing.T) {
	ping := func(rpc *parsec2.RPC) error {
		reply, err := parsec2.Call(t.Context(), rpc, protocol.Ping, &protocol.PingRequest{Ping: "foo"})
		if err == nil && reply.Pong != "foo" {
			err = fmt.Errorf("pong %s", reply.Pong)
		}
		return err
	}
	device := alice(t)
	v2, v3 := parsec.APIVersion{Major: 2, Minor: 10}, parsec.APIVersion{Major: 3, Minor: 4}
	invitation := clearAddress(t, "localhost").InvitationAddress(device.Organization, parsec.InvitationUser,
		parsec.InvitationToken(must(parsec.ParseUUID("9931e631856b4b268b6605d5096c6e83"))))
	calls := map[string]func(c *parsec2.Client) error{
		"authenticated_ok":    func(c *parsec2.Client) error { return ping(c.AuthenticatedRPC(device, v3)) },
		"authenticated_api_2": func(c *parsec2.Client) error { return ping(c.AuthenticatedRPC(device, v2)) },
		"anonymous_ok":        func(c *parsec2.Client) error { return ping(c.AnonymousRPC(device.Organization, v3)) },
		"anonymous_api_2":     func(c *parsec2.Client) error { return ping(c.AnonymousRPC(device.Organization, v2)) },
		"invited_ok":          func(c *parsec2.Client) error { return ping(c.InvitedRPC(invitation, v3)) },
		"invited_api_2":       func(c *parsec2.Client) error { return ping(c.InvitedRPC(invitation, v2)) },
		"events_ok": func(c *parsec2.Client) error {
			stream, err := c.AuthenticatedRPC(device, v3).ServerSentEvents(t.Context())
			if err != nil {
				return err
			}
			return stream.Close()
		},
	}
	data := vectors.Load[struct {
		Requests []rpcVector `json:"requests"`
	}](t, "http_rpc.json")
	for _, item := range data.Requests {
		call := calls[item.Name]
		if call == nil {
			continue
		}
		delete(calls, item.Name)
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			compareRequest(t, item, r)
			if item.Name == "events_ok" {
				w.Header().Set("Content-Type", "text/event-stream")
				return
			}
			w.Header().Set("Content-Type", "application/msgpack")
			_, _ = w.Write(must(wire.Marshal(map[string]any{"status": "ok", "pong": "foo"})))
		}))
		if err := call(c); err != nil {
			t.Errorf("%s: %v", item.Name, err)
		}
	}
	for name := range calls {
		t.Errorf("%s: no such vector", name)
	}
}

func compareRequest(t *testing.T, want rpcVector, got *http.Request) {
	body, err := io.ReadAll(got.Body)
	if err != nil || string(body) != string(want.Body) {
		t.Errorf("%s: body %x (%v), want %x", want.Name, body, err, want.Body)
	}
	if got.Method != want.Method || got.URL.EscapedPath() != want.Path {
		t.Errorf("%s: %s %s", want.Name, got.Method, got.URL)
	}
	for name, value := range want.Headers {
		if got.Header.Get(name) != value {
			t.Errorf("%s: header %s: %q, want %q", want.Name, name, got.Header.Get(name), value)
		}
	}
}

func TestHTTPOrganizationIsEscaped(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/anonymous/%C3%A9" {
			t.Errorf("path %s", r.URL.EscapedPath())
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	_, err := parsec2.Call(t.Context(), c.AnonymousRPC(must(parsec.ParseOrganizationID("é")), parsec.APIVersion{Major: 3}), protocol.Ping, &protocol.PingRequest{})
	if err == nil {
		t.Error("HTTP 404 is no error")
	}
}

func TestHTTPStatuses(t *testing.T) {
	for _, status := range []int{301, 401, 404, 405, 410, 415, 422, 460, 461, 462, 500, 503} {
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Api-Version", "3.4")
			w.Header().Set("Supported-Api-Versions", "2.10;3.4")
			w.WriteHeader(status)
		}))
		rpc := c.AuthenticatedRPC(alice(t), parsec.APIVersion{Major: 3, Minor: 4})
		want := client.HTTPError{Status: status, APIVersion: "3.4", SupportedAPIVersions: "2.10;3.4"}
		_, err := parsec2.Call(t.Context(), rpc, protocol.Ping, &protocol.PingRequest{})
		if failure, ok := errors.AsType[*client.HTTPError](err); !ok || *failure != want {
			t.Errorf("ping, HTTP %d: %v", status, err)
		}
		_, err = rpc.ServerSentEvents(t.Context())
		if failure, ok := errors.AsType[*client.HTTPError](err); !ok || *failure != want {
			t.Errorf("events, HTTP %d: %v", status, err)
		}
	}
}

func TestHTTPReplyOfAnotherType(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
	}))
	rpc := c.AuthenticatedRPC(alice(t), parsec.APIVersion{Major: 3, Minor: 4})
	if _, err := parsec2.Call(t.Context(), rpc, protocol.Ping, &protocol.PingRequest{}); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("ping: %v", err)
	}
	if _, err := rpc.ServerSentEvents(t.Context()); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("events: %v", err)
	}
}

func TestHTTPReplyTooLong(t *testing.T) {
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/msgpack")
		for range 65 { // the client goes when it has read too much
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		}
	}))
	_, err := parsec2.Call(t.Context(), c.AnonymousRPC(alice(t).Organization, parsec.APIVersion{Major: 3}), protocol.Ping, &protocol.PingRequest{})
	if !errors.Is(err, client.ErrProtocol) || !strings.Contains(err.Error(), "over 67108864 bytes") {
		t.Errorf("error %v", err)
	}
}
