package rules

import (
	"context"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Store keeps the state of the organizations of Parsec 3. It copies the bytes that
// it is given, and callers do not change the bytes that it returns. Its errors that
// may be over when a command is sent again are an outage.ErrUnavailable.
//
// storetest is the suite that every store passes.
type Store interface {
	organization.Store
	Reader
	BlockUploads
	AccountStore
	PresenceStore

	// Update runs rule on the facts that scope names, under its locks. When
	// rule returns nil, the effects queued on the transaction are applied and
	// its events published, in commit order, as one transaction; when it
	// returns an error, nothing is, and Update returns that error. A store may
	// run rule again, on fresh facts, when the transaction must be retried, and
	// on another goroutine than the caller's.
	//
	// Rules that wait for one Topic are run together, in the order of their
	// dates, each on the facts that the one before leaves: none of them knows of
	// the others. When ctx ends before a rule is run, it never is.
	Update(ctx context.Context, scope Scope, rule func(Tx) error) error

	// Publish delivers an event that comes with no change of state.
	Publish(ctx context.Context, event event.Event) error

	// Lag returns how late an event may be, of another instance above all. It asks
	// nothing.
	Lag() time.Duration

	// Ready returns why the store cannot serve, in words that anybody may read,
	// nil if it can.
	Ready(ctx context.Context) error
}

// Reader returns the facts of one command, in one consistent snapshot a call,
// together with who asks (docs/protocol/v5/commands.md §4). What does not exist is
// nil or false, not an error; the facts found so far are still given, so that
// rules can refuse in the order of their tables.
type Reader interface {
	AuthenticationReader
	SessionReader
	CertificateReader
	UserReader
	OrganizationReader
	RealmReader
	organization.RealmEndReader
	VlobReader
	BlockReader
	SequesterReader
	InvitationReader
	EnrollmentReader
	AttemptReader
	ExportReader
	HumanAccessesReader
}

// Lock is how a transaction holds a topic until its end.
type Lock uint8

const (
	// Unlocked topics may grow meanwhile.
	Unlocked Lock = iota
	// Shared keeps a topic from growing.
	Shared
	// Exclusive is for growing a topic.
	Exclusive
)

// Scope names what a transaction works on. Locks are taken in the order of its
// fields (docs/protocol/v5/commands.md §6), each by a statement of its own, and
// every fact is read after the last of them.
type Scope struct {
	Organization parsec.OrganizationID
	// Founding excludes every other change of the organization itself, in both
	// generations; it need not exist. It is for Tx.Found.
	Founding bool
	// Common is the lock of the common topic (C).
	Common Lock
	// Realm is for Tx.Realm, and RealmLock the lock of its topic (R).
	// With Unlocked there is no realm. With Exclusive it need not exist, for
	// Tx.CreateRealm: whoever creates it second waits, and finds it.
	Realm     parsec.RealmID
	RealmLock Lock
	// Sequester is the lock of the sequester topic (Q), if there is one.
	Sequester Lock
	// Shamir is the lock of the topic of Shamir recovery (S).
	Shamir Lock
	// Enrollment is the lock of the enrollments (E).
	Enrollment Lock
	// Invitations is the lock of their creation (I).
	Invitations Lock
	// Invitation and Attempt are for Tx.Greeting, nil for none. The row of the
	// invitation, which is that of the attempt unless it is named, is locked
	// exclusively.
	Invitation *parsec3.AccessToken
	Attempt    *parsec3.GreetingAttemptID

	// TOTP is the user whose setup of one-time passwords is locked, and OpaqueKey a key
	// alone; nil for none. They need not exist.
	TOTP      *parsec3.UserID
	OpaqueKey *OpaqueKeyName

	// Author is for Tx.Author; none if zero.
	Author parsec3.DeviceID
	// Vlob is for Tx.Vlob, in Realm, whose lock is shared; its id may be zero.
	Vlob parsec.VlobID
	// Block is for Tx.Block, in the organization; nil for none. Once it is
	// reserved, it excludes other transactions on it.
	Block *parsec.BlockID

	// Date is that of what the transaction writes, and Size how much that is, in
	// bytes, as far as it is large. Of transactions that are run together the one
	// with the earliest date comes first.
	Date parsec.DateTime
	Size int
}

// Topic is what transactions are on that are run together: to grow the common topic,
// to grow that of a realm or of Shamir recovery, or to write data in a realm.
type Topic struct {
	Organization      parsec.OrganizationID
	Common, RealmLock Lock
	Realm             parsec.RealmID
	// Shamir says that it grows.
	Shamir bool
}

// Topic returns the topic of the transaction, false if it is run apart from others.
func (s *Scope) Topic() (topic Topic, gathered bool) {
	topic = Topic{s.Organization, s.Common, s.RealmLock, s.Realm, s.Shamir == Exclusive}
	return topic, !s.Founding && (s.Common == Exclusive || s.RealmLock != Unlocked || topic.Shamir)
}

// Tx is a transaction: facts under lock, then effects that are queued until the
// rule returns. It is not safe for concurrent use. Facts that come with the scope
// cost nothing; the methods with a context ask the store, and do not see the
// effects queued.
//
// An effect that adds a certificate raises the last date of its topic, which the
// transaction holds exclusively.
type Tx interface {
	organization.Tx
	// Topics returns the last dates of the topics of the organization.
	Topics() Topics
	// Author returns the author's user and device, nil if unknown.
	Author() (*User, *Device)

	OrganizationTx
	UserTx
	DeviceTx
	RealmTx
	VlobTx
	BlockTx
	SequesterTx
	InvitationTx
	AttemptTx
	ShamirTx
	EnrollmentTx
	TOTPTx
	CryptpadTx
}

// Topics are the dates of the last certificate of the topics of an organization,
// zero for a topic without (docs/protocol/v5/commands.md §5).
type Topics struct {
	Common, Sequester, Shamir parsec.DateTime
}

// Certificate is a certificate as stored.
type Certificate struct {
	Timestamp parsec.DateTime
	// Author is zero for the root key, and for the sequester authority.
	Author parsec3.DeviceID
	Bytes  []byte
	// Redacted is of user and device certificates only.
	Redacted []byte
}
