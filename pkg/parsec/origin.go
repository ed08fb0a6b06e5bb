package parsec

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Origin is where a page comes from, in the form in which browsers send it:
// scheme://host, with :port unless it is the default one
// (docs/protocol/v5/transport.md §8).
type Origin string

// AnyOrigin is every origin.
const AnyOrigin Origin = "*"

// ParseOrigin reads an origin, or "*". A slash at the end is dropped. Errors are one
// line for people, without the text itself.
func ParseOrigin(text string) (Origin, error) {
	if text == string(AnyOrigin) {
		return AnyOrigin, nil
	}
	scheme, rest, found := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case !found || scheme == "":
		return "", errors.New("must be an origin such as https://example.com, or *")
	case strings.ContainsAny(scheme, "/?#@ "):
		return "", errors.New("invalid scheme")
	}
	rest = strings.TrimSuffix(rest, "/")
	if strings.ContainsAny(rest, "/?#@") {
		return "", errors.New("must have no path, query or user")
	}
	located, err := url.Parse(scheme + "://" + strings.ToLower(rest))
	if err != nil || located.Host == "" || located.Hostname() == "" {
		return "", errors.New("invalid host or port")
	}
	host, port := located.Hostname(), located.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || port == defaultPortOf[scheme] {
		return Origin(scheme + "://" + host), nil
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return "", errors.New("invalid port (must be 1 to 65535)")
	}
	return Origin(scheme + "://" + host + ":" + port), nil
}

// defaultPortOf are the ports that browsers leave out.
var defaultPortOf = map[string]string{"http": "80", "https": "443"}
