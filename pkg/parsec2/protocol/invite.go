package protocol

import (
	"errors"

	"parsec-server/pkg/parsec"
)

// The invitations of API 2 and 3 (docs/protocol/invite.md).

// EmailSent is what became of the e-mail of an invitation.
type EmailSent string

// The outcomes. An e-mail that nobody asked for is a success.
const (
	EmailSuccess      EmailSent = "SUCCESS"
	EmailNotAvailable EmailSent = "NOT_AVAILABLE"
	EmailBadRecipient EmailSent = "BAD_RECIPIENT"
)

// InvitationDeletedReason is why an invitation is deleted; it is informative.
type InvitationDeletedReason string

// The reasons.
const (
	InvitationFinished  InvitationDeletedReason = "FINISHED"
	InvitationCancelled InvitationDeletedReason = "CANCELLED"
	InvitationRotten    InvitationDeletedReason = "ROTTEN"
)

// UnmarshalText refuses any other text.
func (r *InvitationDeletedReason) UnmarshalText(text []byte) error {
	switch reason := InvitationDeletedReason(text); reason {
	case InvitationFinished, InvitationCancelled, InvitationRotten:
		*r = reason
		return nil
	default:
		return errors.New("must be FINISHED, CANCELLED or ROTTEN")
	}
}

// InviteNewRequest invites. The fields that its type does not have are zero.
type InviteNewRequest struct {
	Type parsec.InvitationType `wire:"type"`
	// ClaimerEmail is for USER.
	ClaimerEmail string `wire:"claimer_email,nullable,optional"`
	// ClaimerUserID is for SHAMIR_RECOVERY (API 2.9 and 3.3).
	ClaimerUserID parsec.UserID `wire:"claimer_user_id,nullable,optional"`
	SendEmail     bool          `wire:"send_email"`
}

// Validate wants the field of the type.
func (r *InviteNewRequest) Validate() error {
	switch r.Type {
	case parsec.InvitationUser:
		if r.ClaimerEmail == "" {
			return errors.New("claimer_email: missing data for required field")
		}
		return validateEmail("claimer_email", r.ClaimerEmail)
	case parsec.InvitationShamirRecovery:
		if r.ClaimerUserID == (parsec.UserID{}) {
			return errors.New("claimer_user_id: missing data for required field")
		}
	}
	return nil
}

// InviteNewReply names the invitation, a new one or that of before.
type InviteNewReply struct {
	Token     parsec.InvitationToken `wire:"token"`
	EmailSent EmailSent              `wire:"email_sent"`
}

// InviteDeleteRequest ends an invitation.
type InviteDeleteRequest struct {
	Token  parsec.InvitationToken  `wire:"token"`
	Reason InvitationDeletedReason `wire:"reason"`
}

// InviteListRequest has no field.
type InviteListRequest struct{}

// InviteListReply lists the author's invitations, oldest first.
type InviteListReply struct {
	Invitations []InvitationItem `wire:"invitations"`
}

// InvitationItem is one invitation. The fields that its type does not have are
// zero, and not on the wire.
type InvitationItem struct {
	Type          parsec.InvitationType   `wire:"type"`
	Token         parsec.InvitationToken  `wire:"token"`
	CreatedOn     parsec.DateTime         `wire:"created_on"`
	ClaimerEmail  *string                 `wire:"claimer_email,optional,omitnil"`
	ClaimerUserID *parsec.UserID          `wire:"claimer_user_id,optional,omitnil"`
	Status        parsec.InvitationStatus `wire:"status"`
}

// InviteInfoRequest has no field.
type InviteInfoRequest struct{}

// InviteInfoReply describes the invitation of a claimer.
type InviteInfoReply struct {
	Type parsec.InvitationType `wire:"type"`
	// ClaimerEmail is for USER.
	ClaimerEmail *string `wire:"claimer_email,optional,omitnil"`
	// GreeterUserID and GreeterHumanHandle are for USER and DEVICE.
	GreeterUserID      *parsec.UserID     `wire:"greeter_user_id,optional,omitnil"`
	GreeterHumanHandle parsec.HumanHandle `wire:"greeter_human_handle,nullable,optional"`
	// Threshold and Recipients are for SHAMIR_RECOVERY.
	Threshold  *uint64             `wire:"threshold,optional,omitnil"`
	Recipients []RecoveryRecipient `wire:"recipients,optional,omitnil"`
}
