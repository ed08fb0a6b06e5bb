package storetest

import (
	"testing"

	"parsec-server/pkg/event"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec3/memory"
	"parsec-server/pkg/parsec3/rules"
)

func TestMemory(t *testing.T) {
	exercise(t, func(_ *testing.T, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) })
}
