package storetest

import (
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizations "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/organization/organizationtest"
	"parsec-server/pkg/parsec2/memory"
	"parsec-server/pkg/parsec2/rules"
)

func TestMemory(t *testing.T) {
	exercise(t, func(_ *testing.T, bus *event.Bus) rules.Store { return memory.New(organizations.New(bus)) })
}

func TestOrganizationsInMemory(t *testing.T) {
	organizationtest.Exercise(t, func(_ *testing.T, bus *event.Bus) organization.Store { return memory.New(organizations.New(bus)) })
}
