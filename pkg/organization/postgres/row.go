package postgres

import (
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Columns are those of the table organization, named o, for Targets. The row
// may be missing, as of an outer join without match.
const Columns = `o.organization_id, o.bootstrap_token, o.root_verify_key, o.expiration_date,
    o.user_profile_outsider_allowed, o.active_users_limit, o.minimum_archiving_period,
    o.sequester_authority_certificate, o.sequester_verify_key_der, o.created_on, o.bootstrapped_on,
    coalesce(o.generation, 0)`

// Targets returns a target in o for each of Columns.
func Targets(o *organization.Organization) []any {
	return []any{
		database.Parsed(&o.ID), (*database.Text)(&o.BootstrapToken), database.Fixed("verify key", &o.RootVerifyKey),
		database.OptionalDate(&o.ExpirationDate), (*database.Flag)(&o.UserProfileOutsiderAllowed), &o.ActiveUsersLimit,
		(*database.Unsigned)(&o.MinimumArchivingPeriod), &o.SequesterAuthorityCertificate, &o.SequesterVerifyKeyDER,
		(*database.Integer)(&o.CreatedOn), database.OptionalDate(&o.BootstrappedOn), (*uint8)(&o.Generation),
	}
}

// Select returns the statement that reads an organization, and sets found to
// whether there is one.
func Select(found *bool, into *organization.Organization, id parsec.OrganizationID) database.Statement {
	return database.Row(found, "SELECT "+Columns+" FROM organization o WHERE o.organization_id = $1",
		[]any{id.String()}, Targets(into)...)
}
