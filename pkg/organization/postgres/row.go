package postgres

import (
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Columns are those of the table organization, named o, for a Row. The row may
// be missing, as of an outer join without match.
const Columns = `o.organization_id, o.bootstrap_token, o.root_verify_key, o.expiration_date,
    o.user_profile_outsider_allowed, o.active_users_limit, o.minimum_archiving_period,
    o.sequester_authority_certificate, o.sequester_verify_key_der, o.created_on, o.bootstrapped_on,
    o.generation`

// Row is what Columns are scanned into.
type Row struct {
	value                                 organization.Organization
	rootVerifyKey                         []byte
	expirationDate, limit, bootstrappedOn *int64
	generation                            database.Unsigned
}

// Targets returns a target for each of Columns.
func (r *Row) Targets() []any {
	o := &r.value
	return []any{
		database.Parsed(&o.ID), (*database.Text)(&o.BootstrapToken), &r.rootVerifyKey, &r.expirationDate,
		(*database.Flag)(&o.UserProfileOutsiderAllowed), &r.limit, (*database.Unsigned)(&o.MinimumArchivingPeriod),
		&o.SequesterAuthorityCertificate, &o.SequesterVerifyKeyDER, (*database.Integer)(&o.CreatedOn), &r.bootstrappedOn,
		&r.generation,
	}
}

// Organization returns what was scanned. It is the caller's.
func (r *Row) Organization() *organization.Organization {
	o := r.value
	if r.rootVerifyKey != nil {
		o.RootVerifyKey = new(parsec.VerifyKey(r.rootVerifyKey))
	}
	o.Generation = organization.Generation(r.generation)
	o.ExpirationDate, o.BootstrappedOn = database.OptionalDate(r.expirationDate), database.OptionalDate(r.bootstrappedOn)
	if r.limit != nil {
		o.ActiveUsersLimit = new(uint64(*r.limit))
	}
	return &o
}

// Select returns the statement that reads an organization, and sets found to
// whether there is one.
func Select(found *bool, row *Row, id parsec.OrganizationID) database.Statement {
	return database.Row(found, "SELECT "+Columns+" FROM organization o WHERE o.organization_id = $1",
		[]any{id.String()}, row.Targets()...)
}
