package rules

import (
	"context"
	"slices"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// InviteNew creates an invitation, or finds the one that there is already, and
// sends it (docs/protocol/invite.md §2).
func (r *Rules) InviteNew(ctx context.Context, author *Author, request *protocol.InviteNewRequest) (*protocol.InviteNewReply, error) {
	var mail InvitationMail
	// The lock keeps two calls from creating two invitations, and users and
	// recoveries from changing meanwhile.
	err := r.update(ctx, author, Scope{LockOrganization: true}, func(tx Tx, now parsec.DateTime) error {
		user, _ := tx.Author()
		invitation, to, err := findInvitation(ctx, tx, author, user, request)
		if err != nil {
			return err
		}
		if invitation.Token == (parsec.InvitationToken{}) {
			invitation.Token, invitation.CreatedOn = parsec.InvitationToken(parsec.NewUUID()), now
			tx.PutInvitation(*invitation)
		}
		mail = invitationMail(author, user.HumanHandle, invitation, to)
		emitInvitationStatus(tx, author.Organization, invitation, parsec.InvitationIdle)
		return nil
	})
	if err != nil {
		return nil, err
	}
	reply := &protocol.InviteNewReply{Token: mail.Token, EmailSent: protocol.EmailSuccess}
	if request.SendEmail {
		reply.EmailSent = r.mail(ctx, mail)
	}
	return reply, nil
}

// findInvitation makes the checks of the invitation's type. It gives the
// pending invitation, else a new one without token, and the address of the
// claimer.
func findInvitation(ctx context.Context, tx Tx, author *Author, user *User, request *protocol.InviteNewRequest) (invitation *Invitation, to string, err error) {
	fresh := &Invitation{Type: request.Type, Greeter: author.User(), Greeters: []InvitationGreeter{{User: author.User()}}}
	switch request.Type {
	case parsec.InvitationUser:
		fresh.ClaimerEmail, to = request.ClaimerEmail, request.ClaimerEmail
		err = checkInviteUser(ctx, tx, author, request.ClaimerEmail)
	case parsec.InvitationDevice:
		to = user.HumanHandle.Email()
		if request.SendEmail && to == "" {
			err = protocol.Refuse(protocol.StatusNotAvailable, "The author has no e-mail address.")
		}
	default:
		return findRecoveryInvitation(ctx, tx, fresh, request.ClaimerUserID)
	}
	if err != nil {
		return nil, "", err
	}
	pending, found, err := tx.PendingInvitation(ctx, fresh.Type, fresh.Greeter, fresh.ClaimerEmail)
	if err != nil || found {
		return pending, to, err
	}
	return fresh, to, nil
}

func checkInviteUser(ctx context.Context, tx Tx, author *Author, email string) error {
	if err := checkAdministrator(author); err != nil {
		return err
	}
	taken, err := tx.HumanTaken(ctx, email)
	if err != nil {
		return err
	}
	if taken {
		return protocol.Refuse(protocol.StatusAlreadyMember, "An active user has this e-mail address.")
	}
	return nil
}

func invitationMail(author *Author, handle parsec.HumanHandle, invitation *Invitation, to string) InvitationMail {
	mail := InvitationMail{
		Organization: author.Organization, Type: invitation.Type, Token: invitation.Token,
		To: to, GreeterName: handle.Label(), ReplyTo: handle,
	}
	if handle == (parsec.HumanHandle{}) {
		mail.GreeterName = author.User().String()
	}
	if mail.Type == parsec.InvitationDevice {
		mail.ReplyTo = parsec.HumanHandle{}
	}
	return mail
}

func emitInvitationStatus(tx Tx, organization parsec.OrganizationID, invitation *Invitation, status parsec.InvitationStatus) {
	greeters := make([]parsec.UserID, 0, len(invitation.Greeters))
	for _, greeter := range invitation.Greeters {
		greeters = append(greeters, greeter.User)
	}
	tx.Emit(event.Event{Organization: organization, Body: event.InviteStatusChanged{
		Greeters: greeters, Token: invitation.Token, Status: status,
		Owed: invitation.DeletedReason == protocol.InvitationFinished && invitation.owes(),
	}})
}

// over tells that nobody can claim the invitation any more: revoked greeters
// never come.
func (i *Invitation) over() bool {
	return i.DeletedOn != nil || !slices.ContainsFunc(i.Greeters, func(g InvitationGreeter) bool { return !g.Revoked })
}

// deliveryTime is how long what was said before a deletion with reason FINISHED
// may be asked for (docs/protocol/invite.md §4).
const deliveryTime = time.Minute

// delivers tells that what was said in the invitation is still delivered,
// though it is over.
func (i *Invitation) delivers(now parsec.DateTime) bool {
	return i.DeletedOn != nil && i.DeletedReason == protocol.InvitationFinished && now < i.DeletedOn.Add(deliveryTime)
}

// owes tells that the claimer may have to ask for what a greeter said.
func (i *Invitation) owes() bool {
	return slices.ContainsFunc(i.Greeters, func(g InvitationGreeter) bool { return g.Owes })
}

// admits tells whether a claimer may come in: to claim, or only for what it is
// still owed.
func (i *Invitation) admits(now parsec.DateTime) bool {
	return !i.over() || i.delivers(now) && i.owes()
}

// greeter is nil for a user who is none.
func (i *Invitation) greeter(user parsec.UserID) *InvitationGreeter {
	at := slices.IndexFunc(i.Greeters, func(g InvitationGreeter) bool { return g.User == user })
	if at < 0 {
		return nil
	}
	return &i.Greeters[at]
}

// InviteDelete ends an invitation; its connections close and its waiters wake
// (docs/protocol/invite.md §2).
func (r *Rules) InviteDelete(ctx context.Context, author *Author, request *protocol.InviteDeleteRequest) (*protocol.InviteDeleteReply, error) {
	err := r.update(ctx, author, Scope{Invitation: request.Token}, func(tx Tx, now parsec.DateTime) error {
		invitation, found := tx.Invitation()
		if !found || invitation.greeter(author.User()) == nil && invitation.Claimer != author.User() {
			return errNoInvitation
		}
		if invitation.DeletedOn != nil {
			return errInvitationDeleted
		}
		endInvitation(tx, author.Organization, invitation, request.Reason, now)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &protocol.InviteDeleteReply{}, nil
}

func endInvitation(tx Tx, organization parsec.OrganizationID, invitation *Invitation, reason protocol.InvitationDeletedReason, now parsec.DateTime) {
	invitation.DeletedOn, invitation.DeletedReason = &now, reason
	tx.PutInvitation(*invitation)
	emitInvitationStatus(tx, organization, invitation, parsec.InvitationDeleted)
}

var (
	errNoInvitation      = protocol.Refuse(protocol.StatusNotFound, "No such invitation.")
	errInvitationDeleted = protocol.Refuse(protocol.StatusAlreadyDeleted, "The invitation is deleted.")
)

// InviteList lists the author's invitations (docs/protocol/invite.md §2).
func (r *Rules) InviteList(ctx context.Context, author *Author, _ *protocol.InviteListRequest) (*protocol.InviteListReply, error) {
	pending, err := r.store.Invitations(ctx, author.Organization, author.User(), r.now())
	if err != nil {
		return nil, err
	}
	reply := &protocol.InviteListReply{Invitations: make([]protocol.InvitationItem, 0, len(pending))}
	for _, p := range pending {
		if p.Invitation.Type == parsec.InvitationShamirRecovery && !parsec.ShamirRecovery.In(author.API) {
			continue // The client could not read it.
		}
		item := protocol.InvitationItem{
			Type: p.Invitation.Type, Token: p.Invitation.Token, CreatedOn: p.Invitation.CreatedOn, Status: parsec.InvitationIdle,
		}
		if p.Ready {
			item.Status = parsec.InvitationReady
		}
		switch item.Type {
		case parsec.InvitationUser:
			item.ClaimerEmail = &p.Invitation.ClaimerEmail
		case parsec.InvitationShamirRecovery:
			item.ClaimerUserID = &p.Invitation.Claimer
		}
		reply.Invitations = append(reply.Invitations, item)
	}
	return reply, nil
}

// InviteInfo describes an invitation as it was when its claimer connected
// (docs/protocol/invite.md §3).
func (r *Rules) InviteInfo(_ context.Context, invitee *Invitee, _ *protocol.InviteInfoRequest) (*protocol.InviteInfoReply, error) {
	if invitee.Type == parsec.InvitationShamirRecovery {
		return recoveryInfo(invitee.Recovery), nil
	}
	reply := &protocol.InviteInfoReply{
		Type: invitee.Type, GreeterUserID: &invitee.Greeter, GreeterHumanHandle: invitee.GreeterHumanHandle,
	}
	if invitee.Type == parsec.InvitationUser {
		reply.ClaimerEmail = &invitee.ClaimerEmail
	}
	return reply, nil
}
