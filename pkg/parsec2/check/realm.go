package check

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

type realmRow struct {
	key                        int64
	id                         database.UUID
	createdOn                  int64
	revision                   int64
	maintenance                bool
	reencrypted                int64
	archiving                  *string
	deletionDate, configuredOn *int64
	configuredBy               *string
	checkpoint                 int64
	vlobsSize                  int64
	leftBehind                 int64
	deleted                    bool
}

func (r *realmRow) targets() []any {
	return []any{
		&r.key, &r.id, &r.createdOn, &r.revision, &r.maintenance, &r.reencrypted, &r.archiving, &r.deletionDate, &r.configuredOn, &r.configuredBy,
		&r.checkpoint, &r.vlobsSize, &r.leftBehind, &r.deleted,
	}
}

type roleRow struct {
	realm, user int64
	role        *string
	certificate []byte
	author      string
	certifiedOn int64
}

func (r *roleRow) targets() []any {
	return []any{&r.realm, &r.user, &r.role, &r.certificate, &r.author, &r.certifiedOn}
}

type archivingRow struct {
	realm       int64
	certificate []byte
	author      string
	certifiedOn int64
}

func (r *archivingRow) targets() []any {
	return []any{&r.realm, &r.certificate, &r.author, &r.certifiedOn}
}

type memberRow struct {
	realm, user                                    int64
	role                                           *string
	certifiedOn, lastVlob, lastRole, lastArchiving int64
}

func (r *memberRow) targets() []any {
	return []any{&r.realm, &r.user, &r.role, &r.certifiedOn, &r.lastVlob, &r.lastRole, &r.lastArchiving}
}

func (r *roleRow) ofRealm() int64      { return r.realm }
func (r *archivingRow) ofRealm() int64 { return r.realm }
func (r *memberRow) ofRealm() int64    { return r.realm }
func (r *atomRow) ofRealm() int64      { return r.realm }

// realms are the cursors that go through the realms of an organization together.
type realms struct {
	rows       *database.Cursor[realmRow]
	roles      *database.Cursor[roleRow]
	archivings *database.Cursor[archivingRow]
	members    *database.Cursor[memberRow]
	atoms      *database.Cursor[atomRow]
}

func (c *checker) openRealms(ctx context.Context) (r realms, err error) {
	if r.rows, err = database.NewCursor(ctx, c.on, `
SELECT r.id, r.realm_id, r.created_on, r.encryption_revision::bigint, r.maintenance_type IS NOT NULL, r.reencrypted,
    r.archiving_type, r.archiving_deletion_date, r.archiving_configured_on, r.archiving_configured_by, r.checkpoint, r.vlobs_size, r.left_behind, r.deleted
FROM realm r WHERE r.organization = $1::bigint ORDER BY r.id`, []any{c.key}, (*realmRow).targets); err != nil {
		return r, err
	}
	if r.roles, err = database.NewCursor(ctx, c.on, `
SELECT c.realm, c.user_, c.role, c.certificate, c.author, c.certified_on
FROM realm_role_certificate c JOIN realm r ON r.id = c.realm WHERE r.organization = $1::bigint ORDER BY c.realm, c.certified_on, c.id`,
		[]any{c.key}, (*roleRow).targets); err != nil {
		return r, err
	}
	if r.archivings, err = database.NewCursor(ctx, c.on, `
SELECT c.realm, c.certificate, c.author, c.certified_on
FROM realm_archiving_certificate c JOIN realm r ON r.id = c.realm WHERE r.organization = $1::bigint ORDER BY c.realm, c.certified_on, c.id`,
		[]any{c.key}, (*archivingRow).targets); err != nil {
		return r, err
	}
	if r.members, err = database.NewCursor(ctx, c.on, `
SELECT m.realm, m.user_, m.role, m.role_certified_on, m.last_vlob_update, m.last_role_change, m.last_archiving_change
FROM realm_member m JOIN realm r ON r.id = m.realm WHERE r.organization = $1::bigint ORDER BY m.realm`,
		[]any{c.key}, (*memberRow).targets); err != nil {
		return r, err
	}
	r.atoms, err = database.NewCursor(ctx, c.on, selectAtoms, []any{c.key}, (*atomRow).targets)
	return r, err
}

// inRealm visits the rows of a realm, which come in the order of the realms.
func inRealm[T any, P interface {
	*T
	ofRealm() int64
}](ctx context.Context, cursor *database.Cursor[T], realm int64, visit func(*T)) error {
	return cursor.Each(ctx, func(row *T) bool { return P(row).ofRealm() <= realm }, func(row *T) error {
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

// since is a role from a date on.
type since struct {
	date int64
	role parsec.RealmRole
}

// member is what a realm should know of a user.
type member struct {
	roles                             []since
	lastVlob, lastRole, lastArchiving int64
}

// at returns the role at a date.
func (m *member) at(date int64) (role parsec.RealmRole) {
	for _, entry := range m.roles {
		if entry.date <= date {
			role = entry.role
		}
	}
	return role
}

func (m *member) role() parsec.RealmRole { return m.at(int64(parsec.MaxDateTime)) }

// realmChecker checks one realm.
type realmChecker struct {
	*checker
	row     *realmRow
	subject string
	members map[*user]*member
	// certificates is how many roles there were so far, and archived the last archiving.
	certificates int
	archived     *certificate.RealmArchiving
}

// member returns what the realm should know of a user.
func (r *realmChecker) member(of *user) *member {
	if r.members[of] == nil {
		r.members[of] = &member{}
	}
	return r.members[of]
}

func (c *checker) checkRealm(ctx context.Context, cursors *realms, row *realmRow) error {
	r := &realmChecker{checker: c, row: row, subject: subjectOf(row.id), members: map[*user]*member{}}
	if err := inRealm(ctx, cursors.roles, row.key, r.checkRole); err != nil {
		return err
	}
	if err := inRealm(ctx, cursors.archivings, row.key, r.checkArchiving); err != nil {
		return err
	}
	r.checkRow()
	if err := r.checkVlobs(ctx, cursors); err != nil {
		return err
	}
	if err := inRealm(ctx, cursors.members, row.key, r.checkMember); err != nil {
		return err
	}
	for of, missing := range r.members {
		r.faultf(RealmMembers, r.subject+" "+of.String(), "it has %q by its certificates, and no row", missing.role())
	}
	return nil
}

// checkRole follows the next role certificate, in the order that clients replay.
func (r *realmChecker) checkRole(row *roleRow) {
	r.advance(1)
	first := r.certificates == 0
	r.certificates++
	target := r.users[row.user]
	if target == nil {
		r.fault(Orphans, r.subject, "a role is of a user of another organization")
		return
	}
	subject := r.subject + " role of " + target.String() + " at " + parsec.DateTime(row.certifiedOn).String()
	by := r.signerOf(subject, row.author)
	role, readable := read(r.checker, subject, "its certificate", row.certificate, by, certificate.LoadRealmRole, certificate.Read[certificate.RealmRole])
	if !readable {
		return
	}
	r.signed(subject, by, role.Timestamp)
	if role.RealmID != parsec.RealmID(r.row.id) || role.UserID.String() != target.id || int64(role.Timestamp) != row.certifiedOn || string(role.Role) != text(row.role) {
		r.faultf(CertificateRow, subject, "it makes %s %q of realm %s at %s", role.UserID, role.Role, role.RealmID, role.Timestamp)
	}
	if by.device != nil {
		r.checkGrant(subject, by.device.user, target, &role, first)
	}
	if role.Role != parsec.RoleNone && isAfter(role.Timestamp, target.revokedOn) {
		r.faultf(RealmRevoked, subject, "it was revoked at %s", parsec.DateTime(*target.revokedOn))
	}
	of := r.member(target)
	if len(of.roles) > 0 && of.roles[len(of.roles)-1].date >= int64(role.Timestamp) {
		r.fault(RealmDates, subject, "another role is of that date, or later")
	}
	of.roles = append(of.roles, since{int64(role.Timestamp), role.Role})
}

// checkGrant wants the author to be allowed to give the role.
func (r *realmChecker) checkGrant(subject string, author, target *user, role *certificate.RealmRole, first bool) {
	if first {
		if author != target || role.Role != parsec.RoleOwner {
			r.faultf(RealmFirst, subject, "the first certificate gives %q, by %s", role.Role, author)
		}
		return
	}
	by := r.member(author)
	by.lastRole = max(by.lastRole, int64(role.Timestamp))
	own, present := by.role(), r.member(target).role()
	switch {
	case author == target || !own.MayChange(present, role.Role) || present == role.Role:
		r.faultf(RealmRoles, subject, "%s, %q, gives %q to who has %q", author, own, role.Role, present)
	case target.outsider && role.Role.Manages():
		r.faultf(RealmOutsider, subject, "it becomes %s", role.Role)
	}
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// checkArchiving follows the next archiving certificate.
func (r *realmChecker) checkArchiving(row *archivingRow) {
	subject := r.subject + " archiving at " + parsec.DateTime(row.certifiedOn).String()
	by := r.signerOf(subject, row.author)
	archiving, readable := read(r.checker, subject, "its certificate", row.certificate, by, certificate.LoadRealmArchiving, certificate.Read[certificate.RealmArchiving])
	if !readable {
		return
	}
	r.signed(subject, by, archiving.Timestamp)
	if archiving.RealmID != parsec.RealmID(r.row.id) || int64(archiving.Timestamp) != row.certifiedOn {
		r.faultf(CertificateRow, subject, "it is of realm %s at %s", archiving.RealmID, archiving.Timestamp)
	}
	if by.device != nil {
		of := r.member(by.device.user)
		of.lastArchiving = max(of.lastArchiving, int64(archiving.Timestamp))
		if own := of.at(int64(archiving.Timestamp)); own != parsec.RoleOwner {
			r.faultf(RealmArchiving, subject, "%s, %q, has signed it", by.id, own)
		}
	}
	if archiving.DeletionDate != nil && *archiving.DeletionDate < archiving.Timestamp {
		r.faultf(RealmDeletion, subject, "it plans a deletion on %s", archiving.DeletionDate)
	}
	if r.archived != nil && archiving.Timestamp <= r.archived.Timestamp {
		r.fault(RealmDates, subject, "another archiving is of that date, or later")
	}
	r.archived = &archiving
}

// checkRow compares the realm with its certificates.
func (r *realmChecker) checkRow() {
	owner, begins := false, int64(0)
	for _, of := range r.members {
		owner = owner || of.role() == parsec.RoleOwner
		if len(of.roles) > 0 && (begins == 0 || of.roles[0].date < begins) {
			begins = of.roles[0].date
		}
	}
	if r.row.createdOn != begins {
		r.faultf(RealmRow, r.subject, "it is of %s, and its first role of %s", parsec.DateTime(r.row.createdOn), parsec.DateTime(begins))
	}
	if !owner {
		r.fault(AnOwner, r.subject, "it has none")
	}
	var want realmRow
	if r.archived != nil {
		want.archiving, want.configuredOn = new(string(r.archived.Type)), new(int64(r.archived.Timestamp))
		want.configuredBy, want.deletionDate = new(r.archived.Author.String()), (*int64)(r.archived.DeletionDate)
	}
	if text(r.row.archiving) != text(want.archiving) || !parsec.Same(r.row.configuredOn, want.configuredOn) ||
		text(r.row.configuredBy) != text(want.configuredBy) || !parsec.Same(r.row.deletionDate, want.deletionDate) {
		r.fault(RealmRow, r.subject, "its archiving is not that of its last certificate")
	}
}

// checkMember compares a member with the certificates, and with what it has done.
func (r *realmChecker) checkMember(row *memberRow) {
	of := r.users[row.user]
	if of == nil {
		r.fault(Orphans, r.subject, "a member is a user of another organization")
		return
	}
	want := r.member(of)
	delete(r.members, of)
	certifiedOn := int64(0)
	if len(want.roles) > 0 {
		certifiedOn = want.roles[len(want.roles)-1].date
	}
	if text(row.role) != string(want.role()) || row.certifiedOn != certifiedOn {
		r.faultf(RealmMembers, r.subject+" "+of.String(), "it has %q of %s, by its certificates %q of %s",
			text(row.role), parsec.DateTime(row.certifiedOn), want.role(), parsec.DateTime(certifiedOn))
	}
	if row.lastVlob < want.lastVlob || row.lastRole < want.lastRole || row.lastArchiving < want.lastArchiving {
		r.fault(RealmMembers, r.subject+" "+of.String(), "it has done something later than is known")
	}
}
