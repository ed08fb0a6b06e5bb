package mail

import (
	"errors"
	"html"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	nethtml "golang.org/x/net/html"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// folderOf writes files in a folder.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestBuiltInTexts are templates as those of files are: read from files they say the
// same.
func TestBuiltInTexts(t *testing.T) {
	t.Parallel()
	files := BuiltIn(Invitations())
	if want := len(Invitations()) * len(Languages()) * len(allParts); len(files) != want {
		t.Errorf("%d files, want %d", len(files), want)
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".txt") {
			files[name] = "\uFEFF" + strings.ReplaceAll(text, "\n", "\r\n") // as some editors write
		}
	}
	files[".hidden"] = "{{"
	read := must(ReadTemplates(folderOf(t, files), Invitations()))
	for _, language := range Languages() {
		for _, kind := range Invitations() {
			for _, part := range allParts {
				if got, want := read.replaced[kind.file(language, part)], kind.texts[language][part]; got == nil || !slices.Equal(got.pieces, want.pieces) || !slices.Equal(got.names, want.names) {
					t.Errorf("%s reads as %v, want %v", kind.file(language, part), got, want)
				}
			}
		}
	}
}

// TestReplacedTexts are sent in the place of the built-in ones, and no others.
func TestReplacedTexts(t *testing.T) {
	t.Parallel()
	folder := folderOf(t, map[string]string{
		"invitation_user.en.subject": "{{greeter}} on {{ server }}\n",
		"invitation_user.en.txt":     "{{inviter}}\n{{link}} }} {{\tgreeter }}\n",
		"invitation_user.en.html": "<!doctype html><title>{{greeter}}</title>\n<style>@media{p{color:red}}</style>\n" +
			"<!--[if mso]><a href=\"{{link}}\"><![endif]--><p>{{greeter}} <a href='{{download}}'>{{organization}}</a>\n",
	})
	server := testkit.StartSMTP(t, testkit.SMTPOptions{})
	options := optionsOf(server.Settings())
	options.Templates = must(ReadTemplates(folder, Invitations()))
	mailer := New(options, address, discard)
	mail := invitation(parsec.InvitationUser)
	mail.GreeterName = `{{link}} <"'&>`
	wantSent(t, mailer, mail, Sent)
	got := server.Next(within(t), t)
	if subject := decoded(t, got.Header.Get("Subject")); subject != `{{link}} <"'&> on parsec.example.com` {
		t.Errorf("subject %q", subject)
	}
	if want := `{{link}} <"'&> (alice@example.com)` + "\n" + mail.Link + ` }} {{link}} <"'&>` + "\n"; got.Text != want {
		t.Errorf("text %q, want %q", got.Text, want)
	}
	const escaped = "{{link}} &lt;&#34;&#39;&amp;&gt;"
	if want := "<!doctype html><title>" + escaped + "</title>\n<style>@media{p{color:red}}</style>\n<!--[if mso]><a href=\"" +
		strings.ReplaceAll(mail.Link, "&", "&amp;") + "\"><![endif]--><p>" + escaped + " <a href='https://github.com/Scille/parsec-cloud/releases/tag/v2.17.0'>CoolOrg</a>\n"; got.HTML != want {
		t.Errorf("HTML %s\nwant %s", got.HTML, want)
	}
	wantSent(t, mailer, invitation(parsec.InvitationDevice), Sent)
	if subject := server.Next(within(t), t).Header.Get("Subject"); subject != "[Parsec] New device invitation to CoolOrg" {
		t.Errorf("another e-mail has the subject %s", subject)
	}
	options.Language = "fr"
	wantSent(t, New(options, address, discard), invitation(parsec.InvitationUser), Sent)
	if subject := server.Next(within(t), t).Header.Get("Subject"); !strings.Contains(subject, "vous_invite") {
		t.Errorf("another language has the subject %s", subject)
	}
}

// TestWrongTemplates are refused by file and line.
func TestWrongTemplates(t *testing.T) {
	t.Parallel()
	const subject, text, page = "invitation_user.en.subject", "invitation_user.en.txt", "invitation_user.en.html"
	for _, tt := range []struct{ file, text, want string }{
		{"invitation_user.de.txt", "{{link}}", "no e-mail has a text of this name"},
		{"invitation_users.en.txt", "{{link}}", "no e-mail has a text of this name"},
		{"en/invitation_user.txt", "{{link}}", "no e-mail has a text of this name"},
		{"README.md", "Ours.", "no e-mail has a text of this name"},
		{subject, "", ":1: the text is empty"},
		{subject, "one\ntwo", ":1: a subject is one line, without tabs"},
		{subject, "a\tb", ":1: a subject is one line, without tabs"},
		{subject, strings.Repeat("x", 1025), "is longer than 1024 bytes"},
		{subject, "{{link}} for {{Greeter}}", ":1: {{Greeter}} is not known here; known are {{greeter}}, {{inviter}}, {{organization}}, {{link}}, {{recipient}}, {{server}}, {{client}}, {{download}}, {{documentation}}"},
		{text, " \n", ":1: the text is empty"},
		{text, "\n\nHello {{greter}}\n{{link}}", ":3: {{greter}} is not known here"},
		{text, "Hello\n{{code}} {{link}}", ":2: {{code}} is not known here"},
		{text, "{{link}}\n{{}}", ":2: {{}} is not known here"},
		{text, "{{link}}\n{{ greeter\n}}", ":2: {{ without }} on the same line"},
		{text, "{{link}}\n{{", ":2: {{ without }} on the same line"},
		{text, "{{link}}\n{{{greeter}}}", ":2: {{{greeter}} is not known here"},
		{text, "{{link}}\n{{greeter|upper}}", ":2: {{greeter|upper}} is not known here"},
		{text, "{{link}}\n\n{% if greeter %}", ":3: {% is of another kind of templates"},
		{text, "Hello {{greeter}},\nwelcome.\n", ":3: {{link}} is missing in this text"},
		{text, "{{link}}\n\xff", ":2: this is not text in UTF-8"},
		{text, "{{link}}\n\x00", ":2: the control character U+0000 may not be in a text"},
		{text, "{{link}}\r", ":1: the control character U+000D may not be in a text"},
		{text, strings.Repeat("x", 256<<10) + "{{link}}", "is longer than 262144 bytes"},
		{text, strings.Repeat("{{link}}\n", 501), ":501: more than 500 names"},
		{page, "<p>\n{{greeter}}", ":2: {{link}} is missing in this text"},
		{page, "{{link}}\n<p title=\"{{greeter}}\">", ":2: in a tag only {{link}}, {{download}}, {{documentation}} may be, in values of attributes and within quotes"},
		{page, "{{link}}\n<p\ntitle=\"{{greeter}}\">", ":3: in a tag only"},
		{page, "{{link}}\n<a href={{ link }}>", ":2: in a tag only"},
		{page, "{{link}}\n<a {{link}}>", ":2: in a tag only"},
		{page, "{{link}}\n<{{greeter}}>", ":2: no name may begin a tag"},
		{page, "{{link}}\n</{{link}}>", ":2: in a comment only"},
		{page, "{{link}}\n<!-- {{greeter}} -->", ":2: in a comment only"},
		{page, "{{link}}\n<style>\np{ {{link}} }</style>", ":3: no name may be in <style>"},
		{page, "{{link}}\n<script>'{{link}}'</script>", ":2: no name may be in <script>"},
	} {
		folder := folderOf(t, map[string]string{tt.file: tt.text})
		_, err := ReadTemplates(folder, Invitations())
		top, _, _ := strings.Cut(tt.file, "/")
		if path := filepath.Join(folder, top); err == nil || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %s", tt.file, tt.text, err, tt.want)
		}
	}
}

// TestFolders that are no good, and one of official servers.
func TestFolders(t *testing.T) {
	t.Parallel()
	if _, err := ReadTemplates(filepath.Join(t.TempDir(), "none"), Invitations()); err == nil {
		t.Error("a folder that is not there is read")
	}
	empty := must(ReadTemplates(t.TempDir(), Invitations()))
	if len(empty.replaced) != 0 {
		t.Errorf("an empty folder replaces %v", empty.replaced)
	}
	pipe := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(pipe, "invitation_user.en.txt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTemplates(pipe, Invitations()); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a pipe: %v", err)
	}
	many := map[string]string{}
	for i := range maxTemplateFiles + 1 {
		many[strconv.Itoa(i)] = ""
	}
	if _, err := ReadTemplates(folderOf(t, many), Invitations()); err == nil || !strings.Contains(err.Error(), "more than 1000 files") {
		t.Errorf("too many files: %v", err)
	}

	official := map[string]string{
		"index.html": "{% extends %}", "404.html": "", "base.html": "{{ nothing }}",
		"email/invitation.html.j2": "{{ link }}", "email/invitation.txt.j2": "{{", "email/parts/footer.txt.j2": "",
	}
	if _, err := ReadTemplates(folderOf(t, official), Invitations()); !errors.Is(err, ErrOfficialTemplates) {
		t.Errorf("a folder of an official server: %v", err)
	}
	mixed := maps.Clone(official)
	mixed["invitation_user.en.txt"] = "{{link}}"
	if _, err := ReadTemplates(folderOf(t, mixed), Invitations()); err == nil || errors.Is(err, ErrOfficialTemplates) || !strings.Contains(err.Error(), "put them apart") {
		t.Errorf("a folder for both: %v", err)
	}
	// As a volume of Kubernetes has them.
	linked, data := t.TempDir(), folderOf(t, map[string]string{"invitation_user.en.txt": "{{link}}"})
	for link, target := range map[string]string{"..data": data, "invitation_user.en.txt": "..data/invitation_user.en.txt"} {
		if err := os.Symlink(target, filepath.Join(linked, link)); err != nil {
			t.Fatal(err)
		}
	}
	if read := must(ReadTemplates(linked, Invitations())); len(read.replaced) != 1 {
		t.Errorf("links are read as %v", read.replaced)
	}
}

// FuzzTemplate has a text with a place for a name of somebody, whatever it is: filled in
// it is the text with one more text in it, and the same tags.
func FuzzTemplate(f *testing.F) {
	f.Add("<p>{{greeter}}</p>{{link}}", "Alice")
	f.Add("<title>{{greeter}}</title><a href='{{link}}'>", "</title><img src=x>")
	f.Add("<!--{{link}}--><textarea>{{greeter}}", "--><textarea>")
	f.Add("&{{greeter}};<{{greeter}}{{link}}", "lt")
	kind := invitations[parsec.InvitationUser]
	f.Fuzz(func(t *testing.T, text, greeter string) {
		parsed, err := kind.parse(htmlPart, text)
		if err != nil {
			return
		}
		fill := func(greeter string) string {
			return parsed.fill(map[string]string{"greeter": oneLine(greeter), linkName: "https://a/b?c&d=e"}, html.EscapeString)
		}
		if got, want := tagsOf(fill(greeter)), tagsOf(fill("x")); got != want {
			t.Errorf("%q with %q has the tags %q, want %q", text, greeter, got, want)
		}
	})
}

// tagsOf returns what is no text in HTML.
func tagsOf(text string) string {
	var tags strings.Builder
	tokens := nethtml.NewTokenizer(strings.NewReader(text))
	for kind := tokens.Next(); kind != nethtml.ErrorToken; kind = tokens.Next() {
		if kind != nethtml.TextToken {
			tags.Write(tokens.Raw())
		}
	}
	return tags.String()
}
