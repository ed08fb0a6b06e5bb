package memory

import (
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

func copyAttempt(attempt rules.Attempt) rules.Attempt {
	attempt.GreeterJoined, attempt.ClaimerJoined = organizationstore.CopyOf(attempt.GreeterJoined), organizationstore.CopyOf(attempt.ClaimerJoined)
	attempt.Cancelled = organizationstore.CopyOf(attempt.Cancelled)
	return attempt
}

// lastJoined returns when a greeter has last joined an attempt of an invitation.
func (o *organization) lastJoined(token parsec3.AccessToken, greeter parsec3.UserID) (last *parsec.DateTime) {
	for _, attempt := range o.attempts {
		if joined := attempt.GreeterJoined; attempt.Invitation == token && attempt.Greeter == greeter && joined != nil && (last == nil || *last < *joined) {
			last = organizationstore.CopyOf(joined)
		}
	}
	return last
}

// ActiveAttempts implements rules.AttemptTx. It scans them all.
func (t *tx) ActiveAttempts(_ context.Context, token parsec3.AccessToken) (active []rules.Attempt, err error) {
	for _, attempt := range t.organization.attempts {
		if attempt.Invitation == token && attempt.Cancelled == nil {
			active = append(active, copyAttempt(*attempt))
		}
	}
	return active, nil
}
