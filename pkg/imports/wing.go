package imports

import (
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Wing knows the tables of one generation, in the source and here.
type Wing interface {
	Generation() organization.Generation
	// Schema is what the official server makes.
	Schema() *Schema
	// Numbered are the tables here whose column id has the numbers of the source.
	Numbered() []string
	// Survey counts what an organization holds, verifies what is signed, and tells what
	// is wrong. It has what Convert reads, without putting it anywhere.
	Survey(ctx context.Context, from *Snapshot, one *Organization, choices Choices) error
	// Convert puts what is small of an organization, or may change: everything but the
	// logs. What it finds was told by Survey.
	Convert(ctx context.Context, from *Snapshot, one *Organization, choices Choices, into *Filling) error
	// Logs are what only grows, of the organizations of a pass, in the order of their
	// references. Convert has run for all of them.
	Logs(ctx context.Context, pass *Pass) ([]Log, error)
	// Derive brings up to date what is counted from what was copied, in the transaction
	// of the pass.
	Derive(ctx context.Context, pass *Pass, into *Filling) error
	// Compare tells where the target differs from the source.
	Compare(ctx context.Context, from *Snapshot, one *Organization, in *Inspected) error
}

// Choices are what the operator has settled of an import.
type Choices struct {
	// At is the date of the import.
	At parsec.DateTime
	// KeepFirstHuman has the first of two active users of one e-mail keep it.
	KeepFirstHuman bool
	// KeepFirstVlob has the first of two realms with one vlob keep it.
	KeepFirstVlob bool
	// SkipAccounts leaves accounts out.
	SkipAccounts bool
	// RangeRows is how many rows of a log one transaction copies at most; 0 is for many.
	RangeRows int
	// AccountsFrom is the source whose accounts count where two have some of one person,
	// by its Identity: another one leaves out those that the target has, and this one
	// replaces them. Without, they keep all accounts of a source out.
	AccountsFrom string
	// BlockData has the bytes of blocks come too, where the source has them in its
	// database, and the target has some in its own.
	BlockData bool
}
