package parsec

import (
	"errors"
	"net/url"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// internationalHosts converts as browsers do: what is mapped is mapped, such as
// capitals and wide digits, and what cannot be a name is refused.
var internationalHosts = idna.New(
	idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(),
	idna.CheckHyphens(false), idna.StrictDomainName(false), // both are common, and judged by parseHostname
)

var errNoName = errors.New("invalid hostname (not an internationalized name)")

// asciiHost returns the form that DNS knows of a host with letters of any language,
// which may be percent-encoded (docs/protocol/v5/transport.md §9).
func asciiHost(text string) (string, error) {
	if text == "" || text[0] == '[' {
		return text, nil
	}
	decoded, err := url.PathUnescape(text)
	if err != nil || !utf8.ValidString(decoded) {
		return "", errNoName
	}
	host, err := internationalHosts.ToASCII(decoded)
	if err != nil {
		return "", errNoName
	}
	return host, nil
}
