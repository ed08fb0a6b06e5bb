package main

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// proxiesPeriod is how often the names of proxies are looked up: containers get
	// other addresses.
	proxiesPeriod = 30 * time.Second
	// lookupLimit bounds one look at all of them.
	lookupLimit = 10 * time.Second
)

// namedProxies are the proxies in front of the server that settings name by host.
type namedProxies struct {
	names  []string
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	logger *slog.Logger

	current atomic.Pointer[map[string][]netip.Addr]
}

// has reports whether an address is of one of them, as last looked up.
func (p *namedProxies) has(address netip.Addr) bool {
	known := p.current.Load()
	if known == nil {
		return false
	}
	for _, addresses := range *known {
		for _, other := range addresses {
			if other == address {
				return true
			}
		}
	}
	return false
}

// watch looks the names up until ctx is done.
func (p *namedProxies) watch(ctx context.Context) {
	if len(p.names) == 0 {
		return
	}
	ticker := time.NewTicker(proxiesPeriod)
	defer ticker.Stop()
	failed := map[string]bool{}
	for {
		p.look(ctx, failed)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// look keeps the last addresses of a name that is not found; failed says which are
// warned of.
func (p *namedProxies) look(ctx context.Context, failed map[string]bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	known := map[string][]netip.Addr{}
	if last := p.current.Load(); last != nil {
		known = maps.Clone(*last)
	}
	for _, name := range p.names {
		found, err := p.lookup(ctx, "ip", name)
		if err != nil {
			if !failed[name] && ctx.Err() == nil {
				p.logger.Warn("a trusted proxy is not found", "name", name, "error", err)
			}
			failed[name] = true
			continue
		}
		failed[name] = false
		for i := range found {
			found[i] = found[i].Unmap().WithZone("")
		}
		known[name] = found
	}
	p.current.Store(&known)
}
