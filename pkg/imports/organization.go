package imports

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// putOrganization has no row where there is one that is not being imported.
const putOrganization = `
INSERT INTO organization AS o (organization_id, bootstrap_token, root_verify_key, expiration_date, user_profile_outsider_allowed, active_users_limit,
    minimum_archiving_period, sequester_authority_certificate, sequester_verify_key_der, created_on, bootstrapped_on, generation, tos_urls, tos_updated_on, importing)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, true)
ON CONFLICT (organization_id) DO UPDATE SET bootstrap_token = $2, root_verify_key = $3, expiration_date = $4, user_profile_outsider_allowed = $5,
    active_users_limit = $6, minimum_archiving_period = $7, sequester_authority_certificate = $8, sequester_verify_key_der = $9, created_on = $10,
    bootstrapped_on = $11, generation = $12, tos_urls = $13, tos_updated_on = $14
WHERE o.importing RETURNING o.id::bigint`

// OrganizationRow is the row of an organization, as the target has it.
type OrganizationRow struct {
	ID                            parsec.OrganizationID
	BootstrapToken                string
	RootVerifyKey                 []byte
	ExpirationDate                *int64
	OutsiderAllowed               bool
	ActiveUsersLimit              *int64
	MinimumArchivingPeriod        int64
	SequesterAuthorityCertificate []byte
	SequesterVerifyKeyDER         []byte
	CreatedOn                     int64
	BootstrappedOn                *int64
	TOSURLs                       *string
	TOSUpdatedOn                  *int64
}

// PutOrganization puts the row of an organization of a generation, and returns its number
// here. Nobody is let into it until its import is complete.
func (f *Filling) PutOrganization(ctx context.Context, generation organization.Generation, row *OrganizationRow) (number int64, err error) {
	if f == nil {
		return 0, nil
	}
	var bound *int16
	if row.RootVerifyKey != nil {
		bound = new(int16(generation))
	}
	err = f.transaction.QueryRow(ctx, putOrganization, row.ID.String(), row.BootstrapToken, row.RootVerifyKey, row.ExpirationDate, row.OutsiderAllowed,
		row.ActiveUsersLimit, row.MinimumArchivingPeriod, row.SequesterAuthorityCertificate, row.SequesterVerifyKeyDER, row.CreatedOn,
		row.BootstrappedOn, bound, row.TOSURLs, row.TOSUpdatedOn).Scan(&number)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errors.New("the database to import into has another one of this name")
	}
	return number, err
}
