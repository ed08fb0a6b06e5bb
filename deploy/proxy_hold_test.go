//go:build !without_postgresql && !without_haproxy && !without_nginx && !without_caddy

package deploy_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

// TestHAProxyHoldsRequestsForOthers has HAProxy between the server and a proxy that
// does not hold requests.
func TestHAProxyHoldsRequestsForOthers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*proxied) *testkit.Process{"nginx": (*proxied).nginx, "Caddy": (*proxied).caddy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replaceOne(t, func(p *proxied) *testkit.Process {
				p.upstream = p.hold(p.upstream)
				return start(p)
			})
		})
	}
}
