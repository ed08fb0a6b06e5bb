package blockstore

import (
	"context"
	"time"

	"parsec-server/pkg/parsec"
)

// Operation is what a call asks of a store.
type Operation string

// The operations that are observed.
const (
	ReadOperation   Operation = "read"
	CreateOperation Operation = "create"
)

var _ Store = (*Observed)(nil)

// Observed reports the calls of a store that end.
type Observed struct {
	store   Store
	observe func(ctx context.Context, operation Operation, err error, duration time.Duration)
}

// NewObserved calls observe, which must not block, after each call of store.
func NewObserved(store Store, observe func(ctx context.Context, operation Operation, err error, duration time.Duration)) *Observed {
	return &Observed{store, observe}
}

// String names the store in logs.
func (o *Observed) String() string { return nameOf(o.store) }

// Read implements Store.
func (o *Observed) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	start := time.Now()
	err := o.store.Read(ctx, organization, id, checksum, into...)
	o.observe(ctx, ReadOperation, err, time.Since(start))
	return err
}

// Create implements Store.
func (o *Observed) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	start := time.Now()
	err := o.store.Create(ctx, organization, id, block)
	o.observe(ctx, CreateOperation, err, time.Since(start))
	return err
}

// Unfailing implements Unfailing.
func (o *Observed) Unfailing() bool { return isUnfailing(o.store) }

// Init implements Initializer.
func (o *Observed) Init(ctx context.Context) error { return Init(ctx, o.store) }

// Ready implements Store.
func (o *Observed) Ready(ctx context.Context) error { return o.store.Ready(ctx) }
