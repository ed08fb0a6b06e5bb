package rules_test

import (
	"reflect"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// TestPing is told only where the settings say so, and never when anonymous.
func TestPing(t *testing.T) {
	for _, debug := range []bool{false, true} {
		f := newFixture(t, withOptions(func(o *rules.Options) { o.Debug = debug }))
		reply, err := f.Ping(t.Context(), f.bob(), &protocol.PingRequest{Ping: "hé"})
		f.ok(reply, err)
		if reply.Pong != "hé" {
			t.Errorf("got %q", reply.Pong)
		}
		anonymous, err := f.PingAnonymous(t.Context(), &rules.Anonymous{Organization: acme, API: latest}, &protocol.PingRequest{Ping: "ho"})
		f.ok(anonymous, err)
		if anonymous.Pong != "ho" {
			t.Errorf("got %q", anonymous.Pong)
		}
		var want []event.Body
		if debug {
			want = []event.Body{notice.Pinged{Ping: "hé"}}
		}
		if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
			t.Errorf("debug %t: told %v, want %v", debug, got, want)
		}
	}
}
