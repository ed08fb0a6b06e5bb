package webhook

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// host answers by the first part of the path of the request: a status, 0 for no answer.
type host map[string]int

func (h host) RoundTrip(request *http.Request) (*http.Response, error) {
	status := h[strings.Trim(request.URL.Path, "/")]
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Request: request, Body: http.NoBody}, nil
}

// TestOutagesOfServices has two services be away for many calls, each in its own way: the
// log has a line when each goes, and one when it is back.
func TestOutagesOfServices(t *testing.T) {
	answers := host{"first": 200, "second": 204}
	var log bytes.Buffer
	c := NewOver(answers, "", slog.New(slog.NewTextHandler(&log, nil)))
	organization, err := parsec.ParseOrganizationID("Acme")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(times int) {
		for range times {
			for i, name := range []string{"first", "second"} {
				service := parsec.SequesterServiceID{0xab, 15: byte(i)}
				_ = c.Ask(t.Context(), &Question{Organization: organization, Service: service, Address: "http://localhost/" + name, Limit: callLimit})
				_ = c.Sequester(t.Context(), "http://localhost/"+name, organization, service, nil)
			}
		}
	}
	ask(1)
	answers["first"], answers["second"] = 0, 503
	ask(50)
	answers["first"] = 400 // is an answer
	ask(50)
	_ = c.Ask(t.Context(), &Question{Organization: organization, Address: "::", Limit: callLimit})
	_ = c.Ask(t.Context(), &Question{Organization: organization, Address: "::", Limit: callLimit})
	const first, second = "organization=Acme service=ab000000-0000-0000-0000-000000000000", "organization=Acme service=ab000000-0000-0000-0000-000000000001"
	text := log.String()
	for _, line := range []string{
		`level=WARN msg="sequester webhook not available" ` + first + ` error="unexpected EOF"`,
		`level=WARN msg="sequester webhook not available" ` + second + ` error="status 503"`,
		`level=INFO msg="sequester webhook available again" ` + first,
		`error="no valid address: missing protocol scheme"`,
	} {
		if strings.Count(text, line) != 1 {
			t.Errorf("not once: %s", line)
		}
	}
	if lines := strings.Count(text, "\n"); lines != 4 {
		t.Errorf("%d lines:\n%s", lines, text)
	}
}

// TestServicesAreBounded has more services be away than are remembered: those beyond are
// one. Those that answer make room.
func TestServicesAreBounded(t *testing.T) {
	var log bytes.Buffer
	s := newServices(slog.New(slog.NewTextHandler(&log, nil)))
	service := func(i int) parsec.SequesterServiceID { return parsec.SequesterServiceID{byte(i >> 8), byte(i)} }
	for range 3 {
		for i := range maxServices + 50 {
			s.of(parsec.OrganizationID{}, service(i)).Lost(t.Context(), io.ErrUnexpectedEOF)
		}
	}
	if lines := strings.Count(log.String(), "\n"); len(s.known) != maxServices || lines != maxServices+1 {
		t.Errorf("%d are remembered, %d lines", len(s.known), lines)
	}
	s.of(parsec.OrganizationID{}, service(0)).Back(t.Context())
	newcomer := s.of(parsec.OrganizationID{}, service(maxServices+1))
	if newcomer == s.others || len(s.known) != maxServices {
		t.Errorf("no room is made: %d are remembered", len(s.known))
	}
}

// TestOutageOfAnnouncements has the log say once that new organizations are not announced.
func TestOutageOfAnnouncements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := host{"": 500}
		var log bytes.Buffer
		c := NewOver(answers, "http://localhost/", slog.New(slog.NewTextHandler(&log, nil)))
		for range 10 {
			c.Bootstrapped(Bootstrap{Organization: "Acme"})
		}
		synctest.Wait()
		for range 2 * maxBootstraps {
			c.Bootstrapped(Bootstrap{Organization: "Acme"})
		}
		<-time.After(24 * time.Hour) // all are tried
		synctest.Wait()
		answers[""] = 200
		c.Bootstrapped(Bootstrap{Organization: "Acme"})
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		text := log.String()
		for line, count := range map[string]int{
			`level=ERROR msg="bootstrap webhook not available" error="status 500" organization=Acme`: 1,
			`level=WARN msg="bootstrap webhook dropped" organization=Acme`:                           3,
			`level=INFO msg="bootstrap webhook available again"`:                                     1,
		} {
			if strings.Count(text, line) != count {
				t.Errorf("not %d times: %s", count, line)
			}
		}
		if lines := strings.Count(text, "\n"); lines != 5 {
			t.Errorf("%d lines:\n%s", lines, text)
		}
	})
}
