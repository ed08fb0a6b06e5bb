package config

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/tlsfile"
)

func parseWholeSeconds(text string) (uint64, error) {
	seconds, err := parseCount(text)
	return uint64(seconds), err
}

func parseOrigins(c *Config, texts []string) error {
	for _, text := range texts {
		for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
			origin, err := parsec.ParseOrigin(item)
			if err != nil {
				return messagef("'%s' %s.", item, err)
			}
			c.CORSOrigins = append(c.CORSOrigins, origin)
		}
	}
	return nil
}

// everyAddress are the networks of *.
var everyAddress = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

// parseProxies takes what is no address for a name: one that nobody knows is no reason
// not to start.
func parseProxies(c *Config, texts []string) error {
	for _, item := range strings.FieldsFunc(texts[0], func(r rune) bool { return r == ',' || r == ' ' }) {
		if item == "*" {
			c.proxies = append(c.proxies, everyAddress...)
			continue
		}
		if network, err := parsec.ParsePeerNetwork(item); err == nil {
			c.proxies = append(c.proxies, network)
		} else {
			c.TrustedProxyNames = append(c.TrustedProxyNames, item)
		}
	}
	return nil
}

func parseSuites(c *Config, texts []string) error {
	var ok bool
	if c.TLS.Ciphers, c.unknownCiphers, ok = tlsfile.ParseCiphers(texts[0]); !ok {
		return messagef("no cipher suite of TLS 1.2 or 1.3 is named.")
	}
	return nil
}

// parseTOS reads <locale>:<url>,<locale>:<url>; a backslash keeps a comma in a URL.
func parseTOS(text string) (map[string]string, error) {
	const kept = "\x00" // is in no variable
	terms := map[string]string{}
	for item := range strings.SplitSeq(strings.ReplaceAll(text, `\,`, kept), ",") {
		item = strings.ReplaceAll(item, kept, ",")
		locale, url, found := strings.Cut(item, ":")
		locale, url = strings.TrimSpace(locale), strings.TrimSpace(url)
		if !found || locale == "" || url == "" {
			return nil, messagef("'%s' is not `<locale>:<url>`.", item)
		}
		if _, twice := terms[locale]; twice {
			return nil, messagef("the locale '%s' is given twice.", locale)
		}
		terms[locale] = url
	}
	return terms, nil
}

// parseProtection reads an advice of docs/protocol/v5/types.md §4.
func parseProtection(text string) (string, error) {
	const withTOTP = "+TOTP"
	base, twice := strings.CutSuffix(text, withTOTP)
	protection, err := parseChoice(protections...)(base)
	if twice {
		protection += withTOTP
	}
	return protection, err
}

// parseRateLimit reads two numbers. E-mails count for a day, and so no longer delay.
func parseRateLimit(text string) (limit [2]int, err error) {
	numbers := strings.Fields(text)
	if len(numbers) != len(limit) {
		return limit, messagef("'%s' is not two numbers.", text)
	}
	for i, number := range numbers {
		if limit[i], err = parseCount(number); err != nil {
			return limit, err
		}
	}
	const day = 24 * 60 * 60 // in seconds
	if limit[0] > day {
		return limit, messagef("'%s' is a delay of more than a day.", text)
	}
	return limit, nil
}

func parseRate(text string) (float64, error) {
	rate, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(rate >= 0 && rate <= 1) {
		return 0, messagef("'%s' is not a number from 0 to 1.", text)
	}
	return rate, nil
}

func parseHTTPURL(text string) (string, error) {
	if !parsec.IsHTTPURL(text) {
		return "", messagef("must be an http or https URL")
	}
	return text, nil
}

func parseExistingFolder(text string) (string, error) {
	information, err := os.Stat(text)
	if err != nil || !information.IsDir() {
		return "", messagef("Directory '%s' does not exist.", text)
	}
	return text, nil
}

// revokedKey says of a block of a file of public keys that its key is not accepted.
const revokedKey = "!REVOKED!"

// parsePublicKeysFile reads the public keys of a file: nil for one that is revoked, of
// which no more is read.
func parsePublicKeysFile(path string) ([]*rsa.PublicKey, error) {
	content, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	const begin, end = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
	var keys []*rsa.PublicKey
	for {
		var block string
		var found bool
		if _, content, found = strings.Cut(content, begin); !found {
			break
		}
		if block, content, found = strings.Cut(content, end); !found {
			return nil, messagef("File '%s': public key %d has no end.", path, len(keys))
		}
		if strings.Contains(block, revokedKey) {
			keys = append(keys, nil)
			continue
		}
		key, err := parsePublicKey(begin + block + end)
		if err != nil {
			return nil, messagef("File '%s': public key %d: %s.", path, len(keys), err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, messagef("File '%s' has no public key.", path)
	}
	return keys, nil
}

func parsePublicKey(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, messagef("it is not PEM")
	}
	return parsec.ParseRSAPublicKey(block.Bytes)
}

// parsePrivateKeyFile reads the private key of a file.
func parsePrivateKeyFile(path string) (*rsa.PrivateKey, error) {
	content, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	return parsePrivateKey(content)
}

// minSigningBits is the length of the shortest RSA key that anything is signed with.
const minSigningBits = 1024

// parsePrivateKey reads an RSA private key. Errors say nothing of it.
func parsePrivateKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, messagef("must be a private key in PEM (PKCS#8)")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, isRSA := parsed.(*rsa.PrivateKey)
	if err != nil || !isRSA {
		return nil, messagef("must be an RSA private key in PEM (PKCS#8)")
	}
	if key.N.BitLen() < minSigningBits {
		return nil, messagef("must be an RSA private key of at least %d bits", minSigningBits)
	}
	return key, nil
}

func readKeyFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", messagef("File '%s' cannot be read.", path)
	}
	return string(content), nil
}
