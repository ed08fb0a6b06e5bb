package parsec3_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec2"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// What a device of one generation signs lets nobody in by the other, whatever the
// version announced: neither a token where a signature of the body is wanted, nor the
// reverse.
func TestSignaturesOfTheOtherGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.StartParsec(t, program))
	younger, older := w.found("alice"), newOlder(w, newLoad()).device
	body := must(wire.Microseconds.Append(nil, map[string]any{"cmd": "ping", "ping": "hello"}))
	signature := func(author string, key ed25519.PrivateKey) http.Header {
		text := base64.StdEncoding.EncodeToString
		return http.Header{
			"Authorization": {"PARSEC-SIGN-ED25519"}, "Author": {text([]byte(author))}, "Signature": {text(ed25519.Sign(key, body))},
		}
	}
	token := func(key ed25519.PrivateKey) http.Header {
		device := client3.Device{ID: younger.ID, SigningKey: key}
		return http.Header{"Authorization": {device.Token(now())}}
	}
	for _, test := range []struct {
		name         string
		organization parsec.OrganizationID
		version      string
		header       http.Header
		status       int
		supported    string
	}{
		{"a token", younger.Organization, "5.6", token(younger.SigningKey), 200, ""},
		{"a signature", older.Organization, "3.4", signature(older.ID.String(), older.SigningKey), 200, ""},
		{"a signature as API 5", younger.Organization, "5.6", signature(younger.ID.String(), younger.SigningKey), 401, ""},
		{"a signature of API 3 as API 5", older.Organization, "5.6", signature(older.ID.String(), older.SigningKey), 401, ""},
		{"a signature of API 5 as API 3", younger.Organization, "3.4", signature(younger.ID.String(), younger.SigningKey), 422, "5.6"},
		{"a signature of API 5 without version", younger.Organization, "", signature(younger.ID.String(), younger.SigningKey), 422, "5.6"},
		{"a token as API 3", older.Organization, "3.4", token(older.SigningKey), 401, ""},
		{"a token of API 5 as API 3", younger.Organization, "3.4", token(younger.SigningKey), 422, "5.6"},
		{"a token of API 3 as API 5", older.Organization, "5.6", token(older.SigningKey), 422, "2.10;3.4"},
	} {
		r := must(http.NewRequestWithContext(w.ctx, http.MethodPost,
			w.addresses[0].HTTPOrigin()+"/authenticated/"+test.organization.String(), bytes.NewReader(body)))
		r.Header = test.header
		r.Header.Set("Content-Type", "application/msgpack")
		if test.version != "" {
			r.Header.Set("Api-Version", test.version)
		}
		response, err := http.DefaultClient.Do(r)
		w.do(test.name, err)
		w.do(test.name, response.Body.Close())
		if response.StatusCode != test.status || response.Header.Get("Supported-Api-Versions") != test.supported && test.status == 422 {
			t.Errorf("%s: HTTP %d, %v", test.name, response.StatusCode, response.Header)
		}
	}
}

// Over WebSocket every kind of client is told which program to install.
func TestHandshakesInAnOrganizationOfParsec3(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.StartParsec(t, program))
	younger, older := w.found("alice"), newOlder(w, newLoad())
	strayed := *older.device
	strayed.Organization = younger.Organization
	invitation := w.addresses[0].InvitationAddress(younger.Organization, parsec.InvitationUser, parsec.InvitationToken(parsec.NewUUID()))
	for name, dial := range map[string]func() (*parsec2.Conn, error){
		"API 1 anonymous": func() (*parsec2.Conn, error) { return older.client.DialAnonymous(w.ctx, younger.Organization, nil) },
		"API 1 with its key": func() (*parsec2.Conn, error) {
			return older.client.DialAnonymous(w.ctx, younger.Organization, &younger.RootVerifyKey)
		},
		"API 1 authenticated": func() (*parsec2.Conn, error) {
			return older.client.DialAuthenticated(w.ctx, &strayed, parsec.APIVersion{Major: 1, Minor: 3})
		},
		"API 2 authenticated": func() (*parsec2.Conn, error) {
			return older.client.DialAuthenticated(w.ctx, &strayed, parsec.APIVersion{Major: 2, Minor: 10})
		},
		"API 3 authenticated": func() (*parsec2.Conn, error) { return older.client.DialAuthenticated(w.ctx, &strayed, api3) },
		"API 3 invited":       func() (*parsec2.Conn, error) { return older.client.DialInvited(w.ctx, invitation, api3) },
	} {
		conn, err := dial()
		if refused, is := errors.AsType[*parsec2.HandshakeError](err); !is || refused.Result != "bad_protocol" || !strings.Contains(refused.Help, "Parsec 3") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			conn.CloseNow()
		}
	}
}
