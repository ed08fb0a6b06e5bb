package check

import (
	"bytes"
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/replay"
)

type realmRow struct {
	realm                         database.UUID
	createdOn, lastDate, keyIndex int64
	named                         bool
	archiving                     string
	deletionDate                  *int64
	deleted                       bool
	// These are NULL without counter.
	checkpoint, lastVlob, vlobsSize, blocksSize *int64
}

func (r *realmRow) targets() []any {
	return []any{
		&r.realm, &r.createdOn, &r.lastDate, &r.keyIndex, &r.named, &r.archiving, &r.deletionDate, &r.deleted,
		&r.checkpoint, &r.lastVlob, &r.vlobsSize, &r.blocksSize,
	}
}

type memberRow struct {
	realm, user           database.UUID
	role                  *string
	date, given, managing int64
}

func (r *memberRow) targets() []any {
	return []any{&r.realm, &r.user, &r.role, &r.date, &r.given, &r.managing}
}

// access is what gives a user the keys of a rotation.
type access struct {
	user     database.UUID
	keyIndex int64
	dated    int64
}

type accessRow struct {
	realm database.UUID
	access
}

func (r *accessRow) targets() []any { return []any{&r.realm, &r.user, &r.keyIndex, &r.dated} }

// realms are the cursors that go through the realms of an organization together.
type realms struct {
	rows         *database.Cursor[realmRow]
	certificates *database.Cursor[certificateRow]
	members      *database.Cursor[memberRow]
	accesses     *database.Cursor[accessRow]
	signed       *database.Cursor[signedRow]
	atoms        *database.Cursor[atomRow]
	heads        *database.Cursor[headRow]
}

func (c *checker) openRealms(ctx context.Context) (r realms, err error) {
	if r.rows, err = database.NewCursor(ctx, c.on, `
SELECT r.realm_id, r.created_on, r.last_date, r.key_index, r.named, r.archiving, r.deletion_date, r.deleted,
    k.checkpoint, k.last_vlob, k.vlobs_size, k.blocks_size
FROM parsec3.realm r LEFT JOIN parsec3.realm_counter k ON k.organization = r.organization AND k.realm_id = r.realm_id
WHERE r.organization = $1 ORDER BY r.realm_id`, []any{c.name}, (*realmRow).targets); err != nil {
		return r, err
	}
	if r.certificates, err = c.certificates(ctx, "realm"); err != nil {
		return r, err
	}
	if r.members, err = database.NewCursor(ctx, c.on, `
SELECT m.realm_id, m.user_id, m.role, m.role_date, m.given_date, m.managing_date
FROM parsec3.realm_member m WHERE m.organization = $1 ORDER BY m.realm_id`, []any{c.name}, (*memberRow).targets); err != nil {
		return r, err
	}
	if r.accesses, err = database.NewCursor(ctx, c.on, `
SELECT a.realm_id, a.user_id, a.key_index, a.dated
FROM parsec3.keys_bundle_access a WHERE a.organization = $1 ORDER BY a.realm_id`, []any{c.name}, (*accessRow).targets); err != nil {
		return r, err
	}
	if r.signed, err = database.NewCursor(ctx, c.on, `
SELECT l.realm_id, l.user_id, l.last_date FROM parsec3.last_signed l WHERE l.organization = $1 ORDER BY l.realm_id`,
		[]any{c.name}, (*signedRow).targets); err != nil {
		return r, err
	}
	if r.heads, err = database.NewCursor(ctx, c.on, `
SELECT v.realm_id, v.vlob_id, v.version, v.checkpoint FROM parsec3.vlob v
WHERE v.organization = $1 ORDER BY v.realm_id, v.vlob_id`, []any{c.name}, (*headRow).targets); err != nil {
		return r, err
	}
	r.atoms, err = database.NewCursor(ctx, c.on, `
SELECT a.realm_id, a.vlob_id, a.version, a.key_index, a.author, a.written_on, octet_length(a.blob)
FROM parsec3.vlob_atom a WHERE a.organization = $1 ORDER BY a.realm_id, a.vlob_id, a.version`, []any{c.name}, (*atomRow).targets)
	return r, err
}

func (r *certificateRow) ofRealm() database.UUID { return r.realm }
func (r *memberRow) ofRealm() database.UUID      { return r.realm }
func (r *accessRow) ofRealm() database.UUID      { return r.realm }
func (r *signedRow) ofRealm() database.UUID      { return r.realm }
func (r *atomRow) ofRealm() database.UUID        { return r.realm }

// inRealm visits the rows of a realm. Those before it are of none, which is told apart.
func inRealm[T any, P interface {
	*T
	ofRealm() database.UUID
}](ctx context.Context, cursor *database.Cursor[T], realm database.UUID, visit func(*T)) error {
	return cursor.Each(ctx, func(row *T) bool {
		of := P(row).ofRealm()
		return bytes.Compare(of[:], realm[:]) <= 0
	}, func(row *T) error {
		if P(row).ofRealm() == realm {
			visit(row)
		}
		return nil
	})
}

func (c *checker) checkRealms(ctx context.Context) error {
	cursors, err := c.openRealms(ctx)
	if err != nil {
		return err
	}
	return cursors.rows.Each(ctx, nil, func(row *realmRow) error { return c.checkRealm(ctx, &cursors, row) })
}

// realmChecker checks one realm.
type realmChecker struct {
	*checker
	row     *realmRow
	realm   *replay.Realm
	subject string
	// accesses are those that there must be.
	accesses map[access]bool
	// signed is when each user has last signed something in the realm.
	signed map[parsec3.UserID]parsec.DateTime
}

func (c *checker) checkRealm(ctx context.Context, cursors *realms, row *realmRow) error {
	id := parsec.RealmID(row.realm)
	r := &realmChecker{
		checker: c, row: row, realm: replay.NewRealm(id), subject: "realm " + id.String(),
		accesses: map[access]bool{}, signed: map[parsec3.UserID]parsec.DateTime{},
	}
	if err := inRealm(ctx, cursors.certificates, row.realm, r.followCertificate); err != nil {
		return err
	}
	r.checkRow()
	if err := r.checkMembers(ctx, cursors); err != nil {
		return err
	}
	if err := r.checkAccesses(ctx, cursors); err != nil {
		return err
	}
	if err := r.checkVlobs(ctx, cursors); err != nil {
		return err
	}
	if err := inRealm(ctx, cursors.signed, row.realm, func(row *signedRow) { forget(r.signed, row) }); err != nil {
		return err
	}
	c.reportSigned(r.signed, r.subject+" ")
	return nil
}

func (r *realmChecker) followCertificate(row *certificateRow) {
	before := r.realm.KeyIndex
	step := r.of.FollowRealm(r.realm, row.certificate)
	r.follow(row, r.subject, step)
	if step.User != (parsec3.UserID{}) {
		r.signed[step.User] = max(r.signed[step.User], step.Date)
	}
	switch {
	case r.realm.KeyIndex == before+1:
		for user := range r.realm.Members() {
			r.accesses[access{database.UUID(user), int64(r.realm.KeyIndex), int64(step.Date)}] = true
		}
	case step.Role != parsec.RoleNone && step.Member != step.User:
		r.accesses[access{database.UUID(step.Member), int64(r.realm.KeyIndex), int64(step.Date)}] = true
	}
}

// checkRow compares the realm with its certificates.
func (r *realmChecker) checkRow() {
	row, realm := r.row, r.realm
	if realm.CreatedOn == 0 {
		r.fault(RealmExists, r.subject, "it has no certificate")
		return
	}
	archiving := realm.Archiving
	if archiving == "" {
		archiving = parsec.ArchivingAvailable
	}
	if row.createdOn != int64(realm.CreatedOn) || row.lastDate != int64(realm.Last) {
		r.faultf(RealmRow, r.subject, "its dates are %s and %s, those of its certificates %s and %s",
			parsec.DateTime(row.createdOn), parsec.DateTime(row.lastDate), realm.CreatedOn, realm.Last)
	}
	if row.keyIndex != int64(realm.KeyIndex) {
		r.faultf(RealmRow, r.subject, "its key index is %d, that of its certificates %d", row.keyIndex, realm.KeyIndex)
	}
	if row.named != realm.Named || row.archiving != string(archiving) || !parsec.Same((*int64)(realm.DeletionDate), row.deletionDate) {
		r.fault(RealmRow, r.subject, "its name or archiving is not that of its certificates")
	}
	if !realm.HasOwner() {
		r.fault(AnOwner, r.subject, "it has none")
	}
}

func (r *realmChecker) checkMembers(ctx context.Context, cursors *realms) error {
	found := 0
	err := inRealm(ctx, cursors.members, r.row.realm, func(row *memberRow) {
		id := parsec3.UserID(row.user)
		history := r.realm.Roles[id]
		if len(history) == 0 {
			r.fault(RealmMembers, r.subject+" user "+id.String(), "it has no certificate")
			return
		}
		found++
		if want := memberOf(row, history); !want.same(row) {
			r.fault(RealmMembers, r.subject+" user "+id.String(), "its role, or one of its dates, is not that of its certificates")
		}
	})
	if missing := len(r.realm.Roles) - found; err == nil && missing > 0 {
		r.faultf(RealmMembers, r.subject, "%d members with a certificate are missing", missing)
	}
	return err
}

// memberOf returns what the row of a member should be.
func memberOf(row *memberRow, history []replay.Since[parsec.RealmRole]) memberRow {
	want := memberRow{realm: row.realm, user: row.user}
	for _, entry := range history {
		want.role, want.date = nil, int64(entry.Date)
		if entry.Value != parsec.RoleNone {
			want.role, want.given = new(string(entry.Value)), int64(entry.Date)
		}
		if entry.Value.Manages() {
			want.managing = int64(entry.Date)
		}
	}
	return want
}

func (r *memberRow) same(other *memberRow) bool {
	return parsec.Same(r.role, other.role) && r.date == other.date && r.given == other.given && r.managing == other.managing
}

func (r *realmChecker) checkAccesses(ctx context.Context, cursors *realms) error {
	err := inRealm(ctx, cursors.accesses, r.row.realm, func(row *accessRow) {
		if !r.accesses[row.access] && !r.row.deleted {
			r.faultf(KeysAccesses, r.subject+" user "+parsec3.UserID(row.user).String(),
				"it has an access to the keys %d of %s that no certificate gives", row.keyIndex, parsec.DateTime(row.dated))
		}
		delete(r.accesses, row.access)
	})
	if err != nil || r.row.deleted {
		return err
	}
	for missing := range r.accesses {
		r.faultf(KeysAccesses, r.subject+" user "+parsec3.UserID(missing.user).String(),
			"it has no access to the keys %d of %s", missing.keyIndex, parsec.DateTime(missing.dated))
	}
	return nil
}
