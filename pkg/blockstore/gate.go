package blockstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// Upload reserves the id of a block for the one command that uploads its bytes: a
// block store keeps the last bytes that it was given. It is not visible to readers.
type Upload struct {
	ID parsec.BlockID
	// Token is that of the command.
	Token parsec.UUID
	// Until is when the command has surely ended.
	Until parsec.DateTime
}

// YieldsTo reports whether the upload, whose process may be known to be dead, may be
// taken over by another one of its block.
func (u *Upload) YieldsTo(other Upload, now parsec.DateTime, dead bool) bool {
	return dead || u.Until <= now || u.Token == other.Token
}

const (
	// uploadLimit bounds the upload of a block, together with the wait for another
	// upload of the same one.
	uploadLimit = time.Minute
	// uploadLease is how long an upload keeps its block: longer than uploadLimit by
	// more than the clocks of two instances may differ.
	uploadLease = 2 * time.Minute
	// uploadPoll is the time between two looks at another upload.
	uploadPoll = 50 * time.Millisecond
	// releaseLimit bounds the clean-up after a failed upload.
	releaseLimit = 10 * time.Second
)

// ErrUnavailable is what a command is told that the block store, or another upload of
// its block, has failed.
var ErrUnavailable = errors.New("the block store is not available")

// Creation is what is known outside of block stores of one block that is created.
type Creation interface {
	// Reserve reserves the block for the upload, in one step: of several
	// reservations at once one holds. It reports whether the reservation is there,
	// or, with an error, may be there. Without error it is not there while another
	// upload that does not yield holds the block.
	Reserve(ctx context.Context, upload Upload, now parsec.DateTime) (reserved bool, err error)
	// Confirm makes the block visible to readers, in place of the upload, with the
	// checksum to keep of it, nil for none.
	Confirm(ctx context.Context, upload Upload, checksum *Checksum) error
	// Release ends the reservation of the upload, if it is still there.
	Release(ctx context.Context, upload Upload) error
}

// Gate is by which the commands of clients create and read the blocks of a store. Its
// methods are safe for concurrent use.
type Gate struct {
	Store  Store
	Now    func() parsec.DateTime
	Logger *slog.Logger
	// Outage is whether the store can be used, as who watches it knows; nil if nobody
	// does.
	Outage *outage.Dependency
}

// Create stores an immutable block.
//
// The block store keeps the last bytes that it was given, whoever wins. So the id is
// first reserved where all instances agree, then the bytes are uploaded, then the
// reservation is turned into metadata: nobody else uploads meanwhile, nor after.
// Whoever meets a reservation waits for its outcome, because clients take a block
// that exists for a success. The reservation of an instance that died ends at once
// where that can be known, and by its date.
//
// Its errors are those of creation, ErrUnavailable, and that of a ctx that was
// canceled.
func (g *Gate) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, token parsec.UUID, block []byte, creation Creation) error {
	limited, cancel := context.WithTimeout(ctx, uploadLimit)
	defer cancel()
	upload, reserved, err := g.reserve(limited, Upload{ID: id, Token: token}, creation)
	if err == nil {
		var checksum *Checksum
		if checksum, err = g.upload(limited, organization, id, block); err == nil {
			err = creation.Confirm(ctx, upload, checksum)
		}
	}
	if err != nil && reserved {
		g.release(ctx, organization, upload, creation)
	}
	return err
}

// reserve waits while another command uploads the block.
func (g *Gate) reserve(ctx context.Context, upload Upload, creation Creation) (_ Upload, reserved bool, err error) {
	ticker := time.NewTicker(uploadPoll)
	defer ticker.Stop()
	for {
		now := g.Now() // The wait may have been long.
		upload.Until = now.Add(uploadLease)
		reserved, err = creation.Reserve(ctx, upload, now)
		if errors.Is(err, context.DeadlineExceeded) {
			err = ErrUnavailable
		}
		if err != nil || reserved {
			return upload, reserved, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return upload, false, failure(ctx)
		}
	}
}

// upload hands the bytes to the block store.
func (g *Gate) upload(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) (*Checksum, error) {
	checksum, err := Create(ctx, g.Store, organization, id, block)
	if err == nil {
		return checksum, nil
	}
	g.log(ctx, "block not stored", organization, id, err)
	return nil, failure(ctx)
}

// release ends a reservation early, so that the client may try again at once. Who
// sent the command may not act any more, and the command may be abandoned.
func (g *Gate) release(ctx context.Context, organization parsec.OrganizationID, upload Upload, creation Creation) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseLimit)
	defer cancel()
	ticker := time.NewTicker(uploadPoll)
	defer ticker.Stop()
	for {
		err := creation.Release(ctx, upload)
		if err == nil {
			return
		}
		select {
		case <-ticker.C: // A database that restarts is soon back.
		case <-ctx.Done():
			g.log(ctx, "block reserved until its upload expires", organization, upload.ID, err)
			return
		}
	}
}

// Read fills into with a block of exactly its length. Its errors are ErrNotFound,
// ErrUnavailable, and that of a ctx that was canceled.
func (g *Gate) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into []byte) error {
	err := g.Store.Read(ctx, organization, id, checksum, into)
	if err == nil {
		return nil
	}
	g.log(ctx, "block not read", organization, id, err)
	if errors.Is(err, ErrNotFound) {
		return ErrNotFound
	}
	return failure(ctx)
}

// failure returns what becomes of a command that the block store, or another upload,
// has failed: nothing when nobody waits for it any more.
func failure(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return ErrUnavailable
}

func (g *Gate) log(ctx context.Context, message string, organization parsec.OrganizationID, id parsec.BlockID, err error) {
	var absent *outage.Dependency // what is missing or damaged is so whoever is away
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, errDamaged) {
		absent = g.Outage
	}
	absent.Failed(ctx, g.Logger, message,
		slog.String("organization", organization.String()),
		slog.String("block", id.String()),
		slog.Any("error", err))
}
