package postgres

import (
	"encoding/json"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Tx = (*Tx)(nil)

// Tx implements organization.Tx, for a transaction that has locked an
// organization and read it. Those of the wings hold it.
type Tx struct {
	*database.Tx
	ID parsec.OrganizationID
	// Stored is nil if there is none.
	Stored *organization.Organization
}

// Organization implements organization.Tx.
func (t *Tx) Organization() (*organization.Organization, bool) { return t.Stored, t.Stored != nil }

// PutOrganization implements organization.Tx.
func (t *Tx) PutOrganization(o organization.Organization) {
	var rootVerifyKey []byte
	if o.RootVerifyKey != nil {
		rootVerifyKey = o.RootVerifyKey[:]
	}
	var limit *int64
	if o.ActiveUsersLimit != nil {
		limit = new(database.Bounded(*o.ActiveUsersLimit))
	}
	var urls *string
	var updatedOn *int64
	if o.TOS != nil {
		written, _ := json.Marshal(o.TOS.PerLocaleURLs) // Texts can always be written.
		urls, updatedOn = new(string(written)), database.Date(&o.TOS.UpdatedOn)
	}
	t.QueueOne(`
INSERT INTO organization (organization_id, bootstrap_token, root_verify_key, expiration_date,
    user_profile_outsider_allowed, active_users_limit, minimum_archiving_period,
    sequester_authority_certificate, sequester_verify_key_der, created_on, bootstrapped_on,
    generation, tos_urls, tos_updated_on, deleted_on)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, nullif($12::smallint, 0), $13, $14, $15)
ON CONFLICT (organization_id) DO UPDATE SET bootstrap_token = excluded.bootstrap_token,
    root_verify_key = excluded.root_verify_key, expiration_date = excluded.expiration_date,
    user_profile_outsider_allowed = excluded.user_profile_outsider_allowed,
    active_users_limit = excluded.active_users_limit,
    minimum_archiving_period = excluded.minimum_archiving_period,
    sequester_authority_certificate = excluded.sequester_authority_certificate,
    sequester_verify_key_der = excluded.sequester_verify_key_der,
    created_on = excluded.created_on, bootstrapped_on = excluded.bootstrapped_on,
    generation = excluded.generation, tos_urls = excluded.tos_urls, tos_updated_on = excluded.tos_updated_on,
    deleted_on = excluded.deleted_on`,
		t.ID.String(), o.BootstrapToken, rootVerifyKey, database.Date(o.ExpirationDate),
		o.UserProfileOutsiderAllowed, limit, database.Bounded(o.MinimumArchivingPeriod),
		o.SequesterAuthorityCertificate, o.SequesterVerifyKeyDER, int64(o.CreatedOn), database.Date(o.BootstrappedOn),
		int16(o.Generation), urls, updatedOn, database.Date(o.DeletedOn))
}

// MarkDeleted implements organization.Tx: pkg/erasure/postgres goes on. What is of no
// generation has no rows beside its own, and is erased as one of API 1 to 3.
func (t *Tx) MarkDeleted(on parsec.DateTime) {
	t.QueueOne(`UPDATE organization SET deleted_on = $2 WHERE organization_id = $1`, t.ID.String(), int64(on))
	t.QueueOne(`
INSERT INTO erasure (organization_id, generation, rows_left)
SELECT organization_id, coalesce(generation, 2), true FROM organization WHERE organization_id = $1`, t.ID.String())
}
