package blockstore

import (
	"context"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// Operation is what a call asks of a store.
type Operation string

// The operations that are observed.
const (
	ReadOperation   Operation = "read"
	CreateOperation Operation = "create"
)

var _ rules.BlockStore = (*Observed)(nil)

// Observed tells of the calls of a store that end.
type Observed struct {
	store   rules.BlockStore
	observe func(ctx context.Context, operation Operation, err error, duration time.Duration)
}

// NewObserved calls observe, which must not block, after each call of store.
func NewObserved(store rules.BlockStore, observe func(ctx context.Context, operation Operation, err error, duration time.Duration)) *Observed {
	return &Observed{store, observe}
}

// String names the store in logs.
func (o *Observed) String() string { return nameOf(o.store) }

// Read implements rules.BlockStore.
func (o *Observed) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *rules.BlockChecksum, into ...[]byte) error {
	start := time.Now()
	err := o.store.Read(ctx, organization, id, checksum, into...)
	o.observe(ctx, ReadOperation, err, time.Since(start))
	return err
}

// Create implements rules.BlockStore.
func (o *Observed) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	start := time.Now()
	err := o.store.Create(ctx, organization, id, block)
	o.observe(ctx, CreateOperation, err, time.Since(start))
	return err
}

// Init implements Initializer.
func (o *Observed) Init(ctx context.Context) error { return Init(ctx, o.store) }

// Ready implements rules.BlockStore.
func (o *Observed) Ready(ctx context.Context) error { return o.store.Ready(ctx) }
