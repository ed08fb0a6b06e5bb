package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// Attempt is a greeting attempt as it is now (docs/protocol/v5/invite.md §1).
type Attempt struct {
	ID         parsec3.GreetingAttemptID
	Invitation parsec3.AccessToken
	Greeter    parsec3.UserID
	// GreeterJoined and ClaimerJoined are nil until that side has joined.
	GreeterJoined, ClaimerJoined *parsec.DateTime
	// Cancelled is nil for an attempt that is active.
	Cancelled *AttemptEnd
}

// AttemptEnd is how a greeting attempt was cancelled.
type AttemptEnd struct {
	Origin protocol.Side
	On     parsec.DateTime
	Reason protocol.CancelledAttemptReason
}

// AttemptTx is for greeting attempts.
type AttemptTx interface {
	// ActiveAttempts returns those of an invitation that are not cancelled.
	ActiveAttempts(ctx context.Context, token parsec3.AccessToken) ([]Attempt, error)
}
