package postgres

import (
	"context"
	"strings"

	"parsec-server/pkg/erasure"
	erasurestore "parsec-server/pkg/erasure/postgres"
)

// eraseReferred bounds the rows of one statement on users: tables that may refer to them,
// with no index for it, are passed over for each.
const eraseReferred = 20

const (
	// eraseOthers deletes at most $2 rows of a table that no other eraser has under way,
	// of the organization $1.
	eraseOthers = `
WITH erased AS (
    DELETE FROM TABLE d WHERE d.ctid = ANY (ARRAY(
        SELECT k.ctid FROM TABLE k WHERE CONDITION LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
    RETURNING 1
)
SELECT count(*) FROM erased`

	// The conditions on rows k of an organization: they name it, or a realm, a user, an
	// invitation or a recovery of it.
	ofOrganization = "k.organization = (SELECT o.id FROM organization o WHERE o.organization_id = $1)"
	ofRealm        = "k.realm IN (SELECT r.id FROM organization o JOIN realm r ON r.organization = o.id WHERE o.organization_id = $1)"
	ofUser         = "IN (SELECT u.id FROM organization o JOIN user_ u ON u.organization = o.id WHERE o.organization_id = $1)"
	ofInvitation   = "k.invitation IN (SELECT i.id FROM organization o JOIN invitation i ON i.organization = o.id WHERE o.organization_id = $1)"
	ofShamir       = "k.setup IN (SELECT s.id FROM organization o JOIN shamir_recovery s ON s.organization = o.id WHERE o.organization_id = $1)"
)

// ofOrganizations are the tables of what goes with an organization that is deleted, each
// before those that its rows refer to. The versions of a vlob go with it.
var ofOrganizations = []struct{ table, condition string }{
	{"vlob", ofOrganization}, {"sequester_copy", ofRealm}, {"block", ofOrganization},
	{"realm_role_certificate", ofRealm}, {"realm_archiving_certificate", ofRealm}, {"realm_member", ofRealm}, {"realm", ofOrganization},
	{"message", "k.recipient " + ofUser}, {"conduit", ofInvitation}, {"claimer_presence", ofInvitation},
	{"invitation", ofOrganization}, {"invitation_v1", ofOrganization},
	{"shamir_recovery_share", ofShamir}, {"shamir_recovery", ofOrganization}, {"pki_enrollment", ofOrganization},
	{"device", "k.user_ " + ofUser}, {"user_", ofOrganization}, {"user_count", ofOrganization}, {"sequester_service", ofOrganization},
}

// eraseOrganization is EraseRows for a whole organization.
func (s *Store) eraseOrganization(ctx context.Context, target erasure.Target) (erased int64, left bool, err error) {
	var steps []func(context.Context) (int64, bool, error)
	for _, of := range ofOrganizations {
		sql, batch := strings.ReplaceAll(eraseOthers, "TABLE", of.table), int64(eraseBatch)
		name := target.Organization.String()
		switch of.table {
		case "vlob":
			sql, batch = eraseVersions, eraseVlobs
		case "block":
			sql = eraseBlocks
		case "user_":
			batch = eraseReferred
		}
		args := []any{name, batch}
		if of.table == "block" {
			args = []any{name, target.Number, batch}
		}
		steps = append(steps, func(ctx context.Context) (int64, bool, error) {
			some, err := s.eraseSome(ctx, sql, of.condition, args...)
			return some, some >= batch, err
		})
	}
	return erasurestore.EraseOrganization(ctx, s.Database, s, target, steps)
}
