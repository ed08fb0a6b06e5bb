package postgres

import (
	"context"

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
ORDER BY u.user_id`, []any{organization.String()}, userTargetsWithoutCertificates))
	return users, err
}

func userTargetsWithoutCertificates(u *rules.User) []any {
	h, r := &handle{into: &u.HumanHandle}, &revocation{into: &u.Revocation}
	return []any{
		database.Parsed(&u.ID), database.Parsed(&u.Profile), (*database.Text)(&h.email), h, database.Parsed(&u.Certifier),
		(*database.Integer)(&u.CreatedOn), database.Parsed(&r.Certifier), r, (*database.Flag)(&u.Frozen),
	}
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
ORDER BY c.certified_on, c.id`, []any{organization.String()}, func(c *rules.RoleCertificate) []any {
		return []any{(*database.UUID)(&c.Realm), database.Parsed(&c.User), database.Parsed(&c.Role), database.Parsed(&c.Author), (*database.Integer)(&c.CertifiedOn)}
	}))
	return changes, err
}
