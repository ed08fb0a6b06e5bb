//go:build !without_chromium

package e2e_test

import (
	"context"
	_ "embed"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/addresses"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

//go:embed testdata/accessible.js
var accessible string

// TestBrowser shows what people see: the link of an invitation, the pages, the
// e-mail.
func TestBrowser(t *testing.T) {
	t.Parallel()
	tab, cancel := context.WithTimeout(testkit.Chromium(t), patience)
	defer cancel()
	w := newMailedWorld(t)
	alice := inAPI3.connect(w, inAPI3.foundByREST(w, "CoolOrg", "alice@laptop"))
	token := ok(w, alice, protocol.InviteNew, &protocol.InviteNewRequest{
		Type: parsec.InvitationUser, ClaimerEmail: "bob@example.com", SendEmail: true,
	}).Token
	invitation := w.mails.Next(w.ctx, t)
	invitationLink := link.FindString(invitation.Text)
	b := &browser{world: w, ctx: tab}

	target := b.follow(invitationLink)
	address, err := addresses.ParseInvitation(target)
	if err != nil || address != w.Address.InvitationAddress(alice.device.Organization, parsec.InvitationUser, token) {
		t.Fatalf("the browser is sent to %s: %v", target, err)
	}
	if info := ok(w, inAPI3.claim(w, address), protocol.InviteInfo, &protocol.InviteInfoRequest{}); *info.ClaimerEmail != "bob@example.com" {
		t.Errorf("info %+v", info)
	}

	for language, headings := range map[string][3]string{
		"en": {"A Parsec server is running here", "There is no such page", "Opening Parsec 2…"},
		"fr": {"Un serveur Parsec fonctionne ici", "Cette page n’existe pas", "Ouverture de Parsec 2…"},
	} {
		b.speak(language)
		home := w.Address.HTTPOrigin() + "/"
		b.open(home)
		b.wantAccessible(language, headings[0], landmarks)
		b.open(home + "dummy")
		b.wantAccessible(language, headings[1], landmarks)
		// The page opens the application, for which there is none here: have it in the place
		// of another, under the same policy.
		b.open(home)
		b.show(b.read(invitationLink, language))
		b.wantAccessible(language, headings[2], landmarks)
	}
	b.open("about:blank")
	b.show(invitation.HTML)
	b.wantAccessible("en", "alice invites you to CoolOrg", "")
}

// landmarks are the parts of a page, for who does not see them.
const landmarks = "banner main contentinfo"

// browser is a tab.
type browser struct {
	*world
	ctx context.Context
	// at is the page that is open.
	at string
	// console has what is said since the page is opened.
	console iter.Seq2[chromedp.ConsoleMessage, error]
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("browser at %s: %v", b.at, err)
	}
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], parameters P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, parameters)
	if err != nil {
		b.t.Fatalf("browser at %s: %s: %v", b.at, command.Method, err)
	}
	return result
}

// evaluate returns the value of an expression in the page.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("browser at %s: %s: %v", b.at, expression, err)
	}
	return value
}

// follow opens a link, and returns where the browser goes that is no web page.
func (b *browser) follow(link string) string {
	b.t.Helper()
	b.at = link
	call(b, network.Enable, network.EnableParams{})
	leaving := func(event network.EventRequestWillBeSent) bool {
		return strings.HasPrefix(event.Request.URL, "parsec:")
	}
	// No program here opens such links, so that the page does not load.
	navigate := chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: link})
		return err
	})
	left, err := chromedp.Run(b.ctx, chromedp.WaitEvent(network.RequestWillBeSent, leaving, navigate))
	if err != nil {
		b.t.Fatalf("browser at %s: %v", link, err)
	}
	return left.Request.URL
}

// speak chooses the language of the reader.
func (b *browser) speak(language string) {
	b.t.Helper()
	call(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}})
}

func (b *browser) open(address string) {
	b.t.Helper()
	b.at = address
	b.console = chromedp.Console(b.ctx)
	b.do(chromedp.Navigate(address))
}

// show replaces the document, and waits for what it loads.
func (b *browser) show(document string) {
	b.t.Helper()
	tree := call(b, page.GetFrameTree, cdp.Empty{})
	call(b, page.SetDocumentContent, page.SetDocumentContentParams{FrameID: tree.FrameTree.Frame.ID, HTML: document})
	b.do(chromedp.PollFunction[chromedp.Void]("() => [...document.images].every((image) => image.complete)"))
}

// read returns the page of a redirection.
func (b *browser) read(address, language string) string {
	b.t.Helper()
	request := must(http.NewRequestWithContext(b.ctx, http.MethodGet, address, http.NoBody))
	request.Header.Set("Accept-Language", language)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	return string(must(io.ReadAll(response.Body)))
}

// wantAccessible checks the page that is open as people may have it: on a
// telephone or not, in light or dark. Its parts have these roles.
func (b *browser) wantAccessible(language, heading, landmarks string) {
	b.t.Helper()
	if got := evaluate[string](b, "document.documentElement.lang"); got != language {
		b.t.Errorf("%s: language %q, want %s", b.at, got, language)
	}
	if got := evaluate[string](b, "document.querySelector('h1').innerText"); got != heading {
		b.t.Errorf("%s: %q, want %q", b.at, got, heading)
	}
	var roles []string
	for _, node := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if role := string(node.Role.Value); slices.Contains([]string{`"banner"`, `"main"`, `"contentinfo"`}, role) {
			roles = append(roles, strings.Trim(role, `"`))
		}
	}
	if got := strings.Join(roles, " "); got != landmarks {
		b.t.Errorf("%s: landmarks %q, want %q", b.at, got, landmarks)
	}
	for _, scheme := range []string{"light", "dark"} {
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		for _, width := range []int64{320, 1280} {
			b.do(chromedp.EmulateViewport(width, 800))
			for _, problem := range evaluate[[]string](b, accessible) {
				b.t.Errorf("%s, %s, %d pixels wide: %s", b.at, scheme, width, problem)
			}
		}
	}
	evaluate[any](b, "console.log('end')")
	for message, err := range b.console {
		if err != nil || message.Text == "end" {
			break
		}
		// That a page is missing is said of it, too.
		if message.Type != chromedp.ConsoleLog && (message.Source != "network" || message.URL != b.at) {
			b.t.Errorf("%s: the console says %s", b.at, message)
		}
	}
}
