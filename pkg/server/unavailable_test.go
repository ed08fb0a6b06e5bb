package server_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// fadingStore loses its database when it is told to.
type fadingStore struct {
	organization.Store
	gone atomic.Bool
}

func (s *fadingStore) err() error {
	if s.gone.Load() {
		return fmt.Errorf("lock_not_available: %w", outage.ErrUnavailable)
	}
	return nil
}

func (s *fadingStore) Organization(ctx context.Context, id parsec.OrganizationID) (*organization.Organization, bool, error) {
	if err := s.err(); err != nil {
		return nil, false, err
	}
	return s.Store.Organization(ctx, id)
}

func (s *fadingStore) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.ChangeOrganization(ctx, id, rule)
}

// TestUnavailable loses the database between two looks at it: administrators are
// told to come back.
func TestUnavailable(t *testing.T) {
	var store *fadingStore
	f := newFixture(t, func(options *options) {
		options.wrapStore = func(lasting organization.Store) organization.Store {
			store = &fadingStore{Store: lasting}
			return store
		}
	})
	store.gone.Store(true)
	for _, request := range []struct{ method, target, body string }{
		{"GET", "/administration/organizations/CoolOrg", ""},
		{"GET", "/administration/organizations/CoolOrg/users", ""},
		{"POST", "/administration/organizations", `{"organization_id": "EmptyOrg"}`},
	} {
		response := f.do(request.method, request.target, []byte(request.body), bearer)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: HTTP %d, Retry-After %q", request.method, request.target, response.StatusCode, response.Header.Get("Retry-After"))
		}
	}
	store.gone.Store(false)
	f.play([]administrationStep{{"PATCH", "organizations/CoolOrg", `{"is_expired": true}`, 200, "{}"}, {"GET", "organizations/EmptyOrg", "", 404, notFound}})
}
