package imports

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/replay"
)

// common follows the common topic.
func (c *converter) common(ctx context.Context) error {
	err := each(ctx, c, `
SELECT '00000000-0000-0000-0000-000000000000'::uuid, t.dated, t.sequence::bigint, t.certificate, t.redacted FROM (
    SELECT `+micro("u.created_on")+` AS dated, 0 AS sequence, u.user_certificate AS certificate, u.redacted_user_certificate AS redacted, u._id
    FROM user_ u WHERE u.organization = $1::bigint
    UNION ALL
    SELECT `+micro("d.created_on")+`, 1, d.device_certificate, d.redacted_device_certificate, d._id FROM device d WHERE d.organization = $1::bigint
    UNION ALL
    SELECT `+micro("p.certified_on")+`, 0, p.profile_certificate, NULL, p._id FROM profile p JOIN user_ u ON u._id = p.user_ WHERE u.organization = $1::bigint
    UNION ALL
    SELECT `+micro("u.revoked_on")+`, 0, u.revoked_user_certificate, NULL, u._id FROM user_ u WHERE u.organization = $1::bigint AND u.revoked_on IS NOT NULL
) t ORDER BY t.dated, t.sequence, t._id`, (*certificateRow).targets, func(row *certificateRow) error {
		step := c.of.FollowCommon(row.certificate, row.redacted)
		if c.first == (parsec3.UserID{}) {
			for id := range c.of.Users {
				c.first = id
			}
		}
		return c.certify(ctx, "common", "common", row, &step)
	})
	c.end("common topic", c.of.EndCommon())
	c.end("sequester topic", c.of.EndSequester())
	return err
}

var (
	userTable = &imports.Table{
		Name: "parsec3.user_",
		Columns: []string{
			"organization", "user_id", "profile", "human_email", "human_label", "created_on", "revoked_on", "frozen", "tos_accepted_on",
		},
		Key: []string{"organization", "user_id"},
	}
	profileTable = &imports.Table{
		Name: "parsec3.user_profile", Columns: []string{"organization", "user_id", "since", "profile"}, Key: []string{"organization", "user_id", "since"},
	}
	deviceTable = &imports.Table{
		Name: "parsec3.device", Columns: []string{"organization", "device_id", "user_id", "verify_key", "created_on"}, Key: []string{"organization", "device_id"},
	}
)

type userRow struct {
	id                      database.UUID
	initial, current, email string
	createdOn               int64
	revokedOn               *int64
	frozen                  bool
	acceptedTOS             *int64
}

func (r *userRow) targets() []any {
	return []any{&r.id, &r.initial, &r.current, &r.email, &r.createdOn, &r.revokedOn, &r.frozen, &r.acceptedTOS}
}

func (c *converter) putUsers(ctx context.Context) error {
	emails := map[string]parsec3.UserID{}
	found := 0
	err := each(ctx, c, `
SELECT u.user_id, u.initial_profile::text, `+c.from.Since(3, "u.current_profile::text", "u.initial_profile::text")+`, h.email::text, `+micro("u.created_on")+`,
    `+micro("u.revoked_on")+`, u.frozen, `+c.from.Since(6, micro("u.tos_accepted_on"), "NULL::bigint")+`
FROM user_ u JOIN human h ON h._id = u.human WHERE u.organization = $1::bigint ORDER BY u._id`, (*userRow).targets, func(row *userRow) error {
		id := parsec3.UserID(row.id)
		user := c.of.Users[id]
		subject := "user " + id.String()
		if user == nil {
			c.one.Stop("missing_row", subject, "it has no certificate")
			return nil
		}
		found++
		email, label := c.handle(subject, row, user)
		if first, taken := emails[email]; taken && user.RevokedOn == nil {
			c.one.Stop("same_human", subject, "it has the e-mail address %s of user %s: have one of them revoked by an official client", email, first)
		} else if user.RevokedOn == nil {
			emails[email] = id
		}
		err := c.into.Put(ctx, userTable, c.name, [16]byte(id), string(user.Profile()), email, []byte(label), int64(user.CreatedOn), (*int64)(user.RevokedOn),
			row.frozen, row.acceptedTOS)
		if err != nil {
			return err
		}
		return c.putProfiles(ctx, user)
	})
	if missing := len(c.of.Users) - found; err == nil && missing > 0 {
		c.one.Stop("missing_row", "organization", "the rows of %d users, or of their humans, are missing", missing)
	}
	return err
}

// handle compares a row with the certificates of its user, and returns the e-mail address
// and the name: the row has the name of the first user with this address.
func (c *converter) handle(subject string, row *userRow, user *replay.User) (email, label string) {
	if string(user.Profiles[0].Value) != row.initial || string(user.Profile()) != row.current || int64(user.CreatedOn) != row.createdOn ||
		!parsec.Same((*int64)(user.RevokedOn), row.revokedOn) {
		c.differs(subject)
	}
	if user.HumanHandle.Email() == "" {
		c.one.Note("no_handle", subject, "its certificate has no human handle")
		return parsec3.RedactedHandle(user.ID)
	}
	if user.HumanHandle.Email() != row.email {
		c.one.Stop("certificate", subject, "its e-mail address is %s, and %s in its certificate", row.email, user.HumanHandle.Email())
	}
	return user.HumanHandle.Email(), user.HumanHandle.Label()
}

func (c *converter) putProfiles(ctx context.Context, user *replay.User) error {
	for _, profile := range user.Profiles {
		if err := c.into.Put(ctx, profileTable, c.name, [16]byte(user.ID), int64(profile.Date), string(profile.Value)); err != nil {
			return err
		}
	}
	return nil
}

type deviceRow struct {
	id, user  database.UUID
	key       []byte
	createdOn int64
}

func (r *deviceRow) targets() []any { return []any{&r.id, &r.user, &r.key, &r.createdOn} }

func (c *converter) putDevices(ctx context.Context) error {
	found := 0
	err := each(ctx, c, `
SELECT d.device_id, u.user_id, d.verify_key, `+micro("d.created_on")+` FROM device d JOIN user_ u ON u._id = d.user_
WHERE d.organization = $1::bigint ORDER BY d._id`, (*deviceRow).targets, func(row *deviceRow) error {
		id := parsec3.DeviceID(row.id)
		device, known := c.of.Devices[id]
		subject := "device " + id.String()
		if !known {
			c.one.Stop("missing_row", subject, "it has no certificate")
			return nil
		}
		found++
		if device.User != parsec3.UserID(row.user) || string(device.Key[:]) != string(row.key) || int64(device.CreatedOn) != row.createdOn {
			c.differs(subject)
		}
		return c.into.Put(ctx, deviceTable, c.name, [16]byte(id), [16]byte(device.User), device.Key[:], int64(device.CreatedOn))
	})
	if missing := len(c.of.Devices) - found; err == nil && missing > 0 {
		c.one.Stop("missing_row", "organization", "the rows of %d devices are missing", missing)
	}
	return err
}

var (
	totpTable = &imports.Table{
		Name: "parsec3.totp", Columns: []string{"organization", "user_id", "secret", "completed", "reset_token"}, Key: []string{"organization", "user_id"},
	}
	keyTable = &imports.Table{
		Name:    "parsec3.totp_key",
		Columns: []string{"organization", "user_id", "key_id", "key", "failures", "failed_on", "last_step"},
		Key:     []string{"organization", "user_id", "key_id"},
	}
)

type totpRow struct {
	user      database.UUID
	secret    []byte
	completed bool
	token     *string
}

func (r *totpRow) targets() []any { return []any{&r.user, &r.secret, &r.completed, &r.token} }

type keyRow struct {
	user, id database.UUID
	key      []byte
}

func (r *keyRow) targets() []any { return []any{&r.user, &r.id, &r.key} }

// totp puts one-time passwords, and the keys that they give out. A user who has none any
// more may have had some when an earlier run came by.
func (c *converter) totp(ctx context.Context) error {
	if c.from.Step < 21 {
		return nil
	}
	if err := c.into.Run(ctx, "DELETE FROM parsec3.totp_key k WHERE k.organization = $1", c.name); err != nil {
		return err
	}
	if err := c.into.Run(ctx, "DELETE FROM parsec3.totp t WHERE t.organization = $1", c.name); err != nil {
		return err
	}
	err := each(ctx, c, `
SELECT u.user_id, u.totp_secret, u.totp_setup_completed, u.totp_reset_token::text FROM user_ u
WHERE u.organization = $1::bigint AND (u.totp_secret IS NOT NULL OR u.totp_setup_completed OR u.totp_reset_token IS NOT NULL) ORDER BY u._id`,
		(*totpRow).targets, func(row *totpRow) error {
			var token []byte
			if row.token != nil {
				parsed, ok := c.token("user "+parsec3.UserID(row.user).String(), *row.token)
				if !ok {
					return nil
				}
				token = parsed[:]
			}
			return c.into.Put(ctx, totpTable, c.name, [16]byte(row.user), row.secret, row.completed, token)
		})
	if err != nil {
		return err
	}
	return each(ctx, c, `
SELECT u.user_id, k.opaque_key_id, k.opaque_key FROM totp_opaque_key k JOIN user_ u ON u._id = k.user_ WHERE u.organization = $1::bigint ORDER BY k._id`,
		(*keyRow).targets, func(row *keyRow) error {
			if len(row.key) != len(parsec3.OpaqueKey{}) {
				c.one.Stop("missing_row", "user "+parsec3.UserID(row.user).String(), "one of its opaque keys has %d bytes", len(row.key))
			}
			return c.into.Put(ctx, keyTable, c.name, [16]byte(row.user), [16]byte(row.id), row.key, int64(0), int64(0), int64(0))
		})
}

// token reads an access token of the source, which is text there.
func (c *converter) token(subject, text string) (bytes [16]byte, ok bool) {
	token, err := parsec3.ParseAccessToken(text)
	if err != nil {
		c.one.Stop("identifier", subject, "its token %s", err)
		return bytes, false
	}
	binary, _ := token.MarshalBinary() // it never fails
	return [16]byte(binary), true
}
