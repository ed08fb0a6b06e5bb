package parsec2_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"testing"

	"parsec-server/pkg/wire"
)

// The media types and schemes of requests are compared as RFC 9110 says.
func TestHeadersAreComparedAsTheRFCsSay(t *testing.T) {
	f := newFixture(t)
	ping := message("ping", wire.Field{Key: "ping", Value: "x"})
	device := f.device("bob@dev1")
	signed := func(body []byte) []string {
		return []string{
			"Author: " + base64.StdEncoding.EncodeToString([]byte(device.ID.String())),
			"Signature: " + base64.StdEncoding.EncodeToString(ed25519.Sign(device.SigningKey, body)),
		}
	}
	for contentType, want := range map[string]int{
		"application/msgpack":                              http.StatusOK,
		"application/msgpack; charset=utf-8":               http.StatusOK,
		"application/msgpack;charset=utf-8":                http.StatusOK,
		"Application/MsgPack ; q":                          http.StatusOK,
		"application/x-www-form-urlencoded; charset=utf-8": http.StatusOK,
		"application/msgpackx":                             http.StatusUnsupportedMediaType,
		"application/json; x=application/msgpack":          http.StatusUnsupportedMediaType,
		"; application/msgpack":                            http.StatusUnsupportedMediaType,
		"":                                                 http.StatusUnsupportedMediaType,
	} {
		headers := append(signed(ping), "Content-Type: "+contentType, "authorization: PARSEC-SIGN-ED25519")
		if response := f.do(http.MethodPost, "/authenticated/CoolOrg", ping, headers...); response.StatusCode != want {
			t.Errorf("Content-Type %q: HTTP %d, want %d", contentType, response.StatusCode, want)
		}
	}
	for accept, want := range map[string]int{
		"text/event-stream":                 http.StatusOK,
		"text/event-stream, */*":            http.StatusOK,
		"text/html,Text/Event-Stream;q=0.1": http.StatusOK,
		"text/html, text/*;q=0.5":           http.StatusOK,
		"*/*":                               http.StatusOK,
		"text/event-stream; charset=utf-8":  http.StatusOK,
		"*/*;q=0, text/event-stream":        http.StatusOK,
		"text/html":                         http.StatusNotAcceptable,
		"application/*":                     http.StatusNotAcceptable,
		"text/event-stream;q=0":             http.StatusNotAcceptable,
		"*/*, text/event-stream; q=0.000":   http.StatusNotAcceptable,
		"*/*, text/*;Q=0":                   http.StatusNotAcceptable,
		"text/event-streams":                http.StatusNotAcceptable,
		",":                                 http.StatusNotAcceptable,
		"text/html; x=\"a\", application/x;text/event-stream": http.StatusNotAcceptable,
	} {
		headers := append(signed(nil), "Accept: "+accept, "Authorization: PARSEC-SIGN-ED25519")
		if response := f.get("/authenticated/CoolOrg/events", headers...); response.StatusCode != want {
			t.Errorf("Accept %q: HTTP %d, want %d", accept, response.StatusCode, want)
		}
	}
	for _, scheme := range []string{"PARSEC-SIGN-ED25519", "parsec-sign-ed25519"} {
		headers := append(signed(ping), "Content-Type: application/msgpack", "Authorization: "+scheme)
		if response := f.do(http.MethodPost, "/authenticated/CoolOrg", ping, headers...); response.StatusCode != http.StatusOK {
			t.Errorf("Authorization %s: HTTP %d", scheme, response.StatusCode)
		}
	}
}
