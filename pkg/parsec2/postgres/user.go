package postgres

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

const (
	// userColumns and deviceColumns are of rows that may be missing.
	userColumns = `u.user_id, u.profile, u.human_email, u.human_label, u.certificate, u.redacted_certificate,
    u.certifier, u.created_on, u.revoked_certificate, u.revoked_certifier, u.revoked_on, u.frozen`
	deviceColumns = `u.user_id || '@' || d.name, d.label, d.verify_key, d.certificate, d.redacted_certificate,
    d.certifier, d.created_on`
)

func userTargets(u *rules.User) []any {
	h, r := &handle{into: &u.HumanHandle}, &revocation{into: &u.Revocation}
	return []any{
		database.Parsed(&u.ID), database.Parsed(&u.Profile), (*database.Text)(&h.email), h, &u.Certificate, &u.RedactedCertificate,
		database.Parsed(&u.Certifier), (*database.Integer)(&u.CreatedOn), &r.Certificate, database.Parsed(&r.Certifier), r, (*database.Flag)(&u.Frozen),
	}
}

// handle scans the label of a handle, once its e-mail address is scanned; none
// without address.
type handle struct {
	email string
	into  *parsec.HumanHandle
}

// ScanBytes implements pgtype.BytesScanner.
func (h *handle) ScanBytes(label []byte) error {
	if h.email != "" {
		*h.into = parsec.KeptHumanHandle(h.email, string(label))
	}
	return nil
}

// revocation scans the date of one, after what else is wanted of it; none if it
// is NULL.
type revocation struct {
	rules.Revocation
	into **rules.Revocation
}

// ScanInt64 implements pgtype.Int64Scanner.
func (r *revocation) ScanInt64(on pgtype.Int8) error {
	*r.into = nil
	if on.Valid {
		r.On, *r.into = parsec.DateTime(on.Int64), &r.Revocation
	}
	return nil
}

const (
	selectUser = "SELECT " + userColumns + `
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.user_id = $2`

	selectDevices = "SELECT " + deviceColumns + `
FROM organization o JOIN user_ u ON u.organization = o.id JOIN device d ON d.user_ = u.id
WHERE o.organization_id = $1 AND u.user_id = $2
ORDER BY d.id`

	// selectTrustchain reads in one statement what rules.Follow finds of
	// rules.Certifiers.
	selectTrustchain = `
WITH RECURSIVE chain(organization, certifier) AS (
    SELECT o.id, c.certifier
    FROM organization o
    JOIN user_ u ON u.organization = o.id
    LEFT JOIN device d ON d.user_ = u.id
    CROSS JOIN LATERAL (VALUES (u.certifier), (u.revoked_certifier), (d.certifier)) c(certifier)
    WHERE o.organization_id = $1 AND u.user_id = $2 AND c.certifier <> ''
  UNION
    SELECT chain.organization, c.certifier
    FROM chain
    JOIN user_ u ON u.organization = chain.organization AND u.user_id = split_part(chain.certifier, '@', 1)
    JOIN device d ON d.user_ = u.id AND d.name = split_part(chain.certifier, '@', 2)
    CROSS JOIN LATERAL (VALUES (u.certifier), (u.revoked_certifier), (d.certifier)) c(certifier)
    WHERE c.certifier <> ''
)
SELECT ` + userColumns + ", " + deviceColumns + `
FROM chain
JOIN user_ u ON u.organization = chain.organization AND u.user_id = split_part(chain.certifier, '@', 1)
JOIN device d ON d.user_ = u.id AND d.name = split_part(chain.certifier, '@', 2)`
)

// link is a device of a trustchain, and its user.
type link struct {
	user   rules.User
	device rules.Device
}

func (l *link) targets() []any { return append(userTargets(&l.user), deviceTargets(&l.device)...) }

// UserAndDevices implements rules.UserReader.
func (s *Store) UserAndDevices(ctx context.Context, organization parsec.OrganizationID, id parsec.UserID) (rules.UserFacts, bool, error) {
	var found bool
	var facts rules.UserFacts
	var chain []link
	args := []any{organization.String(), id.String()}
	err := s.Snapshot(ctx,
		database.Row(&found, selectUser, args, userTargets(&facts.User)...),
		database.List(&facts.Devices, selectDevices, args, deviceTargets),
		database.List(&chain, selectTrustchain, args, (*link).targets))
	if err != nil || !found {
		return rules.UserFacts{}, false, err
	}
	users := map[parsec.UserID]bool{}
	for _, link := range chain {
		facts.ChainDevices = append(facts.ChainDevices, link.device)
		if !users[link.user.ID] {
			users[link.user.ID] = true
			facts.ChainUsers = append(facts.ChainUsers, link.user)
		}
	}
	return facts, true, nil
}

// Author implements rules.UserTx.
func (t *tx) Author() (*rules.User, bool) {
	return t.author, t.author != nil
}

// User implements rules.UserTx.
func (t *tx) User(_ context.Context, id parsec.UserID) (*rules.User, bool, error) {
	var found bool
	var user rules.User
	err := t.Ask(database.Row(&found, selectUser, []any{t.organizationName(), id.String()}, userTargets(&user)...))
	if err != nil || !found {
		return nil, false, err
	}
	return &user, true, nil
}

// UserByEmail implements rules.UserTx.
func (t *tx) UserByEmail(_ context.Context, email string) (*rules.User, bool, error) {
	var found bool
	var user rules.User
	err := t.Ask(database.Row(&found, "SELECT "+userColumns+`
FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.human_email = $2 AND u.revoked_on IS NULL`,
		[]any{t.organizationName(), email}, userTargets(&user)...))
	if err != nil || !found {
		return nil, false, err
	}
	return &user, true, nil
}

// HumanTaken implements rules.UserTx.
func (t *tx) HumanTaken(_ context.Context, email string) (bool, error) {
	var taken bool
	err := t.Ask(database.Row(&taken, `
SELECT 1 FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.human_email = $2 AND u.revoked_on IS NULL`,
		[]any{t.organizationName(), email}, new(database.Integer)))
	return taken, err
}

// ActiveUsers implements rules.UserTx.
func (t *tx) ActiveUsers(context.Context) (users, administrators uint64, err error) {
	err = t.Ask(database.Only(`
SELECT coalesce(sum(c.users), 0)::bigint,
    coalesce(sum(c.users) FILTER (WHERE c.profile = $2 AND NOT c.frozen), 0)::bigint
FROM organization o JOIN user_count c ON c.organization = o.id
WHERE o.organization_id = $1 AND NOT c.revoked`,
		[]any{t.organizationName(), string(parsec.ProfileAdmin)}, (*database.Unsigned)(&users), (*database.Unsigned)(&administrators)))
	return users, administrators, err
}

// countUsers ends a statement that has the rows (organization, profile,
// revoked, frozen, users) to add.
const countUsers = `
ON CONFLICT (organization, profile, revoked, frozen) DO UPDATE SET users = c.users + excluded.users`

// CreateUser implements rules.UserTx.
func (t *tx) CreateUser(user rules.User) {
	var email *string
	var label []byte
	if user.HumanHandle != (parsec.HumanHandle{}) {
		email, label = new(user.HumanHandle.Email()), []byte(user.HumanHandle.Label())
	}
	t.QueueOne(`
WITH created AS (
    INSERT INTO user_ (organization, user_id, profile, human_email, human_label, certificate, redacted_certificate,
        certifier, created_on, frozen)
    SELECT o.id, $2, $3, $4, $5, $6, $7, $8, $9, false FROM organization o WHERE o.organization_id = $1
    RETURNING organization, profile
)
INSERT INTO user_count AS c (organization, profile, revoked, frozen, users)
SELECT organization, profile, false, false, 1 FROM created`+countUsers,
		t.organizationName(), user.ID.String(), string(user.Profile), email, label, database.NotNull(user.Certificate),
		database.NotNull(user.RedactedCertificate), user.Certifier.String(), int64(user.CreatedOn))
}

// RevokeUser implements rules.UserTx.
func (t *tx) RevokeUser(id parsec.UserID, revocation rules.Revocation) {
	t.Queue(`
WITH before AS (
    SELECT u.id, u.organization, u.profile, u.frozen
    FROM organization o JOIN user_ u ON u.organization = o.id
    WHERE o.organization_id = $1 AND u.user_id = $2 AND u.revoked_on IS NULL
), changed AS (
    UPDATE user_ SET revoked_certificate = $3, revoked_certifier = $4, revoked_on = $5
    FROM before WHERE user_.id = before.id
)
INSERT INTO user_count AS c (organization, profile, revoked, frozen, users)
SELECT organization, profile, change.revoked, frozen, change.users
FROM before, (VALUES (false, -1), (true, 1)) change(revoked, users)`+countUsers,
		t.organizationName(), id.String(), database.NotNull(revocation.Certificate), revocation.Certifier.String(), int64(revocation.On))
}

// FreezeUser implements rules.UserTx.
func (t *tx) FreezeUser(id parsec.UserID, frozen bool) {
	t.Queue(`
WITH before AS (
    SELECT u.id, u.organization, u.profile, u.revoked_on IS NOT NULL AS revoked
    FROM organization o JOIN user_ u ON u.organization = o.id
    WHERE o.organization_id = $1 AND u.user_id = $2 AND u.frozen <> $3
), changed AS (
    UPDATE user_ SET frozen = $3 FROM before WHERE user_.id = before.id
)
INSERT INTO user_count AS c (organization, profile, revoked, frozen, users)
SELECT organization, profile, revoked, change.frozen, change.users
FROM before, (VALUES (NOT $3, -1), ($3, 1)) change(frozen, users)`+countUsers,
		t.organizationName(), id.String(), frozen)
}
