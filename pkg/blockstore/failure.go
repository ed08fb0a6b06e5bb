package blockstore

import (
	"context"
	"errors"
	"fmt"
)

// errDamaged means that a node answers, but not with what was written to it. It
// would again: a RAID, which asks another node and writes the object again, must
// know at once.
var errDamaged = errors.New("damaged object")

// permanentError is one that another try would only repeat.
type permanentError struct{ err error }

func (p *permanentError) Error() string { return p.err.Error() }
func (p *permanentError) Unwrap() error { return p.err }

// mayPass reports whether another try may succeed.
func mayPass(err error) bool {
	var permanent *permanentError
	return !errors.As(err, &permanent) && !errors.Is(err, ErrNotFound) && !errors.Is(err, errDamaged)
}

// ofStatus classes the failure behind an HTTP status: requests that the server
// understands and refuses are refused again.
func ofStatus(status int, err error) error {
	const rateLimitOfSwift = 498
	switch {
	case status < 300 || status >= 500:
		return err
	case status == 408 || status == 429 || status == rateLimitOfSwift:
		return err
	default:
		return &permanentError{err}
	}
}

// withCause adds why ctx ended, if it did, to the error of what it ended.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
