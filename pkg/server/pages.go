package server

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/text/language"

	"parsec-server/pkg/parsec"
)

//go:generate go tool -modfile=../../internal/tools/go.mod qtc -file=page.qtpl

//go:embed pages
var pageFiles embed.FS

var (
	pageStyle = mustRead("pages/style.css")
	pageIcon  = mustRead("pages/icon.svg")
	// favicon is the icon for whoever asks where browsers always did.
	favicon = mustRead("pages/favicon.ico")
)

const (
	maxAcceptLanguage = 1 << 10

	// getParsecRoute is the page about where the applications are.
	getParsecRoute = "/get-parsec"
)

// pagePolicy lets a page load the icon and use its own style, nothing else.
var pagePolicy = "default-src 'none'; img-src 'self'; style-src 'sha256-" + digest(pageStyle, base64.StdEncoding.EncodeToString) +
	"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var pageMatcher = func() language.Matcher {
	tags := make([]language.Tag, len(pageLanguages))
	for i, words := range pageLanguages {
		tags[i] = language.MustParse(words.Language)
	}
	return language.NewMatcher(tags)
}()

func mustRead(name string) []byte {
	content, err := pageFiles.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return content
}

func digest(content []byte, encode func([]byte) string) string {
	sum := sha256.Sum256(content)
	return encode(sum[:])
}

// languageFor returns the language that the reader prefers (RFC 9110 §12.5.4). A
// list that is longer than any browser's would take its time.
func languageFor(r *http.Request) pageLanguage {
	accepted := r.Header.Get("Accept-Language")
	if len(accepted) > maxAcceptLanguage {
		return pageLanguages[0]
	}
	_, index := language.MatchStrings(pageMatcher, accepted)
	return pageLanguages[index]
}

func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	serveKept(w, r, func(language pageLanguage) pageView { return s.page(language, language.home) })
}

// getParsec says where the applications are, and who needs which.
func (s *Server) getParsec(w http.ResponseWriter, r *http.Request) {
	serveKept(w, r, func(language pageLanguage) pageView {
		view := s.page(language, language.applications)
		view.Applications = s.applications(language)
		return view
	})
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	language := languageFor(r)
	servePage(w, language, http.StatusNotFound, s.page(language, language.notFound))
}

// page is one that is about no link.
func (s *Server) page(language pageLanguage, words pageWords) pageView {
	view := pageView{Language: language, Words: words, Documentation: []pageLink{
		{parsec.Parsec3Scheme.Product(), s.options.Clients.Parsec3.Documentation},
		{parsec.Parsec2Scheme.Product(), s.options.Clients.Parsec2.Documentation},
	}}
	if words.Help != "" {
		view.Steps = []pageStep{
			{Text: language.OpenLink},
			{Text: language.Install, Link: pageLink{language.applications.Heading, getParsecRoute}},
		}
	}
	return view
}

// serveKept answers with a page that browsers keep.
func serveKept(w http.ResponseWriter, r *http.Request, viewIn func(pageLanguage) pageView) {
	if r.Method == http.MethodOptions {
		return // what asks is no reader
	}
	language := languageFor(r)
	setPageHeader(w, language)
	serveCached(w, r, []byte(page(viewIn(language))))
}

// applications are those of both generations, the current one first.
func (s *Server) applications(language pageLanguage) []pageApplication {
	application := func(of parsec.Scheme, words string) pageApplication {
		view := pageView{Client: of.Product()}
		return pageApplication{view.Client, words, []pageLink{{view.named(language.Download), s.options.Clients.Of(of).Download}}}
	}
	current := application(parsec.Parsec3Scheme, language.Parsec3)
	if s.options.WebApp != "" {
		current.Links = append(current.Links, pageLink{language.InBrowser, webAppRoute})
	}
	return []pageApplication{current, application(parsec.Parsec2Scheme, language.Parsec2)}
}

// static serves a file.
func static(contentType string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		setSafeHeader(w)
		serveCached(w, r, content)
	}
}

// servePage answers with a page that nobody keeps: its address may hold the
// secret of an invitation.
func servePage(w http.ResponseWriter, language pageLanguage, status int, view pageView) {
	body := page(view)
	setPageHeader(w, language)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a reader that is gone needs no page
}

func setPageHeader(w http.ResponseWriter, language pageLanguage) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", language.Language)
	header.Add("Vary", "Accept-Language")
	setSafeHeader(w)
}

func setSafeHeader(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}

// serveCached answers with something that browsers keep, and ask about once it
// may have changed.
func serveCached(w http.ResponseWriter, r *http.Request, content []byte) {
	header := w.Header()
	header.Set("Cache-Control", "public, max-age=3600")
	header.Set("ETag", `"`+digest(content, hex.EncodeToString)[:32]+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
