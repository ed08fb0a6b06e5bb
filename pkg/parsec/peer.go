package parsec

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParsePeerAddress reads the IP address of a peer as proxies write it in
// X-Forwarded-For and Forwarded (RFC 7239 §6): bare, in brackets, with a port, in
// quotes. What is told apart by none of these is the same address: an IPv4
// address mapped into IPv6 comes back as IPv4, and zones are dropped.
func ParsePeerAddress(text string) (netip.Addr, error) {
	bare := unquoteAddress(text)
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(bare, "["), "]"))
	if err != nil || strings.HasPrefix(bare, "[") != strings.HasSuffix(bare, "]") {
		withPort, portErr := netip.ParseAddrPort(bare)
		if portErr != nil {
			return netip.Addr{}, fmt.Errorf("%q is no IP address", text)
		}
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), nil
}

// ParsePeerNetwork reads a network in CIDR form, or an address alone as
// ParsePeerAddress does, with the same freedom of brackets and quotes. A network
// of IPv4 addresses mapped into IPv6 comes back as one of IPv4.
func ParsePeerNetwork(text string) (netip.Prefix, error) {
	host, bits, isNetwork := strings.Cut(unquoteAddress(text), "/")
	if !isNetwork {
		address, err := ParsePeerAddress(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	network, err := netip.ParsePrefix(host + "/" + bits)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no network", text)
	}
	const mappedBits = 96
	if address := network.Addr(); address.Is4In6() && network.Bits() >= mappedBits {
		network = netip.PrefixFrom(address.Unmap(), network.Bits()-mappedBits)
	}
	return network.Masked(), nil
}

// unquoteAddress takes away blanks around an address, and one pair of quotes.
func unquoteAddress(text string) string {
	text = strings.TrimSpace(text)
	if len(text) >= 2 && text[0] == '"' && text[len(text)-1] == '"' {
		text = text[1 : len(text)-1]
	}
	return text
}
