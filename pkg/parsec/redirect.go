package parsec

import (
	"net/url"
	"slices"
	"strings"
)

// redirectRoute is the HTTP route of a server under which every parsec:// URL
// has an http(s):// form.
const redirectRoute = "/redirect"

// Redirection is an address of this server in the two forms that lead to it.
type Redirection struct {
	// Scheme is that of the application that opens the address.
	Scheme Scheme
	// Target is what it opens, and Web what browsers do, on any device.
	Target, Web string
}

// RedirectTarget returns the address to which the server at address a sends the browser
// that asked for requestPath and rawQuery (docs/protocol/transport.md §9.1 and
// docs/protocol/v5/transport.md §7): of the generation that its parameters are of, or
// else of the other scheme. requestPath is decoded, like the Path of an url.URL, and
// begins with "/redirect". ok is false when nothing follows, but to Parsec 3, where
// that is the server itself.
//
// Both forms designate this server whatever the request says, and are pure ASCII
// without control characters; path and parameters are not validated.
func (a ServerAddress) RedirectTarget(otherwise Scheme, requestPath, rawQuery string) (redirection Redirection, ok bool) {
	path, found := strings.CutPrefix(requestPath, redirectRoute+"/")
	asked := parseParameters(rawQuery)
	scheme := schemeOf(asked, otherwise)
	if !found || path == "" && scheme == Parsec2Scheme {
		return Redirection{}, false
	}
	escaped := escapePath("/" + strings.ToValidUTF8(path, "\uFFFD"))
	parameters := groupByName(asked)
	redirection = Redirection{Scheme: scheme, Web: a.HTTPOrigin() + redirectRoute + escaped + parameters.String()}
	if path == "" { // the server itself has no slash
		escaped = ""
	}
	if a.clear {
		parameters = parameters.With("no_ssl", "true")
	}
	redirection.Target = scheme.prefix() + a.hostAndPort() + escaped + parameters.String()
	return redirection, true
}

// schemeOf returns the scheme of the addresses that have such parameters.
func schemeOf(parameters Parameters, otherwise Scheme) Scheme {
	for _, parameter := range parameters {
		switch {
		case parameter.Name == "action":
			return Parsec2Scheme
		case parameter.Name == "p", parameter.Name == "a" && slices.Contains(parsec3Actions, parameter.Value):
			return Parsec3Scheme
		}
	}
	return otherwise
}

// parsec3Actions are the kinds of addresses of Parsec 3 that are named.
var parsec3Actions = []string{
	"bootstrap_organization", "path", "claim_user", "claim_device", "claim_shamir_recovery",
	"pki_enrollment", "async_enrollment", "totp_reset",
}

// FromRedirection returns the parsec:// form of an address that is in the HTTP
// form of e-mails (docs/protocol/transport.md §11), and any other text as it is.
func FromRedirection(text string) string { return Parsec2Scheme.FromRedirection(text) }

// FromRedirection returns the form of this scheme of an address that is in the HTTP
// form of e-mails, and any other text as it is.
func (s Scheme) FromRedirection(text string) string {
	text = strings.TrimSpace(text)
	scheme, rest, _ := strings.Cut(text, "://")
	rest, query, _ := strings.Cut(rest, "?")
	host, path, found := strings.Cut(rest, redirectRoute+"/")
	if !found && s == Parsec3Scheme { // the server itself
		host, found = strings.CutSuffix(rest, redirectRoute)
	}
	if !found || scheme != "http" && scheme != "https" || strings.Contains(host, "/") {
		return text
	}
	parameters := groupByName(parseParameters(query))
	if scheme == "http" {
		parameters = append(Parameters{{"no_ssl", "true"}}, parameters...)
	}
	return s.prefix() + host + "/" + path + parameters.String()
}

// groupByName brings repeated parameters together, in order of first
// appearance, without no_ssl.
func groupByName(parameters Parameters) Parameters {
	var names []string
	values := make(map[string][]string, len(parameters))
	for _, parameter := range parameters {
		if parameter.Name == "no_ssl" {
			continue
		}
		if values[parameter.Name] == nil {
			names = append(names, parameter.Name)
		}
		values[parameter.Name] = append(values[parameter.Name], parameter.Value)
	}
	grouped := make(Parameters, 0, len(parameters)+1)
	for _, name := range names {
		for _, value := range values[name] {
			grouped = grouped.With(name, value)
		}
	}
	return grouped
}

// escapePath escapes all but unreserved characters and slashes. url.PathEscape
// would leave the likes of "&", "=" and ":".
func escapePath(path string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(path))
}
