package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/mail"
)

// contents returns what is in a folder, by names from there.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, folder+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestEmailPreview writes every e-mail, of replaced texts too, again over those of
// before, and over nothing else.
func TestEmailPreview(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "deep", "preview")
	run := func(arguments ...string) outcome {
		return executeWith(t.Context(), idle, nil, append([]string{"backend", "email", "preview"}, arguments...)...)
	}
	if got := run(folder); got.code != 0 || got.stdout != "78 files of e-mails written in "+folder+"\n" || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	written := contents(t, folder)
	if len(written) != 78 {
		t.Errorf("%d files", len(written))
	}
	for _, kind := range emailKinds() {
		for _, language := range mail.Languages() {
			name := "parsec3/" + kind.String() + "." + language
			parsed, err := testkit.ParseMail([]byte(written[name+".eml"]))
			if err != nil || parsed.Text != written[name+".txt"] || parsed.HTML != written[name+".html"] || !strings.Contains(parsed.HTML, `lang="`+language+`"`) {
				t.Errorf("%s: %v, %s", name, err, written[name+".eml"])
			}
		}
	}
	if text := written["parsec2/invitation_user.en.txt"]; !strings.Contains(text, "https://parsec.example.com/redirect/MyOrganization?action=claim_user") {
		t.Errorf("API 2: %s", text)
	}

	templates := folderOf(t, map[string]string{"account_creation.fr.txt": "Le code : {{code}}, {{server}}"})
	if got := run(folder, "--template-dir", templates, "--server-addr=parsec3://ours.example", "--email-sender=Ours <a@ours.example>", "--dev"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	written = contents(t, folder)
	if text := written["parsec3/account_creation.fr.txt"]; text != "Le code : AB23CD, ours.example" {
		t.Errorf("the replaced text is %q", text)
	}
	if text := written["parsec3/account_creation.fr.eml"]; !strings.Contains(text, `From: "Ours" <a@ours.example>`) {
		t.Errorf("%s", text)
	}
	if got := run(folder, "--template-dir", folderOf(t, official)); got.code != 0 || !strings.HasPrefix(got.stderr, "Warning: "+officialWarning) {
		t.Errorf("official templates: %+v", got)
	}
	if got := run(folder, "--template-dir", folderOf(t, map[string]string{"x.txt": ""})); got.code != exitUsage || !strings.Contains(got.stderr, "x.txt: no e-mail has a text of this name") {
		t.Errorf("a wrong folder: %+v", got)
	}
	if got := run(); got.code != exitUsage {
		t.Errorf("no folder: %+v", got)
	}
	wantInTheWay(t, folder, run)
}

// TestEmailPreviewOfOwnClients names the pages that the settings of each generation name,
// in every e-mail, and no page of the project.
func TestEmailPreviewOfOwnClients(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "preview")
	own := map[string][]string{
		"parsec2": {"https://ours.example/get-2", "https://ours.example/read-2"},
		"parsec3": {"https://ours.example/get-3", "https://ours.example/read-3"},
	}
	got := executeWith(t.Context(), idle, nil, "backend", "email", "preview", folder,
		"--v2-download-url="+own["parsec2"][0], "--v2-documentation-url="+own["parsec2"][1],
		"--download-url="+own["parsec3"][0], "--documentation-url="+own["parsec3"][1])
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for name, text := range contents(t, folder) {
		generation, file, _ := strings.Cut(name, "/")
		if !strings.HasSuffix(file, ".txt") {
			continue
		}
		for _, want := range own[generation] {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s: %s", name, want, text)
			}
		}
		if strings.Contains(text, "parsec.cloud") || strings.Contains(text, "github.com") {
			t.Errorf("%s names a page of the project: %s", name, text)
		}
	}
	if got := executeWith(t.Context(), idle, nil, "backend", "email", "preview", folder, "--download-url=ours.example"); got.code != exitUsage {
		t.Errorf("an address without scheme: %+v", got)
	}
}

// wantInTheWay has what is not of a preview be in its folder: nothing is written then.
func wantInTheWay(t *testing.T, folder string, run func(arguments ...string) outcome) {
	t.Helper()
	for _, name := range []string{"notes.txt", "parsec3/notes.txt", "parsec4/totp_reset.en.txt"} {
		stray := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(stray), 0o700), os.WriteFile(stray, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		before := contents(t, folder)
		if got := run(folder); got.code != exitUsage || !strings.Contains(got.stderr, "is in the way: nothing is written") || !maps.Equal(contents(t, folder), before) {
			t.Errorf("with %s: %+v", name, got)
		}
		if err := errors.Join(os.Remove(stray), os.RemoveAll(filepath.Join(folder, "parsec4"))); err != nil {
			t.Fatal(err)
		}
	}
	linked := filepath.Join(folder, "parsec3", "totp_reset.en.txt")
	if err := errors.Join(os.Remove(linked), os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), linked)); err != nil {
		t.Fatal(err)
	}
	if got := run(folder); got.code != exitUsage || !strings.Contains(got.stderr, linked+" is in the way") {
		t.Errorf("with a link: %+v", got)
	}
}

// TestEmailTemplates writes the built-in texts, which can be read, and which say what
// e-mails say without them.
func TestEmailTemplates(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	run := func(arguments ...string) outcome {
		return executeWith(t.Context(), idle, nil, append([]string{"backend", "email"}, arguments...)...)
	}
	if got := run("templates", folder); got.code != 0 || got.stdout != "60 texts of e-mails written in "+folder+"\n" {
		t.Fatalf("%+v", got)
	}
	// Written once, the texts of an administrator are there.
	if got := run("templates", folder); got.code != exitUsage || !strings.Contains(got.stderr, "is in the way: nothing is written") {
		t.Errorf("again: %+v", got)
	}
	without, with := filepath.Join(t.TempDir(), "without"), filepath.Join(t.TempDir(), "with")
	for _, arguments := range [][]string{{without}, {with, "--template-dir", folder}} {
		if got := run(append([]string{"preview"}, arguments...)...); got.code != 0 {
			t.Fatalf("%+v", got)
		}
	}
	secret := regexp.MustCompile(`token=[0-9a-f]{32}|p=[\w-]+`)
	want := contents(t, without)
	for name, text := range contents(t, with) {
		if strings.HasSuffix(name, ".eml") {
			continue // each has its own id
		}
		if secret.ReplaceAllString(text, "") != secret.ReplaceAllString(want[name], "") {
			t.Errorf("%s is %s\nwant %s", name, text, want[name])
		}
	}
}
