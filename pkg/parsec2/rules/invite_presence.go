package rules

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// Whether a claimer is connected is known to every instance by leases in the
// store, one a connection (docs/protocol/invite.md §5, Improve). Those of an
// instance that dies end by themselves.
const (
	// presenceLease is how long a lease lasts; it must be renewed before.
	presenceLease = time.Minute
	// leaveLimit bounds how long the end of a connection waits for the store.
	leaveLimit = 10 * time.Second
)

// join opens the presence of a claimer, once its invitation is checked.
func (r *Rules) join(ctx context.Context, session *Session, invitee Invitee) (expiration *parsec.DateTime, err error) {
	now := r.now()
	facts, err := r.Invitation(ctx, invitee.Organization, invitee.Token)
	if err != nil {
		return nil, err
	}
	if facts.Invitation.Type != invitee.Type {
		return nil, OtherInvitationType
	}
	session.Invitee = facts.Invitee(invitee.API)
	session.watchGreeter()
	connection := parsec.NewUUID()
	var over *Invitation
	err = r.store.Update(ctx, Scope{Organization: invitee.Organization, Invitation: invitee.Token}, func(tx Tx) error {
		invitation, found := tx.Invitation()
		switch {
		case !found:
			return UnknownInvitation
		case !invitation.admits(now):
			return DeletedInvitation
		case invitation.over():
			over = invitation
			return nil // The greeter is told of nobody any more.
		}
		tx.AddPresence(connection, now.Add(presenceLease))
		emitInvitationStatus(tx, invitee.Organization, invitation, parsec.InvitationReady)
		return nil
	})
	if err != nil {
		return nil, err
	}
	session.Invitee.Connection = connection
	if over != nil {
		session.Invitee.OwedOnly = true
		session.mu.Lock()
		session.finish(over.DeletedOn.Add(deliveryTime).Sub(now))
		session.mu.Unlock()
		return facts.Organization.ExpirationDate, nil
	}
	session.presence = connection
	r.presencesMu.Lock()
	r.presences[connection] = struct{}{}
	r.presencesMu.Unlock()
	return facts.Organization.ExpirationDate, nil
}

// leave ends the presence of a claimer. If the store fails, its lease ends.
func (r *Rules) leave(invitee Invitee, connection parsec.UUID) {
	r.presencesMu.Lock()
	delete(r.presences, connection)
	r.presencesMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	if err := r.endPresences(ctx, LapsedPresence{invitee.Organization, invitee.Token}, connection); err != nil {
		level := slog.LevelWarn
		if errors.Is(err, outage.ErrUnavailable) {
			level = slog.LevelDebug // the outage has a line of its own
		}
		r.logger.Log(ctx, level, "the end of a claimer's connection is not stored", slog.Any("error", err))
	}
}

// endPresences removes a connection, zero for none, and those whose leases
// have ended. The greeter is told when none is left, unless the invitation is
// over.
func (r *Rules) endPresences(ctx context.Context, of LapsedPresence, connection parsec.UUID) error {
	now := r.now()
	return r.store.Update(ctx, Scope{Organization: of.Organization, Invitation: of.Token}, func(tx Tx) error {
		invitation, found := tx.Invitation()
		if !found {
			return nil
		}
		present, err := tx.Presences(ctx, now, connection)
		if err != nil {
			return err
		}
		tx.RemovePresence(connection)
		tx.DropPresences(now)
		if present == 0 && !invitation.over() {
			emitInvitationStatus(tx, of.Organization, invitation, parsec.InvitationIdle)
		}
		return nil
	})
}

// RenewPresences is to be called several times a minute: it renews the leases
// of the claimers connected here, ends those that other instances left, and
// forgets what was said in invitations that are over.
func (r *Rules) RenewPresences(ctx context.Context) error {
	now := r.now()
	r.presencesMu.Lock()
	connections := make([]parsec.UUID, 0, len(r.presences))
	for connection := range r.presences {
		connections = append(connections, connection)
	}
	r.presencesMu.Unlock()
	if len(connections) > 0 {
		if err := r.store.RenewPresences(ctx, connections, now.Add(presenceLease)); err != nil {
			return err
		}
	}
	if err := r.store.ForgetConduits(ctx, now.Add(-deliveryTime)); err != nil {
		return err
	}
	lapsed, err := r.store.LapsedPresences(ctx, now)
	if err != nil {
		return err
	}
	for _, of := range lapsed {
		if err := r.endPresences(ctx, of, parsec.UUID{}); err != nil {
			return err
		}
	}
	return nil
}

// LapsedPresence names an invitation.
type LapsedPresence struct {
	Organization parsec.OrganizationID
	Token        parsec.InvitationToken
}

// Presences are the connections of claimers to their invitations.
type Presences interface {
	// RenewPresences moves the leases of connections to until.
	RenewPresences(ctx context.Context, connections []parsec.UUID, until parsec.DateTime) error
}
