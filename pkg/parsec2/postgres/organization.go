package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// organizationColumns are of a row that may be missing.
const organizationColumns = `o.organization_id, o.bootstrap_token, o.root_verify_key, o.expiration_date,
    o.user_profile_outsider_allowed, o.active_users_limit, o.minimum_archiving_period,
    o.sequester_authority_certificate, o.sequester_verify_key_der, o.created_on, o.bootstrapped_on,
    o.generation`

type organizationRow struct {
	value                                 rules.Organization
	rootVerifyKey                         []byte
	expirationDate, limit, bootstrappedOn *int64
	generation                            unsigned
}

func (r *organizationRow) targets() []any {
	o := &r.value
	return []any{
		parsed{&o.ID}, (*text)(&o.BootstrapToken), &r.rootVerifyKey, &r.expirationDate,
		(*flag)(&o.UserProfileOutsiderAllowed), &r.limit, (*unsigned)(&o.MinimumArchivingPeriod),
		&o.SequesterAuthorityCertificate, &o.SequesterVerifyKeyDER, (*integer)(&o.CreatedOn), &r.bootstrappedOn,
		&r.generation,
	}
}

// facts returns what rules read, in a value that the caller may change.
func (r *organizationRow) facts() *rules.Organization {
	o := r.value
	if r.rootVerifyKey != nil {
		o.RootVerifyKey = new(parsec.VerifyKey(r.rootVerifyKey))
	}
	o.Generation = organization.Generation(r.generation)
	o.ExpirationDate, o.BootstrappedOn = optionalDate(r.expirationDate), optionalDate(r.bootstrappedOn)
	if r.limit != nil {
		o.ActiveUsersLimit = new(uint64(*r.limit))
	}
	return &o
}

// Organization implements organization.Store.
func (s *Store) Organization(ctx context.Context, id parsec.OrganizationID) (*rules.Organization, bool, error) {
	var found bool
	var organization organizationRow
	err := s.One(ctx, database.Row(&found, "SELECT "+organizationColumns+" FROM organization o WHERE o.organization_id = $1",
		[]any{id.String()}, organization.targets()...))
	if err != nil || !found {
		return nil, false, err
	}
	return organization.facts(), true, nil
}

// selectOrganizations takes the id to begin after $1, the most organizations
// $2, and the instant $3.
const selectOrganizations = "SELECT " + organizationColumns + `
FROM organization o
WHERE o.organization_id > $1 AND o.created_on <= $3
ORDER BY o.organization_id LIMIT $2`

func scanOrganization(row pgx.CollectableRow) (rules.Organization, error) {
	var organization organizationRow
	err := row.Scan(organization.targets()...)
	return *organization.facts(), err
}

// Organizations implements organization.Store.
func (s *Store) Organizations(ctx context.Context, after parsec.OrganizationID, limit int, until *parsec.DateTime) ([]rules.Organization, error) {
	if until == nil {
		until = new(parsec.MaxDateTime)
	}
	var page []rules.Organization
	err := s.One(ctx, database.List(&page, selectOrganizations, []any{after.String(), limit, int64(*until)}, scanOrganization))
	return page, err
}

// ChangeOrganization implements organization.Store.
func (s *Store) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	return s.Update(ctx, rules.Scope{Organization: id, LockOrganization: true}, func(tx rules.Tx) error { return rule(tx) })
}

// Organization implements rules.OrganizationTx.
func (t *tx) Organization() (*rules.Organization, bool) {
	return t.organization, t.organization != nil
}

// PutOrganization implements rules.OrganizationTx.
func (t *tx) PutOrganization(o rules.Organization) {
	var rootVerifyKey []byte
	if o.RootVerifyKey != nil {
		rootVerifyKey = o.RootVerifyKey[:]
	}
	t.QueueOne(`
INSERT INTO organization (organization_id, bootstrap_token, root_verify_key, expiration_date,
    user_profile_outsider_allowed, active_users_limit, minimum_archiving_period,
    sequester_authority_certificate, sequester_verify_key_der, created_on, bootstrapped_on,
    generation)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, nullif($12::smallint, 0))
ON CONFLICT (organization_id) DO UPDATE SET bootstrap_token = excluded.bootstrap_token,
    root_verify_key = excluded.root_verify_key, expiration_date = excluded.expiration_date,
    user_profile_outsider_allowed = excluded.user_profile_outsider_allowed,
    active_users_limit = excluded.active_users_limit,
    minimum_archiving_period = excluded.minimum_archiving_period,
    sequester_authority_certificate = excluded.sequester_authority_certificate,
    sequester_verify_key_der = excluded.sequester_verify_key_der,
    created_on = excluded.created_on, bootstrapped_on = excluded.bootstrapped_on,
    generation = excluded.generation`,
		t.organizationName(), o.BootstrapToken, rootVerifyKey, date(o.ExpirationDate),
		o.UserProfileOutsiderAllowed, boundedPointer(o.ActiveUsersLimit), bounded(o.MinimumArchivingPeriod),
		o.SequesterAuthorityCertificate, o.SequesterVerifyKeyDER, int64(o.CreatedOn), date(o.BootstrappedOn),
		int16(o.Generation))
}
