package server_test

import (
	"net/http"
	"testing"

	"parsec-server/pkg/server"
)

// The media types of requests are compared as RFC 9110 says.
func TestHeadersAreComparedAsTheRFCsSay(t *testing.T) {
	f := newFixture(t)
	for contentType, want := range map[string]string{
		"application/msgpack":                              "application/msgpack",
		"application/msgpack; charset=utf-8":               "application/msgpack",
		"application/msgpack;charset=utf-8":                "application/msgpack",
		"Application/MsgPack ; q":                          "application/msgpack",
		"application/x-www-form-urlencoded; charset=utf-8": "application/x-www-form-urlencoded",
		"application/msgpackx":                             "application/msgpackx",
		"application/json; x=application/msgpack":          "application/json",
		"; application/msgpack":                            "",
		"":                                                 "",
	} {
		if got := server.MediaType(contentType); got != want {
			t.Errorf("Content-Type %q: %q, want %q", contentType, got, want)
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
		if response := f.get("/authenticated/CoolOrg/events", "Accept: "+accept); response.StatusCode != want {
			t.Errorf("Accept %q: HTTP %d, want %d", accept, response.StatusCode, want)
		}
	}
}
