package postgres

import (
	"context"
	"slices"

	"parsec-server/pkg/erasure"
	erasurestore "parsec-server/pkg/erasure/postgres"
)

// ofOrganizations are the tables of what goes with an organization that is deleted, each
// before those that its rows refer to.
func ofOrganizations() []string {
	return slices.Concat(ofRealms, []string{
		"parsec3.realm_to_erase", "parsec3.realm_counter", "parsec3.realm_member", "parsec3.realm",
		"parsec3.last_signed", "parsec3.certificate", "parsec3.usage", "parsec3.presence",
		"parsec3.shamir_guess", "parsec3.greeting_attempt", "parsec3.invitation",
		"parsec3.shamir_share", "parsec3.shamir_seen", "parsec3.shamir_setup",
		"parsec3.totp_key", "parsec3.totp", "parsec3.enrollment", "parsec3.device", "parsec3.user_profile", "parsec3.user_",
		"parsec3.user_count", "parsec3.sequester_service", "parsec3.topic",
	})
}

// eraseOrganization is EraseRows for a whole organization. Whoever would write another
// row in one of its tables locks one of realm or topic first, or refers to one.
func (s *Store) eraseOrganization(ctx context.Context, target erasure.Target) (erased int64, left bool, err error) {
	var steps []func(context.Context) (int64, bool, error)
	for _, table := range ofOrganizations() {
		steps = append(steps, func(ctx context.Context) (int64, bool, error) {
			some, err := s.eraseSome(ctx, target, table, "")
			return some, some >= eraseBatch, err
		})
	}
	return erasurestore.EraseOrganization(ctx, s.Database, s, target, steps)
}
