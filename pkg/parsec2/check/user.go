package check

import (
	"context"
	"fmt"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// user is what others need to know of one.
type user struct {
	id        string
	admin     bool
	outsider  bool
	createdOn int64
	revokedOn *int64
	// first says that there is a device of its date and author.
	first  bool
	author string
}

func (u *user) String() string { return "user " + u.id }

type userRow struct {
	key                   int64
	id, profile           string
	email                 *string
	label                 []byte
	certificate, redacted []byte
	certifier             string
	createdOn             int64
	revocation            []byte
	revoker               *string
	revokedOn             *int64
}

func (r *userRow) targets() []any {
	return []any{
		&r.key, &r.id, &r.profile, &r.email, &r.label, &r.certificate, &r.redacted, &r.certifier, &r.createdOn,
		&r.revocation, &r.revoker, &r.revokedOn,
	}
}

// readUsers reads what the certificates of all depend on.
func (c *checker) readUsers(ctx context.Context) error {
	return rows(ctx, c, `
SELECT u.id, u.user_id, u.profile, NULL::text, NULL::bytea, NULL::bytea, NULL::bytea, u.certifier, u.created_on, NULL::bytea, NULL::text, u.revoked_on
FROM user_ u WHERE u.organization = $1::bigint`,
		(*userRow).targets, func(row *userRow) {
			one := &user{
				id: row.id, admin: row.profile == string(parsec.ProfileAdmin), outsider: row.profile == string(parsec.ProfileOutsider),
				createdOn: row.createdOn, revokedOn: row.revokedOn, author: row.certifier,
			}
			c.users[row.key], c.byID[row.id] = one, one
		})
}

// checkUsers verifies the certificates of users and their revocations.
func (c *checker) checkUsers(ctx context.Context) error {
	founders := 0
	err := rows(ctx, c, `
SELECT u.id, u.user_id, u.profile, u.human_email, u.human_label, u.certificate, u.redacted_certificate, u.certifier, u.created_on,
    u.revoked_certificate, u.revoked_certifier, u.revoked_on
FROM user_ u WHERE u.organization = $1::bigint ORDER BY u.id`,
		(*userRow).targets, func(row *userRow) {
			c.advance(1)
			if row.certifier == "" {
				founders++
			}
			c.checkUser(row)
			if row.revokedOn != nil && row.revoker != nil {
				c.checkRevocation(row)
			}
		})
	if err == nil && founders != 1 {
		c.faultf(Foundation, "organization", "the root key has signed %d users", founders)
	}
	return err
}

func (c *checker) checkUser(row *userRow) {
	subject := c.users[row.key].String()
	by := c.signerOf(subject, row.certifier)
	loaded, readable := read(c, subject, "its certificate", row.certificate, by, certificate.LoadKeptUser, certificate.Read[certificate.User])
	if !readable {
		return
	}
	c.signed(subject, by, loaded.Timestamp)
	c.checkByAdmin(subject, by, row.id)
	if by.known && by.device == nil {
		c.checkFounder(subject, &loaded)
	}
	if !row.isOf(&loaded) {
		c.fault(CertificateRow, subject, "its row is not what its certificate says")
	}
	if string(row.redacted) == string(row.certificate) || !by.known {
		return // of API 1
	}
	if form, err := certificate.LoadKeptUser(row.redacted, by.key, by.id); err != nil || form != loaded.Redacted() {
		c.fault(Redacted, subject, "its redacted certificate is another one")
	}
}

// isOf reports whether the row is that of a certificate.
func (r *userRow) isOf(loaded *certificate.User) bool {
	email, label := "", ""
	if r.email != nil {
		email, label = *r.email, string(r.label)
	}
	return r.id == loaded.UserID.String() && r.profile == string(loaded.Profile) && r.createdOn == int64(loaded.Timestamp) &&
		email == loaded.HumanHandle.Email() && label == loaded.HumanHandle.Label()
}

// checkByAdmin wants another user, who is ADMIN, or the root key.
func (c *checker) checkByAdmin(subject string, by signer, about string) {
	if by.device == nil {
		return
	}
	if author := by.device.user; !author.admin || author.id == about {
		c.faultf(AuthorProfile, subject, "%s has signed it, ADMIN: %t", by.id, author.admin)
	}
}

func (c *checker) checkFounder(subject string, loaded *certificate.User) {
	c.founded = loaded.Timestamp
	if loaded.Profile != parsec.ProfileAdmin {
		c.faultf(Foundation, subject, "the root key has signed a user who is %s", loaded.Profile)
	}
}

func (c *checker) checkRevocation(row *userRow) {
	subject := c.users[row.key].String() + " revocation"
	by := c.signerOf(subject, *row.revoker)
	if by.known && by.device == nil {
		c.fault(Foundation, subject, "the root key has signed it")
		return
	}
	loaded, readable := read(c, subject, "its certificate", row.revocation, by, certificate.LoadRevokedUser, certificate.Read[certificate.RevokedUser])
	if !readable {
		return
	}
	c.signed(subject, by, loaded.Timestamp)
	c.checkByAdmin(subject, by, row.id)
	if loaded.UserID.String() != row.id || int64(loaded.Timestamp) != *row.revokedOn {
		c.faultf(CertificateRow, subject, "it is that of %s at %s", loaded.UserID, loaded.Timestamp)
	}
}

// device is what others need to know of one.
type device struct {
	id   parsec.DeviceID
	key  parsec.VerifyKey
	user *user
	// author is that of its certificate, "" for the root key.
	author string
	// chained is what is known of its chain to the root key.
	chained chain
}

type chain uint8

const (
	unknown chain = iota
	looking
	rooted
	loose
)

type deviceRow struct {
	key, user             int64
	name                  string
	label                 []byte
	verifyKey             []byte
	certificate, redacted []byte
	certifier             string
	createdOn             int64
}

func (r *deviceRow) targets() []any {
	return []any{&r.key, &r.user, &r.name, &r.label, &r.verifyKey, &r.certificate, &r.redacted, &r.certifier, &r.createdOn}
}

// readDevices reads the keys that certificates are verified with.
func (c *checker) readDevices(ctx context.Context) error {
	return rows(ctx, c, `
SELECT d.id, d.user_, d.name, NULL::bytea, d.verify_key, NULL::bytea, NULL::bytea, d.certifier, d.created_on
FROM device d JOIN user_ u ON u.id = d.user_ WHERE u.organization = $1::bigint`,
		(*deviceRow).targets, func(row *deviceRow) {
			owner := c.users[row.user]
			name := owner.id + "@" + row.name
			id, err := parsec.ParseDeviceID(name)
			if err != nil || len(row.verifyKey) != len(parsec.VerifyKey{}) {
				c.fault(CertificateRow, "device "+name, "its id, or its key, is none")
				return
			}
			one := &device{id: id, key: parsec.VerifyKey(row.verifyKey), user: owner, author: row.certifier}
			c.devices[row.key], c.byName[name] = one, one
		})
}

// checkDevices verifies the certificates of devices, and where they lead.
func (c *checker) checkDevices(ctx context.Context) error {
	founders := 0
	err := rows(ctx, c, `
SELECT d.id, d.user_, d.name, d.label, d.verify_key, d.certificate, d.redacted_certificate, d.certifier, d.created_on
FROM device d JOIN user_ u ON u.id = d.user_ WHERE u.organization = $1::bigint ORDER BY d.id`,
		(*deviceRow).targets, func(row *deviceRow) {
			c.advance(1)
			if row.certifier == "" {
				founders++
			}
			if c.devices[row.key] != nil {
				c.checkDevice(row)
			}
		})
	if err != nil {
		return err
	}
	if founders != 1 {
		c.faultf(Foundation, "organization", "the root key has signed %d devices", founders)
	}
	for _, one := range c.byName {
		if !c.leadsToRoot(one) {
			c.fault(Chain, "device "+one.id.String(), "no signatures lead from it to the root key")
		}
	}
	for _, one := range c.users {
		if !one.first {
			c.fault(FirstDevice, one.String(), "it has none")
		}
	}
	return nil
}

// leadsToRoot follows the authors of a device.
func (c *checker) leadsToRoot(one *device) bool {
	var path []*device
	result := loose
	for one != nil && one.chained != looking {
		if one.chained != unknown || one.author == "" {
			result = one.chained
			if one.author == "" {
				result = rooted
			}
			path = append(path, one)
			break
		}
		one.chained = looking
		path = append(path, one)
		one = c.byName[one.author]
	}
	for _, passed := range path {
		passed.chained = result
	}
	return result == rooted
}

func (c *checker) checkDevice(row *deviceRow) {
	one := c.devices[row.key]
	subject := "device " + one.id.String()
	by := c.signerOf(subject, row.certifier)
	loaded, readable := read(c, subject, "its certificate", row.certificate, by, certificate.LoadDevice, certificate.Read[certificate.Device])
	if !readable {
		return
	}
	c.signed(subject, by, loaded.Timestamp)
	if by.device != nil && by.device.user != one.user && !by.device.user.admin {
		c.faultf(AuthorProfile, subject, "%s has signed it, and is no ADMIN", by.id)
	}
	if row.createdOn == one.user.createdOn && row.certifier == one.user.author {
		one.user.first = true
	}
	if loaded.DeviceID != one.id || loaded.VerifyKey != one.key || int64(loaded.Timestamp) != row.createdOn || loaded.DeviceLabel.String() != string(row.label) {
		c.fault(CertificateRow, subject, "its row is not what its certificate says")
	}
	if slices.Equal(row.redacted, row.certificate) || !by.known {
		return // of API 1
	}
	if form, err := certificate.LoadDevice(row.redacted, by.key, by.id); err != nil || form != loaded.Redacted() {
		c.fault(Redacted, subject, "its redacted certificate is another one")
	}
}

// subjectOf returns that of a realm, and of more.
func subjectOf(realm [16]byte, more ...any) string {
	subject := "realm " + parsec.RealmID(realm).String()
	for _, word := range more {
		subject += fmt.Sprint(" ", word)
	}
	return subject
}
