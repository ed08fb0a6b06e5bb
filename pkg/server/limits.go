package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// addressLimits bounds the handshakes in flight, in all and by address.
type addressLimits struct {
	perAddress int // 0 for no limit
	total      int

	mu      sync.Mutex
	current int
	counts  map[netip.Addr]int
}

func newAddressLimits(perAddress, total int) *addressLimits {
	return &addressLimits{perAddress: perAddress, total: total, counts: map[netip.Addr]int{}}
}

// take counts one more handshake of address, unless a limit is reached.
func (l *addressLimits) take(address netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current >= l.total || l.perAddress > 0 && l.counts[address] >= l.perAddress {
		return false
	}
	l.current++
	l.counts[address]++
	return true
}

// release undoes one take.
func (l *addressLimits) release(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current--
	if l.counts[address]--; l.counts[address] == 0 {
		delete(l.counts, address)
	}
}

// clientAddress is the peer's address, or what the trusted proxies in front
// say that it is: the last address of X-Forwarded-For that is not theirs.
func (s *Server) clientAddress(r *http.Request) netip.Addr {
	address := parseAddress(r.RemoteAddr)
	if !s.trusts(address) {
		return address
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return address
		}
		address = hop.Unmap()
		if !s.trusts(address) {
			return address
		}
	}
	return address
}

func (s *Server) trusts(address netip.Addr) bool {
	for _, prefix := range s.options.TrustedProxies {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

func parseAddress(hostPort string) netip.Addr {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return netip.Addr{}
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap()
}
