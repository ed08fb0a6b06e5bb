package rules

import (
	"context"
	"slices"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// Invitation is an invitation of API 2 and 3 (docs/protocol/invite.md §1).
type Invitation struct {
	Token parsec.InvitationToken
	Type  parsec.InvitationType
	// Greeter is the creator.
	Greeter parsec.UserID
	// Greeters are in order of their ids, each with a conduit: the creator, or
	// the recipients of the claimer's Shamir recovery.
	Greeters []InvitationGreeter
	// ClaimerEmail is for USER, and Claimer for SHAMIR_RECOVERY.
	ClaimerEmail string
	Claimer      parsec.UserID
	CreatedOn    parsec.DateTime
	DeletedOn    *parsec.DateTime
	// DeletedReason is "" until the invitation is deleted.
	DeletedReason protocol.InvitationDeletedReason
}

// InvitationGreeter is one whom the claimer may meet.
type InvitationGreeter struct {
	User parsec.UserID
	// Revoked and Owes are as of the reading; stores do not keep them. Owes is
	// Conduit.Owes of the claimer.
	Revoked, Owes bool
}

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

// findInvitation makes the checks of the invitation's type. It returns the
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
	tx.Emit(event.Event{Organization: organization, Body: notice.InviteStatusChanged{
		Greeters: greeters, Token: invitation.Token, Status: status,
		Owed: invitation.DeletedReason == protocol.InvitationFinished && invitation.owes(),
	}})
}

// over reports whether nobody can claim the invitation any more: revoked
// greeters never come.
func (i *Invitation) over() bool {
	return i.DeletedOn != nil || !slices.ContainsFunc(i.Greeters, func(g InvitationGreeter) bool { return !g.Revoked })
}

// deliveryTime is how long what was said before a deletion with reason FINISHED
// may be asked for (docs/protocol/invite.md §4).
const deliveryTime = time.Minute

// delivers reports whether what was said in the invitation is still delivered,
// though it is over.
func (i *Invitation) delivers(now parsec.DateTime) bool {
	return i.DeletedOn != nil && i.DeletedReason == protocol.InvitationFinished && now < i.DeletedOn.Add(deliveryTime)
}

// owes reports whether the claimer may have to ask for what a greeter said.
func (i *Invitation) owes() bool {
	return slices.ContainsFunc(i.Greeters, func(g InvitationGreeter) bool { return g.Owes })
}

// admits reports whether a claimer may come in: to claim, or only for what it
// is still owed.
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
func (r *Rules) InviteDelete(ctx context.Context, author *Author, request *protocol.InviteDeleteRequest) (*protocol.EmptyReply, error) {
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
	return &protocol.EmptyReply{}, err
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

// InvitationFacts are nil for what does not exist.
type InvitationFacts struct {
	Organization *Organization
	Invitation   *Invitation
	// Greeter is the creator of the invitation.
	Greeter *User
	// Recovery is the current setup of the invitation's Claimer.
	Recovery *Recovery
}

// PendingInvitation is an invitation as its greeter sees it.
type PendingInvitation struct {
	Invitation Invitation
	// Ready reports whether a claimer is connected.
	Ready bool
}

// InviteReader reads invitations.
type InviteReader interface {
	// Invitation reads the organization and the invitation.
	Invitation(ctx context.Context, organization parsec.OrganizationID, token parsec.InvitationToken) (InvitationFacts, error)
	// Invitations lists the invitations that have this greeter and are not
	// deleted, oldest first, with the connections present at the instant now.
	Invitations(ctx context.Context, organization parsec.OrganizationID, greeter parsec.UserID, now parsec.DateTime) ([]PendingInvitation, error)
	// LapsedPresences lists invitations, not all if they are many, that have
	// connections whose leases have ended.
	LapsedPresences(ctx context.Context, now parsec.DateTime) ([]LapsedPresence, error)
}

// InviteTx is for invitations, and who is present in them.
type InviteTx interface {
	// Invitation returns the invitation of the scope; false if there is none.
	Invitation() (*Invitation, bool)
	// PendingInvitation finds the oldest invitation that is not deleted, of
	// this type, greeter and claimer's e-mail. LockOrganization keeps others
	// from coming.
	PendingInvitation(ctx context.Context, kind parsec.InvitationType, greeter parsec.UserID, claimerEmail string) (*Invitation, bool, error)
	// Presences counts the connections present in the scope's invitation whose
	// leases last beyond now, but for one.
	Presences(ctx context.Context, now parsec.DateTime, but parsec.UUID) (uint64, error)

	// PutInvitation creates the invitation of its token, with the conduits of
	// its greeters, or replaces it; its greeters stay.
	PutInvitation(invitation Invitation)
	// AddPresence adds a connection to the scope's invitation, with a lease.
	AddPresence(connection parsec.UUID, until parsec.DateTime)
	// RemovePresence removes a connection, if it is there.
	RemovePresence(connection parsec.UUID)
	// DropPresences removes the connections of the scope's invitation whose
	// leases have ended.
	DropPresences(now parsec.DateTime)
}
