package webhook

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
)

type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

func TestErrorsHideAddress(t *testing.T) {
	c := NewOver(broken{}, "", slog.New(slog.DiscardHandler))
	if _, err := c.post(t.Context(), "http://localhost/?token=s3cr3t", "text/plain", nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	organization, err := parsec.ParseOrganizationID("Acme")
	if err != nil {
		t.Fatal(err)
	}
	service := parsec.SequesterServiceID{0xab, 15: 0x01}
	if _, err := sequesterURL("http://localhost/\x7f?token=s3cr3t", organization, service); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}

// What the address has stays as it is written, and the parameters follow in their
// order.
func TestQuestionAddress(t *testing.T) {
	parameters := []Parameter{{"type", "a b"}, {"service_id", "é&=+/"}}
	const appended = "type=a+b&service_id=%C3%A9%26%3D%2B%2F"
	for address, want := range map[string]string{
		"http://localhost":                         "http://localhost?" + appended,
		"http://localhost/hook?":                   "http://localhost/hook?" + appended,
		"http://localhost/hook?token=a%26b&type=x": "http://localhost/hook?token=a%26b&type=x&" + appended,
		"http://localhost/?z&a=1#here":             "http://localhost/?z&a=1&" + appended + "#here",
	} {
		question := Question{Address: address, Parameters: parameters}
		if got, err := question.url(); err != nil || got != want {
			t.Errorf("%s: got %s, want %s, error %v", address, got, want, err)
		}
	}
	question := Question{Address: "http://localhost/\x7f?token=s3cr3t"}
	if _, err := question.url(); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}
