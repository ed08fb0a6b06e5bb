package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folderOf writes files in a folder.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// official is a folder of templates of an official server.
var official = map[string]string{"index.html": "{% block %}", "404.html": "", "base.html": "", "email/invitation.html.j2": "{{ link }}"}

const officialWarning = "--template-dir has no effect, e-mails and pages are the built-in ones: "

// TestTemplatesAtStart refuses wrong texts by file and line, before anything is opened.
func TestTemplatesAtStart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ file, text, want string }{
		{"totp_reset.fr.html", "<p>{{recipient}}</p>\n<p>{{organisation}} {{link}}</p>", ":2: {{organisation}} is not known here; known are {{organization}}, {{link}}, {{recipient}}, {{server}}, {{download}}, {{documentation}}\n"},
		{"account_creation.en.txt", "Hello,\n\nyour code is {{link}}", ":3: {{link}} is not known here"},
		{"account_recovery.en.txt", "Hello,\nyour code is\n", ":3: {{code}} is missing in this text\n"},
		{"invitation_user.en.subject", "{{greeter", ":1: {{ without }} on the same line\n"},
		{"invitation.en.html", "{{link}}", ": no e-mail has a text of this name\n"},
	} {
		folder := folderOf(t, map[string]string{"account_exists.en.subject": "Hello", tt.file: tt.text})
		got := executeServing(t.Context(), "backend", "run", "--dev", "--port=0", "--template-dir="+folder)
		if want := "Error: --template-dir: " + filepath.Join(folder, tt.file) + tt.want; got.code != exitFailure || !strings.HasPrefix(got.stdout, want) {
			t.Errorf("%s: %+v, want %s", tt.file, got, want)
		}
	}
	missing := filepath.Join(t.TempDir(), "none")
	if got := executeServing(t.Context(), "backend", "run", "--dev", "--port=0", "--template-dir="+missing); got.code != exitUsage || !strings.Contains(got.stderr, missing) {
		t.Errorf("no folder: %+v", got)
	}
}

// TestOfficialTemplates do not keep a server from starting, which says so once.
func TestOfficialTemplates(t *testing.T) {
	t.Parallel()
	folder := folderOf(t, official)
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	p := program{
		commandLine: []string{"backend", "run", "--dev", "--port=0", "--template-dir=" + folder}, environment: environmentOf(nil),
		stdout: &announced{&stdout, cancel}, stderr: &stderr, serve: serve,
	}
	_ = p.run(ctx)
	if text := stderr.String(); strings.Count(text, officialWarning+folder) != 1 || !strings.HasPrefix(stdout.String(), "Starting Parsec") {
		t.Errorf("stdout %s stderr %s", &stdout, text)
	}
}

// announced ends a server once it has said that it starts.
type announced struct {
	text *bytes.Buffer
	end  func()
}

func (a *announced) Write(text []byte) (int, error) {
	a.end()
	return a.text.Write(text)
}
