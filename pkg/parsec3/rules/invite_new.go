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
	claimer := Claimer{Type: parsec.InvitationUser, Email: request.ClaimerEmail}
	invited, err := r.invite(ctx, author, request.SendEmail, Scope{Common: Shared}, func(tx Tx, user *User) (Claimer, error) {
		if err := checkAdministrator(user); err != nil {
			return claimer, err
		}
		enrolled, err := tx.IsEnrolled(ctx, claimer.Email)
		if err == nil && enrolled {
			err = protocol.Refuse(protocol.StatusClaimerEmailAlreadyEnrolled)
		}
		return claimer, err
	})
	return &protocol.InviteNewUserReply{NewInvitation: invited}, err
}

// InviteNewDevice invites the author to add a device (docs/protocol/v5/invite.md §2).
func (r *Rules) InviteNewDevice(ctx context.Context, author *Author, request *protocol.InviteNewDeviceRequest) (*protocol.InviteNewDeviceReply, error) {
	invited, err := r.invite(ctx, author, request.SendEmail, Scope{Common: Shared}, func(_ Tx, user *User) (Claimer, error) {
		return Claimer{Type: parsec.InvitationDevice, User: user.ID}, nil
	})
	return &protocol.InviteNewDeviceReply{NewInvitation: invited}, err
}

// invite finds the pending invitation of the claimer that check returns, or makes
// one: with the creation of invitations locked there is one. Everybody who may greet
// hears of it, again too, and then the e-mail is sent.
func (r *Rules) invite(ctx context.Context, author *Author, mail bool, scope Scope, check func(tx Tx, user *User) (Claimer, error)) (protocol.NewInvitation, error) {
	now := r.now()
	scope.Invitations = Exclusive
	var invitation Invitation
	var sent InvitationMail
	err := r.update(ctx, author, now, scope, func(tx Tx, user *User) error {
		claimer, err := check(tx, user)
		if err != nil {
			return err
		}
		pending, err := tx.PendingInvitations(ctx, claimer)
		if err != nil {
			return err
		}
		if len(pending) > 0 {
			invitation = pending[0]
		} else {
			invitation = Invitation{
				Token: parsec3.NewAccessToken(), CreatedBy: Person{user.ID, user.HumanHandle}, CreatedOn: now, Claimer: claimer,
			}
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
		r.invitationMails.byRecipient.Take(parsec3.Mailbox(mail.To)) > 0
	if tooMany || r.options.Mailer == nil {
		return protocol.EmailServerUnavailable
	}
	return r.options.Mailer.SendInvitation(ctx, mail)
}
