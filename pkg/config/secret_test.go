package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverShown(t *testing.T) {
	holder := struct {
		Token  Secret
		Nested []Secret
	}{NewSecret("hunter2"), []Secret{NewSecret("hunter2")}}
	var shown bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&shown, verb+verb, holder, &holder)
		fmt.Fprintf(&shown, verb, holder.Token)
	}
	if err := json.NewEncoder(&shown).Encode(holder); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&shown, nil)).Info("event", "token", holder.Token, "holder", holder)
	slog.New(slog.NewJSONHandler(&shown, nil)).Info("event", "token", holder.Token, "holder", holder)
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
		if strings.Contains(shown.String(), leak) {
			t.Errorf("%s in %s", leak, shown.String())
		}
	}
	if holder.Token.Reveal() != "hunter2" {
		t.Error("the secret is lost")
	}
}

func TestMasks(t *testing.T) {
	for _, row := range []struct {
		name string
		mask func(string) string
		text string
		want string
	}{
		{"memory", maskDSN, "MOCKED", "MOCKED"},
		{"no password", maskDSN, "postgresql://parsec@db:5432/parsec", "postgresql://parsec@db:5432/parsec"},
		{"password", maskDSN, "postgresql://parsec:hunter2@db/parsec", "postgresql://parsec:********@db/parsec"},
		{"password of URL characters", maskDSN, "postgres://parsec:h@u:n/t?e#r2@db/parsec", "postgres://parsec:********@db/parsec"},
		{"passwords in the query", maskDSN, "postgres://db/p?user=u&password=hunter2&sslpassword=s&sslmode=require", "postgres://db/p?user=u&password=********&sslpassword=********&sslmode=require"},
		{"keywords", maskDSN, "host=db password=hunter2 user=u", "host=db password=******** user=u"},
		{"keywords, quoted", maskDSN, `password = 'hun ter\'2' sslpassword=a\ b user=u`, `password = ******** sslpassword=******** user=u`},
		{"keywords, quote left open", maskDSN, `user=u password='hun ter2`, `user=u password=********`},
		{"keywords, any case", maskDSN, `PASSWORD=hunter2`, `PASSWORD=********`},
		{"webhook", maskWebhook, "https://example.com/hook", "https://example.com/hook"},
		{"webhook with user", maskWebhook, "https://me:hunter2@example.com/hook", "https://********@example.com/hook"},
		{"webhook with question mark in its password", maskWebhook, "https://me:hun?ter2@example.com/hook", "https://********@example.com/hook"},
		{"webhook with token", maskWebhook, "https://example.com/hook?token=hunter2", "https://example.com/hook?********"},
		{"webhook that is no URL", maskWebhook, "hunter2", "********"},
		{"Sentry", maskUserInformation, "https://hunter2@sentry.example.com/1", "https://********@sentry.example.com/1"},
		{"Sentry, old form", maskUserInformation, "https://hunter2:secret@sentry.example.com/1", "https://********@sentry.example.com/1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.mask(row.text); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}
