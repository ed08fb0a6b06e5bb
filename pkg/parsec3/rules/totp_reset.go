package rules

import (
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

var _ organization.SecondFactors = (*Rules)(nil)

// ResetTOTP implements organization.SecondFactors. Keys that the server keeps stay, for
// when the new setup is complete.
func (r *Rules) ResetTOTP(ctx context.Context, id parsec.OrganizationID, choice organization.UserChoice, location parsec.Location) (organization.TOTPReset, error) {
	user, err := r.chosen(ctx, id, choice)
	if err != nil {
		return organization.TOTPReset{}, err
	}
	token := parsec3.NewAccessToken()
	err = r.store.Update(ctx, Scope{Organization: id, TOTP: &user.ID}, func(tx Tx) error {
		found, _, err := tx.TOTP(ctx)
		if err != nil {
			return err
		}
		if err := checkChosen(found, choice); err != nil {
			return err
		}
		tx.PutTOTP(TOTPSetup{ResetToken: &token})
		tx.ForgiveOpaqueKeys()
		return nil
	})
	if err != nil {
		return organization.TOTPReset{}, err
	}
	address := parsec3.Address{Location: location, Target: parsec3.TOTPResetTarget{User: user.ID, Token: token}}
	mail := TOTPMail{To: user.HumanHandle.Email(), Organization: id, User: user.ID, Token: token}
	return organization.TOTPReset{
		User: seenByAdministrator(user), Link: organization.Link{URL: address.String(), HTTPRedirection: address.HTTPRedirection()},
		Mail: func(ctx context.Context) organization.EmailOutcome { return r.sendTOTPReset(ctx, mail) },
	}, nil
}

// chosen returns the user that an administrator means, who is not revoked.
func (r *Rules) chosen(ctx context.Context, id parsec.OrganizationID, choice organization.UserChoice) (user *User, err error) {
	err = r.store.Update(ctx, Scope{Organization: id}, func(tx Tx) error {
		found, err := findChosen(ctx, tx, choice)
		if err != nil {
			return err
		}
		user = found
		return checkChosen(found, choice)
	})
	return user, err
}

// checkChosen refuses a user that does not exist, nil, or is revoked. By e-mail only those
// that are not do.
func checkChosen(user *User, choice organization.UserChoice) error {
	switch {
	case user == nil, user.RevokedOn != nil && choice.Email != nil:
		return organization.ErrUserNotFound
	case user.RevokedOn != nil:
		return organization.ErrUserRevoked
	default:
		return nil
	}
}

func (r *Rules) sendTOTPReset(ctx context.Context, mail TOTPMail) organization.EmailOutcome {
	if r.options.Mailer == nil {
		return organization.EmailServerUnavailable
	}
	return r.options.Mailer.SendTOTPReset(ctx, mail)
}
