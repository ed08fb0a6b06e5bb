package mail

import (
	"errors"
	netmail "net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"parsec-server/pkg/parsec"
)

var errNotAddress = errors.New("not an e-mail address")

// maxAddressBytes is what SMTP servers take of an address (RFC 5321 §4.5.3.1.3).
const maxAddressBytes = 254

// parseRecipient wants one bare address. One with a quoted local part is
// refused: hardly any server takes it, and it could hold commands.
func parseRecipient(text string) (*netmail.Address, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxAddressBytes {
		return nil, errNotAddress
	}
	parsed, err := netmail.ParseAddress("<" + text + ">")
	if err != nil || parsed.Name != "" || parsed.Address != text || strings.ContainsFunc(text, isBreak) {
		return nil, errNotAddress
	}
	address, err := withASCIIDomain(text)
	if err != nil {
		return nil, errNotAddress
	}
	return &netmail.Address{Address: address}, nil
}

// withASCIIDomain writes the domain of an address as every SMTP server takes
// it.
func withASCIIDomain(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	local, domain := address[:at+1], address[at+1:]
	if isASCII(domain) {
		return address, nil
	}
	domain, err := idna.Lookup.ToASCII(domain)
	return local + domain, err
}

// isBreak reports whether a character separates or hides something in a line.
func isBreak(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`<>,;:"\`, r)
}

// oneLine makes of any text one that a header or a sentence may hold: no
// control character, none that turns the direction of writing or is invisible,
// single spaces, and nothing that reads like an encoded word (RFC 2047).
func oneLine(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, text)
	return noEncodedWord(strings.Join(strings.Fields(text), " "))
}

// noEncodedWord parts what reads like the begin of an encoded word (RFC 2047).
func noEncodedWord(text string) string { return strings.ReplaceAll(text, "=?", "= ?") }

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// helloName introduces this server to the SMTP server: as the host that people
// know it by (RFC 5321 §4.1.3 for an IP address).
func helloName(address parsec.ServerAddress) string {
	host := address.Hostname()
	switch {
	case strings.HasPrefix(host, "["):
		return "[IPv6:" + host[1:]
	case host != "" && strings.Trim(host, "0123456789.") == "":
		return "[" + host + "]"
	default:
		return host
	}
}
