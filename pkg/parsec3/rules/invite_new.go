package rules

import (
	"context"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/throttle"
)

// InviteNewUser invites somebody to become a user (docs/protocol/v5/invite.md §2). Who
// is invited already has one invitation, whoever made it. While the common topic is
// shared, nobody is enrolled.
func (r *Rules) InviteNewUser(ctx context.Context, author *Author, request *protocol.InviteNewUserRequest) (*protocol.InviteNewUserReply, error) {
	created := Invitation{Claimer: Claimer{Type: parsec.InvitationUser, Email: request.ClaimerEmail}}
	invited, err := r.invite(ctx, author, request.SendEmail, Scope{Common: Shared}, func(tx Tx, user *User) (Invitation, error) {
		if err := checkAdministrator(user); err != nil {
			return created, err
		}
		enrolled, err := tx.IsEnrolled(ctx, request.ClaimerEmail)
		if err == nil && enrolled {
			err = protocol.Refuse(protocol.StatusClaimerEmailAlreadyEnrolled)
		}
		return created, err
	})
	return &protocol.InviteNewUserReply{NewInvitation: invited}, err
}

// InviteNewDevice invites the author to add a device (docs/protocol/v5/invite.md §2).
func (r *Rules) InviteNewDevice(ctx context.Context, author *Author, request *protocol.InviteNewDeviceRequest) (*protocol.InviteNewDeviceReply, error) {
	invited, err := r.invite(ctx, author, request.SendEmail, Scope{Common: Shared}, func(_ Tx, user *User) (Invitation, error) {
		return Invitation{Claimer: Claimer{Type: parsec.InvitationDevice, User: user.ID}, ClaimerUser: user}, nil
	})
	return &protocol.InviteNewDeviceReply{NewInvitation: invited}, err
}

// InviteNewShamirRecovery invites a user to recover, of whose setup the author is a
// recipient (docs/protocol/v5/invite.md §2): who is none does not learn whether there is
// one.
func (r *Rules) InviteNewShamirRecovery(ctx context.Context, author *Author, request *protocol.InviteNewShamirRecoveryRequest) (*protocol.InviteNewShamirRecoveryReply, error) {
	invited, err := r.invite(ctx, author, request.SendEmail, Scope{Common: Shared, Shamir: Shared}, func(tx Tx, user *User) (created Invitation, err error) {
		claimer, found, err := tx.User(ctx, request.ClaimerUserID)
		switch {
		case err != nil:
			return created, err
		case !found || claimer.RevokedOn != nil:
			return created, protocol.Refuse(protocol.StatusUserNotFound)
		}
		setup, found, err := tx.CurrentShamirSetup(ctx, claimer.ID)
		if err != nil {
			return created, err
		}
		if found {
			created = Invitation{
				Claimer:     Claimer{Type: parsec.InvitationShamirRecovery, User: claimer.ID, Setup: setup.CreatedOn},
				ClaimerUser: claimer, Setup: setup,
			}
		}
		if !found || !created.greets(user) {
			return created, errAuthorNotAllowed
		}
		return created, nil
	})
	return &protocol.InviteNewShamirRecoveryReply{NewInvitation: invited}, err
}

// invite finds the pending invitation of the claimer of what check returns, or makes
// one: with the creation of invitations locked there is one. Everybody who may greet
// hears of it, again too, and then the e-mail is sent.
func (r *Rules) invite(ctx context.Context, author *Author, mail bool, scope Scope, check func(tx Tx, user *User) (Invitation, error)) (protocol.NewInvitation, error) {
	now := r.now()
	scope.Invitations = Exclusive
	var invitation Invitation
	var sent InvitationMail
	err := r.update(ctx, author, now, scope, func(tx Tx, user *User) error {
		created, err := check(tx, user)
		if err != nil {
			return err
		}
		pending, err := tx.PendingInvitations(ctx, created.Claimer)
		if err != nil {
			return err
		}
		if len(pending) > 0 {
			invitation = pending[0]
		} else {
			invitation = created
			invitation.Token, invitation.CreatedBy, invitation.CreatedOn = parsec3.NewAccessToken(), Person{user.ID, user.HumanHandle}, now
			tx.CreateInvitation(invitation)
		}
		invitation.tell(tx, author.Organization, protocol.InvitationPending)
		sent = invitationMail(author.Organization, &invitation, user)
		return nil
	})
	if err != nil {
		return protocol.NewInvitation{}, err
	}
	reply := protocol.NewInvitation{Token: invitation.Token, EmailSent: protocol.EmailSuccess}
	if mail {
		reply.EmailSent = r.mailInvitation(ctx, author, sent)
	}
	return reply, nil
}

// invitationMail returns what the claimer is told of an invitation of a user.
func invitationMail(organization parsec.OrganizationID, invitation *Invitation, by *User) InvitationMail {
	mail := InvitationMail{Organization: organization, Type: invitation.Claimer.Type, Token: invitation.Token}
	switch invitation.Claimer.Type {
	case parsec.InvitationUser:
		mail.To, mail.Greeter = invitation.Claimer.Email, by.HumanHandle
	case parsec.InvitationDevice:
		mail.To = by.HumanHandle.Email()
	case parsec.InvitationShamirRecovery:
		mail.To, mail.Greeter = invitation.ClaimerUser.HumanHandle.Email(), by.HumanHandle
	}
	return mail
}

// invitationMails bounds the e-mails about invitations: on one server, per author and
// per mailbox.
type invitationMails struct {
	byAuthor    *throttle.Keyed[mailAuthor]
	byRecipient *throttle.Keyed[string]
}

type mailAuthor struct {
	organization parsec.OrganizationID
	user         parsec3.UserID
}

const (
	// One person invites many at once, and an hour later again.
	mailsOfAuthor     = 100
	mailsOfAuthorRest = time.Hour / mailsOfAuthor
	// A mailbox is reached again when an e-mail is lost.
	mailsToRecipient     = 10
	mailsToRecipientRest = time.Hour / mailsToRecipient
	// maxMailKeys bounds those that are told apart.
	maxMailKeys = 1 << 14
)

func newInvitationMails(now func() parsec.DateTime) invitationMails {
	begin := now()
	elapsed := func() time.Duration { return now().Sub(begin) }
	return invitationMails{
		throttle.NewKeyed[mailAuthor](mailsOfAuthor, mailsOfAuthorRest, maxMailKeys, elapsed),
		throttle.NewKeyed[string](mailsToRecipient, mailsToRecipientRest, maxMailKeys, elapsed),
	}
}

// mailInvitation sends an e-mail, unless there were too many.
func (r *Rules) mailInvitation(ctx context.Context, author *Author, mail InvitationMail) protocol.EmailSent {
	tooMany := r.invitationMails.byAuthor.Take(mailAuthor{author.Organization, author.User}) > 0 ||
		r.invitationMails.byRecipient.Take(mailboxOf(mail.To)) > 0
	if tooMany {
		r.logger.WarnContext(ctx, "e-mail not sent: too many invitations in an hour, by who asks or to this address",
			"organization_id", author.Organization.String())
	}
	if tooMany || r.options.Mailer == nil {
		return protocol.EmailServerUnavailable
	}
	return r.options.Mailer.SendInvitation(ctx, mail)
}
