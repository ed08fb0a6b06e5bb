package protocol

import (
	"errors"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// InviteNewUserRequest invites who reads a mailbox.
type InviteNewUserRequest struct {
	ClaimerEmail string `wire:"claimer_email"`
	SendEmail    bool   `wire:"send_email"`
}

// Validate refuses what is no e-mail address (docs/protocol/v5/types.md §3).
func (r *InviteNewUserRequest) Validate() error {
	return parsec3.CheckEmail(r.ClaimerEmail)
}

// InviteNewUserReply has the token of the invitation.
type InviteNewUserReply struct{ NewInvitation }

// InviteNewDeviceRequest invites another device of the author's user.
type InviteNewDeviceRequest struct {
	SendEmail bool `wire:"send_email"`
}

// InviteNewDeviceReply has the token of the invitation.
type InviteNewDeviceReply struct{ NewInvitation }

// NewInvitation is one that was made, or the one that there was.
type NewInvitation struct {
	Token     parsec3.AccessToken `wire:"token"`
	EmailSent EmailSent           `wire:"email_sent"`
}

// InviteListRequest has no field.
type InviteListRequest struct{}

// InviteListReply has the invitations of the author, oldest first.
type InviteListReply struct {
	Invitations []InviteListItem `wire:"invitations"`
}

// InviteListItem is an invitation. Fields of other types are nil.
type InviteListItem struct {
	Type      parsec.InvitationType `wire:"type"`
	Token     parsec3.AccessToken   `wire:"token"`
	CreatedOn parsec.DateTime       `wire:"created_on"`
	CreatedBy InvitationCreatedBy   `wire:"created_by"`
	Status    InvitationStatus      `wire:"status"`

	// ClaimerEmail is of USER.
	ClaimerEmail *string `wire:"claimer_email,optional,omitnil"`
	// ClaimerUserID and ShamirRecoveryCreatedOn are of SHAMIR_RECOVERY.
	ClaimerUserID           *parsec3.UserID  `wire:"claimer_user_id,optional,omitnil"`
	ShamirRecoveryCreatedOn *parsec.DateTime `wire:"shamir_recovery_created_on,optional,omitnil"`
}

// inviteItemBytes is the most that an InviteListItem takes beside its texts.
const inviteItemBytes = 260

// Size implements rpc.Sized.
func (r *InviteListReply) Size() int {
	size := 0
	for i := range r.Invitations {
		item := &r.Invitations[i]
		size += inviteItemBytes + item.CreatedBy.size()
		if item.ClaimerEmail != nil {
			size += len(*item.ClaimerEmail)
		}
	}
	return size
}

// InvitationStatus is what became of an invitation.
type InvitationStatus string

// An invitation is pending until one of two ends.
const (
	InvitationPending   InvitationStatus = "PENDING"
	InvitationFinished  InvitationStatus = "FINISHED"
	InvitationCancelled InvitationStatus = "CANCELLED"
)

// UnmarshalText refuses any other text.
func (s *InvitationStatus) UnmarshalText(text []byte) error {
	switch status := InvitationStatus(text); status {
	case InvitationPending, InvitationFinished, InvitationCancelled:
		*s = status
		return nil
	default:
		return errors.New("no status of an invitation")
	}
}

// InvitationCreatedBy is who has made an invitation: a user, or, which this server
// knows none of, another service.
type InvitationCreatedBy struct {
	Type         InvitationCreator   `wire:"type"`
	UserID       *parsec3.UserID     `wire:"user_id,optional,omitnil"`
	HumanHandle  *parsec.HumanHandle `wire:"human_handle,optional,omitnil"`
	ServiceLabel *string             `wire:"service_label,optional,omitnil"`
}

func (b *InvitationCreatedBy) size() int {
	if b.HumanHandle == nil {
		return 0
	}
	return sizeOfHandle(b.HumanHandle)
}

// InvitationCreator is the discriminant of an InvitationCreatedBy.
type InvitationCreator string

// CreatedByUser is the only one that this server sends.
const CreatedByUser InvitationCreator = "USER"

// InvitationOfUser returns who has made an invitation.
func InvitationOfUser(user parsec3.UserID, human parsec.HumanHandle) InvitationCreatedBy {
	return InvitationCreatedBy{Type: CreatedByUser, UserID: &user, HumanHandle: &human}
}

// InviteCancelRequest ends an invitation that nobody shall use.
type InviteCancelRequest struct {
	Token parsec3.AccessToken `wire:"token"`
}

// InviteCancelReply has no field.
type InviteCancelReply struct{}

// InviteCompleteRequest ends an invitation that was used.
type InviteCompleteRequest struct {
	Token parsec3.AccessToken `wire:"token"`
}

// InviteCompleteReply has no field.
type InviteCompleteReply struct{}

// InviteInfoRequest has no field.
type InviteInfoRequest struct{}

// InviteInfoReply is what a claimer learns. Fields of other types are nil.
type InviteInfoReply struct {
	Type      parsec.InvitationType `wire:"type"`
	CreatedBy InvitationCreatedBy   `wire:"created_by"`

	// ClaimerEmail and Administrators are of USER.
	ClaimerEmail   *string               `wire:"claimer_email,optional,omitnil"`
	Administrators []InviteAdministrator `wire:"administrators,optional,omitnil"`

	// ClaimerUserID and ClaimerHumanHandle are of DEVICE and SHAMIR_RECOVERY, the
	// others of the latter.
	ClaimerUserID           *parsec3.UserID     `wire:"claimer_user_id,optional,omitnil"`
	ClaimerHumanHandle      *parsec.HumanHandle `wire:"claimer_human_handle,optional,omitnil"`
	ShamirRecoveryCreatedOn *parsec.DateTime    `wire:"shamir_recovery_created_on,optional,omitnil"`
	Threshold               *uint8              `wire:"threshold,optional,omitnil"`
	Recipients              []InviteRecipient   `wire:"recipients,optional,omitnil"`
}

// InviteAdministrator is who may greet a new user.
type InviteAdministrator struct {
	UserID       parsec3.UserID     `wire:"user_id"`
	HumanHandle  parsec.HumanHandle `wire:"human_handle"`
	OnlineStatus OnlineStatus       `wire:"online_status"`
	// LastGreetingAttemptJoinedOn is nil for who has not greeted yet.
	LastGreetingAttemptJoinedOn *parsec.DateTime `wire:"last_greeting_attempt_joined_on"`
}

// InviteRecipient is who has shares of a Shamir recovery.
type InviteRecipient struct {
	UserID       parsec3.UserID     `wire:"user_id"`
	HumanHandle  parsec.HumanHandle `wire:"human_handle"`
	Shares       uint8              `wire:"shares"`
	RevokedOn    *parsec.DateTime   `wire:"revoked_on"`
	OnlineStatus OnlineStatus       `wire:"online_status"`
}

// inviteGreeterBytes is the most that a greeter takes beside its handle.
const inviteGreeterBytes = 160

// Size implements rpc.Sized.
func (r *InviteInfoReply) Size() int {
	size := inviteItemBytes + r.CreatedBy.size()
	if r.ClaimerEmail != nil {
		size += len(*r.ClaimerEmail)
	}
	if r.ClaimerHumanHandle != nil {
		size += sizeOfHandle(r.ClaimerHumanHandle)
	}
	for i := range r.Administrators {
		size += inviteGreeterBytes + sizeOfHandle(&r.Administrators[i].HumanHandle)
	}
	for i := range r.Recipients {
		size += inviteGreeterBytes + sizeOfHandle(&r.Recipients[i].HumanHandle)
	}
	return size
}

func sizeOfHandle(handle *parsec.HumanHandle) int { return len(handle.Email()) + len(handle.Label()) }

// OnlineStatus says whether somebody may be met.
type OnlineStatus string

// OnlineUnknown is for whoever may or may not be there.
const (
	Online        OnlineStatus = "ONLINE"
	Offline       OnlineStatus = "OFFLINE"
	OnlineUnknown OnlineStatus = "UNKNOWN"
)
