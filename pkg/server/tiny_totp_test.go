package server_test

import (
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// ResetTOTP implements organization.SecondFactors: no e-mail leaves.
func (w *sequesteringWing) ResetTOTP(ctx context.Context, id parsec.OrganizationID, choice organization.UserChoice, location parsec.Location) (organization.TOTPReset, error) {
	user, err := w.SetFrozen(ctx, id, choice, false) // which finds whom it may
	if err != nil {
		return organization.TOTPReset{}, err
	}
	return organization.TOTPReset{
		User: user, Link: w.BootstrapLink(location, "reset"),
		Mail: func(context.Context) organization.EmailOutcome { return organization.EmailBadConfig },
	}, nil
}
