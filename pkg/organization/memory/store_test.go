package memory_test

import (
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/organization/memory"
	"parsec-server/pkg/organization/organizationtest"
	"parsec-server/pkg/parsec"
)

func TestStore(t *testing.T) {
	organizationtest.Exercise(t, func(_ *testing.T, bus *event.Bus) organization.Store { return memory.New(bus) })
}

// TestPutOfAnother wants no organization changed but the one that is locked.
func TestPutOfAnother(t *testing.T) {
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	store := memory.New(bus)
	ids := make([]parsec.OrganizationID, 2)
	for i, name := range []string{"Acme", "Bank"} {
		var err error
		if ids[i], err = parsec.ParseOrganizationID(name); err != nil {
			t.Fatal(err)
		}
	}
	err := store.ChangeOrganization(t.Context(), ids[0], func(tx organization.Tx) error {
		tx.PutOrganization(organization.Organization{ID: ids[1]})
		return nil
	})
	if err == nil || len(store.Cells()) != 0 {
		t.Errorf("error %v, and %d organizations, want one and none", err, len(store.Cells()))
	}
}
