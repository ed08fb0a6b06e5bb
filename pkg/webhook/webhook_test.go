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
