package backend

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
)

// InviteNew creates an invitation, or finds the one that the author has made
// already, and sends it (docs/protocol/invite.md §2).
func (b *Backend) InviteNew(ctx context.Context, author *Author, request *protocol.InviteNewRequest) (*protocol.InviteNewReply, error) {
	var token parsec.InvitationToken
	var handle parsec.HumanHandle
	// The lock keeps two calls from creating two invitations, and a user from
	// being created meanwhile.
	err := b.update(ctx, author, Scope{LockOrganization: true}, func(tx Tx, now parsec.DateTime) error {
		user, _ := tx.Author()
		handle = user.HumanHandle
		if err := checkInviteNew(ctx, tx, author, handle, request); err != nil {
			return err
		}
		invitation, found, err := tx.PendingInvitation(ctx, request.Type, author.User(), request.ClaimerEmail)
		if err != nil {
			return err
		}
		if !found {
			invitation = &Invitation{
				Token: parsec.InvitationToken(parsec.NewUUID()), Type: request.Type, Greeter: author.User(),
				ClaimerEmail: request.ClaimerEmail, CreatedOn: now,
			}
			tx.PutInvitation(*invitation)
		}
		token = invitation.Token
		emitInvitationStatus(tx, author.Organization, invitation, parsec.InvitationIdle)
		return nil
	})
	if err != nil {
		return nil, err
	}
	reply := &protocol.InviteNewReply{Token: token, EmailSent: protocol.EmailSuccess}
	if request.SendEmail {
		reply.EmailSent = b.mail(ctx, invitationMail(author, handle, request, token))
	}
	return reply, nil
}

func checkInviteNew(ctx context.Context, tx Tx, author *Author, handle parsec.HumanHandle, request *protocol.InviteNewRequest) error {
	switch request.Type {
	case parsec.InvitationUser:
		if err := checkAdministrator(author); err != nil {
			return err
		}
		taken, err := tx.HumanTaken(ctx, request.ClaimerEmail)
		if err != nil {
			return err
		}
		if taken {
			return protocol.Refuse(protocol.StatusAlreadyMember, "An active user has this e-mail address.")
		}
	case parsec.InvitationDevice:
		if request.SendEmail && handle == (parsec.HumanHandle{}) {
			return protocol.Refuse(protocol.StatusNotAvailable, "The author has no e-mail address.")
		}
	default:
		return protocol.Refuse(protocol.StatusShamirNotSetup, "The claimer has no Shamir recovery.")
	}
	return nil
}

func invitationMail(author *Author, handle parsec.HumanHandle, request *protocol.InviteNewRequest, token parsec.InvitationToken) InvitationMail {
	mail := InvitationMail{
		Organization: author.Organization, Type: request.Type, Token: token,
		To: request.ClaimerEmail, GreeterName: handle.Label(), ReplyTo: handle,
	}
	if handle == (parsec.HumanHandle{}) {
		mail.GreeterName = author.User().String()
	}
	if request.Type == parsec.InvitationDevice {
		mail.To, mail.ReplyTo = handle.Email(), parsec.HumanHandle{}
	}
	return mail
}

func emitInvitationStatus(tx Tx, organization parsec.OrganizationID, invitation *Invitation, status parsec.InvitationStatus) {
	tx.Emit(event.Event{Organization: organization, Body: event.InviteStatusChanged{
		Greeters: []parsec.UserID{invitation.Greeter}, Token: invitation.Token, Status: status,
	}})
}

// InviteDelete ends an invitation; its connections close and its waiters wake
// (docs/protocol/invite.md §2).
func (b *Backend) InviteDelete(ctx context.Context, author *Author, request *protocol.InviteDeleteRequest) (*protocol.InviteDeleteReply, error) {
	err := b.update(ctx, author, Scope{Invitation: request.Token}, func(tx Tx, now parsec.DateTime) error {
		invitation, found := tx.Invitation()
		if !found || invitation.Greeter != author.User() {
			return errNoInvitation
		}
		if invitation.DeletedOn != nil {
			return errInvitationDeleted
		}
		invitation.DeletedOn, invitation.DeletedReason = &now, request.Reason
		tx.PutInvitation(*invitation)
		emitInvitationStatus(tx, author.Organization, invitation, parsec.InvitationDeleted)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &protocol.InviteDeleteReply{}, nil
}

var (
	errNoInvitation      = protocol.Refuse(protocol.StatusNotFound, "No such invitation.")
	errInvitationDeleted = protocol.Refuse(protocol.StatusAlreadyDeleted, "The invitation is deleted.")
)

// InviteList lists the author's invitations (docs/protocol/invite.md §2).
func (b *Backend) InviteList(ctx context.Context, author *Author, _ *protocol.InviteListRequest) (*protocol.InviteListReply, error) {
	pending, err := b.store.Invitations(ctx, author.Organization, author.User(), b.now())
	if err != nil {
		return nil, err
	}
	reply := &protocol.InviteListReply{Invitations: make([]protocol.InvitationItem, 0, len(pending))}
	for _, p := range pending {
		item := protocol.InvitationItem{
			Type: p.Invitation.Type, Token: p.Invitation.Token, CreatedOn: p.Invitation.CreatedOn, Status: parsec.InvitationIdle,
		}
		if p.Ready {
			item.Status = parsec.InvitationReady
		}
		if item.Type == parsec.InvitationUser {
			item.ClaimerEmail = &p.Invitation.ClaimerEmail
		}
		reply.Invitations = append(reply.Invitations, item)
	}
	return reply, nil
}

// InviteInfo describes an invitation as it was when its claimer connected
// (docs/protocol/invite.md §3).
func (b *Backend) InviteInfo(_ context.Context, invitee *Invitee, _ *protocol.InviteInfoRequest) (*protocol.InviteInfoReply, error) {
	reply := &protocol.InviteInfoReply{
		Type: invitee.Type, GreeterUserID: invitee.Greeter, GreeterHumanHandle: invitee.GreeterHumanHandle,
	}
	if invitee.Type == parsec.InvitationUser {
		reply.ClaimerEmail = &invitee.ClaimerEmail
	}
	return reply, nil
}
