package parsec

import (
	"net/url"
	"strings"
)

// redirectRoute is the HTTP route of a server under which every parsec:// URL
// has an http(s):// form.
const redirectRoute = "/redirect"

// RedirectTarget returns the parsec:// URL to which the server at address a sends
// the browser that asked for requestPath and rawQuery
// (docs/protocol/transport.md §9.1). requestPath is decoded, like the Path of
// an url.URL, and begins with "/redirect". ok is false when nothing follows.
//
// The URL designates this server whatever the request says, and is pure ASCII
// without control characters; its path and parameters are not validated.
func (a ServerAddress) RedirectTarget(requestPath, rawQuery string) (location string, ok bool) {
	path, found := strings.CutPrefix(requestPath, redirectRoute+"/")
	if !found || path == "" {
		return "", false
	}
	parameters := groupByName(parseParameters(rawQuery))
	if a.clear {
		parameters = parameters.With("no_ssl", "true")
	}
	path = "/" + strings.ToValidUTF8(path, "\uFFFD")
	return addressPrefix + a.hostAndPort() + escapePath(path) + parameters.String(), true
}

// FromRedirection returns the parsec:// form of an address that is in the HTTP
// form of e-mails (docs/protocol/transport.md §11), and any other text as it is.
func FromRedirection(text string) string {
	text = strings.TrimSpace(text)
	scheme, rest, _ := strings.Cut(text, "://")
	host, target, found := strings.Cut(rest, redirectRoute+"/")
	if !found || scheme != "http" && scheme != "https" || strings.Contains(host, "/") {
		return text
	}
	path, query, _ := strings.Cut(target, "?")
	parameters := groupByName(parseParameters(query))
	if scheme == "http" {
		parameters = append(Parameters{{"no_ssl", "true"}}, parameters...)
	}
	return addressPrefix + host + "/" + path + parameters.String()
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
