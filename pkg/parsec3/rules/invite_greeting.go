package rules

import (
	"context"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// Attempt is a greeting attempt as it is now (docs/protocol/v5/invite.md §1).
type Attempt struct {
	ID         parsec3.GreetingAttemptID
	Invitation parsec3.AccessToken
	Greeter    parsec3.UserID
	// GreeterJoined and ClaimerJoined are nil until that side has joined.
	GreeterJoined, ClaimerJoined *parsec.DateTime
	// Cancelled is nil for an attempt that is active.
	Cancelled *AttemptEnd
	// Version is one more at each change. It begins with 1.
	Version uint64
}

// AttemptEnd is how a greeting attempt was cancelled.
type AttemptEnd struct {
	Origin protocol.Side
	On     parsec.DateTime
	Reason protocol.CancelledAttemptReason
}

// GreetingSession are the attempts of a greeter with the claimer of an invitation
// (docs/protocol/v5/invite.md §1).
type GreetingSession struct {
	// Active is nil for none.
	Active *Attempt
	// Ended is how many are kept that are cancelled, and Restarts how many of them one
	// side has cancelled lately.
	Ended, Restarts int
}

// joined returns when a side has joined, nil for not yet.
func (a *Attempt) joined(side protocol.Side) *parsec.DateTime {
	if side == protocol.Greeter {
		return a.GreeterJoined
	}
	return a.ClaimerJoined
}

// Greeting is a greeting attempt with what its commands are judged by, nil for what
// does not exist.
type Greeting struct {
	// InvitedStanding has the invitation of the claimer that asks, else that of the
	// attempt.
	InvitedStanding
	Attempt *Attempt
	// Greeter is that of the attempt.
	Greeter *User
	// GreeterSaid and ClaimerSaid are what the sides have said, by the number of the
	// step. What they have not said yet is nil, or lacks at the end; both are empty
	// once the attempt is cancelled.
	GreeterSaid, ClaimerSaid [][]byte
}

// checkGreeter makes the checks 1 to 4 of the commands of a greeter on an attempt.
func (g *Greeting) checkGreeter(greeter *User) error {
	if g.Attempt == nil || g.Attempt.Greeter != greeter.ID {
		return protocol.Refuse(protocol.StatusGreetingAttemptNotFound)
	}
	of := statuses{protocol.StatusInvitationCompleted, protocol.StatusInvitationCancelled}
	if err := of.checkPending(g.Invitation); err != nil {
		return err
	}
	if !g.Invitation.greets(greeter) {
		return protocol.Refuse(protocol.StatusAuthorNotAllowed)
	}
	return nil
}

// checkClaimer makes the checks 1 to 4 of the commands of a claimer on an attempt.
func (g *Greeting) checkClaimer(now parsec.DateTime) error {
	if err := g.check(now); err != nil {
		return err
	}
	switch {
	case g.Attempt == nil || g.Attempt.Invitation != g.Invitation.Token:
		return protocol.Refuse(protocol.StatusGreetingAttemptNotFound)
	case g.Greeter.RevokedOn != nil:
		return protocol.Refuse(protocol.StatusGreeterRevoked)
	case !g.Invitation.greets(g.Greeter):
		return protocol.Refuse(protocol.StatusGreeterNotAllowed)
	default:
		return nil
	}
}

// checkActive makes the checks 5 and 6 of the commands of a side on an attempt.
func (g *Greeting) checkActive(side protocol.Side, cancelled protocol.Status) error {
	if end := g.Attempt.Cancelled; end != nil {
		return protocol.RefuseAttempt(cancelled, end.Origin, end.On, end.Reason)
	}
	if g.Attempt.joined(side) == nil {
		return protocol.Refuse(protocol.StatusGreetingAttemptNotJoined)
	}
	return nil
}

// updateInvited is update for a claimer, whose invitation rule checks.
func (r *Rules) updateInvited(ctx context.Context, invited *Invited, now parsec.DateTime, scope Scope, rule func(tx Tx) error) error {
	scope.Common = Shared
	scope.Organization, scope.Invitation = invited.Organization, &invited.Token
	return r.store.Update(ctx, scope, func(tx Tx) error {
		stored, _ := tx.Organization()
		if err := checkOpen(stored, now); err != nil {
			return err
		}
		return rule(tx)
	})
}

// InviteGreeterStartGreetingAttempt has the author join an attempt
// (docs/protocol/v5/invite.md §4).
func (r *Rules) InviteGreeterStartGreetingAttempt(ctx context.Context, author *Author, request *protocol.InviteGreeterStartGreetingAttemptRequest) (*protocol.InviteGreeterStartGreetingAttemptReply, error) {
	reply := &protocol.InviteGreeterStartGreetingAttemptReply{}
	of := statuses{protocol.StatusInvitationCompleted, protocol.StatusInvitationCancelled}
	err := r.onInvitation(ctx, author, request.Token, func(tx Tx, user *User, now parsec.DateTime) (err error) {
		invitation := tx.Greeting().Invitation
		if err := of.checkPending(invitation); err != nil {
			return err
		}
		if !invitation.greets(user) {
			return protocol.Refuse(protocol.StatusAuthorNotAllowed)
		}
		reply.GreetingAttempt, err = joining{author.Organization, request.Token, user.ID, protocol.Greeter}.join(ctx, tx, now)
		return err
	})
	return reply, err
}

// InviteClaimerStartGreetingAttempt has the claimer join an attempt with a greeter
// (docs/protocol/v5/invite.md §4).
func (r *Rules) InviteClaimerStartGreetingAttempt(ctx context.Context, invited *Invited, request *protocol.InviteClaimerStartGreetingAttemptRequest) (*protocol.InviteClaimerStartGreetingAttemptReply, error) {
	reply := &protocol.InviteClaimerStartGreetingAttemptReply{}
	now := r.now()
	err := r.updateInvited(ctx, invited, now, Scope{}, func(tx Tx) error {
		greeter, found, err := tx.User(ctx, request.Greeter)
		switch {
		case err != nil:
			return err
		case !found:
			return protocol.Refuse(protocol.StatusGreeterNotFound)
		case greeter.RevokedOn != nil:
			return protocol.Refuse(protocol.StatusGreeterRevoked)
		}
		standing := tx.Greeting().InvitedStanding
		if err := standing.check(now); err != nil {
			return err
		}
		if !standing.Invitation.greets(greeter) {
			return protocol.Refuse(protocol.StatusGreeterNotAllowed)
		}
		reply.GreetingAttempt, err = joining{invited.Organization, invited.Token, greeter.ID, protocol.Claimer}.join(ctx, tx, now)
		return err
	})
	return reply, err
}

const (
	// maxRestarts bounds the attempts of one invitation and greeter that a side ends in
	// restartPeriod, and then begins another: clients begin again 8 times by themselves.
	maxRestarts   = 32
	restartPeriod = time.Minute
	// keptAttempts are those of one invitation and greeter that have ended, and are
	// kept: of both sides in that time.
	keptAttempts = 2 * maxRestarts
)

// joining is a side that joins an attempt.
type joining struct {
	organization parsec.OrganizationID
	invitation   parsec3.AccessToken
	greeter      parsec3.UserID
	side         protocol.Side
}

// join joins the active attempt, or a new one. Who has joined it already has begun
// again: the other side finds it cancelled. TooMany is the answer to who has done so too
// often, which nobody does that means to meet the other side.
func (j joining) join(ctx context.Context, tx Tx, now parsec.DateTime) (parsec3.GreetingAttemptID, error) {
	session, err := tx.GreetingSession(ctx, j.invitation, j.greeter, j.side, now.Add(-restartPeriod))
	if err != nil {
		return parsec3.GreetingAttemptID{}, err
	}
	active := session.Active
	if active != nil && active.joined(j.side) == nil {
		tx.JoinAttempt(active.ID, j.side, now)
		emitAttemptChanged(tx, j.organization, active)
		return active.ID, nil
	}
	if session.Restarts >= maxRestarts {
		return parsec3.GreetingAttemptID{}, TooMany
	}
	if active != nil {
		tx.CancelAttempt(active.ID, AttemptEnd{j.side, now, protocol.AutomaticallyCancelled})
		emitAttemptChanged(tx, j.organization, active)
		if j.side == protocol.Claimer && active.GreeterJoined != nil {
			emitAttemptCancelled(tx, j.organization, active)
		}
	}
	created := Attempt{ID: parsec3.GreetingAttemptID(parsec.NewUUID()), Invitation: j.invitation, Greeter: j.greeter, Version: 1}
	if j.side == protocol.Greeter {
		created.GreeterJoined = &now
	} else {
		created.ClaimerJoined = &now
	}
	tx.CreateAttempt(created)
	if session.Ended >= keptAttempts {
		tx.EraseAttempts(j.invitation, j.greeter, keptAttempts)
	}
	return created.ID, nil
}

// InviteGreeterCancelGreetingAttempt ends an attempt (docs/protocol/v5/invite.md §4).
func (r *Rules) InviteGreeterCancelGreetingAttempt(ctx context.Context, author *Author, request *protocol.InviteGreeterCancelGreetingAttemptRequest) (*protocol.InviteGreeterCancelGreetingAttemptReply, error) {
	now := r.now()
	scope := Scope{Common: Shared, Attempt: &request.GreetingAttempt}
	err := r.update(ctx, author, now, scope, func(tx Tx, user *User) error {
		greeting := tx.Greeting()
		if err := greeting.checkGreeter(user); err != nil {
			return err
		}
		return greeting.cancel(tx, AttemptEnd{protocol.Greeter, now, request.Reason})
	})
	return &protocol.InviteGreeterCancelGreetingAttemptReply{}, err
}

// InviteClaimerCancelGreetingAttempt ends an attempt (docs/protocol/v5/invite.md §4).
func (r *Rules) InviteClaimerCancelGreetingAttempt(ctx context.Context, invited *Invited, request *protocol.InviteClaimerCancelGreetingAttemptRequest) (*protocol.InviteClaimerCancelGreetingAttemptReply, error) {
	now := r.now()
	err := r.updateInvited(ctx, invited, now, Scope{Attempt: &request.GreetingAttempt}, func(tx Tx) error {
		greeting := tx.Greeting()
		if err := greeting.checkClaimer(now); err != nil {
			return err
		}
		return greeting.cancel(tx, AttemptEnd{protocol.Claimer, now, request.Reason})
	})
	return &protocol.InviteClaimerCancelGreetingAttemptReply{}, err
}

// cancel ends the attempt, unless it is over or its side has not joined it. The
// greeter hears of it.
func (g *Greeting) cancel(tx Tx, end AttemptEnd) error {
	if err := g.checkActive(end.Origin, protocol.StatusGreetingAttemptAlreadyCancelled); err != nil {
		return err
	}
	tx.CancelAttempt(g.Attempt.ID, end)
	emitAttemptChanged(tx, g.Organization.ID, g.Attempt)
	emitAttemptCancelled(tx, g.Organization.ID, g.Attempt)
	return nil
}

// emitAttemptCancelled tells the greeter of an attempt.
func emitAttemptCancelled(tx Tx, organization parsec.OrganizationID, attempt *Attempt) {
	tx.Emit(event.Event{Organization: organization, Body: notice.GreetingAttemptCancelled{
		ID: notice.NewID(), Token: attempt.Invitation, Greeter: attempt.Greeter, Attempt: attempt.ID,
	}})
}

// emitAttemptChanged tells every instance of the next version of an attempt.
func emitAttemptChanged(tx Tx, organization parsec.OrganizationID, attempt *Attempt) {
	tx.Emit(event.Event{Organization: organization, Body: notice.GreetingAttemptChanged{
		Attempt: attempt.ID, Version: attempt.Version + 1,
	}})
}

// AttemptReader reads greeting attempts.
type AttemptReader interface {
	// Greeting reads an attempt, for a device of its greeter, or for the claimer with a
	// token; the other one is zero, or nil.
	Greeting(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID, token *parsec3.AccessToken, attempt parsec3.GreetingAttemptID) (Standing, Greeting, error)
	// Say stores what a side says in a step, with its events, if nothing has changed of
	// what the speech names. It returns false, and has done nothing, if something has.
	Say(ctx context.Context, speech Speech, events ...event.Event) (bool, error)
}

// Speech is what a side says in a step, as it has found the attempt.
type Speech struct {
	Organization parsec.OrganizationID
	// Expiration is that of the organization, nil for none.
	Expiration *parsec.DateTime
	// Invitation has not ended, and the user of its claimer, if there is one, is not
	// revoked. Neither is Greeter, who has the same profile, and is as frozen.
	Invitation parsec3.AccessToken
	Greeter    parsec3.UserID
	Profile    parsec.UserProfile
	Frozen     bool
	// Attempt is active and has Version.
	Attempt parsec3.GreetingAttemptID
	Version uint64

	Side protocol.Side
	Step int
	Said []byte
	// Lasts reports that no crash may take it back, as it may what both sides would say
	// again.
	Lasts bool
}

// AttemptTx is for greeting attempts, while the row of their invitation is locked.
type AttemptTx interface {
	// Greeting returns what there is of the invitation and the attempt of the scope.
	Greeting() *Greeting
	// ActiveAttempts returns those of an invitation that are not cancelled.
	ActiveAttempts(ctx context.Context, token parsec3.AccessToken) ([]Attempt, error)
	// GreetingSession returns what there is of a greeter and an invitation, with what a
	// side has ended after a date.
	GreetingSession(ctx context.Context, token parsec3.AccessToken, greeter parsec3.UserID, side protocol.Side, after parsec.DateTime) (GreetingSession, error)

	// CreateAttempt adds an attempt that nobody has said anything in.
	CreateAttempt(attempt Attempt)
	// JoinAttempt has a side join that has not yet.
	JoinAttempt(id parsec3.GreetingAttemptID, side protocol.Side, on parsec.DateTime)
	// CancelAttempt ends an attempt that is active, and drops what was said in it.
	CancelAttempt(id parsec3.GreetingAttemptID, end AttemptEnd)
	// EraseAttempts erases those of a greeter and an invitation that are cancelled, but
	// for so many of the last ones, and for the one that the greeter has joined last.
	EraseAttempts(token parsec3.AccessToken, greeter parsec3.UserID, keep int)
}
