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
	"strings"
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

const maxAcceptLanguage = 1 << 10

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

func home(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		return // what asks is no reader
	}
	words := languageFor(r)
	body := page(words, words.home, "")
	setPageHeader(w, words)
	serveCached(w, r, []byte(body))
}

func notFound(w http.ResponseWriter, r *http.Request) {
	words := languageFor(r)
	servePage(w, words, http.StatusNotFound, words.notFound, "")
}

// redirect sends whoever asks to the application (docs/protocol/transport.md §9.1 and
// docs/protocol/v5/transport.md §7). The page is for what does not follow: of a
// redirection to a scheme that no program takes browsers show nothing, so that of
// Parsec 3 is part of the page, or leads to the web application, which lets people choose.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request) {
	words := languageFor(r)
	address, err := s.addressFor(r)
	if err != nil {
		servePage(w, words, http.StatusBadRequest, words.noAddress, "")
		return
	}
	target, ok := address.RedirectTarget(s.options.Scheme, r.URL.Path, r.URL.RawQuery)
	if !ok {
		notFound(w, r)
		return
	}
	isParsec3 := strings.HasPrefix(target, string(parsec.Parsec3Scheme)+"://")
	switch {
	case isParsec3 && s.options.WebApp != "":
		if target, err = s.webAppTarget(r, target); err != nil {
			servePage(w, words, http.StatusBadRequest, words.noAddress, "")
			return
		}
	case isParsec3:
		w.Header().Add("Vary", "Accept")
		if wantsPage(r.Header) {
			w.Header().Set("Refresh", "0; url="+target)
			servePage(w, words, http.StatusOK, words.opening, target)
			return
		}
	}
	w.Header().Set("Location", target)
	servePage(w, words, http.StatusFound, words.opening, target)
}

// wantsPage reports whether who asks names pages among what it takes, as browsers do.
func wantsPage(header http.Header) bool {
	return prefers(header, "Accept", "text/html")
}

// prefers reports whether a header names an item that whoever asks takes.
func prefers(header http.Header, name, wanted string) bool {
	for item := range listItems(header, name) {
		if MediaType(item) == wanted {
			return quality(item) > 0
		}
	}
	return false
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
func servePage(w http.ResponseWriter, language pageLanguage, status int, words pageWords, target string) {
	body := page(language, words, target)
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
