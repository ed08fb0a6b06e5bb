package server

import (
	"net/http"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
)

// redirect sends whoever asks to the application (docs/protocol/transport.md §9.1 and
// docs/protocol/v5/transport.md §7). Of a redirection to a scheme that no program takes
// browsers show nothing: for them it is part of a page, which says what to do, or it
// leads to the web application, which lets people choose.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request) {
	language := languageFor(r)
	address, err := s.addressFor(r)
	if err != nil {
		servePage(w, language, http.StatusBadRequest, s.page(language, language.noAddress))
		return
	}
	to, ok := address.RedirectTarget(s.options.Scheme, r.URL.Path, r.URL.RawQuery)
	if !ok {
		s.notFound(w, r)
		return
	}
	view := s.opening(language, to)
	location := to.Target
	switch {
	case to.Scheme == parsec.Parsec3Scheme && s.options.WebApp != "":
		if location, err = s.webAppTarget(r, to.Target); err != nil {
			servePage(w, language, http.StatusBadRequest, s.page(language, language.noAddress))
			return
		}
		view.Open = location
	default:
		w.Header().Add("Vary", "Accept")
		if !wantsPage(r.Header) {
			break
		}
		if isPhone(r.Header) {
			servePage(w, language, http.StatusOK, s.elsewhere(language, to))
			return
		}
		w.Header().Set("Refresh", "0; url="+to.Target)
		servePage(w, language, http.StatusOK, view)
		return
	}
	w.Header().Set("Location", location)
	servePage(w, language, http.StatusFound, view)
}

// opening is the page that opens a link, and says what to do if nothing happens.
func (s *Server) opening(language pageLanguage, to parsec.Redirection) pageView {
	view := s.about(language, language.opening, to)
	view.Open = to.Target
	view.Steps = []pageStep{
		{Text: view.named(language.InstallHere), Link: s.download(to)},
		{Text: view.named(language.Paste), Code: to.Target},
	}
	return view
}

// elsewhere is the page for phones, which the application is not made for.
func (s *Server) elsewhere(language pageLanguage, to parsec.Redirection) pageView {
	view := s.about(language, language.onPhone, to)
	view.Steps = []pageStep{
		{Text: language.OnComputer, Code: to.Web},
		{Text: view.named(language.InstallThere), Link: s.download(to)},
		{Text: language.HereAfterAll, Link: pageLink{language.Open, to.Target}},
	}
	return view
}

// about is a page about a link.
func (s *Server) about(language pageLanguage, words pageWords, to parsec.Redirection) pageView {
	documentation := s.options.Clients.Of(to.Scheme).Joining()
	return pageView{Language: language, Words: words, Client: to.Scheme.Product(), Documentation: []pageLink{{documentation, documentation}}}
}

func (s *Server) download(to parsec.Redirection) pageLink {
	address := s.options.Clients.Of(to.Scheme).Download
	return pageLink{address, address}
}

// wantsPage reports whether who asks names pages among what it takes, as browsers do.
func wantsPage(header http.Header) bool {
	return prefers(header, "Accept", "text/html")
}

// phones are what the browsers of phones and tablets call themselves.
var phones = []string{"Android", "iPhone", "iPad", "iPod", "Mobile"}

// isPhone reports whether who asks is a phone or a tablet.
func isPhone(header http.Header) bool {
	agent := header.Get("User-Agent")
	return header.Get("Sec-CH-UA-Mobile") == "?1" || slices.ContainsFunc(phones, func(name string) bool { return strings.Contains(agent, name) })
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
