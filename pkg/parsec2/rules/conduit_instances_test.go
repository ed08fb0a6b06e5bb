//go:build !without_postgresql

package rules_test

import (
	"testing"

	"pgregory.net/rapid"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec2/rules"
)

// TestConduitModelOnTwoInstances is over one database, each instance with its
// own listener.
func TestConduitModelOnTwoInstances(t *testing.T) {
	dsn := testkit.NewPostgres(t)
	open := func(t testing.TB, bus *event.Bus) rules.Store { return testkit.OpenPostgres(t, dsn, bus) }
	f := newFixture(t, func(s *setup) { s.store = open })
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	remote := rules.New(open(t, bus), f.blocks, bus, f.webhooks, f.clock.now, discard, rules.Options{})
	rapid.Check(t, func(rt *rapid.T) { playConduit(rt, f, remote, 12) })
}
