package server

import (
	"cmp"
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
)

// enforceHTTPS redirects what the proxy in front says to be in clear
// (docs/protocol/transport.md §10). A request without the header comes from a
// health check and passes. A WebSocket is refused: a client that follows a
// redirection of it may be sent round for ever.
func (s *Server) enforceHTTPS(next http.Handler) http.Handler {
	rule := s.options.EnforceHTTPS
	if rule == nil {
		return next
	}
	wanted := secureProtocol(rule.Value)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Values(rule.Header)
		switch {
		case len(given) == 0 || secureProtocol(firstItem(r.Header, rule.Header)) == wanted:
			next.ServeHTTP(w, r)
		case IsUpgrade(r):
			http.Error(w, "This server takes WebSockets through TLS only.", http.StatusForbidden)
		default:
			w.Header().Set("Location", "https://"+r.Host+r.URL.RequestURI())
			w.WriteHeader(http.StatusMovedPermanently)
		}
	})
}

// strictTransport is for a year, and for this name only.
const strictTransport = "max-age=31536000"

// withStrictTransport tells browsers that came by TLS, and nobody else, to come
// by nothing else (RFC 6797 §7).
func (s *Server) withStrictTransport(next http.Handler) http.Handler {
	if !s.options.StrictTransport {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil || s.announcedSecure(r) {
			w.Header().Set("Strict-Transport-Security", strictTransport)
		}
		next.ServeHTTP(w, r)
	})
}

// announcedSecure reports whether the proxy in front says that the client came
// by TLS: the header that EnforceHTTPS names, or a trusted proxy.
func (s *Server) announcedSecure(r *http.Request) bool {
	if rule := s.options.EnforceHTTPS; rule != nil && len(r.Header.Values(rule.Header)) > 0 {
		return secureProtocol(firstItem(r.Header, rule.Header)) == secureProtocol(rule.Value)
	}
	address, err := parsec.ParsePeerAddress(r.RemoteAddr)
	return err == nil && s.trusts(address) && secureProtocol(forwardedProtocol(r.Header)) == "https"
}

// addressFor returns the address of this server for links: the configured one, or else
// that which the client used, by what it or the trusted proxies in front say. It returns
// StatusError 400 if that is none.
func (s *Server) addressFor(r *http.Request) (parsec.ServerAddress, error) {
	if s.options.Address != nil {
		return *s.options.Address, nil
	}
	host, secure := s.reached(r)
	return addressOf(host, secure)
}

// reachedAddress returns the address that the client used, by what it or the trusted
// proxies in front say. A proxy that is not trusted does not hide that the configured
// one is in TLS: what leads there has the secret of a link. It returns StatusError 400
// if it is no address.
func (s *Server) reachedAddress(r *http.Request) (parsec.ServerAddress, error) {
	host, secure := s.reached(r)
	if s.options.Address != nil {
		if address, err := addressOf(host, true); err == nil && address == *s.options.Address {
			return address, nil
		}
	}
	return addressOf(host, secure)
}

// reached returns the host that the client asked for, and whether it came by TLS, by
// what it or the trusted proxies in front say.
func (s *Server) reached(r *http.Request) (host string, secure bool) {
	host, secure = r.Host, r.TLS != nil
	if peer, err := parsec.ParsePeerAddress(r.RemoteAddr); err == nil && s.trusts(peer) {
		host = cmp.Or(forwardedHost(r.Header), host)
		if told := secureProtocol(forwardedProtocol(r.Header)); told != "" {
			secure = told == "https"
		}
	}
	return host, secure
}

func addressOf(host string, secure bool) (parsec.ServerAddress, error) {
	query := ""
	if !secure {
		query = "?no_ssl=true"
	}
	address, err := parsec.ParseServerAddress(string(parsec.Parsec2Scheme) + "://" + host + query)
	if err != nil {
		return parsec.ServerAddress{}, StatusError(http.StatusBadRequest)
	}
	return address, nil
}

// forwardedHost returns the host that the proxies say that the client asked for:
// X-Forwarded-Host, or else Forwarded. It is "" if they do not.
func forwardedHost(header http.Header) string {
	if told := firstItem(header, "X-Forwarded-Host"); told != "" {
		return told
	}
	return forwardedFirst(header, "host")
}

// forwardedProtocol returns what the proxies say that the client came by:
// X-Forwarded-Proto, or else Forwarded. It is "" if they do not.
func forwardedProtocol(header http.Header) string {
	if told := firstItem(header, "X-Forwarded-Proto"); told != "" {
		return told
	}
	return forwardedFirst(header, "proto")
}

// forwardedFirst returns a parameter of the first element of Forwarded, "" for none.
func forwardedFirst(header http.Header, parameter string) string {
	for _, line := range header.Values("Forwarded") {
		return strings.Trim(forwardedParameter(splitUnquoted(line, ',')[0], parameter), `" `)
	}
	return ""
}

// secureProtocol returns the scheme that a proxy tells, in one spelling: some
// name that of the WebSocket instead of that which carries it.
func secureProtocol(told string) string {
	switch told = strings.ToLower(told); told {
	case "wss":
		return "https"
	case "ws":
		return "http"
	default:
		return told
	}
}

// ClientAddress returns the peer's address, or what the trusted proxies in
// front say that it is: the last one that they forward for and that is not
// theirs.
func (s *Server) ClientAddress(r *http.Request) netip.Addr {
	address, err := parsec.ParsePeerAddress(r.RemoteAddr)
	if err != nil || !s.trusts(address) {
		return address
	}
	for _, hop := range slices.Backward(forwardedFor(r.Header)) {
		told, err := parsec.ParsePeerAddress(hop)
		if err != nil {
			return address
		}
		address = told
		if !s.trusts(address) {
			return address
		}
	}
	return address
}

// forwardedFor lists whom the proxies forwarded for, the last one last:
// X-Forwarded-For, or else Forwarded (RFC 7239). A proxy that writes one of them
// lets the other one of a client pass, and most write the first.
func forwardedFor(header http.Header) []string {
	hops := slices.Collect(listItems(header, "X-Forwarded-For"))
	if len(hops) > 0 {
		return hops
	}
	for _, line := range header.Values("Forwarded") {
		for _, element := range splitUnquoted(line, ',') {
			if strings.TrimSpace(element) != "" {
				hops = append(hops, forwardedParameter(element, "for"))
			}
		}
	}
	return hops
}

// forwardedParameter is "" for an element of Forwarded without one.
func forwardedParameter(element, wanted string) string {
	for _, pair := range splitUnquoted(element, ';') {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), wanted) {
			return value
		}
	}
	return ""
}

func (s *Server) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(s.options.TrustedProxies, func(proxies netip.Prefix) bool { return proxies.Contains(address) }) ||
		s.options.TrustsProxy != nil && s.options.TrustsProxy(address)
}

// firstItem is "" for a list without item.
func firstItem(header http.Header, name string) string {
	for item := range listItems(header, name) {
		return item
	}
	return ""
}

// listItems returns the items of a header that is a list, over all its lines;
// empty ones are none (RFC 9110 §5.6.1).
func listItems(header http.Header, name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range header.Values(name) {
			for item := range strings.SplitSeq(line, ",") {
				if item = strings.TrimSpace(item); item != "" && !yield(item) {
					return
				}
			}
		}
	}
}

// splitUnquoted splits a header at separators that are not in quotes. A quote
// that nothing ends is a client's, who would hide what the proxy appended: then
// no quote counts.
func splitUnquoted(text string, separator byte) []string {
	var items []string
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++ // what is escaped ends nothing
		case text[i] == '"':
			quoted = !quoted
		case !quoted && text[i] == separator:
			items = append(items, text[start:i])
			start = i + 1
		}
	}
	if quoted {
		return strings.Split(text, string(separator))
	}
	return append(items, text[start:])
}
