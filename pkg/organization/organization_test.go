package organization_test

import (
	"testing"

	"parsec-server/pkg/organization"
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
