package parsec2_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// fadingStore loses its database when it is told to.
type fadingStore struct {
	rules.Store
	gone atomic.Bool
}

func (s *fadingStore) err() error {
	if s.gone.Load() {
		return fmt.Errorf("lock_not_available: %w", outage.ErrUnavailable)
	}
	return nil
}

func (s *fadingStore) Organization(ctx context.Context, id parsec.OrganizationID) (*rules.Organization, bool, error) {
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

func (s *fadingStore) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec.DeviceID) (rules.AuthenticationFacts, error) {
	if err := s.err(); err != nil {
		return rules.AuthenticationFacts{}, err
	}
	return s.Store.Authentication(ctx, organization, device)
}

func (s *fadingStore) Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (rules.InvitationFacts, error) {
	if err := s.err(); err != nil {
		return rules.InvitationFacts{}, err
	}
	return s.Store.Invitation(ctx, organization, token)
}

func (s *fadingStore) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.Update(ctx, scope, rule)
}

func (s *fadingStore) Publish(ctx context.Context, e event.Event) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.Store.Publish(ctx, e)
}

// TestUnavailable loses the database between two looks at it. Whoever speaks
// HTTP is told to come back, and WebSockets end without an answer, never with a
// refusal (docs/protocol/transport.md §4).
func TestUnavailable(t *testing.T) {
	var store *fadingStore
	f := newFixture(t, func(options *testkit.InstanceOptions) {
		options.WrapStore = func(lasting rules.Store) rules.Store {
			store = &fadingStore{Store: lasting}
			return store
		}
	})
	conn, half := f.connect("alice@dev1"), f.dial()
	f.receive(half)
	f.Parsec2.SetHandler(protocol.OrganizationStats.Form, func(context.Context) (any, error) {
		return nil, fmt.Errorf("deadlock_detected: %w", outage.ErrUnavailable)
	})
	_, err := parsec2.Call(f.ctx, f.client.AuthenticatedRPC(f.device("alice@dev1"), api3), protocol.OrganizationStats, nil)
	f.wantStatus(err, http.StatusServiceUnavailable)

	store.gone.Store(true)
	messagePack, bearer := "Content-Type: application/msgpack", "Authorization: Bearer "+testkit.AdministrationToken
	for _, request := range []struct {
		method, target string
		headers        []string
	}{
		{"GET", "/authenticated/CoolOrg/events", f.streamHeaders()},
		{"POST", "/authenticated/CoolOrg", append(f.streamHeaders(), messagePack)},
		{"POST", "/anonymous/CoolOrg", []string{messagePack}},
		{"GET", "/anonymous/CoolOrg", []string{messagePack}},
		{"POST", "/invited/CoolOrg", []string{messagePack, "Invitation-Token: " + pendingToken.String()}},
		{"GET", "/administration/organizations/CoolOrg", []string{bearer}},
		{"GET", "/administration/organizations/CoolOrg/users", []string{bearer}},
	} {
		response := f.do(request.method, request.target, nil, request.headers...)
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: HTTP %d, Retry-After %q", request.method, request.target, response.StatusCode, response.Header.Get("Retry-After"))
		}
	}
	if response := f.do("POST", "/administration/organizations", []byte(`{"organization_id": "EmptyOrg"}`), bearer); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("an organization is created: HTTP %d", response.StatusCode)
	}
	f.ok(half.Send(f.ctx, vectors.Load[handshakeFile](t, "handshake.json").Answers[0].Frame))
	f.wantClosed(half, websocket.StatusInternalError)
	f.send(conn, "organization_stats")
	f.wantClosed(conn, websocket.StatusInternalError)

	store.gone.Store(false)
	f.wantPong(f.connect("alice@dev1"))
}
