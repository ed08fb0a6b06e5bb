package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Columns are those of the table organization, named o, for Targets. The row
// may be missing, as of an outer join without match.
const Columns = `o.organization_id, o.bootstrap_token, o.root_verify_key, o.expiration_date,
    o.user_profile_outsider_allowed, o.active_users_limit, o.minimum_archiving_period,
    o.sequester_authority_certificate, o.sequester_verify_key_der, o.created_on, o.bootstrapped_on,
    coalesce(o.generation, 0), o.tos_urls, o.tos_updated_on, o.deleted_on, o.importing`

// Targets returns a target in o for each of Columns.
func Targets(o *organization.Organization) []any {
	terms := &tos{into: &o.TOS}
	return []any{
		database.Parsed(&o.ID), (*database.Text)(&o.BootstrapToken), database.Fixed("verify key", &o.RootVerifyKey),
		database.OptionalDate(&o.ExpirationDate), (*database.Flag)(&o.UserProfileOutsiderAllowed), &o.ActiveUsersLimit,
		(*database.Unsigned)(&o.MinimumArchivingPeriod), &o.SequesterAuthorityCertificate, &o.SequesterVerifyKeyDER,
		(*database.Integer)(&o.CreatedOn), database.OptionalDate(&o.BootstrappedOn), (*uint8)(&o.Generation),
		(*database.Text)(&terms.urls), terms, database.OptionalDate(&o.DeletedOn), (*database.Flag)(&o.Importing),
	}
}

// tos scans the date of terms of service, once their addresses are scanned; none
// if it is NULL.
type tos struct {
	urls string
	into **organization.TOS
}

// ScanInt64 implements pgtype.Int64Scanner.
func (t *tos) ScanInt64(updatedOn pgtype.Int8) error {
	*t.into = nil
	if !updatedOn.Valid {
		return nil
	}
	terms := &organization.TOS{UpdatedOn: parsec.DateTime(updatedOn.Int64)}
	if err := json.Unmarshal([]byte(t.urls), &terms.PerLocaleURLs); err != nil {
		return fmt.Errorf("terms of service in the database: %w", err)
	}
	*t.into = terms
	return nil
}

// Select returns the statement that reads an organization, and sets found to
// whether there is one.
func Select(found *bool, into *organization.Organization, id parsec.OrganizationID) database.Statement {
	return database.Row(found, "SELECT "+Columns+" FROM organization o WHERE o.organization_id = $1",
		[]any{id.String()}, Targets(into)...)
}
