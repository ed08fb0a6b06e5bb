package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// userColumns are of a row that may be missing.
const userColumns = `u.user_id, u.profile, u.human_email, u.human_label, u.created_on, u.revoked_on, u.frozen, u.tos_accepted_on`

func userTargets(u *rules.User) []any {
	h := &handle{into: &u.HumanHandle}
	return []any{
		(*database.UUID)(&u.ID), database.Parsed(&u.Profile), (*database.Text)(&h.email), h, (*database.Integer)(&u.CreatedOn),
		database.OptionalDate(&u.RevokedOn), (*database.Flag)(&u.Frozen), database.OptionalDate(&u.AcceptedTOS),
	}
}

// handle scans the label of a handle, once its e-mail address is scanned; NULL
// leaves it as it is.
type handle struct {
	email string
	into  *parsec.HumanHandle
}

// ScanBytes implements pgtype.BytesScanner.
func (h *handle) ScanBytes(label []byte) (err error) {
	if label != nil {
		*h.into, err = parsec.ParseHumanHandle(h.email, string(label))
	}
	return err
}

const (
	selectUser = "SELECT " + userColumns + `
FROM parsec3.user_ u
WHERE u.organization = $1 AND u.user_id = $2`

	selectUserByEmail = "SELECT " + userColumns + `
FROM parsec3.user_ u
WHERE u.organization = $1 AND u.human_email = $2 AND u.revoked_on IS NULL`

	selectUsers = "SELECT " + userColumns + `
FROM parsec3.user_ u
WHERE u.organization = $1
ORDER BY u.created_on, u.user_id`
)

// FrozenUsers implements rules.UserReader.
func (s *Store) FrozenUsers(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (rules.Standing, []parsec3.UserID, error) {
	var standing standingRow
	var frozen []parsec3.UserID
	err := s.Snapshot(ctx, readStanding(&standing, organization, author), database.List(&frozen, `
SELECT u.user_id FROM parsec3.user_ u
WHERE u.organization = $1 AND u.frozen
ORDER BY u.created_on, u.user_id`, []any{organization.String()}, func(id *parsec3.UserID) []any { return []any{(*database.UUID)(id)} }))
	return standing.facts(), frozen, err
}

// Users implements rules.UserReader.
func (s *Store) Users(ctx context.Context, organization parsec.OrganizationID) ([]rules.User, error) {
	var users []rules.User
	err := s.One(ctx, database.List(&users, selectUsers, []any{organization.String()}, userTargets))
	return users, err
}

// User implements rules.UserTx.
func (t *tx) User(_ context.Context, id parsec3.UserID) (*rules.User, bool, error) {
	return t.findUser(selectUser, database.Key(id))
}

// UserByEmail implements rules.UserTx.
func (t *tx) UserByEmail(_ context.Context, email string) (*rules.User, bool, error) {
	return t.findUser(selectUserByEmail, email)
}

func (t *tx) findUser(sql string, key any) (*rules.User, bool, error) {
	var found bool
	var user rules.User
	err := t.Ask(database.Row(&found, sql, []any{t.organizationName(), key}, userTargets(&user)...))
	if err != nil || !found {
		return nil, false, err
	}
	return &user, true, nil
}

// ActiveUsers implements rules.UserTx.
func (t *tx) ActiveUsers(context.Context) (users uint64, err error) {
	err = t.Ask(database.Only(`
SELECT coalesce(sum(c.users), 0)::bigint FROM parsec3.user_count c
WHERE c.organization = $1 AND NOT c.revoked`, []any{t.organizationName()}, (*database.Unsigned)(&users)))
	return users, err
}

// selectTraces goes through the realms where the user $2 has, or had, a role.
const selectTraces = `
SELECT max(r.last) FILTER (WHERE m.role IS NOT NULL), max(m.given_date), max(m.managing_date),
    (SELECT max(l.last_date) FROM parsec3.last_signed l WHERE l.organization = $1 AND l.user_id = $2),
    (SELECT max(s.dated) FROM parsec3.shamir_seen s WHERE s.organization = $1 AND s.user_id = $2)
FROM parsec3.realm_member m
CROSS JOIN LATERAL (
    SELECT greatest(
        (SELECT r.last_date FROM parsec3.realm r WHERE r.organization = $1 AND r.realm_id = m.realm_id),
        (SELECT c.last_vlob FROM parsec3.realm_counter c WHERE c.organization = $1 AND c.realm_id = m.realm_id)) AS last
) r
WHERE m.organization = $1 AND m.user_id = $2`

// Traces implements rules.UserTx.
func (t *tx) Traces(_ context.Context, id parsec3.UserID) (traces rules.Traces, err error) {
	err = t.Ask(database.Only(selectTraces, []any{t.organizationName(), database.Key(id)},
		(*database.Integer)(&traces.Realms), (*database.Integer)(&traces.Given), (*database.Integer)(&traces.Managing), (*database.Integer)(&traces.Signed),
		(*database.Integer)(&traces.Shamir)))
	return traces, err
}

const (
	// insertUser takes the date of the certificate, $8.
	insertUser = `
WITH created AS (
    INSERT INTO parsec3.user_ (organization, user_id, profile, human_email, human_label, created_on, revoked_on, frozen, tos_accepted_on)
    VALUES ($1, $2, $3, $4, $5, $6, NULL, false, $7)
)
INSERT INTO parsec3.user_profile (organization, user_id, since, profile) VALUES ($1, $2, $8, $3)`

	// updateProfile changes the profile to $3 as of $4.
	updateProfile = `
WITH changed AS (
    INSERT INTO parsec3.user_profile (organization, user_id, since, profile) VALUES ($1, $2, $4, $3)
)
UPDATE parsec3.user_ u SET profile = $3 WHERE u.organization = $1 AND u.user_id = $2`

	revokeUser = `
UPDATE parsec3.user_ u SET revoked_on = $3 WHERE u.organization = $1 AND u.user_id = $2`

	countUser = `
INSERT INTO parsec3.user_count AS c (organization, profile, revoked, users) VALUES ($1, $2, false, 1)
ON CONFLICT (organization, profile, revoked) DO UPDATE SET users = c.users + excluded.users`

	// countAgain comes before the user $2 becomes one of the profile $3, unless it
	// is NULL, and revoked if $4.
	countAgain = `
INSERT INTO parsec3.user_count AS c (organization, profile, revoked, users)
SELECT $1, n.profile, n.revoked, sum(n.users)
FROM parsec3.user_ u
CROSS JOIN LATERAL (VALUES (u.profile, u.revoked_on IS NOT NULL, -1),
    (coalesce($3::text, u.profile), u.revoked_on IS NOT NULL OR $4, 1)) n (profile, revoked, users)
WHERE u.organization = $1 AND u.user_id = $2
GROUP BY n.profile, n.revoked
ON CONFLICT (organization, profile, revoked) DO UPDATE SET users = c.users + excluded.users`
)

// CreateUser implements rules.UserTx.
func (t *tx) CreateUser(user rules.User, certificate rules.Certificate, device rules.Device, deviceCertificate rules.Certificate) {
	t.QueueOne(insertUser, t.organizationName(), database.Key(user.ID), string(user.Profile), user.HumanHandle.Email(),
		[]byte(user.HumanHandle.Label()), int64(user.CreatedOn), database.Date(user.AcceptedTOS), int64(certificate.Timestamp))
	t.Queue(countUser, t.organizationName(), string(user.Profile))
	t.insertDevice(device)
	t.certify(common, outside, ofUser, certificate)
	t.certify(common, outside, ofDevice, deviceCertificate)
}

// The sequence of certificates of the same date in the common topic.
const (
	ofUser   = 0
	ofDevice = 1
)

// UpdateProfile implements rules.UserTx.
func (t *tx) UpdateProfile(id parsec3.UserID, profile parsec.UserProfile, certificate rules.Certificate) {
	t.countAgain(id, profile, false)
	t.QueueOne(updateProfile, t.organizationName(), database.Key(id), string(profile), int64(certificate.Timestamp))
	t.certify(common, outside, ofUser, certificate)
}

// RevokeUser implements rules.UserTx.
func (t *tx) RevokeUser(id parsec3.UserID, certificate rules.Certificate) {
	t.countAgain(id, "", true)
	t.QueueOne(revokeUser, t.organizationName(), database.Key(id), int64(certificate.Timestamp))
	t.certify(common, outside, ofUser, certificate)
}

// countAgain is for a change of the profile, "" for none.
func (t *tx) countAgain(id parsec3.UserID, profile parsec.UserProfile, revoked bool) {
	t.Queue(countAgain, t.organizationName(), database.Key(id), database.Nullable(string(profile)), revoked)
}

// FreezeUser implements rules.UserTx.
func (t *tx) FreezeUser(id parsec3.UserID, frozen bool) {
	t.QueueOne("UPDATE parsec3.user_ u SET frozen = $3 WHERE u.organization = $1 AND u.user_id = $2",
		t.organizationName(), database.Key(id), frozen)
}

// AcceptTOS implements rules.UserTx.
func (t *tx) AcceptTOS(id parsec3.UserID, of parsec.DateTime) {
	t.QueueOne("UPDATE parsec3.user_ u SET tos_accepted_on = greatest(u.tos_accepted_on, $3) WHERE u.organization = $1 AND u.user_id = $2",
		t.organizationName(), database.Key(id), int64(of))
}
