package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Store keeps the state of every organization. Each method of Reader is one
// consistent snapshot. A store copies the bytes that it is given, and callers
// do not change the bytes that it returns. Its errors that may be over when a
// command is sent again are an outage.ErrUnavailable.
//
// storetest is the suite that every store passes.
type Store interface {
	organization.Store
	Reader
	BlockUploads
	Conduits
	Presences

	// Update runs rule on the facts that scope names, under its locks. When
	// rule returns nil, the effects queued on the transaction are applied and
	// its events published, in commit order, as one transaction; when it
	// returns an error, nothing is, and Update returns that error. A store may
	// run rule again, on fresh facts, when the transaction must be retried.
	Update(ctx context.Context, scope Scope, rule func(Tx) error) error

	// Publish delivers an event that comes with no change of state.
	Publish(ctx context.Context, event event.Event) error

	// Ready returns why the store cannot serve, in words that anybody may read,
	// nil if it can.
	Ready(ctx context.Context) error
}

// Reader returns the facts of one command, in one consistent snapshot a call.
// What does not exist is a false, not an error; the facts found so far are
// still given, so that rules can refuse in the order of their tables.
type Reader interface {
	AuthenticationReader
	StatisticsReader
	SequesterReader
	SequesterExportReader
	UserReader
	FindReader
	HumanAccessesReader
	MessageReader
	RealmReader
	organization.RealmEndReader
	ReencryptionReader
	VlobReader
	BlockReader
	InviteReader
	InviteV1Reader
	ShamirReader
	EnrollmentReader
}

// Scope names what a transaction works on. Locks are taken in this order:
// organization, realm, recipients (docs/protocol/commands.md §10).
type Scope struct {
	Organization parsec.OrganizationID
	// LockOrganization excludes every other transaction of the organization:
	// for users, devices, bootstrap, administration and sequester services.
	// Otherwise the organization's lock is shared.
	LockOrganization bool
	// Author is for Tx.Author, none if zero.
	Author parsec.DeviceID
	// Realm is for Tx.Realm, by its id or by that of one of its vlobs.
	Realm parsec.RealmID
	Vlob  parsec.VlobID
	// Block is for Tx.Block, with RealmData; none if zero.
	Block parsec.BlockID
	// Invitation excludes every other transaction on the invitation, and is
	// for Tx.Invitation; none if zero. With Greeter it is for Tx.Conduit too.
	Invitation parsec.InvitationToken
	Greeter    parsec.UserID
	// By says which of realm and vlob is set, and how the realm is locked.
	By RealmScope
}

// RealmScope is how a transaction works on a realm.
type RealmScope uint8

const (
	// NoRealm leaves Tx.Realm without realm.
	NoRealm RealmScope = iota
	// RealmExclusive is for roles, archiving, maintenance and batches: it
	// excludes every other transaction on Scope.Realm.
	RealmExclusive
	// RealmData is for creating Scope.Block in Scope.Realm: it excludes
	// RealmExclusive, and other creations and reservations of the block once it
	// is reserved.
	RealmData
	// RealmVlobCreate is for creating Scope.Vlob in Scope.Realm: it excludes
	// RealmExclusive, other writes of vlobs in the realm, and other creations
	// of the vlob. It is for Tx.Vlob.
	RealmVlobCreate
	// RealmVlobUpdate is for updating Scope.Vlob; the realm is the vlob's. It
	// excludes what RealmVlobCreate does. It is for Tx.Vlob.
	RealmVlobUpdate
)

// Tx is a transaction: facts under lock, then effects that are queued until
// the rule returns. It is not safe for concurrent use. Facts that come with
// the scope cost nothing; the methods with a context ask the store, and do not
// see the effects queued. The users and devices that effects name exist, if
// only by an earlier effect of the same transaction; certifiers need not.
type Tx interface {
	organization.Tx
	SequesterTx
	UserTx
	DeviceTx
	RealmTx
	ReencryptionTx
	VlobTx
	BlockTx
	MessageTx
	InviteTx
	InviteV1Tx
	ConduitTx
	ShamirTx
	EnrollmentTx
}
