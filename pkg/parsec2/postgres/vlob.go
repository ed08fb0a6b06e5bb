package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const selectVlob = `
SELECT v.id, v.vlob_id, r.realm_id, v.version, v.updated_on
FROM organization o
JOIN vlob v ON v.organization = o.id AND v.vlob_id = $2
JOIN realm r ON r.id = v.realm
WHERE o.organization_id = $1`

type vlobRow struct {
	key   int64
	value rules.Vlob
}

func (r *vlobRow) targets() []any {
	v := &r.value
	return []any{&r.key, (*database.UUID)(&v.ID), (*database.UUID)(&v.Realm), (*database.Number)(&v.Version), (*database.Integer)(&v.Timestamp)}
}

const (
	// complete is rules.Realm.CompleteRevision of the realm r.
	complete = "r.encryption_revision - (r.maintenance_type IS NOT NULL)::int"

	// joinAuthor adds the author of the atom a, and what the realm r knows of
	// it.
	joinAuthor = `
LEFT JOIN device author ON author.id = a.author
LEFT JOIN user_ author_user ON author_user.id = author.user_
LEFT JOIN realm_member author_member ON author_member.realm = r.id AND author_member.user_ = author_user.id`

	versionColumns = `a.version, author_user.user_id || '@' || author.name, a.written_on, author_member.role_certified_on`

	selectVersions = "SELECT " + versionColumns + `
FROM organization o
JOIN vlob v ON v.organization = o.id AND v.vlob_id = $3
JOIN realm r ON r.id = v.realm
JOIN vlob_atom a ON a.vlob = v.id AND a.revision = ` + complete + joinAuthor + `
WHERE o.organization_id = $1 AND ` + roleInRealmOfVlob + ` IS NOT NULL
ORDER BY a.version`
)

func versionTargets(v *rules.VlobVersion) []any {
	return []any{(*database.Number)(&v.Version), database.Parsed(&v.Author), (*database.Integer)(&v.Timestamp), (*database.Integer)(&v.AuthorRoleCertifiedOn)}
}

// VlobVersions implements rules.VlobReader.
func (s *Store) VlobVersions(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, vlob parsec.VlobID) (*rules.Realm, []rules.VlobVersion, bool, error) {
	var found bool
	var realm realmRow
	var versions []rules.VlobVersion
	args := []any{organization.String(), user.String(), database.Key(vlob)}
	err := s.Snapshot(ctx,
		database.Row(&found, selectRealmOfVlob, args, realm.targets()...),
		database.List(&versions, selectVersions, args, versionTargets))
	if err != nil || !found {
		return nil, nil, false, err
	}
	return realm.facts(), versions, true, nil
}

// change is a vlob whose last checkpoint is after one.
type change struct {
	vlob    parsec.VlobID
	version uint32
}

// Changes implements rules.VlobReader. A vlob has an entry after a
// checkpoint if its last one is.
func (s *Store) Changes(ctx context.Context, organization parsec.OrganizationID, user parsec.UserID, id parsec.RealmID, checkpoint uint64) (*rules.Realm, map[parsec.VlobID]uint32, bool, error) {
	var found bool
	var realm realmRow
	var pairs []change
	args := realmArgs(organization, id, user)
	err := s.Snapshot(ctx,
		database.Row(&found, selectRealm, args, realm.targets()...),
		database.List(&pairs, `
SELECT v.vlob_id, v.version
FROM organization o JOIN realm r ON r.organization = o.id JOIN vlob v ON v.realm = r.id
WHERE o.organization_id = $1 AND r.realm_id = $3 AND v.checkpoint > $4 AND `+roleInRealm+` IS NOT NULL`,
			append(args, database.Bounded(checkpoint)), func(c *change) []any { return []any{(*database.UUID)(&c.vlob), (*database.Number)(&c.version)} }))
	if err != nil || !found {
		return nil, nil, false, err
	}
	changes := make(map[parsec.VlobID]uint32, len(pairs))
	for _, c := range pairs {
		changes[c.vlob] = c.version
	}
	return realm.facts(), changes, true, nil
}

// Vlob implements rules.VlobTx.
func (t *tx) Vlob() (*rules.Vlob, bool) {
	if t.vlob == nil {
		return nil, false
	}
	return new(t.vlob.value), true
}

const (
	// Both ways to write a version take the realm $1, its checkpoint $2, the
	// version $3, its date $4, the blob $5, and the author: user $6, device $7.
	insertHead = `
WITH head AS (
    INSERT INTO vlob (organization, vlob_id, realm, version, updated_on, checkpoint)
    SELECT r.organization, $8, r.id, $3, $4, $2 FROM realm r WHERE r.id = $1
    RETURNING id
)` + writeVersion

	updateHead = `
WITH head AS (
    UPDATE vlob SET version = $3, updated_on = $4, checkpoint = $2 WHERE id = $8
    RETURNING id
)` + writeVersion

	// writeVersion fails when there is no such author, by a column that is not
	// null.
	writeVersion = `, author AS (
    SELECT d.id, d.user_
    FROM realm r
    JOIN user_ u ON u.organization = r.organization AND u.user_id = $6
    JOIN device d ON d.user_ = u.id AND d.name = $7
    WHERE r.id = $1
), atom AS (
    INSERT INTO vlob_atom (vlob, revision, version, author, written_on, blob)
    SELECT head.id, r.encryption_revision, $3, (SELECT id FROM author), $4, $5
    FROM head, realm r WHERE r.id = $1
), member AS (
    INSERT INTO realm_member AS m (realm, user_, last_vlob_update)
    SELECT $1, author.user_, $4 FROM author
    ON CONFLICT (realm, user_) DO UPDATE SET last_vlob_update = greatest(m.last_vlob_update, excluded.last_vlob_update)
)
UPDATE realm SET checkpoint = $2, vlobs_size = vlobs_size + length($5::bytea) WHERE id = $1`

	insertCopies = `
INSERT INTO sequester_copy (realm, service, checkpoint, vlob, version, blob)
SELECT v.realm, s.id, v.checkpoint, v.id, $3, copy.blob
FROM organization o
JOIN vlob v ON v.organization = o.id AND v.vlob_id = $2
CROSS JOIN unnest($4::uuid[], $5::bytea[]) copy(service, blob)
JOIN sequester_service s ON s.organization = o.id AND s.service_id = copy.service
WHERE o.organization_id = $1`
)

// WriteVlob implements rules.VlobTx.
func (t *tx) WriteVlob(version rules.VlobVersion, checkpoint uint64, sequester map[parsec.SequesterServiceID][]byte) {
	var realm int64 // of none
	if t.realm != nil {
		realm = t.realm.key
	}
	args := []any{
		realm, database.Bounded(checkpoint), int64(version.Version), int64(version.Timestamp), database.NotNull(version.Blob),
		version.Author.User().String(), version.Author.Name().String(),
	}
	if t.vlob == nil {
		t.QueueOne(insertHead, append(args, database.Key(t.scope.Vlob))...)
	} else {
		t.QueueOne(updateHead, append(args, t.vlob.key)...)
	}
	if len(sequester) == 0 {
		return
	}
	services, blobs := make([]pgtype.UUID, 0, len(sequester)), make([][]byte, 0, len(sequester))
	for service, blob := range sequester {
		services, blobs = append(services, database.Key(service)), append(blobs, database.NotNull(blob))
	}
	t.Queue(insertCopies, t.organizationName(), database.Key(t.scope.Vlob), int64(version.Version), services, blobs)
}
