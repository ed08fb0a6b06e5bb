package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const (
	// realmColumns are of a row that may be missing, m of one that often is.
	realmColumns = `r.id, r.realm_id, r.encryption_revision, r.maintenance_type, r.maintenance_started_on,
    r.maintenance_started_by, r.archiving_type, r.archiving_deletion_date, r.archiving_configured_on,
    r.archiving_configured_by, r.deleted, r.checkpoint, r.reencrypted, ` + memberColumns
	memberColumns = `m.role, m.role_certified_on, m.last_vlob_update, m.last_role_change, m.last_archiving_change`

	// joinMember adds the user $2 to a realm.
	joinMember = `
LEFT JOIN user_ u ON u.organization = o.id AND u.user_id = $2
LEFT JOIN realm_member m ON m.realm = r.id AND m.user_ = u.id`

	fromRealm = `
FROM organization o JOIN realm r ON r.organization = o.id AND r.realm_id = $3` + joinMember + `
WHERE o.organization_id = $1`

	selectRealm = "SELECT " + realmColumns + fromRealm

	selectRealmOfVlob = "SELECT " + realmColumns + fromRealmOfVlob

	fromRealmOfVlob = `
FROM organization o
JOIN vlob v ON v.organization = o.id AND v.vlob_id = $3
JOIN realm r ON r.id = v.realm` + joinMember + `
WHERE o.organization_id = $1`

	// roleInRealm and roleInRealmOfVlob are the role of the user. They depend on
	// no row of the statement around them, which reads none when it finds by
	// them that it has nothing to give.
	roleInRealm       = "(SELECT m.role " + fromRealm + ")"
	roleInRealmOfVlob = "(SELECT m.role " + fromRealmOfVlob + ")"
)

type realmRow struct {
	key   int64
	value rules.Realm
	// reencrypted counts the versions saved by the reencryption under way.
	reencrypted uint64
}

func (r *realmRow) targets() []any {
	v := &r.value
	return append([]any{
		(*database.Integer)(&r.key), (*database.UUID)(&v.ID), (*database.Unsigned)(&v.EncryptionRevision), database.Parsed(&v.Maintenance.Type),
		(*database.Integer)(&v.Maintenance.StartedOn), database.Parsed(&v.Maintenance.StartedBy), database.Parsed(&v.Archiving.Type),
		database.OptionalDate(&v.Archiving.DeletionDate), (*database.Integer)(&v.Archiving.ConfiguredOn), database.Parsed(&v.Archiving.ConfiguredBy),
		(*database.Flag)(&v.Deleted), (*database.Unsigned)(&v.Checkpoint), (*database.Unsigned)(&r.reencrypted),
	}, memberTargets(&v.Member)...)
}

func memberTargets(m *rules.Member) []any {
	return []any{
		database.Parsed(&m.Role), (*database.Integer)(&m.RoleCertifiedOn), (*database.Integer)(&m.LastVlobUpdate),
		(*database.Integer)(&m.LastRoleChange), (*database.Integer)(&m.LastArchivingChange),
	}
}

// facts returns what rules read, in a value that the caller may change.
func (r *realmRow) facts() *rules.Realm { return new(r.value) }

// realmArgs returns the arguments of fromRealm.
func realmArgs(organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) []any {
	return []any{organization.String(), user.String(), database.Key(id)}
}

// Realm implements rules.RealmReader.
func (s *Store) Realm(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (*rules.Realm, bool, error) {
	var found bool
	var realm realmRow
	err := s.One(ctx, database.Row(&found, selectRealm, realmArgs(organization, id, user), realm.targets()...))
	if err != nil || !found {
		return nil, false, err
	}
	return realm.facts(), true, nil
}

// RealmStatistics implements rules.RealmReader.
func (s *Store) RealmStatistics(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (facts *rules.Realm, blocksSize, vlobsSize uint64, found bool, err error) {
	var realm realmRow
	err = s.One(ctx, database.Row(&found, "SELECT "+realmColumns+", r.blocks_size, r.vlobs_size"+fromRealm,
		realmArgs(organization, id, user), append(realm.targets(), (*database.Unsigned)(&blocksSize), (*database.Unsigned)(&vlobsSize))...))
	if err != nil || !found {
		return nil, 0, 0, false, err
	}
	return realm.facts(), blocksSize, vlobsSize, true, nil
}

// RoleCertificates implements rules.RealmReader.
func (s *Store) RoleCertificates(ctx context.Context, organization parsec.OrganizationID, id parsec.RealmID, user parsec.UserID) (*rules.Realm, []rules.RoleCertificate, bool, error) {
	var found bool
	var realm realmRow
	var roles []rules.RoleCertificate
	args := realmArgs(organization, id, user)
	err := s.Snapshot(ctx,
		database.Row(&found, selectRealm, args, realm.targets()...),
		database.List(&roles, `
SELECT u.user_id, c.role, c.certificate, c.author, c.certified_on
FROM organization o JOIN realm r ON r.organization = o.id
JOIN realm_role_certificate c ON c.realm = r.id
JOIN user_ u ON u.id = c.user_
WHERE o.organization_id = $1 AND r.realm_id = $3 AND `+roleInRealm+` IS NOT NULL
ORDER BY c.certified_on, c.id`, args, func(c *rules.RoleCertificate) []any {
			c.Realm = id
			return []any{database.Parsed(&c.User), database.Parsed(&c.Role), &c.Certificate, database.Parsed(&c.Author), (*database.Integer)(&c.CertifiedOn)}
		}))
	if err != nil || !found {
		return nil, nil, false, err
	}
	return realm.facts(), roles, true, nil
}

// RealmsOf implements rules.RealmReader.
func (s *Store) RealmsOf(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID) ([]rules.Realm, error) {
	var rows []realmRow
	err := s.One(ctx, database.List(&rows, "SELECT "+realmColumns+`
FROM organization o
JOIN user_ u ON u.organization = o.id AND u.user_id = $2
JOIN realm_member m ON m.user_ = u.id AND m.role IS NOT NULL
JOIN realm r ON r.id = m.realm
WHERE o.organization_id = $1`, []any{organization.String(), user.String()}, (*realmRow).targets))
	realms := make([]rules.Realm, len(rows))
	for i := range rows {
		realms[i] = rows[i].value
	}
	return realms, err
}

// Realm implements rules.RealmTx.
func (t *tx) Realm() (*rules.Realm, bool) {
	if t.realm == nil {
		return nil, false
	}
	return t.realm.facts(), true
}

// Member implements rules.RealmTx.
func (t *tx) Member(_ context.Context, user parsec.UserID) (rules.Member, error) {
	var member rules.Member
	err := t.Ask(database.Only("SELECT "+memberColumns+fromRealm,
		realmArgs(t.scope.Organization, t.realmID(), user), memberTargets(&member)...))
	return member, err
}

// realmID returns the realm of the scope, which may name it by a vlob.
func (t *tx) realmID() parsec.RealmID {
	if t.realm == nil {
		return t.scope.Realm
	}
	return t.realm.value.ID
}

// Participants implements rules.RealmTx.
func (t *tx) Participants(context.Context) ([]parsec.UserID, error) {
	var participants []parsec.UserID
	err := t.Ask(database.List(&participants, `
SELECT u.user_id
FROM organization o JOIN realm r ON r.organization = o.id
JOIN realm_member m ON m.realm = r.id AND m.role IS NOT NULL
JOIN user_ u ON u.id = m.user_ AND u.revoked_on IS NULL
WHERE o.organization_id = $1 AND r.realm_id = $2`,
		[]any{t.organizationName(), database.Key(t.realmID())}, func(user *parsec.UserID) []any { return []any{database.Parsed(user)} }))
	return participants, err
}

// The realm and the user of an effect, which may be created by one before: the
// organization is $1, the realm $2, the user $3.
const (
	theRealm = `(SELECT r.id FROM organization o JOIN realm r ON r.organization = o.id
    WHERE o.organization_id = $1 AND r.realm_id = $2)`
	theUser = `(SELECT u.id FROM organization o JOIN user_ u ON u.organization = o.id
    WHERE o.organization_id = $1 AND u.user_id = $3)`
)

// CreateRealm implements rules.RealmTx.
func (t *tx) CreateRealm(createdOn parsec.DateTime) {
	t.QueueOne(`
INSERT INTO realm (organization, realm_id, created_on)
SELECT o.id, $2, $3 FROM organization o WHERE o.organization_id = $1`,
		t.organizationName(), database.Key(t.scope.Realm), int64(createdOn))
}

// AddRole implements rules.RealmTx.
func (t *tx) AddRole(role rules.RoleCertificate) {
	granted := database.Nullable(string(role.Role))
	t.QueueOne(`
INSERT INTO realm_role_certificate (realm, user_, role, certificate, author, certified_on)
VALUES (`+theRealm+", "+theUser+", $4, $5, $6, $7)",
		t.organizationName(), database.Key(role.Realm), role.User.String(), granted,
		database.NotNull(role.Certificate), role.Author.String(), int64(role.CertifiedOn))
	t.QueueOne(`
INSERT INTO realm_member (realm, user_, role, role_certified_on)
VALUES (`+theRealm+", "+theUser+`, $4, $5)
ON CONFLICT (realm, user_) DO UPDATE SET role = excluded.role, role_certified_on = excluded.role_certified_on`,
		t.organizationName(), database.Key(role.Realm), role.User.String(), granted, int64(role.CertifiedOn))
}

// TouchRoleChange implements rules.RealmTx.
func (t *tx) TouchRoleChange(user parsec.UserID, on parsec.DateTime) {
	t.QueueOne(`
INSERT INTO realm_member AS m (realm, user_, last_role_change) VALUES (`+theRealm+", "+theUser+`, $4)
ON CONFLICT (realm, user_) DO UPDATE SET last_role_change = greatest(m.last_role_change, excluded.last_role_change)`,
		t.organizationName(), database.Key(t.realmID()), user.String(), int64(on))
}

// TouchArchivingChange implements rules.RealmTx.
func (t *tx) TouchArchivingChange(user parsec.UserID, on parsec.DateTime) {
	t.QueueOne(`
INSERT INTO realm_member AS m (realm, user_, last_archiving_change) VALUES (`+theRealm+", "+theUser+`, $4)
ON CONFLICT (realm, user_) DO UPDATE
SET last_archiving_change = greatest(m.last_archiving_change, excluded.last_archiving_change)`,
		t.organizationName(), database.Key(t.realmID()), user.String(), int64(on))
}

// AddArchiving implements rules.RealmTx.
func (t *tx) AddArchiving(archiving rules.Archiving, certificate []byte) {
	t.QueueOne(`
INSERT INTO realm_archiving_certificate (realm, certificate, author, certified_on)
VALUES (`+theRealm+", $3, $4, $5)",
		t.organizationName(), database.Key(t.realmID()), database.NotNull(certificate),
		archiving.ConfiguredBy.String(), int64(archiving.ConfiguredOn))
	t.QueueOne(`
UPDATE realm SET archiving_type = $3, archiving_deletion_date = $4, archiving_configured_on = $5,
    archiving_configured_by = $6
WHERE id = `+theRealm,
		t.organizationName(), database.Key(t.realmID()), string(archiving.Type), database.Date(archiving.DeletionDate),
		int64(archiving.ConfiguredOn), archiving.ConfiguredBy.String())
}
