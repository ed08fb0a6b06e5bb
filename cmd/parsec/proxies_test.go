package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The names of proxies are looked up again and again; one that is not found is one warning,
// and keeps its last addresses.
func TestNamedProxies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		var answer atomic.Value
		answer.Store([]netip.Addr{netip.AddrFrom16(first.As16())})
		var log bytes.Buffer
		proxies := &namedProxies{
			names: []string{"unknown", "proxy"}, logger: slog.New(slog.NewTextHandler(&log, nil)),
			lookup: func(_ context.Context, network, host string) ([]netip.Addr, error) {
				known := answer.Load().([]netip.Addr)
				if network != "ip" || host != "proxy" || known == nil {
					return nil, errors.New("no such host")
				}
				return known, nil
			},
		}
		if proxies.has(first) {
			t.Error("trusted before it is looked up")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go proxies.watch(ctx)
		for _, step := range []struct {
			answer        []netip.Addr
			first, second bool
		}{
			{nil, true, false}, // what is known stays
			{[]netip.Addr{second}, false, true},
		} {
			synctest.Wait()
			answer.Store(step.answer)
			time.Sleep(proxiesPeriod) //nolint:forbidigo // in the time of the bubble
			synctest.Wait()
			if proxies.has(first) != step.first || proxies.has(second) != step.second {
				t.Errorf("after %v: %t, %t", step.answer, proxies.has(first), proxies.has(second))
			}
		}
		cancel()
		synctest.Wait()
		if got := strings.Count(log.String(), "a trusted proxy is not found"); got != 2 {
			t.Errorf("%d warnings:\n%s", got, log.String())
		}
	})
}
