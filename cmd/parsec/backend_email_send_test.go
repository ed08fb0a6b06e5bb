package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
)

// TestSendTestMail has an SMTP server take the e-mail, refuse its recipient, and refuse
// who sends it.
func TestSendTestMail(t *testing.T) {
	t.Parallel()
	smtp := testkit.StartSMTP(t, testkit.SMTPOptions{Recipient: func(to string) error {
		if to == "nobody@example.com" {
			return errors.New("no such user")
		}
		return nil
	}})
	settings := smtp.Settings()
	s := &shell{t: t, variables: map[string]string{
		"PARSEC_EMAIL_HOST": settings.Host, "PARSEC_EMAIL_PORT": strconv.Itoa(settings.Port), "PARSEC_EMAIL_SENDER": "parsec@example.com",
		"PARSEC_EMAIL_LANGUAGE": "fr", "PARSEC_BACKEND_ADDR": "parsec://parsec.example.com",
	}}
	if out := s.succeed("backend", "send-test-mail", "zoe@example.com"); !strings.Contains(out, "took the e-mail for zoe@example.com") {
		t.Errorf("printed %q", out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it comes in milliseconds
	defer cancel()
	got := smtp.Next(ctx, t)
	if got.From != "parsec@example.com" || got.To != "zoe@example.com" || !strings.Contains(got.Text, "Le serveur Parsec parsec.example.com peut envoyer") {
		t.Errorf("%+v arrived", got)
	}
	for _, row := range []struct{ variable, value, to, want string }{
		{"PARSEC_EMAIL_LANGUAGE", "en", "nobody@example.com", "no such user"},
		{"PARSEC_EMAIL_LANGUAGE", "en", "nobody", "Invalid value for 'EMAIL'"},
		{"PARSEC_EMAIL_USE_TLS", "true", "zoe@example.com", "did not take the e-mail"},
		{"PARSEC_BACKEND_ADDR", "", "zoe@example.com", "Missing option '--server-addr'. Or set PARSEC_SERVER_ADDR."},
		{"PARSEC_EMAIL_HOST", "MOCKED", "zoe@example.com", "Invalid value for '--email-host': MOCKED writes e-mails in files"},
		{"PARSEC_EMAIL_HOST", "", "zoe@example.com", "Missing option '--email-host'. Or set PARSEC_EMAIL_HOST.\nMissing option '--server-addr'. Or set PARSEC_SERVER_ADDR."},
	} {
		s.variables[row.variable] = row.value
		if _, _, err := s.run("backend", "send-test-mail", row.to); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s=%s: %v, want %q", row.variable, row.value, err, row.want)
		}
	}
}
