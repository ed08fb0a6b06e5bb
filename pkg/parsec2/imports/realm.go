package imports

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

var realmTable = &imports.Table{
	Name: "realm",
	Columns: []string{
		// settleRealms has how they are encrypted.
		"id", "organization", "realm_id", "created_on", "archiving_type", "archiving_deletion_date", "archiving_configured_on", "archiving_configured_by",
	},
	Key: []string{"id"},
}

type realmRow struct {
	key           int64
	id            database.UUID
	createdOn     *int64
	maintenance   *string
	hasRevision   bool
	archiving     *string
	deletionDate  *int64
	configuredOn  *int64
	configuredBy  *string
	firstIsOfSelf bool
}

func (r *realmRow) targets() []any {
	return []any{
		&r.key, &r.id, &r.createdOn, &r.maintenance, &r.hasRevision,
		&r.archiving, &r.deletionDate, &r.configuredOn, &r.configuredBy, &r.firstIsOfSelf,
	}
}

// completeRevision is the expression of the encryption revision of the realm r that has
// all versions.
const completeRevision = "(r.encryption_revision - (r.maintenance_type IS NOT NULL)::int)"

func subjectOf(realm database.UUID) string { return "realm " + parsec.RealmID(realm).String() }

func (c *converter) realms(ctx context.Context) error {
	archiving := c.from.Since(14, "a.configuration::text, "+micro("a.deletion_date")+", "+micro("a.certified_on")+", ad.device_id::text",
		"NULL::text, NULL::bigint, NULL::bigint, NULL::text")
	joined := c.from.Since(14, `
LEFT JOIN LATERAL (SELECT x.* FROM realm_archiving x WHERE x.realm = r._id ORDER BY x.certified_on DESC, x._id DESC LIMIT 1) a ON true
LEFT JOIN device ad ON ad._id = a.certified_by`, "")
	return each(ctx, c, `
SELECT r._id::bigint, r.realm_id, `+micro("f.certified_on")+`, r.maintenance_type::text,
    EXISTS (SELECT FROM vlob_encryption_revision v WHERE v.realm = r._id AND v.encryption_revision = `+completeRevision+`),
    `+archiving+`, coalesce(fd.user_ = f.user_, false)
FROM realm r
LEFT JOIN LATERAL (SELECT x.* FROM realm_user_role x WHERE x.realm = r._id ORDER BY x.certified_on, x._id LIMIT 1) f ON true
LEFT JOIN device fd ON fd._id = f.certified_by`+joined+`
WHERE r.organization = $1::bigint ORDER BY r._id`,
		(*realmRow).targets, func(row *realmRow) error { return c.putRealm(ctx, row) })
}

func (c *converter) putRealm(ctx context.Context, row *realmRow) error {
	subject := subjectOf(row.id)
	if row.maintenance != nil {
		c.one.Repair("reencryption", subject, "it is being reencrypted, and that begins anew")
	}
	switch {
	case !row.hasRevision:
		c.one.Stop("realm_incomplete", subject, "the row of its encryption revision is missing")
	case row.createdOn == nil || !row.firstIsOfSelf:
		c.one.Stop("realm_incomplete", subject, "its first role, which its creator gives itself, is missing")
	}
	if row.createdOn == nil {
		return nil
	}
	return c.into.Put(ctx, realmTable, c.into.Number(row.key), int32(c.number), [16]byte(row.id), *row.createdOn,
		row.archiving, row.deletionDate, row.configuredOn, row.configuredBy)
}

var roleTable = &imports.Table{
	Name:    "realm_role_certificate",
	Columns: []string{"id", "realm", "user_", "role", "certificate", "author", "certified_on"},
	Key:     []string{"realm", "certified_on", "id"},
}

type roleRow struct {
	key, realm, user int64
	id               database.UUID
	userID           string
	role             *string
	certificate      []byte
	author           string
	certifiedOn      int64
}

func (r *roleRow) targets() []any {
	return []any{&r.key, &r.realm, &r.user, &r.id, &r.userID, &r.role, &r.certificate, &r.author, &r.certifiedOn}
}

func (c *converter) roles(ctx context.Context) error {
	order := roleOrder{}
	return each(ctx, c, `
SELECT x._id::bigint, x.realm::bigint, x.user_::bigint, r.realm_id, u.user_id::text, x.role::text, x.certificate, d.device_id::text, `+micro("x.certified_on")+`
FROM realm_user_role x JOIN realm r ON r._id = x.realm JOIN user_ u ON u._id = x.user_ JOIN device d ON d._id = x.certified_by
WHERE r.organization = $1::bigint ORDER BY x.realm, x.certified_on, x._id`,
		(*roleRow).targets, func(row *roleRow) error {
			subject := subjectOf(row.id) + " role of user " + row.userID + " at " + parsec.DateTime(row.certifiedOn).String()
			loaded, known := verify(c, subject, row.certificate, row.author, certificate.LoadRealmRole)
			if known && (loaded.RealmID != parsec.RealmID(row.id) || loaded.UserID.String() != row.userID ||
				string(loaded.Role) != text(row.role) || int64(loaded.Timestamp) != row.certifiedOn) {
				c.one.Stop("certificate", subject, "its row is not what its certificate says")
			}
			c.checkSigned(subject, row.author, row.certifiedOn)
			order.next(c, row, subject)
			return c.into.Put(ctx, roleTable, c.into.Number(row.key), c.into.Number(row.realm), c.into.Number(row.user), row.role, row.certificate, row.author,
				row.certifiedOn)
		})
}

// roleOrder follows the roles of a realm, as clients do.
type roleOrder struct {
	realm int64
	roles map[int64]parsec.RealmRole
	dates map[int64]int64
}

// next notes what clients may refuse already.
func (o *roleOrder) next(c *converter, row *roleRow, subject string) {
	first := o.realm != row.realm
	if first {
		*o = roleOrder{row.realm, map[int64]parsec.RealmRole{}, map[int64]int64{}}
	}
	role := parsec.RealmRole(text(row.role))
	if by := c.byName[row.author]; by != nil && !first {
		own, present := o.roles[by.user], o.roles[row.user]
		if by.user == row.user || !own.MayChange(present, role) {
			c.one.Note("role_order", subject, "%s, %q at that date, gives %q to who has %q", row.author, own, role, present)
		}
	}
	if o.dates[row.user] == row.certifiedOn {
		c.one.Note("role_order", subject, "another role of this user has the same date")
	}
	o.roles[row.user], o.dates[row.user] = role, row.certifiedOn
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

var archivingTable = &imports.Table{
	Name:    "realm_archiving_certificate",
	Columns: []string{"id", "realm", "certificate", "author", "certified_on"},
	Key:     []string{"realm", "certified_on", "id"},
}

type archivingRow struct {
	key, realm    int64
	id            database.UUID
	configuration string
	deletionDate  *int64
	certificate   []byte
	author        string
	certifiedOn   int64
}

func (r *archivingRow) targets() []any {
	return []any{&r.key, &r.realm, &r.id, &r.configuration, &r.deletionDate, &r.certificate, &r.author, &r.certifiedOn}
}

func (c *converter) archivings(ctx context.Context) error {
	if c.from.Step < 14 {
		return nil
	}
	return each(ctx, c, `
SELECT x._id::bigint, x.realm::bigint, r.realm_id, x.configuration::text, `+micro("x.deletion_date")+`, x.certificate, d.device_id::text, `+micro("x.certified_on")+`
FROM realm_archiving x JOIN realm r ON r._id = x.realm JOIN device d ON d._id = x.certified_by
WHERE r.organization = $1::bigint ORDER BY x.realm, x.certified_on, x._id`,
		(*archivingRow).targets, func(row *archivingRow) error {
			subject := subjectOf(row.id) + " archiving at " + parsec.DateTime(row.certifiedOn).String()
			loaded, known := verify(c, subject, row.certificate, row.author, certificate.LoadRealmArchiving)
			if known && (loaded.RealmID != parsec.RealmID(row.id) || string(loaded.Type) != row.configuration || int64(loaded.Timestamp) != row.certifiedOn ||
				!parsec.Same((*int64)(loaded.DeletionDate), row.deletionDate)) {
				c.one.Stop("certificate", subject, "its row is not what its certificate says")
			}
			c.checkSigned(subject, row.author, row.certifiedOn)
			return c.into.Put(ctx, archivingTable, c.into.Number(row.key), c.into.Number(row.realm), row.certificate, row.author, row.certifiedOn)
		})
}
