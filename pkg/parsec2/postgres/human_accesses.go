package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// Users implements rules.HumanAccessesReader.
func (s *Store) Users(ctx context.Context, organization parsec.OrganizationID) ([]rules.User, error) {
	var users []rules.User
	err := s.One(ctx, database.List(&users, `
SELECT u.user_id, u.profile, u.human_email, u.human_label, u.certifier, u.created_on, u.revoked_certifier,
    u.revoked_on, u.frozen
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1
ORDER BY u.user_id`, []any{organization.String()}, scanUserWithoutCertificates))
	return users, err
}

func scanUserWithoutCertificates(row pgx.CollectableRow) (rules.User, error) {
	var user userRow
	u := &user.value
	err := row.Scan(database.Parsed(&u.ID), database.Parsed(&u.Profile), (*database.Text)(&user.email), &user.label, database.Parsed(&u.Certifier),
		(*database.Integer)(&u.CreatedOn), database.Parsed(&user.revocation.Certifier), &user.revokedOn, (*database.Flag)(&u.Frozen))
	if err != nil {
		return rules.User{}, err
	}
	facts, err := user.facts()
	return *facts, err
}

// RoleChanges implements rules.HumanAccessesReader.
func (s *Store) RoleChanges(ctx context.Context, organization parsec.OrganizationID) ([]rules.RoleCertificate, error) {
	var changes []rules.RoleCertificate
	err := s.One(ctx, database.List(&changes, `
SELECT r.realm_id, u.user_id, c.role, c.author, c.certified_on
FROM organization o JOIN realm r ON r.organization = o.id
JOIN realm_role_certificate c ON c.realm = r.id
JOIN user_ u ON u.id = c.user_
WHERE o.organization_id = $1
ORDER BY c.certified_on, c.id`, []any{organization.String()}, func(row pgx.CollectableRow) (change rules.RoleCertificate, err error) {
		err = row.Scan((*database.UUID)(&change.Realm), database.Parsed(&change.User), database.Parsed(&change.Role), database.Parsed(&change.Author), (*database.Integer)(&change.CertifiedOn))
		return change, err
	}))
	return changes, err
}
