package server_test

import (
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/server"
)

// TestClientAddressAsProxiesWriteIt asks the log whom a wrong administration
// token is counted against.
func TestClientAddressAsProxiesWriteIt(t *testing.T) {
	f := newEmptyFixture(t, func(options *options) {
		options.TrustedProxies = []netip.Prefix{
			netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48"),
		}
	})
	const proxy = "127.0.0.1"
	told := regexp.MustCompile(`"msg":"wrong administration token","address":"([^"]*)"`)
	for _, item := range []struct {
		want    string
		headers []string
	}{
		{proxy, nil},
		{proxy, []string{"X-Forwarded-For: "}},
		{proxy, []string{"X-Forwarded-For: , ,"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1,"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1, ,"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1, 10.0.0.1,"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 203.0.113.9,,192.0.2.1", "X-Forwarded-For: "}},
		{"192.0.2.1", []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.1, 10.0.0.1"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1:4711"}},
		{"192.0.2.1", []string{`X-Forwarded-For: "192.0.2.1"`}},
		{"192.0.2.1", []string{"X-Forwarded-For: ::ffff:192.0.2.1"}},
		{"192.0.2.1", []string{"X-Forwarded-For: [::ffff:192.0.2.1]:4711"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1, [::ffff:10.1.2.3]:80, 10.1.2.4:443"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1, [2001:db8:ffff::2]"}},
		{"2001:db8::1", []string{"X-Forwarded-For: 2001:DB8::1"}},
		{"2001:db8::1", []string{"X-Forwarded-For: [2001:db8::1]:4711"}},
		{"2001:db8::1", []string{`X-Forwarded-For: "[2001:db8::1]"`}},
		{"fe80::1", []string{"X-Forwarded-For: fe80::1%eth0"}},
		{"192.0.2.1", []string{`X-Forwarded-For: "203.0.113.9, 192.0.2.1`}}, // a client's quote hides nothing
		{proxy, []string{"X-Forwarded-For: 192.0.2.1, unknown"}},
		{"10.0.0.1", []string{"X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.1"}},

		{"192.0.2.1", []string{"Forwarded: for=192.0.2.1"}},
		{"192.0.2.1", []string{`Forwarded: proto=https; For="192.0.2.1:4711" ;by=10.1.2.3`}},
		{"192.0.2.1", []string{"Forwarded: for=203.0.113.9, for=192.0.2.1", "Forwarded: for=10.0.0.1,"}},
		{"2001:db8::1", []string{`Forwarded: for=192.0.2.3, for="[2001:DB8::1]:4711"`}},
		{"192.0.2.1", []string{`Forwarded: for=192.0.2.1;host="a,b;for=203.0.113.9"`}},
		{"192.0.2.1", []string{`Forwarded: for=192.0.2.1;host="\",for=203.0.113.9"`}},
		{"192.0.2.1", []string{`Forwarded: for=203.0.113.9;x=", for=192.0.2.1`}},
		{"192.0.2.1", []string{`Forwarded: for=203.0.113.9;x="\, for=192.0.2.1`}},
		{proxy, []string{"Forwarded: for=192.0.2.1, proto=https"}},
		{proxy, []string{"Forwarded: for=_hidden"}},
		{proxy, []string{"Forwarded: for=192.0.2.1, for=unknown"}},
		{"192.0.2.1", []string{"X-Forwarded-For: 192.0.2.1", "Forwarded: for=203.0.113.9"}},
	} {
		f.clock.Advance(time.Hour) // forgives the attempts before
		response := f.get("/administration/stats", append(item.headers, "Authorization: Bearer wrong")...)
		if response.StatusCode != http.StatusForbidden {
			t.Fatalf("%q: HTTP %d", item.headers, response.StatusCode)
		}
		lines := told.FindAllStringSubmatch(f.logs.String(), -1)
		if got := lines[len(lines)-1][1]; got != item.want {
			t.Errorf("%q: %s, want %s", item.headers, got, item.want)
		}
	}
}

func TestEnforceHTTPS(t *testing.T) {
	f := newFixture(t, func(options *options) {
		options.EnforceHTTPS = &server.ForwardedProto{Header: "X-Forwarded-Proto", Value: "https"}
	})
	for _, item := range []struct {
		name, target string
		headers      []string
		location     string // "" to pass
	}{
		{"no header", "/dummy", nil, ""},
		{"value", "/dummy", []string{"X-Forwarded-Proto: https"}, ""},
		{"name in another case", "/dummy", []string{"x-forwarded-PROTO: https"}, ""},
		{"value in another case", "/dummy", []string{"X-Forwarded-Proto: HTTPS"}, ""},
		{"value of WebSockets", "/dummy", []string{"X-Forwarded-Proto: WSS"}, ""},
		{"list", "/dummy", []string{"X-Forwarded-Proto: https,http"}, ""},
		{"list of lines", "/dummy", []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, ""},
		{"list that begins with nothing", "/dummy", []string{"X-Forwarded-Proto: , https, http"}, ""},
		{"other value", "/dummy", []string{"X-Forwarded-Proto: http"}, "https://localhost/dummy"},
		{"other value first", "/dummy", []string{"X-Forwarded-Proto: http, https"}, "https://localhost/dummy"},
		{"other value of WebSockets", "/dummy", []string{"X-Forwarded-Proto: ws"}, "https://localhost/dummy"},
		{"empty value", "/dummy", []string{"X-Forwarded-Proto: "}, "https://localhost/dummy"},
		{"query", "/redirect/a%20b?c=%C3%A9&d", []string{"X-Forwarded-Proto: http"}, "https://localhost/redirect/a%20b?c=%C3%A9&d"},
	} {
		_, response := f.tryUpgrade(item.target, item.headers...)
		location := response.Header.Get("Location")
		if (response.StatusCode == http.StatusMovedPermanently) != (item.location != "") || location != item.location {
			t.Errorf("%s: HTTP %d to %q, want %q", item.name, response.StatusCode, location, item.location)
		}
	}
}

// An upgrade is served or refused: a client that follows redirections would be
// sent round for ever.
func TestEnforceHTTPSOnUpgrades(t *testing.T) {
	for _, value := range []string{"https", "wss"} {
		f := newFixture(t, func(options *options) {
			options.EnforceHTTPS = &server.ForwardedProto{Header: "X-Forwarded-Proto", Value: value}
		})
		f.upgradeRaw()
		for _, told := range []string{"https", "wss", "WSS", "wss,ws", "https, http", "wss, https"} {
			f.upgradeRaw("X-Forwarded-Proto: " + told)
		}
		for _, told := range []string{"http", "ws", "WS", "ws, wss", "", "tls"} {
			_, response := f.tryUpgrade("/ws", append(upgradeHeaders(), "X-Forwarded-Proto: "+told)...)
			if response.StatusCode != http.StatusForbidden || response.Header.Get("Location") != "" {
				t.Errorf("%q: HTTP %d to %q", told, response.StatusCode, response.Header.Get("Location"))
			}
			text, err := io.ReadAll(response.Body)
			f.ok(err)
			if want := "This server takes WebSockets through TLS only.\n"; string(text) != want {
				t.Errorf("%q: answered %q, want %q", told, text, want)
			}
		}
	}
}

// TestStrictTransport is for those who came by TLS, as whom to believe says.
func TestStrictTransport(t *testing.T) {
	proxy := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	rule := &server.ForwardedProto{Header: "X-Scheme", Value: "https"}
	for _, item := range []struct {
		name    string
		options server.Options
		headers []string
		want    bool
	}{
		{"in clear", server.Options{StrictTransport: true}, nil, false},
		{"a stranger says so", server.Options{StrictTransport: true}, []string{"X-Forwarded-Proto: https"}, false},
		{"the proxy says so", server.Options{StrictTransport: true, TrustedProxies: proxy}, []string{"X-Forwarded-Proto: HTTPS, http"}, true},
		{"the proxy says wss", server.Options{StrictTransport: true, TrustedProxies: proxy}, []string{"X-Forwarded-Proto: wss"}, true},
		{"the proxy says http", server.Options{StrictTransport: true, TrustedProxies: proxy}, []string{"X-Forwarded-Proto: http", "Forwarded: proto=https"}, false},
		{"by Forwarded", server.Options{StrictTransport: true, TrustedProxies: proxy}, []string{`Forwarded: for=192.0.2.1; Proto="https", for=10.0.0.1;proto=http`}, true},
		{"by Forwarded, http", server.Options{StrictTransport: true, TrustedProxies: proxy}, []string{"Forwarded: proto=http, proto=https"}, false},
		{"the proxy says nothing", server.Options{StrictTransport: true, TrustedProxies: proxy}, nil, false},
		{"the header that enforces", server.Options{StrictTransport: true, EnforceHTTPS: rule}, []string{"X-Scheme: https"}, true},
		{"that header says no", server.Options{StrictTransport: true, EnforceHTTPS: rule}, []string{"X-Scheme: http"}, false},
		{"off", server.Options{TrustedProxies: proxy}, []string{"X-Forwarded-Proto: https"}, false},
	} {
		t.Run(item.name, func(t *testing.T) {
			f := newEmptyFixture(t, func(options *options) { options.Options = item.options })
			for _, target := range []string{"/", "/nowhere", "/healthz"} {
				got := f.get(target, item.headers...).Header.Get("Strict-Transport-Security")
				if want := map[bool]string{true: "max-age=31536000"}[item.want]; got != want {
					t.Errorf("%s: %q, want %q", target, got, want)
				}
			}
		})
	}
}

// What the settings know by name only is trusted as addresses are.
func TestTrustsProxy(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		f := newFixture(t, func(o *options) {
			o.TrustsProxy = func(address netip.Addr) bool { return trusted && address.IsLoopback() }
		})
		f.get("/administration/stats", "X-Forwarded-For: 192.0.2.7", "Authorization: Bearer wrong")
		if got := strings.Contains(f.logs.String(), `"msg":"wrong administration token","address":"192.0.2.7"`); got != trusted {
			t.Errorf("trusted %t: %s", trusted, f.logs.String())
		}
	}
}
