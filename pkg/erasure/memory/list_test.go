package memory_test

import (
	"context"
	"testing"

	"parsec-server/pkg/erasure"
	"parsec-server/pkg/erasure/erasuretest"
	"parsec-server/pkg/erasure/memory"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
)

// wing has the blocks of organizations.
type wing map[parsec.OrganizationID][]erasure.Object

func (w wing) EraseOrganization(_ context.Context, id parsec.OrganizationID) ([]erasure.Object, error) {
	objects := w[id]
	delete(w, id)
	return objects, nil
}

func TestList(t *testing.T) {
	erasuretest.Exercise(t, func(_ *testing.T, bus *event.Bus) erasuretest.Opened {
		organizations := organizationmemory.New(bus)
		wings := map[organization.Generation]wing{organization.Parsec2: {}, organization.Parsec3: {}}
		list := memory.New(organizations, map[organization.Generation]memory.Wing{
			organization.Parsec2: wings[organization.Parsec2], organization.Parsec3: wings[organization.Parsec3],
		})
		return erasuretest.Opened{List: list, Organizations: organizations, Fill: func(id parsec.OrganizationID, generation organization.Generation, blocks int) {
			for range blocks {
				wings[generation][id] = append(wings[generation][id], erasure.Object{Block: parsec.BlockID(parsec.NewUUID()), Size: 10})
			}
		}}
	})
}
