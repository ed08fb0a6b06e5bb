package imports

import (
	"context"
	"errors"
	"strings"

	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// user is what others need to know of one.
type user struct {
	key       int64
	id        string
	revokedOn *int64
}

// device is what others need to know of one.
type device struct {
	id   parsec.DeviceID
	key  parsec.VerifyKey
	user int64
	// author is the device that has signed it, "" for the root key.
	author  string
	visited bool
}

var userTable = &imports.Table{
	Name: "user_",
	Columns: []string{
		"id", "organization", "user_id", "profile", "human_email", "human_label", "certificate", "redacted_certificate", "certifier", "created_on",
		"revoked_certificate", "revoked_certifier", "revoked_on", "frozen",
	},
	Key: []string{"id"},
}

type userRow struct {
	key                   int64
	id, profile           string
	email                 *string
	label                 []byte
	certificate, redacted []byte
	certifier             string
	createdOn             int64
	revokedOn             *int64
	revocation            []byte
	revoker               *string
	frozen                bool
}

func (r *userRow) targets() []any {
	return []any{
		&r.key, &r.id, &r.profile, &r.email, &r.label, &r.certificate, &r.redacted, &r.certifier, &r.createdOn, &r.revokedOn, &r.revocation,
		&r.revoker, &r.frozen,
	}
}

func (c *converter) putUsers(ctx context.Context) error {
	emails := map[string]string{}
	human, joined := "h.email::text, h.label::text::bytea", " LEFT JOIN human h ON h._id = u.human"
	return each(ctx, c, `
SELECT u._id::bigint, u.user_id::text, `+c.from.Since(5, "u.profile::text", "CASE WHEN u.is_admin THEN 'ADMIN' ELSE 'STANDARD' END")+`,
    `+c.from.Since(3, human, "NULL::text, NULL::bytea")+`, u.user_certificate, `+c.from.Since(5, "u.redacted_user_certificate", "u.user_certificate")+`,
    coalesce(c.device_id, '')::text, `+micro("u.created_on")+`, `+micro("u.revoked_on")+`, u.revoked_user_certificate, r.device_id::text,
    `+c.from.Since(15, "u.frozen", "false")+`
FROM user_ u LEFT JOIN device c ON c._id = u.user_certifier LEFT JOIN device r ON r._id = u.revoked_user_certifier`+c.from.Since(3, joined, "")+`
WHERE u.organization = $1::bigint ORDER BY u._id`,
		(*userRow).targets, func(row *userRow) error {
			c.users[row.key] = &user{row.key, row.id, row.revokedOn}
			c.checkUser(row)
			if row.email != nil && row.revokedOn == nil {
				c.checkEmail(row, emails)
			}
			return c.into.Put(ctx, userTable, c.into.Number(row.key), int32(c.number), row.id, row.profile, row.email, row.label, row.certificate,
				row.redacted, row.certifier, row.createdOn, row.revocation, row.revoker, row.revokedOn, row.frozen)
		})
}

// checkEmail wants active users to have e-mails of their own.
func (c *converter) checkEmail(row *userRow, emails map[string]string) {
	first, taken := emails[*row.email]
	switch {
	case !taken:
		emails[*row.email] = row.id
	case c.choices.KeepFirstHuman:
		c.one.Repair("same_human", "user "+row.id, "it has the e-mail address %s of user %s, who keeps it", *row.email, first)
		row.email, row.label = nil, nil
	default:
		c.one.Stop("same_human", "user "+row.id, "it has the e-mail address %s of user %s: have one of them revoked by an official client, or give --same-human=keep-first",
			*row.email, first)
	}
}

// checkUser verifies what is signed of a user, and takes its handle from its certificate.
func (c *converter) checkUser(row *userRow) {
	subject := "user " + row.id
	if _, err := parsec.ParseUserID(row.id); err != nil {
		c.one.Stop("identifier", subject, "%s", err)
	}
	loaded, known := verify(c, subject, row.certificate, row.certifier, certificate.LoadKeptUser)
	if known {
		row.createdOn = c.dated(subject, row.certifier, row.createdOn, loaded.Timestamp)
		if loaded.UserID.String() != row.id || string(loaded.Profile) != row.profile || int64(loaded.Timestamp) != row.createdOn {
			c.one.Stop("certificate", subject, "its row is not what its certificate says")
		}
		if handle := loaded.HumanHandle; handle.Email() != "" {
			if row.email != nil && *row.email != handle.Email() {
				c.one.Stop("certificate", subject, "its e-mail address is %s, and %s in its certificate", *row.email, handle.Email())
			}
			row.email, row.label = new(handle.Email()), []byte(handle.Label())
			if _, err := parsec.ParseHumanHandle(handle.Email(), handle.Label()); err != nil {
				c.one.Note("human_handle", subject, "%q comes as it is, and clients from 2.12 on cannot read this user: %s", handle.String(), err)
			}
		}
		c.checkSigned(subject, row.certifier, row.createdOn)
		if string(row.redacted) != string(row.certificate) {
			if form, known := verify(c, subject, row.redacted, row.certifier, certificate.LoadKeptUser); known && form != loaded.Redacted() {
				c.one.Stop("certificate", subject, "its redacted certificate is another one")
			}
		}
	}
	c.checkRevocation(row)
}

func (c *converter) checkRevocation(row *userRow) {
	if row.revokedOn == nil {
		return
	}
	subject := "user " + row.id + " revocation"
	if row.revoker == nil || row.revocation == nil {
		c.one.Stop("missing_row", subject, "its certificate, or its author, is missing")
		return
	}
	loaded, known := verify(c, subject, row.revocation, *row.revoker, certificate.LoadRevokedUser)
	if known && (loaded.UserID.String() != row.id || int64(loaded.Timestamp) != *row.revokedOn) {
		c.one.Stop("certificate", subject, "its row is not what its certificate says")
	}
	c.checkSigned(subject, *row.revoker, *row.revokedOn)
}

// dated returns the date of a row, and takes it from the certificate where the root key has
// signed that: the bootstrap of API 1 has left its own date in the row.
func (c *converter) dated(subject, certifier string, stored int64, signed parsec.DateTime) int64 {
	if certifier != "" || stored == int64(signed) {
		return stored
	}
	c.one.Repair("bootstrap_date", subject, "its row is of %s, and takes the date of its certificate", parsec.DateTime(stored))
	return int64(signed)
}

// checkSigned notes what was signed after its author was revoked.
func (c *converter) checkSigned(subject, author string, date int64) {
	by := c.byName[author]
	if by == nil {
		return
	}
	if of := c.users[by.user]; of != nil && of.revokedOn != nil && date >= *of.revokedOn {
		c.one.Note("author_revoked", subject, "%s has signed it at %s, and was revoked at %s", author, parsec.DateTime(date), parsec.DateTime(*of.revokedOn))
	}
}

// verify reads what an author has signed, "" for the root key; false if that is not known.
func verify[T any](c *converter, subject string, signed []byte, author string, load func([]byte, parsec.VerifyKey, parsec.DeviceID) (T, error)) (loaded T, known bool) {
	var key parsec.VerifyKey
	var id parsec.DeviceID
	switch by := c.byName[author]; {
	case author == "" && c.root != nil:
		key = *c.root
	case by != nil:
		key, id = by.key, by.id
	default:
		c.one.Stop("missing_row", subject, "its author %s is unknown", author)
		return loaded, false
	}
	loaded, err := load(signed, key, id)
	if err != nil {
		c.one.Stop("certificate", subject, "%s", err)
	}
	return loaded, err == nil
}

var deviceTable = &imports.Table{
	Name:    "device",
	Columns: []string{"id", "user_", "name", "label", "verify_key", "certificate", "redacted_certificate", "certifier", "created_on"},
	Key:     []string{"id"},
}

type deviceRow struct {
	key, user             int64
	id                    string
	label                 []byte
	certificate, redacted []byte
	certifier             string
	createdOn             int64
}

func (r *deviceRow) targets() []any {
	return []any{&r.key, &r.user, &r.id, &r.label, &r.certificate, &r.redacted, &r.certifier, &r.createdOn}
}

// readDevices reads the keys that everything is verified with.
func (c *converter) readDevices(ctx context.Context) error {
	return each(ctx, c, `
SELECT d._id::bigint, d.user_::bigint, d.device_id::text, NULL::bytea, d.device_certificate, NULL::bytea, coalesce(c.device_id, '')::text, 0::bigint
FROM device d LEFT JOIN device c ON c._id = d.device_certifier WHERE d.organization = $1::bigint ORDER BY d._id`,
		(*deviceRow).targets, func(row *deviceRow) error {
			subject := "device " + row.id
			id, err := parsec.ParseDeviceID(row.id)
			if err != nil {
				c.one.Stop("identifier", subject, "%s", err)
				return nil
			}
			read, err := certificate.Read[certificate.Device](row.certificate)
			if err != nil {
				c.one.Stop("certificate", subject, "%s", err)
				return nil
			}
			one := &device{id: id, key: read.VerifyKey, user: row.user, author: row.certifier}
			c.devices[row.key], c.byName[row.id] = one, one
			return nil
		})
}

func (c *converter) putDevices(ctx context.Context) error {
	owners := map[int64]bool{}
	err := each(ctx, c, `
SELECT d._id::bigint, d.user_::bigint, d.device_id::text, `+c.from.Since(5, "d.device_label::text::bytea", "NULL::bytea")+`, d.device_certificate,
    `+c.from.Since(5, "d.redacted_device_certificate", "d.device_certificate")+`, coalesce(c.device_id, '')::text, `+micro("d.created_on")+`
FROM device d LEFT JOIN device c ON c._id = d.device_certifier WHERE d.organization = $1::bigint ORDER BY d._id`,
		(*deviceRow).targets, func(row *deviceRow) error {
			one := c.devices[row.key]
			if one == nil {
				return nil // It is told.
			}
			owners[row.user] = true
			c.checkDevice(row, one)
			_, name, _ := strings.Cut(row.id, "@")
			return c.into.Put(ctx, deviceTable, c.into.Number(row.key), c.into.Number(row.user), name, row.label, one.key[:], row.certificate, row.redacted,
				row.certifier, row.createdOn)
		})
	if err != nil {
		return err
	}
	for key, of := range c.users {
		if !owners[key] {
			c.one.Stop("missing_row", "user "+of.id, "it has no device")
		}
	}
	for name, one := range c.byName {
		if err := c.leadsToRoot(one); err != nil {
			c.one.Stop("certificate", "device "+name, "%s", err)
		}
	}
	return nil
}

func (c *converter) checkDevice(row *deviceRow, one *device) {
	subject := "device " + row.id
	owner := c.users[row.user]
	if owner == nil || one.id.User().String() != owner.id {
		c.one.Stop("missing_row", subject, "its user is missing, or another one")
		return
	}
	loaded, known := verify(c, subject, row.certificate, row.certifier, certificate.LoadDevice)
	if !known {
		return
	}
	row.createdOn = c.dated(subject, row.certifier, row.createdOn, loaded.Timestamp)
	if loaded.DeviceID != one.id || int64(loaded.Timestamp) != row.createdOn {
		c.one.Stop("certificate", subject, "its row is not what its certificate says")
	}
	if label := loaded.DeviceLabel.String(); label != "" {
		row.label = []byte(label)
	}
	c.checkSigned(subject, row.certifier, row.createdOn)
	if string(row.redacted) == string(row.certificate) {
		return
	}
	if form, known := verify(c, subject, row.redacted, row.certifier, certificate.LoadDevice); known && form != loaded.Redacted() {
		c.one.Stop("certificate", subject, "its redacted certificate is another one")
	}
}

var errNoRoot = errors.New("no signatures lead from it to the root key")

// leadsToRoot follows the authors of a device.
func (c *converter) leadsToRoot(one *device) error {
	passed := map[*device]bool{}
	for one != nil && !passed[one] && !one.visited {
		passed[one] = true
		if one.author == "" {
			one.visited = true
			break
		}
		one = c.byName[one.author]
	}
	if one == nil || !one.visited {
		return errNoRoot
	}
	for each := range passed {
		each.visited = true
	}
	return nil
}
