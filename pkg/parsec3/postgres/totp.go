package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

const (
	// lockTOTP locks the user $2, and lockOpaqueKey its key $3 alone.
	lockTOTP      = "SELECT 1 FROM parsec3.user_ u WHERE u.organization = $1 AND u.user_id = $2" + forUpdate
	lockOpaqueKey = "SELECT 1 FROM parsec3.totp_key k WHERE k.organization = $1 AND k.user_id = $2 AND k.key_id = $3" + forUpdate

	totpColumns = "s.secret, s.completed, s.reset_token"

	selectTOTP = "SELECT " + userColumns + ", " + totpColumns + `
FROM parsec3.user_ u
LEFT JOIN parsec3.totp s ON s.organization = $1 AND s.user_id = $2
WHERE u.organization = $1 AND u.user_id = $2`

	selectOpaqueKey = "SELECT " + userColumns + ", " + totpColumns + `, k.key, k.failures, k.failed_on, k.last_step
FROM parsec3.user_ u
LEFT JOIN parsec3.totp s ON s.organization = $1 AND s.user_id = $2
LEFT JOIN parsec3.totp_key k ON k.organization = $1 AND k.user_id = $2 AND k.key_id = $3
WHERE u.organization = $1 AND u.user_id = $2`

	putTOTP = `
INSERT INTO parsec3.totp (organization, user_id, secret, completed, reset_token) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (organization, user_id) DO UPDATE
SET secret = excluded.secret, completed = excluded.completed, reset_token = excluded.reset_token`

	insertOpaqueKey = `
INSERT INTO parsec3.totp_key (organization, user_id, key_id, key, failures, failed_on, last_step)
VALUES ($1, $2, $3, $4, 0, 0, 0)`

	countOpaqueKey = `
UPDATE parsec3.totp_key k SET failures = $4, failed_on = $5, last_step = $6
WHERE k.organization = $1 AND k.user_id = $2 AND k.key_id = $3`

	forgiveOpaqueKeys = `
UPDATE parsec3.totp_key k SET failures = 0, failed_on = 0, last_step = 0
WHERE k.organization = $1 AND k.user_id = $2`
)

func totpTargets(setup *rules.TOTPSetup) []any {
	return []any{&setup.Secret, (*database.Flag)(&setup.Completed), optionalToken{&setup.ResetToken}}
}

// locksOfTOTP returns what locks as a scope says.
func locksOfTOTP(scope *rules.Scope) (locks []database.Statement) {
	name := scope.Organization.String()
	if of := scope.TOTP; of != nil && !isLeftOut(lockOfTOTP) {
		locks = append(locks, database.Row(new(bool), lockTOTP, []any{name, database.Key(*of)}, new(database.Integer)))
	}
	if of := scope.OpaqueKey; of != nil && !isLeftOut(lockOfOpaqueKey) {
		locks = append(locks, database.Row(new(bool), lockOpaqueKey, []any{name, database.Key(of.User), database.Key(of.Key)}, new(database.Integer)))
	}
	return locks
}

// totpArgs names the user of the scope.
func (t *tx) totpArgs(more ...any) []any {
	return append([]any{t.organizationName(), database.Key(*t.scope.TOTP)}, more...)
}

// opaqueKeyArgs names the key of the scope.
func (t *tx) opaqueKeyArgs(more ...any) []any {
	of := t.scope.OpaqueKey
	return append([]any{t.organizationName(), database.Key(of.User), database.Key(of.Key)}, more...)
}

// TOTP implements rules.TOTPTx.
func (t *tx) TOTP(context.Context) (*rules.User, rules.TOTPSetup, error) {
	var found bool
	var user rules.User
	var setup rules.TOTPSetup
	err := t.Ask(database.Row(&found, selectTOTP, t.totpArgs(), append(userTargets(&user), totpTargets(&setup)...)...))
	if !found {
		return nil, rules.TOTPSetup{}, err
	}
	return &user, setup, err
}

// OpaqueKeys implements rules.TOTPTx.
func (t *tx) OpaqueKeys(context.Context) (keys uint64, err error) {
	err = t.Ask(database.Only("SELECT count(*) FROM parsec3.totp_key k WHERE k.organization = $1 AND k.user_id = $2",
		t.totpArgs(), (*database.Unsigned)(&keys)))
	return keys, err
}

// OpaqueKey implements rules.TOTPTx.
func (t *tx) OpaqueKey(context.Context) (*rules.User, rules.TOTPSetup, rules.OpaqueKey, error) {
	var found bool
	var user rules.User
	var setup rules.TOTPSetup
	var stored *parsec3.OpaqueKey
	var key rules.OpaqueKey
	targets := append(append(userTargets(&user), totpTargets(&setup)...), database.Fixed("key", &stored),
		(*database.Unsigned)(&key.Failures), (*database.Integer)(&key.FailedOn), (*database.Integer)(&key.LastStep))
	err := t.Ask(database.Row(&found, selectOpaqueKey, t.opaqueKeyArgs(), targets...))
	if !found {
		return nil, rules.TOTPSetup{}, rules.OpaqueKey{}, err
	}
	if stored != nil {
		key.Exists, key.Key = true, *stored
	}
	return &user, setup, key, err
}

// PutTOTP implements rules.TOTPTx.
func (t *tx) PutTOTP(setup rules.TOTPSetup) {
	var token []byte
	if setup.ResetToken != nil {
		token, _ = setup.ResetToken.MarshalBinary() // never fails
	}
	t.QueueOne(putTOTP, t.totpArgs(setup.Secret, setup.Completed, token)...)
}

// CreateOpaqueKey implements rules.TOTPTx.
func (t *tx) CreateOpaqueKey(id parsec3.OpaqueKeyID, key parsec3.OpaqueKey) {
	t.QueueOne(insertOpaqueKey, t.totpArgs(database.Key(id), key[:])...)
}

// CountOpaqueKey implements rules.TOTPTx.
func (t *tx) CountOpaqueKey(key rules.OpaqueKey) {
	t.QueueOne(countOpaqueKey, t.opaqueKeyArgs(database.Bounded(key.Failures), int64(key.FailedOn), key.LastStep)...)
}

// ForgiveOpaqueKeys implements rules.TOTPTx.
func (t *tx) ForgiveOpaqueKeys() { t.Queue(forgiveOpaqueKeys, t.totpArgs()...) }
