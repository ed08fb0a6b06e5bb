package rules

import (
	"context"
	"maps"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// Invitation is an invitation as it is now (docs/protocol/v5/invite.md §1).
type Invitation struct {
	Token     parsec3.AccessToken
	CreatedBy Person
	CreatedOn parsec.DateTime
	Claimer   Claimer
	// ClaimerUser is the user of the claimer, nil for USER.
	ClaimerUser *User
	// Setup is that of SHAMIR_RECOVERY, but for what it reveals; else nil.
	Setup *ShamirSetup
	// End is nil until it is cancelled or finished.
	End *InvitationEnd
}

// Person is a user as others are shown it.
type Person struct {
	User        parsec3.UserID
	HumanHandle parsec.HumanHandle
}

// Claimer is whom an invitation is for.
type Claimer struct {
	Type parsec.InvitationType
	// Email is of USER, as it was given.
	Email string
	// User is of DEVICE, and the owner of the setup of SHAMIR_RECOVERY.
	User parsec3.UserID
	// Setup is the date of the setup of SHAMIR_RECOVERY, which no other has.
	Setup parsec.DateTime
}

// InvitationEnd is when an invitation was cancelled or finished.
type InvitationEnd struct {
	On     parsec.DateTime
	Status protocol.InvitationStatus
}

// Status returns what became of the invitation. What recovers a setup that is deleted, or
// whose owner is revoked, is cancelled with that.
func (i *Invitation) Status() protocol.InvitationStatus {
	switch {
	case i.End != nil:
		return i.End.Status
	case i.Claimer.Type == parsec.InvitationShamirRecovery && (i.Setup.DeletedOn != nil || i.ClaimerUser.RevokedOn != nil):
		return protocol.InvitationCancelled
	default:
		return protocol.InvitationPending
	}
}

// greets reports whether a user that is not revoked may greet the claimer now.
func (i *Invitation) greets(user *User) bool {
	switch i.Claimer.Type {
	case parsec.InvitationUser:
		return user.Profile == parsec.ProfileAdmin
	case parsec.InvitationDevice:
		return user.ID == i.Claimer.User
	default:
		_, isRecipient := i.Setup.Shares[user.ID]
		return isRecipient
	}
}

// isClaimer reports whether a user is, or has become, the claimer.
func (i *Invitation) isClaimer(user *User) bool {
	if i.Claimer.Type == parsec.InvitationUser {
		return parsec3.Mailbox(user.HumanHandle.Email()) == parsec3.Mailbox(i.Claimer.Email)
	}
	return user.ID == i.Claimer.User
}

// tell has those who may greet the claimer hear of an invitation.
func (i *Invitation) tell(tx Tx, organization parsec.OrganizationID, status protocol.InvitationStatus) {
	body := notice.Invitation{ID: notice.NewID(), Token: i.Token, Status: status}
	switch i.Claimer.Type {
	case parsec.InvitationUser:
		body.Administrators = true
	case parsec.InvitationDevice:
		body.Greeters = []parsec3.UserID{i.Claimer.User}
	default:
		body.Greeters = slices.SortedFunc(maps.Keys(i.Setup.Shares), compareUsers)
	}
	tx.Emit(event.Event{Organization: organization, Body: body})
}

// Invited is who comes by an invitation that is pending.
type Invited struct {
	Organization parsec.OrganizationID
	Token        parsec3.AccessToken
	// API is the version that the client announced.
	API parsec.APIVersion
}

// InvitedStanding is an invitation as found in the snapshot of what is asked, nil for
// what does not exist.
type InvitedStanding struct {
	Organization *organization.Organization
	Invitation   *Invitation
}

// check makes the checks of the invited route from the seventh on
// (docs/protocol/v5/transport.md §5).
func (s *InvitedStanding) check(now parsec.DateTime) error {
	if err := checkOpen(s.Organization, now); err != nil {
		return err
	}
	switch {
	case s.Invitation == nil:
		return InvitationUnknown
	case s.Invitation.Status() != protocol.InvitationPending:
		return InvitationOver
	default:
		return nil
	}
}

// AdmitInvited returns who comes by an invitation, or the Abort that keeps them out.
func (r *Rules) AdmitInvited(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken, api parsec.APIVersion) (*Invited, error) {
	return r.admitInvited(organization, token, api, func() (InvitedStanding, error) {
		return r.store.Invited(ctx, organization, token)
	})
}

// AdmitClaimer is AdmitInvited for who says by the request to be in a greeting attempt. The
// attempt is read with the invitation, and is in view when the command comes to it.
func (r *Rules) AdmitClaimer(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken, api parsec.APIVersion, attempt parsec3.GreetingAttemptID) (*Invited, error) {
	return r.admitInvited(organization, token, api, func() (InvitedStanding, error) {
		v, err := r.readView(ctx, attemptKey{organization, attempt}, parsec3.DeviceID{}, &token)
		if err != nil {
			return InvitedStanding{}, err
		}
		return v.InvitedStanding, nil
	})
}

// admitInvited asks for the invitation unless it is in view, and not refused by that.
func (r *Rules) admitInvited(organization parsec.OrganizationID, token parsec3.AccessToken, api parsec.APIVersion, ask func() (InvitedStanding, error)) (*Invited, error) {
	standing, known := r.greetings.invited(organization, token)
	if !known || standing.check(r.now()) != nil {
		var err error
		if standing, err = ask(); err != nil {
			return nil, err
		}
	}
	if err := standing.check(r.now()); err != nil {
		return nil, err
	}
	return &Invited{organization, token, api}, nil
}

// PingInvited answers with the text of the request (docs/protocol/v5/invite.md §3).
func (r *Rules) PingInvited(_ context.Context, _ *Invited, request *protocol.PingRequest) (*protocol.PingReply, error) {
	return &protocol.PingReply{Pong: request.Ping}, nil
}

// onInvitation is update for a command on the invitation with a token.
func (r *Rules) onInvitation(ctx context.Context, author *Author, token parsec3.AccessToken, rule func(tx Tx, user *User, now parsec.DateTime) error) error {
	now := r.now()
	return r.update(ctx, author, now, Scope{Common: Shared, Invitation: &token}, func(tx Tx, user *User) error {
		return rule(tx, user, now)
	})
}

// statuses are those of a command for an invitation that is over.
type statuses struct{ finished, cancelled protocol.Status }

// checkPending refuses an invitation that does not exist, or is over.
func (s statuses) checkPending(invitation *Invitation) error {
	switch {
	case invitation == nil:
		return protocol.Refuse(protocol.StatusInvitationNotFound)
	case invitation.Status() == protocol.InvitationFinished:
		return protocol.Refuse(s.finished)
	case invitation.Status() == protocol.InvitationCancelled:
		return protocol.Refuse(s.cancelled)
	default:
		return nil
	}
}

// InviteCancel ends an invitation (docs/protocol/v5/invite.md §2). Of several who end
// one, the second finds it ended.
func (r *Rules) InviteCancel(ctx context.Context, author *Author, request *protocol.InviteCancelRequest) (*protocol.InviteCancelReply, error) {
	of := statuses{protocol.StatusInvitationCompleted, protocol.StatusInvitationAlreadyCancelled}
	err := r.onInvitation(ctx, author, request.Token, func(tx Tx, user *User, now parsec.DateTime) error {
		invitation, err := checkEnding(tx, user, of)
		if err != nil {
			return err
		}
		_, err = cancelInvitation(ctx, tx, author.Organization, invitation, now)
		return err
	})
	return &protocol.InviteCancelReply{}, err
}

// InviteComplete ends an invitation whose claimer is enrolled, as the author says
// (docs/protocol/v5/invite.md §2).
func (r *Rules) InviteComplete(ctx context.Context, author *Author, request *protocol.InviteCompleteRequest) (*protocol.InviteCompleteReply, error) {
	of := statuses{protocol.StatusInvitationAlreadyCompleted, protocol.StatusInvitationCancelled}
	err := r.onInvitation(ctx, author, request.Token, func(tx Tx, user *User, now parsec.DateTime) error {
		invitation, err := checkEnding(tx, user, of)
		if err != nil {
			return err
		}
		tx.EndInvitation(invitation.Token, InvitationEnd{now, protocol.InvitationFinished})
		invitation.tell(tx, author.Organization, protocol.InvitationFinished)
		return nil
	})
	return &protocol.InviteCompleteReply{}, err
}

// checkEnding makes the checks of invite_cancel and invite_complete.
func checkEnding(tx Tx, user *User, of statuses) (*Invitation, error) {
	invitation := tx.Greeting().Invitation
	if err := of.checkPending(invitation); err != nil {
		return nil, err
	}
	if !invitation.greets(user) && !invitation.isClaimer(user) {
		return nil, protocol.Refuse(protocol.StatusAuthorNotAllowed)
	}
	return invitation, nil
}

// cancelInvitation ends an invitation whose row is locked, and returns its attempts,
// which stay as they are. Greeters hear of it who have joined one, and wait there.
func cancelInvitation(ctx context.Context, tx Tx, organization parsec.OrganizationID, invitation *Invitation, now parsec.DateTime) ([]Attempt, error) {
	attempts, err := tx.ActiveAttempts(ctx, invitation.Token)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(attempts, func(a, b Attempt) int { return compareUsers(a.Greeter, b.Greeter) })
	tx.EndInvitation(invitation.Token, InvitationEnd{now, protocol.InvitationCancelled})
	invitation.tell(tx, organization, protocol.InvitationCancelled)
	for i := range attempts {
		if attempts[i].GreeterJoined != nil {
			emitAttemptCancelled(tx, organization, &attempts[i])
		}
	}
	return attempts, nil
}

// InvitationReader reads invitations.
type InvitationReader interface {
	// Invited reads the invitation with a token.
	Invited(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken) (InvitedStanding, error)
	// InvitationGreeters is Invited, with the users that may greet: of a USER those that
	// are ADMIN and not revoked, of a SHAMIR_RECOVERY all recipients of the setup; none
	// of a DEVICE.
	InvitationGreeters(ctx context.Context, organization parsec.OrganizationID, token parsec3.AccessToken) (InvitedStanding, []InvitationGreeter, error)
	// Invitations lists, in the order of their creation, those of USER, those of DEVICE
	// whose claimer is the author's user, and those of SHAMIR_RECOVERY for a setup of
	// which it is a recipient, but for those that ended, or whose setup was deleted,
	// before a date.
	Invitations(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, ended parsec.DateTime) (Standing, []Invitation, error)
}

// InvitationGreeter is who may greet the claimer of an invitation.
type InvitationGreeter struct {
	User
	// LastJoined is when the user has last joined an attempt of the invitation, nil
	// for never.
	LastJoined *parsec.DateTime
	// Online is whether the user has a stream of events on any instance, unknown to a
	// store that cannot tell which instances live.
	Online protocol.OnlineStatus
}

// InvitationTx is for invitations.
type InvitationTx interface {
	// PendingInvitations locks those for a claimer that have not ended, and returns
	// them in the order of their creation. E-mail addresses that differ in case alone
	// are the same.
	PendingInvitations(ctx context.Context, claimer Claimer) ([]Invitation, error)
	// IsEnrolled reports whether a user that is not revoked has an e-mail address,
	// which may differ in case.
	IsEnrolled(ctx context.Context, email string) (bool, error)

	// CreateInvitation adds an invitation with a new token. The creation of others is
	// locked.
	CreateInvitation(invitation Invitation)
	// EndInvitation ends one that is locked.
	EndInvitation(token parsec3.AccessToken, end InvitationEnd)
}
