package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// realmColumns are of a row that may be missing.
	realmColumns = `r.realm_id, r.key_index, r.last_date, counter.last_vlob, counter.checkpoint, r.named, r.archiving, r.deleted, m.role`

	// joinRealm adds the realm $3, and the role there of the user.
	joinRealm = `
LEFT JOIN parsec3.realm r ON r.organization = $1 AND r.realm_id = $3` + joinMember

	joinMember = `
LEFT JOIN parsec3.realm_counter counter ON counter.organization = $1 AND counter.realm_id = $3
LEFT JOIN parsec3.realm_member m ON m.organization = $1 AND m.realm_id = $3 AND m.user_id = ` + theUser

	// fromRealm is fromStanding with the realm $3.
	fromRealm = standingTables + joinRealm + ofOrganization

	// roleInRealm is the role of the user of the device $2 in the realm $3.
	roleInRealm = `(SELECT m.role FROM parsec3.realm_member m
    WHERE m.organization = $1 AND m.realm_id = $3 AND m.user_id = ` + theUser + `)`
)

func realmTargets(r *rules.Realm) []any {
	return []any{
		(*database.UUID)(&r.ID), (*database.Unsigned)(&r.KeyIndex), (*database.Integer)(&r.Timestamp), (*database.Integer)(&r.LastVlob),
		(*database.Unsigned)(&r.Checkpoint), (*database.Flag)(&r.Named), database.Parsed(&r.Archiving), (*database.Flag)(&r.Deleted),
		database.Parsed(&r.Role),
	}
}

// reading is who asks, and the realm that is asked for.
type reading struct {
	standing standingRow
	realm    rules.Realm
	// exists is NULL, false, for a realm that is not found: the id may be zero.
	exists bool
}

// readingColumns are those of a reading.
const readingColumns = standingColumns + ", " + realmColumns + ", r.realm_id IS NOT NULL"

func (r *reading) targets() []any {
	return append(append(r.standing.targets(), realmTargets(&r.realm)...), (*database.Flag)(&r.exists))
}

// foundRealm returns nil for a realm that is not found.
func (r *reading) foundRealm() *rules.Realm {
	if !r.exists {
		return nil
	}
	return &r.realm
}

// KeysBundle implements rules.RealmReader.
func (s *Store) KeysBundle(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, realm parsec.RealmID, keyIndex uint64) (rules.Standing, *rules.Realm, rules.KeysBundle, error) {
	var r reading
	var keys rules.KeysBundle
	err := s.ask(ctx, (*single)(new(database.Row(&r.standing.found, "SELECT "+readingColumns+`,
    (SELECT b.bundle FROM parsec3.keys_bundle b WHERE b.organization = $1 AND b.realm_id = $3 AND b.key_index = $4),
    (SELECT a.access FROM parsec3.keys_bundle_access a
     WHERE a.organization = $1 AND a.realm_id = $3 AND a.user_id = `+theUser+` AND a.key_index = $4
     ORDER BY a.dated DESC LIMIT 1)`+fromRealm,
		args(organization, author, database.Key(realm), database.Bounded(keyIndex)), append(r.targets(), &keys.Bundle, &keys.Access)...))))
	if err != nil {
		return rules.Standing{}, nil, rules.KeysBundle{}, err
	}
	return r.standing.facts(), r.foundRealm(), keys, nil
}

// Realm implements rules.RealmTx.
func (t *tx) Realm() (*rules.Realm, bool) {
	if t.realm == nil {
		return nil, false
	}
	return new(*t.realm), true
}

// RealmRole implements rules.RealmTx.
func (t *tx) RealmRole(_ context.Context, user parsec3.UserID) (role parsec.RealmRole, err error) {
	var found bool
	err = t.Ask(database.Row(&found, `
SELECT m.role FROM parsec3.realm_member m
WHERE m.organization = $1 AND m.realm_id = $2 AND m.user_id = $3`, t.realmArgs(database.Key(user)), database.Parsed(&role)))
	return role, err
}

const (
	// selectEnds reads what decides on the deletion of realms: who has a role in one,
	// without whom it would not be there, is revoked, or not all are.
	selectEnds = `
SELECT r.realm_id, r.deleted, CASE WHEN r.archiving = 'DELETION_PLANNED' THEN r.deletion_date END,
    CASE WHEN members.all_revoked THEN members.last_revoked END
FROM parsec3.realm r
CROSS JOIN LATERAL (
    SELECT bool_and(u.revoked_on IS NOT NULL) AS all_revoked, max(u.revoked_on) AS last_revoked
    FROM parsec3.realm_member m
    JOIN parsec3.user_ u ON u.organization = $1 AND u.user_id = m.user_id
    WHERE m.organization = $1 AND m.realm_id = r.realm_id AND m.role IS NOT NULL
) members
WHERE r.organization = $1`

	selectEnd = selectEnds + " AND r.realm_id = $2"

	selectAllEnds = selectEnds + `
    AND NOT r.deleted AND (r.archiving = 'DELETION_PLANNED' OR members.all_revoked) ORDER BY r.realm_id`
)

func endTargets(end *organization.RealmEnd) []any {
	return []any{(*database.UUID)(&end.ID), &end.Deleted, database.OptionalDate(&end.Planned), database.OptionalDate(&end.Orphaned)}
}

// readEnd reads the realm $2, nil if there is none.
func readEnd(into **organization.RealmEnd, args []any) database.Statement {
	var ends []organization.RealmEnd
	statement := database.List(&ends, selectEnd, args, endTargets)
	list := statement.Rows
	statement.Rows = func(rows pgx.Rows) error {
		*into = nil
		err := list(rows)
		if len(ends) > 0 {
			*into = &ends[0]
		}
		return err
	}
	return statement
}

// RealmEnd implements organization.RealmEndReader.
func (s *Store) RealmEnd(ctx context.Context, of parsec.OrganizationID, realm parsec.RealmID) (end *organization.RealmEnd, err error) {
	err = s.One(ctx, readEnd(&end, []any{of.String(), database.Key(realm)}))
	return end, err
}

// RealmEnds implements organization.RealmEndReader. It passes over the realms and their
// members.
func (s *Store) RealmEnds(ctx context.Context, of parsec.OrganizationID) (ends []organization.RealmEnd, err error) {
	err = s.One(ctx, database.List(&ends, selectAllEnds, []any{of.String()}, endTargets))
	return ends, err
}

// RealmEnd implements rules.RealmTx.
func (t *tx) RealmEnd(context.Context) (end *organization.RealmEnd, err error) {
	err = t.Ask(readEnd(&end, t.realmArgs()))
	return end, err
}

// realmArgs returns the arguments of what is of the realm of the scope.
func (t *tx) realmArgs(more ...any) []any {
	return append([]any{t.organizationName(), database.Key(t.scope.Realm)}, more...)
}

// Members implements rules.RealmTx.
func (t *tx) Members(context.Context) (members []rules.Member, err error) {
	err = t.Ask(database.List(&members, `
SELECT m.user_id, m.role, u.profile, u.revoked
FROM parsec3.realm_member m
CROSS JOIN LATERAL (
    SELECT u.profile, u.revoked_on IS NOT NULL AS revoked FROM parsec3.user_ u
    WHERE u.organization = $1 AND u.user_id = m.user_id LIMIT 1
) u
WHERE m.organization = $1 AND m.realm_id = $2 AND m.role IS NOT NULL`, t.realmArgs(), func(m *rules.Member) []any {
		return []any{(*database.UUID)(&m.User), database.Parsed(&m.Role), database.Parsed(&m.Profile), &m.Revoked}
	}))
	return members, err
}

const (
	// insertRealm fails when there is such a realm, by its key. It has nothing to be
	// summed up.
	insertRealm = `
WITH created AS (
    INSERT INTO parsec3.realm (organization, realm_id, created_on, last_date, key_index, named, archiving, deleted)
    VALUES ($1, $2, $3, $3, 0, false, 'AVAILABLE', false)
)
INSERT INTO parsec3.realm_counter (organization, realm_id, checkpoint, last_vlob, vlobs_size, blocks_size, unsummed)
VALUES ($1, $2, 0, 0, 0, 0, false)`

	// setRole gives the user $3 the role $4, NULL for none, by a certificate of the
	// date $5.
	setRole = `
INSERT INTO parsec3.realm_member AS m (organization, realm_id, user_id, role, role_date, given_date, managing_date)
VALUES ($1, $2, $3, $4, $5, CASE WHEN $4::text IS NOT NULL THEN $5::bigint ELSE 0 END,
    CASE WHEN $4::text IN ('OWNER', 'MANAGER') THEN $5::bigint ELSE 0 END)
ON CONFLICT (organization, realm_id, user_id) DO UPDATE
SET role = excluded.role, role_date = excluded.role_date,
    given_date = greatest(m.given_date, excluded.given_date), managing_date = greatest(m.managing_date, excluded.managing_date)`

	// insertAccess adds an access to the last keys bundle, as it is then.
	insertAccess = `
INSERT INTO parsec3.keys_bundle_access (organization, realm_id, user_id, key_index, dated, access)
SELECT $1, $2, $3, r.key_index, $4, $5 FROM parsec3.realm r
WHERE r.organization = $1 AND r.realm_id = $2 AND r.key_index > 0`

	// insertKeysBundle follows the rotation before, or changes nothing.
	insertKeysBundle = `
WITH rotated AS (
    UPDATE parsec3.realm r SET key_index = $3
    WHERE r.organization = $1 AND r.realm_id = $2 AND r.key_index = $3 - 1
    RETURNING 1
)
INSERT INTO parsec3.keys_bundle (organization, realm_id, key_index, bundle)
SELECT $1, $2, $3, $4 FROM rotated`

	insertAccesses = `
INSERT INTO parsec3.keys_bundle_access (organization, realm_id, user_id, key_index, dated, access)
SELECT $1, $2, given.user_id, $3, $4, given.access FROM unnest($5::uuid[], $6::bytea[]) given (user_id, access)`

	insertServiceAccesses = `
INSERT INTO parsec3.sequester_access (organization, realm_id, key_index, service_id, access)
SELECT $1, $2, $3, given.service_id, given.access FROM unnest($4::uuid[], $5::bytea[]) given (service_id, access)`
)

// CreateRealm implements rules.RealmTx. Whoever creates it second waits for the
// first, and runs again.
func (t *tx) CreateRealm(owner parsec3.UserID, certificate rules.Certificate) {
	t.creates = true
	t.QueueOne(insertRealm, t.realmArgs(int64(certificate.Timestamp))...)
	t.setRole(owner, parsec.RoleOwner, certificate)
}

func (t *tx) setRole(user parsec3.UserID, role parsec.RealmRole, certificate rules.Certificate) {
	t.QueueOne(setRole, t.realmArgs(database.Key(user), database.Nullable(string(role)), int64(certificate.Timestamp))...)
	t.certify(realms, t.scope.Realm, 0, certificate)
}

// SetRole implements rules.RealmTx.
func (t *tx) SetRole(user parsec3.UserID, role parsec.RealmRole, access []byte, certificate rules.Certificate) {
	t.setRole(user, role, certificate)
	if access != nil {
		t.QueueOne(insertAccess, t.realmArgs(database.Key(user), int64(certificate.Timestamp), access)...)
	}
}

// NameRealm implements rules.RealmTx.
func (t *tx) NameRealm(certificate rules.Certificate) {
	t.QueueOne("UPDATE parsec3.realm r SET named = true WHERE r.organization = $1 AND r.realm_id = $2", t.realmArgs()...)
	t.certify(realms, t.scope.Realm, 0, certificate)
}

// RotateKey implements rules.RealmTx.
func (t *tx) RotateKey(rotation rules.KeyRotation, certificate rules.Certificate) {
	index := database.Bounded(rotation.KeyIndex)
	t.QueueOne(insertKeysBundle, t.realmArgs(index, database.NotNull(rotation.KeysBundle))...)
	if users, accesses := columns(rotation.Participants); len(users) > 0 {
		t.QueueAll(len(users), insertAccesses, t.realmArgs(index, int64(certificate.Timestamp), users, accesses)...)
	}
	if services, accesses := columns(rotation.Services); len(services) > 0 {
		t.QueueAll(len(services), insertServiceAccesses, t.realmArgs(index, services, accesses)...)
	}
	t.certify(realms, t.scope.Realm, 0, certificate)
}

// columns returns accesses as two columns.
func columns[K ~[16]byte](accesses map[K][]byte) (keys []pgtype.UUID, values [][]byte) {
	for key, access := range accesses {
		keys, values = append(keys, database.Key(key)), append(values, database.NotNull(access))
	}
	return keys, values
}

// ArchiveRealm implements rules.RealmTx.
func (t *tx) ArchiveRealm(archiving parsec.ArchivingType, deletion *parsec.DateTime, certificate rules.Certificate) {
	t.QueueOne("UPDATE parsec3.realm r SET archiving = $3, deletion_date = $4 WHERE r.organization = $1 AND r.realm_id = $2",
		t.realmArgs(string(archiving), database.Date(deletion))...)
	t.certify(realms, t.scope.Realm, 0, certificate)
}
