package check

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/replay"
)

func (c *checker) checkCommon(ctx context.Context) error {
	certificates, err := c.certificates(ctx, "common")
	if err != nil {
		return err
	}
	err = certificates.Each(ctx, nil, func(row *certificateRow) error {
		step := c.of.FollowCommon(row.certificate, row.redacted)
		c.follow(row, "common", step)
		c.sign(&step)
		return nil
	})
	if err != nil {
		return err
	}
	c.end("common topic", c.of.EndCommon())
	c.end("sequester topic", c.of.EndSequester())
	if founded := c.stored.BootstrappedOn; founded == nil || *founded != c.of.Founded {
		c.faultf(OrganizationRow, "organization", "its first user is of %s", c.of.Founded)
	}
	return c.topicEnds(ctx, "common", c.of.Common, true)
}

// checkUsers compares users, their profiles and devices with the certificates.
func (c *checker) checkUsers(ctx context.Context) error {
	for _, part := range []func(context.Context) error{c.checkUserRows, c.checkProfiles, c.checkDevices} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

type userRow struct {
	id             database.UUID
	profile, email string
	label          []byte
	createdOn      int64
	revokedOn      *int64
}

func (r *userRow) targets() []any {
	return []any{&r.id, &r.profile, &r.email, &r.label, &r.createdOn, &r.revokedOn}
}

// isOf reports whether the row is that of the certificates of a user.
func (r *userRow) isOf(user *replay.User) bool {
	email, label := user.HumanHandle.Email(), user.HumanHandle.Label()
	if email == "" { // as of some that an official server has let in
		email, label = parsec3.RedactedHandle(user.ID)
	}
	return r.profile == string(user.Profile()) && r.email == email && string(r.label) == label &&
		r.createdOn == int64(user.CreatedOn) && parsec.Same((*int64)(user.RevokedOn), r.revokedOn)
}

func (c *checker) checkUserRows(ctx context.Context) error {
	found := 0
	err := rows(ctx, c, `
SELECT u.user_id, u.profile, u.human_email, u.human_label, u.created_on, u.revoked_on FROM parsec3.user_ u WHERE u.organization = $1`,
		(*userRow).targets, func(row *userRow) {
			id := parsec3.UserID(row.id)
			user := c.of.Users[id]
			if user == nil {
				c.fault(UserRow, "user "+id.String(), "it has no certificate")
				return
			}
			found++
			if !row.isOf(user) {
				c.fault(UserRow, "user "+id.String(), "its row is not what its certificates say")
			}
		})
	if missing := len(c.of.Users) - found; err == nil && missing > 0 {
		c.faultf(UserRow, "users", "%d with a certificate are missing", missing)
	}
	return err
}

type profileRow struct {
	id      database.UUID
	since   int64
	profile string
}

func (r *profileRow) targets() []any { return []any{&r.id, &r.since, &r.profile} }

func (c *checker) checkProfiles(ctx context.Context) error {
	found := map[parsec3.UserID]int{}
	err := rows(ctx, c, `
SELECT p.user_id, p.since, p.profile FROM parsec3.user_profile p WHERE p.organization = $1 ORDER BY p.user_id, p.since`,
		(*profileRow).targets, func(row *profileRow) {
			id := parsec3.UserID(row.id)
			user, place := c.of.Users[id], found[id]
			found[id]++
			if user == nil {
				return // which is told of its row
			}
			if place >= len(user.Profiles) || user.Profiles[place] != (replay.Since[parsec.UserProfile]{
				Date: parsec.DateTime(row.since), Value: parsec.UserProfile(row.profile),
			}) {
				c.faultf(UserRow, "user "+id.String(), "it has no certificate of the profile %s of %s", row.profile, parsec.DateTime(row.since))
			}
		})
	if err != nil {
		return err
	}
	for id, user := range c.of.Users {
		if found[id] < len(user.Profiles) {
			c.faultf(UserRow, "user "+id.String(), "%d of its %d profiles are known", found[id], len(user.Profiles))
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

func (c *checker) checkDevices(ctx context.Context) error {
	found := 0
	err := rows(ctx, c, "SELECT d.device_id, d.user_id, d.verify_key, d.created_on FROM parsec3.device d WHERE d.organization = $1",
		(*deviceRow).targets, func(row *deviceRow) {
			id := parsec3.DeviceID(row.id)
			device, known := c.of.Devices[id]
			if !known {
				c.fault(DeviceRow, "device "+id.String(), "it has no certificate")
				return
			}
			found++
			if device.User != parsec3.UserID(row.user) || string(device.Key[:]) != string(row.key) || int64(device.CreatedOn) != row.createdOn {
				c.fault(DeviceRow, "device "+id.String(), "its row is not what its certificate says")
			}
		})
	if missing := len(c.of.Devices) - found; err == nil && missing > 0 {
		c.faultf(DeviceRow, "devices", "%d with a certificate are missing", missing)
	}
	return err
}

type signedRow struct {
	realm, user database.UUID
	last        int64
}

func (r *signedRow) targets() []any { return []any{&r.realm, &r.user, &r.last} }

// checkSigned compares when users have last signed something outside of realms.
func (c *checker) checkSigned(ctx context.Context) error {
	err := rows(ctx, c, `
SELECT l.realm_id, l.user_id, l.last_date FROM parsec3.last_signed l
WHERE l.organization = $1 AND l.realm_id = '00000000-0000-0000-0000-000000000000'`,
		(*signedRow).targets, func(row *signedRow) { forget(c.signed, row) })
	if err == nil {
		c.reportSigned(c.signed, "")
	}
	return err
}

// forget takes out who has signed nothing later than a row says.
func forget(signed map[parsec3.UserID]parsec.DateTime, row *signedRow) {
	if last, found := signed[parsec3.UserID(row.user)]; found && int64(last) <= row.last {
		delete(signed, parsec3.UserID(row.user))
	}
}

func (c *checker) reportSigned(left map[parsec3.UserID]parsec.DateTime, realm string) {
	for user, last := range left {
		c.faultf(Signed, realm+"user "+user.String(), "it has signed something at %s, and nobody knows", last)
	}
}
