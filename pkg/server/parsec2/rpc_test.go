package parsec2_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestHTTPVectors is http_rpc.json, over a real port.
func TestHTTPVectors(t *testing.T) {
	file := vectors.Load[struct {
		Requests []struct {
			Name    string            `json:"name"`
			Method  string            `json:"method"`
			Path    string            `json:"path"`
			Headers map[string]string `json:"headers"`
			Body    []byte            `json:"body"`
			Expect  struct {
				Status  int               `json:"status"`
				Headers map[string]string `json:"headers"`
				Reply   map[string]any    `json:"reply"`
			} `json:"expect"`
		} `json:"requests"`
	}](t, "http_rpc.json")
	f, _ := newVectorFixture(t)
	for _, item := range file.Requests {
		t.Run(item.Name, func(t *testing.T) {
			f := f.with(t)
			var headers []string
			for name, value := range item.Headers {
				headers = append(headers, name+": "+value)
			}
			response := f.do(item.Method, item.Path, item.Body, headers...)
			if response.StatusCode != item.Expect.Status {
				t.Fatalf("HTTP %d, want %d", response.StatusCode, item.Expect.Status)
			}
			for name, value := range item.Expect.Headers {
				if got := response.Header.Get(name); got != value {
					t.Errorf("%s: %s, want %s", name, got, value)
				}
			}
			if strings.HasSuffix(item.Path, "/events") && response.StatusCode == http.StatusOK {
				first, err := bufio.NewReader(response.Body).ReadString('\n')
				if first != ":keepalive\n" {
					t.Errorf("the stream begins with %q, %v", first, err)
				}
				return
			}
			body, err := io.ReadAll(response.Body)
			f.ok(err)
			if response.StatusCode != http.StatusOK {
				if len(body) > 0 {
					t.Errorf("the body is %q", body)
				}
				return
			}
			if response.Header.Get("Content-Type") != "application/msgpack" {
				t.Errorf("type %s", response.Header.Get("Content-Type"))
			}
			reply := decodeMap(t, body)
			for key, value := range item.Expect.Reply {
				if reply[key] != value {
					t.Errorf("%s is %v, want %v", key, reply[key], value)
				}
			}
		})
	}
}

// TestHTTPOrder removes the defects of a request one by one, in the order of
// docs/protocol/transport.md §7.2: the first that is left decides.
func TestHTTPOrder(t *testing.T) {
	f := newEmptyFixture(t)
	worst := organizationSetup{
		Devices: map[string]string{"alice@dev1": "alice_dev1"}, Expired: true,
		RevokedUsers: []string{"alice"}, FrozenUsers: []string{"alice"},
		Invitations: []invitationSetup{{pendingToken.String(), "USER", "deleted"}},
	}
	open, frozen, fine := worst, worst, worst
	open.Expired = false
	frozen.Expired, frozen.RevokedUsers = false, nil
	fine.Expired, fine.RevokedUsers, fine.FrozenUsers = false, nil, nil
	fine.Invitations = []invitationSetup{{pendingToken.String(), "USER", "pending"}}
	for name, setup := range map[string]organizationSetup{"Worst": worst, "Open": open, "Frozen": frozen, "Fine": fine} {
		f.populate(must(parsec.ParseOrganizationID(name)), setup)
	}
	const (
		version, contentType, accept = "Api-Version: 3.4", "Content-Type: application/msgpack", "Accept: text/event-stream"
		authorization, author        = "Authorization: PARSEC-SIGN-ED25519", "Author: YWxpY2VAZGV2MQ=="
		unknownAuthor                = "Author: YWxpY2VAZGV2OQ=="
		unknownToken                 = "Invitation-Token: 00000000000040008000000000000000"
	)
	token := "Invitation-Token: " + parsec.UUID(pendingToken).Hex()
	badBody, unknownCommand, ping := []byte("nonsense"), message("dummy"), message("ping", wire.Field{Key: "ping", Value: "x"})
	signatureOf := func(body []byte) string {
		return "Signature: " + base64.StdEncoding.EncodeToString(ed25519.Sign(f.device("alice@dev1").SigningKey, body))
	}
	badSignature := signatureOf([]byte("other"))
	for _, item := range []struct {
		method, path string
		headers      []string
		body         []byte
		status       int
	}{
		{"POST", "/authenticated/Unknown", []string{"Api-Version: 1.3"}, badBody, 422},
		{"POST", "/authenticated/Unknown", []string{version}, badBody, 404},
		{"POST", "/authenticated/Worst", []string{version}, badBody, 460},
		{"POST", "/authenticated/Open", []string{version}, badBody, 415},
		{"POST", "/authenticated/Open", []string{version, contentType}, badBody, 401},
		{"POST", "/authenticated/Open", []string{version, contentType, authorization}, badBody, 401},
		{"POST", "/authenticated/Open", []string{version, contentType, authorization, author}, badBody, 401},
		{"POST", "/authenticated/Open", []string{version, contentType, authorization, unknownAuthor, badSignature}, badBody, 401},
		{"POST", "/authenticated/Open", []string{version, contentType, authorization, author, badSignature}, badBody, 461},
		{"POST", "/authenticated/Frozen", []string{version, contentType, authorization, author, badSignature}, badBody, 462},
		{"POST", "/authenticated/Fine", []string{version, contentType, authorization, author, badSignature}, badBody, 401},
		{"POST", "/authenticated/Fine", []string{version, contentType, authorization, author, signatureOf(badBody)}, badBody, 415},
		{"POST", "/authenticated/Fine", []string{version, contentType, authorization, author, signatureOf(unknownCommand)}, unknownCommand, 415},
		{"POST", "/authenticated/Fine", []string{version, contentType, authorization, author, signatureOf(ping)}, ping, 200},

		{"POST", "/invited/Unknown", []string{"Api-Version: 1.3"}, badBody, 422},
		{"POST", "/invited/Unknown", []string{version}, badBody, 404},
		{"POST", "/invited/Worst", []string{version}, badBody, 460},
		{"POST", "/invited/Open", []string{version, token}, badBody, 415},
		{"POST", "/invited/Open", []string{version, contentType}, badBody, 415},
		{"POST", "/invited/Open", []string{version, contentType, unknownToken}, badBody, 404},
		{"POST", "/invited/Open", []string{version, contentType, token}, badBody, 410},
		{"POST", "/invited/Fine", []string{version, contentType, token}, badBody, 415},
		{"POST", "/invited/Fine", []string{version, contentType, token}, unknownCommand, 415},
		{"POST", "/invited/Fine", []string{version, contentType, token}, ping, 200},

		{"POST", "/anonymous/Unknown", []string{"Api-Version: 1.3"}, badBody, 422},
		{"POST", "/anonymous/Unknown", []string{version}, badBody, 404},
		{"POST", "/anonymous/Worst", []string{version}, badBody, 460},
		{"POST", "/anonymous/Open", []string{version}, badBody, 415},
		{"POST", "/anonymous/Open", []string{version, contentType}, badBody, 415},
		{"POST", "/anonymous/Open", []string{version, contentType}, unknownCommand, 415},
		{"POST", "/anonymous/Open", []string{version, contentType}, ping, 200},
		{"GET", "/anonymous/Worst", []string{version}, nil, 460},

		{"GET", "/authenticated/Unknown/events", []string{"Api-Version: 1.3"}, nil, 422},
		{"GET", "/authenticated/Unknown/events", []string{version}, nil, 404},
		{"GET", "/authenticated/Worst/events", []string{version}, nil, 460},
		{"GET", "/authenticated/Open/events", []string{version}, nil, 406},
		{"GET", "/authenticated/Open/events", []string{version, accept}, nil, 401},
		{"GET", "/authenticated/Open/events", []string{version, accept, authorization, author, badSignature}, nil, 461},
		{"GET", "/authenticated/Frozen/events", []string{version, accept, authorization, author, badSignature}, nil, 462},
		{"GET", "/authenticated/Fine/events", []string{version, accept, authorization, author, badSignature}, nil, 401},
		{"GET", "/authenticated/Fine/events", []string{version, accept, authorization, author, signatureOf(nil)}, nil, 200},
	} {
		response := f.do(item.method, item.path, item.body, item.headers...)
		if response.StatusCode != item.status {
			t.Errorf("%s %s %v: HTTP %d, want %d", item.method, item.path, item.headers, response.StatusCode, item.status)
		}
		if response.Header.Get("Api-Version") != "3.4" {
			t.Errorf("%s: Api-Version: %s", item.path, response.Header.Get("Api-Version"))
		}
	}
}

func TestSpontaneousBootstrapOverHTTP(t *testing.T) {
	f := newEmptyFixture(t, func(options *testkit.InstanceOptions) { options.Rules.SpontaneousBootstrap = true })
	ping := message("ping", wire.Field{Key: "ping", Value: "x"})
	for _, item := range []struct {
		method, path string
		status       int
	}{
		{http.MethodPost, "/anonymous/Unknown", http.StatusOK},
		{http.MethodPost, "/anonymous/not%20valid", http.StatusNotFound},
		{http.MethodGet, "/anonymous/Unknown", http.StatusNotFound},
		{http.MethodPost, "/authenticated/Unknown", http.StatusNotFound},
		{http.MethodPost, "/invited/Unknown", http.StatusNotFound},
	} {
		if response := f.do(item.method, item.path, ping, "Content-Type: application/msgpack"); response.StatusCode != item.status {
			t.Errorf("%s %s: HTTP %d, want %d", item.method, item.path, response.StatusCode, item.status)
		}
	}
}

func TestBodyLimit(t *testing.T) {
	f := newFixture(t)
	f.Parsec2.SetHandler(protocol.BlockCreate.Form, func(context.Context) (any, error) { return &protocol.EmptyReply{}, nil })
	rpc := f.client.AuthenticatedRPC(f.device("alice@dev1"), api3)
	_, err := rpc.RoundTrip(f.ctx, message("block_create",
		wire.Field{Key: "block_id", Value: parsec.BlockID{}}, wire.Field{Key: "realm_id", Value: parsec.RealmID{}},
		wire.Field{Key: "block", Value: make([]byte, 1<<20)}))
	f.ok(err)
	_, err = rpc.RoundTrip(f.ctx, make([]byte, server.MaxBodyBytes+1))
	f.wantStatus(err, http.StatusRequestEntityTooLarge)
}
