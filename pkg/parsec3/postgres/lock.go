package postgres

import (
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec3/rules"
)

// topic is the name of a list of certificates in the columns of that name.
type topic string

const (
	common    topic = "common"
	realms    topic = "realm"
	sequester topic = "sequester"
	shamir    topic = "shamir_recovery"
	// Enrollments and invitations have no certificates: their rows are locks.
	enrollment topic = "enrollment"
	invitation topic = "invitation"
)

// lock is one that a scope names: a row, and whether it was there to be locked.
type lock struct {
	// name is that of docs/protocol/v5/commands.md §6, such as C:x.
	name string
	sql  string
	args []any
	held bool
}

// The names of the locks that are not of topics: of the organization itself, which
// both generations share, of an invitation, of a user's one-time passwords, of a key that
// they give out, and of a block.
const (
	lockOfFounding   = "founding"
	lockOfInvitation = "invitation"
	lockOfTOTP       = "totp"
	lockOfOpaqueKey  = "opaque key"
	lockOfBlock      = "block"
)

// What ends a statement that locks a row, and passes it while others have it.
const (
	forShare   = " FOR SHARE"
	forUpdate  = " FOR NO KEY UPDATE"
	passLocked = " SKIP LOCKED"
)

// newLock returns a lock on the row that sql selects; nil for Unlocked, or if this
// build leaves that lock out.
func newLock(letter string, how rules.Lock, sql string, args ...any) *lock {
	l := &lock{name: letter + ":s", sql: sql + forShare, args: args}
	if how == rules.Exclusive {
		l.name, l.sql = letter+":x", sql+forUpdate
	}
	if how == rules.Unlocked || isLeftOut(l.name) {
		return nil
	}
	return l
}

const (
	selectTopic = "SELECT 1 FROM parsec3.topic t WHERE t.organization = $1 AND t.topic = $2"

	// lockRealms and endLockRealms surround what locks the realms $2, in this order. Each
	// row is the number of one that is locked.
	lockRealms = `
SELECT q.number FROM unnest($2::uuid[]) WITH ORDINALITY q (realm_id, number)
CROSS JOIN LATERAL (
    SELECT r.realm_id FROM parsec3.realm r WHERE r.organization = $1 AND r.realm_id = q.realm_id LIMIT 1`
	endLockRealms = `
) r`
)

// statement returns what locks.
func (l *lock) statement() database.Statement {
	return database.Row(&l.held, l.sql, l.args, new(database.Integer))
}

// holds reports whether the lock is on its row, or there is none: one that was made
// since then is not locked.
func (l *lock) holds(exists bool) bool { return l == nil || l.held || !exists }
