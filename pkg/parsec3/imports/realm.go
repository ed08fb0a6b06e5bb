package imports

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/replay"
)

// outsiderRealm is the condition that the realm r was made by an OUTSIDER, whose realms
// step 11 has removed.
const outsiderRealm = `EXISTS (
    SELECT FROM realm_user_role f JOIN device fd ON fd._id = f.certified_by JOIN user_ fu ON fu._id = fd.user_
    WHERE f._id = (SELECT x._id FROM realm_user_role x WHERE x.realm = r._id ORDER BY x.certified_on, x._id LIMIT 1)
        AND coalesce((SELECT p.profile::text FROM profile p WHERE p.user_ = fu._id AND p.certified_on <= f.certified_on
            ORDER BY p.certified_on DESC, p._id DESC LIMIT 1), fu.initial_profile::text) = 'OUTSIDER')`

// imported is the condition that the realm r comes.
func imported(step int) string {
	if step >= 11 {
		return "true"
	}
	return "NOT " + outsiderRealm
}

// deletedRealm is the condition that an operator has deleted the realm r.
func deletedRealm(step int) string {
	if step >= 22 {
		return "r.status = 'DELETED'"
	}
	return "false"
}

var (
	realmTable = &imports.Table{
		Name:    "parsec3.realm",
		Columns: []string{"organization", "realm_id", "created_on", "last_date", "key_index", "named", "archiving", "deletion_date", "deleted"},
		Key:     []string{"organization", "realm_id"},
	}
	memberTable = &imports.Table{
		Name:    "parsec3.realm_member",
		Columns: []string{"organization", "realm_id", "user_id", "role", "role_date", "given_date", "managing_date"},
		Key:     []string{"organization", "realm_id", "user_id"},
	}
	bundleTable = &imports.Table{
		Name: "parsec3.keys_bundle", Columns: []string{"organization", "realm_id", "key_index", "bundle"}, Key: []string{"organization", "realm_id", "key_index"},
	}
	accessTable = &imports.Table{
		Name:    "parsec3.keys_bundle_access",
		Columns: []string{"organization", "realm_id", "user_id", "key_index", "dated", "access"},
		Key:     []string{"organization", "realm_id", "user_id", "key_index", "dated"},
	}
	serviceAccessTable = &imports.Table{
		Name:    "parsec3.sequester_access",
		Columns: []string{"organization", "realm_id", "key_index", "service_id", "access"},
		Key:     []string{"organization", "realm_id", "key_index", "service_id"},
	}
)

type realmRow struct {
	id       database.UUID
	keyIndex int64
	deleted  bool
}

func (r *realmRow) targets() []any { return []any{&r.id, &r.keyIndex, &r.deleted} }

// accessRow is an access to a keys bundle. It is dated by the sharing or, without, by the
// rotation.
type accessRow struct {
	realm, user database.UUID
	keyIndex    int64
	dated       int64
	access      []byte
}

func (r *accessRow) targets() []any {
	return []any{&r.realm, &r.user, &r.keyIndex, &r.dated, &r.access}
}

type bundleRow struct {
	realm    database.UUID
	keyIndex int64
	bundle   []byte
}

func (r *bundleRow) targets() []any { return []any{&r.realm, &r.keyIndex, &r.bundle} }

type serviceAccessRow struct {
	realm, service database.UUID
	keyIndex       int64
	access         []byte
}

func (r *serviceAccessRow) targets() []any {
	return []any{&r.realm, &r.service, &r.keyIndex, &r.access}
}

// realmCursors go through the realms of an organization together.
type realmCursors struct {
	certificates *database.Cursor[certificateRow]
	bundles      *database.Cursor[bundleRow]
	accesses     *database.Cursor[accessRow]
	services     *database.Cursor[serviceAccessRow]
}

func (c *converter) openRealms(ctx context.Context) (r realmCursors, err error) {
	of := " WHERE r.organization = $1::bigint AND " + imported(c.from.Step)
	args := []any{c.one.Key}
	if r.certificates, err = database.NewCursor(ctx, c.from.Inspection, `
SELECT r.realm_id, t.dated, 0::bigint, t.certificate, NULL::bytea FROM (
    SELECT x.realm, `+micro("x.certified_on")+` AS dated, 0 AS kind, x._id, x.certificate FROM realm_user_role x
    UNION ALL SELECT x.realm, `+micro("x.certified_on")+`, 1, x._id, x.realm_key_rotation_certificate FROM realm_keys_bundle x
    UNION ALL SELECT x.realm, `+micro("x.certified_on")+`, 2, x._id, x.realm_name_certificate FROM realm_name x
    UNION ALL SELECT x.realm, `+micro("x.certified_on")+`, 3, x._id, x.certificate FROM realm_archiving x
) t JOIN realm r ON r._id = t.realm`+of+` ORDER BY r.realm_id, t.dated, t.kind, t._id`, args, (*certificateRow).targets); err != nil {
		return r, err
	}
	if r.bundles, err = database.NewCursor(ctx, c.from.Inspection, `
SELECT r.realm_id, b.key_index::bigint, b.keys_bundle FROM realm_keys_bundle b JOIN realm r ON r._id = b.realm`+of+` ORDER BY r.realm_id, b.key_index`,
		args, (*bundleRow).targets); err != nil {
		return r, err
	}
	dated, joined := micro("b.certified_on"), ""
	if c.from.Step >= 10 {
		dated, joined = "coalesce("+micro("f.certified_on")+", "+dated+")", " LEFT JOIN realm_user_role f ON f._id = a.from_sharing"
	}
	if r.accesses, err = database.NewCursor(ctx, c.from.Inspection, `
SELECT r.realm_id, u.user_id, b.key_index::bigint, `+dated+`, a.access
FROM realm_keys_bundle_access a JOIN realm_keys_bundle b ON b._id = a.realm_keys_bundle JOIN realm r ON r._id = b.realm JOIN user_ u ON u._id = a.user_`+joined+of+`
ORDER BY r.realm_id, a._id`, args, (*accessRow).targets); err != nil {
		return r, err
	}
	r.services, err = database.NewCursor(ctx, c.from.Inspection, `
SELECT r.realm_id, s.service_id, b.key_index::bigint, a.access
FROM realm_sequester_keys_bundle_access a JOIN realm_keys_bundle b ON b._id = a.realm_keys_bundle JOIN realm r ON r._id = b.realm
JOIN sequester_service s ON s._id = a.sequester_service`+of+` ORDER BY r.realm_id, b.key_index, a._id`, args, (*serviceAccessRow).targets)
	return r, err
}

// ofRealm visits the rows of a realm, and passes over those of the ones before.
func ofRealm[T any](ctx context.Context, cursor *database.Cursor[T], realm database.UUID, of func(*T) database.UUID, visit func(*T) error) error {
	return cursor.Each(ctx, func(row *T) bool {
		id := of(row)
		return bytes.Compare(id[:], realm[:]) <= 0
	}, func(row *T) error {
		if of(row) != realm {
			return nil
		}
		return visit(row)
	})
}

func (c *converter) realms(ctx context.Context) error {
	cursors, err := c.openRealms(ctx)
	if err != nil {
		return err
	}
	return each(ctx, c, `
SELECT r.realm_id, r.key_index::bigint, `+deletedRealm(c.from.Step)+` FROM realm r
WHERE r.organization = $1::bigint AND `+imported(c.from.Step)+` ORDER BY r.realm_id`,
		(*realmRow).targets, func(row *realmRow) error { return c.realm(ctx, &cursors, row) })
}

// realmConverter is about one realm.
type realmConverter struct {
	*converter
	row     *realmRow
	realm   *replay.Realm
	subject string
	// wanted are the accesses that certificates give: to whom, to which keys, and when.
	wanted map[access]bool
}

type access struct {
	user     database.UUID
	keyIndex int64
	dated    int64
}

func (c *converter) realm(ctx context.Context, cursors *realmCursors, row *realmRow) error {
	id := parsec.RealmID(row.id)
	r := &realmConverter{converter: c, row: row, realm: replay.NewRealm(id), subject: "realm " + id.String(), wanted: map[access]bool{}}
	err := ofRealm(ctx, cursors.certificates, row.id, func(row *certificateRow) database.UUID { return row.realm },
		func(row *certificateRow) error { return r.follow(ctx, row) })
	if err != nil {
		return err
	}
	if err := r.putRealm(ctx); err != nil {
		return err
	}
	if err := r.putMembers(ctx); err != nil {
		return err
	}
	return r.putKeys(ctx, cursors)
}

func (r *realmConverter) follow(ctx context.Context, row *certificateRow) error {
	before := r.realm.KeyIndex
	step := r.of.FollowRealm(r.realm, row.certificate)
	index := int64(r.realm.KeyIndex)
	switch {
	case r.realm.KeyIndex == before+1:
		for user := range r.realm.Members() {
			r.wanted[access{database.UUID(user), index, int64(step.Date)}] = true
		}
	case step.Role != parsec.RoleNone && step.Member != step.User && index > 0:
		r.wanted[access{database.UUID(step.Member), index, int64(step.Date)}] = true
	}
	return r.certify(ctx, "realm", r.subject, row, &step)
}

func (r *realmConverter) putRealm(ctx context.Context) error {
	realm := r.realm
	if realm.CreatedOn == 0 {
		r.one.Stop("realm_incomplete", r.subject, "it has no certificate")
		return nil
	}
	if int64(realm.KeyIndex) != r.row.keyIndex {
		r.one.Stop("certificate", r.subject, "its key index is %d, and %d by its certificates", r.row.keyIndex, realm.KeyIndex)
	}
	switch {
	case len(realm.Roles) == 0:
		r.one.Stop("realm_incomplete", r.subject, "its first role, which its creator gives itself, is missing")
	case !realm.HasOwner():
		r.one.Note("no_owner", r.subject, "it has no OWNER")
	}
	archiving := realm.Archiving
	if archiving == "" {
		archiving = parsec.ArchivingAvailable
	}
	return r.into.Put(ctx, realmTable, r.name, [16]byte(r.row.id), int64(realm.CreatedOn), int64(realm.Last), int64(realm.KeyIndex), realm.Named,
		string(archiving), (*int64)(realm.DeletionDate), r.row.deleted)
}

func (r *realmConverter) putMembers(ctx context.Context) error {
	for _, user := range slices.SortedFunc(maps.Keys(r.realm.Roles), func(a, b parsec3.UserID) int { return bytes.Compare(a[:], b[:]) }) {
		if r.of.Users[user] == nil {
			r.one.Stop("missing_row", r.subject, "its member %s is unknown", user)
			continue
		}
		var role *string
		var date, given, managing int64
		for _, entry := range r.realm.Roles[user] {
			role, date = nil, int64(entry.Date)
			if entry.Value != parsec.RoleNone {
				role, given = new(string(entry.Value)), date
			}
			if entry.Value.Manages() {
				managing = date
			}
		}
		if err := r.into.Put(ctx, memberTable, r.name, [16]byte(r.row.id), [16]byte(user), role, date, given, managing); err != nil {
			return err
		}
	}
	return nil
}

// putKeys puts keys bundles, and who has access to them; of a deleted realm there are
// none.
func (r *realmConverter) putKeys(ctx context.Context, cursors *realmCursors) error {
	err := ofRealm(ctx, cursors.bundles, r.row.id, func(row *bundleRow) database.UUID { return row.realm }, func(row *bundleRow) error {
		if r.row.deleted {
			return nil
		}
		return r.into.Put(ctx, bundleTable, r.name, [16]byte(row.realm), row.keyIndex, row.bundle)
	})
	if err != nil {
		return err
	}
	err = ofRealm(ctx, cursors.services, r.row.id, func(row *serviceAccessRow) database.UUID { return row.realm }, func(row *serviceAccessRow) error {
		if r.row.deleted {
			return nil
		}
		return r.into.Put(ctx, serviceAccessTable, r.name, [16]byte(row.realm), row.keyIndex, [16]byte(row.service), row.access)
	})
	if err != nil {
		return err
	}
	return r.putAccesses(ctx, cursors)
}

// latest is the newest access of a user to the keys of an index: those of before step 10
// have replaced the ones before.
type latest struct {
	user     database.UUID
	keyIndex int64
}

func (r *realmConverter) putAccesses(ctx context.Context, cursors *realmCursors) error {
	exact, last := map[access][]byte{}, map[latest][]byte{}
	err := ofRealm(ctx, cursors.accesses, r.row.id, func(row *accessRow) database.UUID { return row.realm }, func(row *accessRow) error {
		exact[access{row.user, row.keyIndex, row.dated}] = row.access
		last[latest{row.user, row.keyIndex}] = row.access
		return nil
	})
	if err != nil || r.row.deleted {
		return err
	}
	for key := range r.wanted {
		found := exact[key]
		if found == nil {
			found = last[latest{key.user, key.keyIndex}]
		}
		if found == nil {
			r.missing(key)
			continue
		}
		if err := r.into.Put(ctx, accessTable, r.name, [16]byte(r.row.id), [16]byte(key.user), key.keyIndex, key.dated, found); err != nil {
			return err
		}
	}
	return nil
}

// missing notes that a member has not been given keys.
func (r *realmConverter) missing(key access) {
	if user := parsec3.UserID(key.user); r.realm.Role(user) != parsec.RoleNone {
		r.one.Note("access_missing", r.subject+" user "+user.String(), "it cannot decrypt by the keys %d before they are shared or rotated again", key.keyIndex)
	}
}
