package organization_test

import (
	"log/slog"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
)

// TestBound has an organization that was bootstrapped by a server that knew no
// generations.
func TestBound(t *testing.T) {
	for name, item := range map[string]struct {
		organization organization.Organization
		want         organization.Generation
	}{
		"not bootstrapped": {},
		"bootstrapped":     {organization.Organization{RootVerifyKey: &parsec.VerifyKey{}, Generation: organization.Parsec2}, organization.Parsec2},
		"of before":        {organization.Organization{RootVerifyKey: &parsec.VerifyKey{}}, organization.Parsec2},
		"of another":       {organization.Organization{RootVerifyKey: &parsec.VerifyKey{}, Generation: 3}, 3},
	} {
		if got := item.organization.Bound(); got != item.want {
			t.Errorf("%s: bound to %d, want %d", name, got, item.want)
		}
	}
}

// TestChangeOfTOS wants every change of terms of service told, even to the same
// ones, and none made where they mean nothing.
func TestChangeOfTOS(t *testing.T) {
	urls := map[string]string{"en": "https://example.com/tos"}
	unset := map[string]string{}
	for name, item := range map[string]struct {
		generation organization.Generation
		initial    map[string]string
		change     *organization.TOSChange
		want, told bool
	}{
		"nothing":               {generation: organization.Parsec3, initial: urls, want: true},
		"set":                   {generation: organization.Parsec3, change: &organization.TOSChange{PerLocaleURLs: urls}, want: true, told: true},
		"set to the same":       {generation: organization.Parsec3, initial: urls, change: &organization.TOSChange{PerLocaleURLs: urls}, want: true, told: true},
		"removed":               {generation: organization.Parsec3, initial: urls, change: &organization.TOSChange{}, told: true},
		"empty":                 {generation: organization.Parsec3, initial: urls, change: &organization.TOSChange{PerLocaleURLs: unset}, told: true},
		"removed, none":         {generation: organization.Parsec3, change: &organization.TOSChange{}},
		"set before generation": {change: &organization.TOSChange{PerLocaleURLs: urls}, want: true, told: true},
		"set of Parsec 2":       {generation: organization.Parsec2, change: &organization.TOSChange{PerLocaleURLs: urls}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			bus := event.NewBus()
			t.Cleanup(bus.Close)
			store := memory.New(bus)
			id, err := parsec.ParseOrganizationID("Acme")
			if err != nil {
				t.Fatal(err)
			}
			err = store.ChangeOrganization(ctx, id, func(tx organization.Tx) error {
				created := organization.Founding{InitialTOS: item.initial}.New(id, 1)
				created.Generation = item.generation
				tx.PutOrganization(created)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan event.Event, 2)
			bus.Subscribe(func(e event.Event) { told <- e }, event.OrganizationTopic(id))
			administration := organization.New(store, nil, func() parsec.DateTime { return 5 }, slog.New(slog.DiscardHandler), organization.Options{})
			if err := administration.Update(ctx, organization.Administrator{}, id, organization.Change{TOS: item.change}); err != nil {
				t.Fatal(err)
			}
			changed, err := administration.Find(ctx, id)
			if err != nil || (changed.TOS != nil) != item.want {
				t.Errorf("terms %v, error %v", changed.TOS, err)
			}
			if item.change != nil && changed.TOS != nil && changed.TOS.UpdatedOn != 5 {
				t.Errorf("terms of %d", changed.TOS.UpdatedOn)
			}
			bus.Close() // what is published is delivered first
			if (len(told) == 1) != item.told {
				t.Errorf("%d events", len(told))
			}
		})
	}
}

// TestTermsOfOneInstant are dated one after the other: who has accepted the former ones
// has not accepted the new ones.
func TestTermsOfOneInstant(t *testing.T) {
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	id, err := parsec.ParseOrganizationID("Acme")
	if err != nil {
		t.Fatal(err)
	}
	administration := organization.New(memory.New(bus), nil, func() parsec.DateTime { return 5 }, slog.New(slog.DiscardHandler), organization.Options{})
	change := organization.Change{TOS: &organization.TOSChange{PerLocaleURLs: map[string]string{"en": "https://example.com/tos"}}}
	if _, err := administration.Create(t.Context(), organization.Administrator{}, id, change); err != nil {
		t.Fatal(err)
	}
	for want := parsec.DateTime(5); want < 8; want++ {
		found, err := administration.Find(t.Context(), id)
		if err != nil || found.TOS.UpdatedOn != want {
			t.Errorf("terms of %v, error %v, want %d", found.TOS, err, want)
		}
		if err := administration.Update(t.Context(), organization.Administrator{}, id, change); err != nil {
			t.Fatal(err)
		}
	}
}
