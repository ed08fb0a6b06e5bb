package parsec

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Scheme is the scheme of the addresses of a generation of clients.
type Scheme string

// The schemes of API 1 to 3, and of API 4 and 5.
const (
	Parsec2Scheme Scheme = "parsec"
	Parsec3Scheme Scheme = "parsec3"
)

func (s Scheme) prefix() string { return string(s) + "://" }

const (
	defaultTLSPort   = 443
	defaultClearPort = 80

	maxHostnameBytes = 253
	maxLabelBytes    = 63 // of a DNS name
)

// ServerAddress is where a server is reached: parsec://<host>[:<port>]
// (docs/protocol/transport.md §11), or parsec3:// to clients of Parsec 3
// (docs/protocol/v5/transport.md §9). Values compare with the ordinary operators;
// the zero value is no address.
type ServerAddress struct {
	hostname string
	port     uint16
	clear    bool
}

// ParseServerAddress reads what an administrator configures: a parsec:// URL
// without path, whose only known parameter is no_ssl. Errors are one line for
// people, without the text itself.
func ParseServerAddress(text string) (ServerAddress, error) {
	return Parsec2Scheme.ParseServerAddress(text)
}

// ParseServerAddress is parsec.ParseServerAddress for a URL of this scheme.
func (s Scheme) ParseServerAddress(text string) (ServerAddress, error) {
	server, path, _, err := s.split(text)
	if err != nil {
		return ServerAddress{}, err
	}
	if path != "" && path != "/" {
		return ServerAddress{}, errors.New("cannot have path")
	}
	return server, nil
}

// ParseAnyServerAddress reads the address of a server in the scheme of either
// generation, for what reaches it or is settled of it for both.
func ParseAnyServerAddress(text string) (ServerAddress, error) {
	if Parsec3Scheme.Begins(text) {
		return Parsec3Scheme.ParseServerAddress(text)
	}
	return ParseServerAddress(text)
}

// Begins reports whether text is of this scheme: in any case, and after blanks, as
// browsers read it.
func (s Scheme) Begins(text string) bool {
	text = strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	length := len(s.prefix())
	return len(text) >= length && strings.EqualFold(text[:length], s.prefix())
}

// Hostname returns a DNS name in lower case, an IPv4 address, or an IPv6 address in
// brackets.
func (a ServerAddress) Hostname() string { return a.hostname }

// Port returns the port, 0 only when a is no address.
func (a ServerAddress) Port() uint16 { return a.port }

// TLS reports whether the address is without no_ssl=true.
func (a ServerAddress) TLS() bool { return !a.clear }

// String returns the canonical form, of Parsec2Scheme.
func (a ServerAddress) String() string { return Parsec2Scheme.PrintServerAddress(a) }

// PrintServerAddress returns the canonical form, "" for no address.
func (s Scheme) PrintServerAddress(a ServerAddress) string {
	if a == (ServerAddress{}) {
		return ""
	}
	return a.print(s, "", nil)
}

// HTTPRedirection returns the form for e-mails, which the redirect route of the
// server turns back into a.
func (a ServerAddress) HTTPRedirection() string { return a.printHTTP("", nil) }

// HTTPOrigin returns the scheme, host and port of the server's HTTP routes, such as
// "https://example.com".
func (a ServerAddress) HTTPOrigin() string {
	if a.clear {
		return "http://" + a.hostAndPort()
	}
	return "https://" + a.hostAndPort()
}

// MarshalText returns the canonical form.
func (a ServerAddress) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseServerAddress does.
func (a *ServerAddress) UnmarshalText(text []byte) (err error) {
	*a, err = ParseServerAddress(string(text))
	return err
}

// IsHTTPURL reports whether text is the URL of an HTTP server.
func IsHTTPURL(text string) bool {
	address, err := url.Parse(text)
	return err == nil && (address.Scheme == "http" || address.Scheme == "https") && address.Hostname() != ""
}

// print returns the URL of an escaped path on this server.
func (a ServerAddress) print(scheme Scheme, path string, parameters Parameters) string {
	if a.clear {
		parameters = append(Parameters{{"no_ssl", "true"}}, parameters...)
	}
	return scheme.prefix() + a.hostAndPort() + path + parameters.String()
}

func (a ServerAddress) printHTTP(path string, parameters Parameters) string {
	return a.HTTPOrigin() + redirectRoute + path + parameters.String()
}

func (a ServerAddress) hostAndPort() string {
	if a.port == a.defaultPort() {
		return a.hostname
	}
	return a.hostname + ":" + strconv.Itoa(int(a.port))
}

func (a ServerAddress) defaultPort() uint16 {
	if a.clear {
		return defaultClearPort
	}
	return defaultTLSPort
}

// cut returns what follows the scheme.
func (s Scheme) cut(text string) (string, error) {
	mustStart := "must start with `" + s.prefix() + "`"
	if s == Parsec2Scheme {
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, Parsec3Scheme.prefix()) {
			return "", errors.New("is an address of Parsec 3, another protocol; " + mustStart)
		}
		rest, found := strings.CutPrefix(text, s.prefix())
		if !found {
			return "", errors.New(mustStart)
		}
		return rest, nil
	}
	// As browsers read a URL: blanks and control characters around it, and some
	// inside, are nothing.
	text = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimFunc(text, func(r rune) bool { return r <= ' ' }))
	if length := len(s.prefix()); len(text) >= length && strings.EqualFold(text[:length], s.prefix()) {
		return text[length:], nil
	}
	if strings.HasPrefix(text, Parsec2Scheme.prefix()) {
		return "", errors.New("is an address of Parsec 1 or 2, another protocol; " + mustStart)
	}
	return "", errors.New(mustStart)
}

// split reads what all addresses have in common. The path is still escaped. User
// information and fragment are ignored.
func (s Scheme) split(text string) (server ServerAddress, path string, parameters Parameters, err error) {
	rest, err := s.cut(text)
	if err != nil {
		return ServerAddress{}, "", nil, err
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, rawQuery, _ := strings.Cut(rest, "?")
	authority := rest
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	parameters = parseParameters(rawQuery)
	if server.clear, err = parseNoSSL(parameters); err != nil {
		return ServerAddress{}, "", nil, err
	}
	host, port := splitAuthority(authority)
	if s == Parsec3Scheme {
		if host, err = asciiHost(host); err != nil {
			return ServerAddress{}, "", nil, err
		}
	}
	if server.hostname, err = parseHostname(host); err != nil {
		return ServerAddress{}, "", nil, err
	}
	server.port = server.defaultPort()
	if port != "" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 {
			return ServerAddress{}, "", nil, errors.New("invalid port (must be 1 to 65535)")
		}
		server.port = uint16(number)
	}
	return server, path, parameters, nil
}

func parseNoSSL(parameters Parameters) (bool, error) {
	value, found, err := parameters.One("no_ssl")
	if err != nil || !found {
		return false, err
	}
	switch strings.ToLower(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("invalid `no_ssl` param value (must be true or false)")
}

// splitAuthority drops the user information; the port is empty when there is
// none.
func splitAuthority(authority string) (host, port string) {
	host = authority[strings.LastIndexByte(authority, '@')+1:]
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		return host[:colon], host[colon+1:]
	}
	return host, ""
}

func parseHostname(text string) (string, error) {
	if text == "" {
		return "", errors.New("missing mandatory hostname")
	}
	if inner, found := strings.CutPrefix(text, "["); found {
		inner, found = strings.CutSuffix(inner, "]")
		address, err := netip.ParseAddr(inner)
		if !found || err != nil || !address.Is6() || address.Zone() != "" {
			return "", errors.New("invalid hostname (not an IPv6 address)")
		}
		return "[" + address.String() + "]", nil
	}
	if len(text) > maxHostnameBytes {
		return "", errors.New("invalid hostname (too long)")
	}
	labels := strings.Split(strings.TrimSuffix(text, "."), ".")
	for _, label := range labels {
		if !isHostnameLabel(label) {
			return "", errors.New("invalid hostname (must be ASCII letters, digits, `-`, `_` and `.`)")
		}
	}
	if isNumber(labels[len(labels)-1]) {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return "", errors.New("invalid hostname (not an IPv4 address)")
		}
		return address.String(), nil
	}
	return strings.ToLower(text), nil
}

func isHostnameLabel(label string) bool {
	return label != "" && len(label) <= maxLabelBytes && !strings.ContainsFunc(label, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_'
	})
}

// isNumber reports whether the last label of a host makes it an IPv4 address,
// right or wrong, instead of a name.
func isNumber(label string) bool {
	if digits, found := strings.CutPrefix(strings.ToLower(label), "0x"); found {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
