package organization

import (
	"context"
	"log/slog"

	"parsec-server/pkg/parsec"
)

// SecondFactors is a Wing whose users have one-time passwords
// (docs/protocol/v5/enrollment.md §4).
type SecondFactors interface {
	Wing
	// ResetTOTP has a user set its one-time passwords up again, by a link at a location
	// of clients. The organization may be expired, and the user frozen. It returns
	// ErrNotFound for an organization that is not of its generation, ErrUserNotFound, and
	// ErrUserRevoked for a user that is chosen by its id and revoked.
	ResetTOTP(ctx context.Context, organization parsec.OrganizationID, choice UserChoice, location parsec.Location) (TOTPReset, error)
}

// TOTPReset is how a user sets its one-time passwords up again.
type TOTPReset struct {
	User User
	Link Link
	// Mail sends the link to the user. The reset holds whatever becomes of the e-mail.
	Mail  func(context.Context) EmailOutcome
	Email EmailOutcome
}

// EmailOutcome is what became of an e-mail.
type EmailOutcome uint8

// The outcomes. What nobody asked for is not sent.
const (
	EmailNotAsked EmailOutcome = iota
	EmailSent
	EmailServerUnavailable
	EmailRecipientRefused
	// EmailBadConfig is of an e-mail that the other server does not take as it was sent,
	// whoever it is for.
	EmailBadConfig
)

// ResetTOTP has a user set its one-time passwords up again, and sends it the link if that
// is asked for. The reset is in the log before. It returns what SecondFactors does, and
// ErrOnlyParsec3 for an organization of API 1 to 3.
func (a *Administration) ResetTOTP(ctx context.Context, by Administrator, id parsec.OrganizationID, choice UserChoice, location parsec.Location, sendEmail bool) (TOTPReset, error) {
	wing, err := ofParsec3[SecondFactors](ctx, a, id)
	if err != nil {
		return TOTPReset{}, err
	}
	reset, err := wing.ResetTOTP(ctx, id, choice, location)
	if err != nil {
		return TOTPReset{}, err
	}
	a.audit(ctx, by, "reset_totp", id, slog.String("user", reset.User.ID))
	if sendEmail {
		reset.Email = reset.Mail(ctx)
	}
	return reset, nil
}
