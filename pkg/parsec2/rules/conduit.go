package rules

import (
	"context"
	"errors"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// party is a side that sends commands to a conduit.
type party struct {
	organization parsec.OrganizationID
	key          ConduitKey
	side         Side
	connection   parsec.UUID
	// author is nil on the claimer's side.
	author *Author
}

func greeter(author *Author, token parsec.InvitationToken) party {
	return party{author.Organization, ConduitKey{token, author.User()}, GreeterSide, author.Connection, author}
}

// claimer returns the side of an invitee: the greeter is the one that it names,
// else the only one.
func claimer(invitee *Invitee, request protocol.ClaimerRequest) party {
	key := ConduitKey{Token: invitee.Token}
	if invitee.Type != parsec.InvitationShamirRecovery {
		key.Greeter = invitee.Greeter
	}
	if request.GreeterUserID != (parsec.UserID{}) {
		key.Greeter = request.GreeterUserID
	}
	return party{invitee.Organization, key, ClaimerSide, invitee.Connection, nil}
}

// check returns why a party may not go on. A reason that has no status ends its
// connection (docs/protocol/invite.md §4, "Deleted invitation").
func (p *party) check(facts InvitationFacts, now parsec.DateTime) error {
	invitation := facts.Invitation
	var greeter *InvitationGreeter
	if invitation != nil {
		greeter = invitation.greeter(p.key.Greeter)
	}
	if facts.Organization == nil || facts.Organization.Expired(now) {
		if p.side == ClaimerSide {
			return OrganizationExpired
		}
		return ErrSessionOver
	}
	switch {
	case greeter == nil:
		return errNoInvitation
	case greeter.Revoked && p.side == GreeterSide:
		return ErrSessionOver
	case invitation.over():
		return p.deleted()
	case greeter.Revoked: // Others may come.
		return errNoInvitation
	default:
		return nil
	}
}

// deleted returns what a party gets of an invitation that is over.
func (p *party) deleted() error {
	if p.side == ClaimerSide {
		return DeletedInvitation
	}
	return errInvitationDeleted
}

// owed reports whether err, of check, still leaves the party what was said
// before (docs/protocol/invite.md §4, the paragraph on FINISHED).
func (p *party) owed(err error, facts InvitationFacts, now parsec.DateTime) bool {
	return errors.Is(err, p.deleted()) && facts.Invitation.delivers(now)
}

// exchange is one exchange of a conduit: it returns what the peer says. It waits
// for the peer until ctx is done (docs/protocol/invite.md §4).
func (r *Rules) exchange(ctx context.Context, p party, wanted ConduitState, payload []byte) ([]byte, error) {
	if payload == nil {
		payload = []byte{}
	}
	// What wakes is watched before talking, so that nothing is missed.
	changed := make(chan struct{}, 1)
	subscription := r.bus.Subscribe(func(e event.Event) {
		if !p.concerns(e.Body) {
			return
		}
		select {
		case changed <- struct{}{}:
		default: // It will look anyway.
		}
	}, notice.InvitationTopic(p.organization, p.key.Token), notice.UserTopic(p.organization, p.key.Greeter), event.OrganizationTopic(p.organization))
	defer subscription.Close()

	heard, exchange, err := r.talk(ctx, p, wanted, payload)
	for heard == nil && err == nil {
		select {
		case <-changed:
			heard, err = r.listen(ctx, p, exchange)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return heard, err
}

// concerns reports whether an event may end a wait.
func (p *party) concerns(body event.Body) bool {
	switch body := body.(type) {
	case notice.InviteConduitUpdated:
		return body.Greeter == p.key.Greeter
	case notice.InviteStatusChanged:
		return body.Token == p.key.Token && body.Status == parsec.InvitationDeleted
	case notice.UserRevoked, event.OrganizationExpiration, event.Lost:
		return true
	default:
		return false
	}
}

// talk runs the first phase. heard is nil if the peer has to come, in the
// exchange given.
func (r *Rules) talk(ctx context.Context, p party, wanted ConduitState, payload []byte) (heard []byte, exchange uint64, err error) {
	scope := Scope{Organization: p.organization, Invitation: p.key.Token, Greeter: p.key.Greeter}
	rule := func(tx Tx, now parsec.DateTime) error {
		organization, _ := tx.Organization()
		invitation, _ := tx.Invitation()
		facts := InvitationFacts{Organization: organization, Invitation: invitation}
		over := p.check(facts, now)
		if over != nil && !p.owed(over, facts, now) {
			return over
		}
		conduit, found := tx.Conduit()
		if !found {
			return errNoInvitation
		}
		if over != nil {
			if heard = conduit.again(p.side, wanted, payload); heard == nil {
				return over
			}
			conduit.Halves[p.side].take(p.connection)
			tx.PutConduit(*conduit)
			return nil
		}
		before := conduit.Exchange
		var err error
		if heard, err = conduit.talk(p.side, wanted, payload, p.connection); err != nil {
			return err
		}
		exchange = conduit.Exchange
		tx.PutConduit(*conduit)
		if exchange != before {
			tx.Emit(event.Event{Organization: p.organization, Body: notice.InviteConduitUpdated{Token: p.key.Token, Greeter: p.key.Greeter}})
		}
		return nil
	}
	if p.author != nil {
		err = r.update(ctx, p.author, scope, rule)
	} else {
		now := r.now()
		err = r.store.Update(ctx, scope, func(tx Tx) error { return rule(tx, now) })
	}
	return heard, exchange, err
}

// listen runs the second phase, of the side that spoke first.
func (r *Rules) listen(ctx context.Context, p party, exchange uint64) ([]byte, error) {
	facts, err := r.store.TakeHeard(ctx, p.organization, p.key, p.side, exchange)
	if err != nil {
		return nil, err
	}
	now := r.now()
	over := p.check(facts.InvitationFacts, now)
	if over != nil && !p.owed(over, facts.InvitationFacts, now) {
		return nil, over
	}
	if facts.Conduit == nil {
		return nil, errNoInvitation
	}
	heard, err := facts.Conduit.listen(p.side, exchange)
	if heard == nil && over != nil {
		return nil, over
	}
	return heard, err
}

// exchangeKey runs the exchange of public keys.
func (r *Rules) exchangeKey(ctx context.Context, p party, key parsec.PublicKey) (peer parsec.PublicKey, err error) {
	heard, err := r.exchange(ctx, p, ConduitWaitPeers, key[:])
	copy(peer[:], heard)
	return peer, err
}

// Invite1GreeterWaitPeer begins, or begins again.
func (r *Rules) Invite1GreeterWaitPeer(ctx context.Context, author *Author, request *protocol.Invite1GreeterWaitPeerRequest) (*protocol.Invite1GreeterWaitPeerReply, error) {
	key, err := r.exchangeKey(ctx, greeter(author, request.Token), request.GreeterPublicKey)
	return &protocol.Invite1GreeterWaitPeerReply{ClaimerPublicKey: key}, err
}

// Invite1ClaimerWaitPeer begins, or begins again.
func (r *Rules) Invite1ClaimerWaitPeer(ctx context.Context, invitee *Invitee, request *protocol.Invite1ClaimerWaitPeerRequest) (*protocol.Invite1ClaimerWaitPeerReply, error) {
	key, err := r.exchangeKey(ctx, claimer(invitee, request.ClaimerRequest), request.ClaimerPublicKey)
	return &protocol.Invite1ClaimerWaitPeerReply{GreeterPublicKey: key}, err
}

// Invite2aGreeterGetHashedNonce waits for the claimer's commitment.
func (r *Rules) Invite2aGreeterGetHashedNonce(ctx context.Context, author *Author, request *protocol.Invite2aGreeterGetHashedNonceRequest) (*protocol.Invite2aGreeterGetHashedNonceReply, error) {
	heard, err := r.exchange(ctx, greeter(author, request.Token), ConduitClaimerHashedNonce, nil)
	return &protocol.Invite2aGreeterGetHashedNonceReply{ClaimerHashedNonce: heard}, err
}

// hashedNonceBytes is the length that both peers read, with parsec.HashedNonces.
const hashedNonceBytes = 32

// Invite2aClaimerSendHashedNonce commits, then waits for the greeter's nonce.
func (r *Rules) Invite2aClaimerSendHashedNonce(ctx context.Context, invitee *Invitee, request *protocol.Invite2aClaimerSendHashedNonceRequest) (*protocol.Invite2aClaimerSendHashedNonceReply, error) {
	if parsec.HashedNonces.In(invitee.API) && len(request.ClaimerHashedNonce) != hashedNonceBytes {
		return nil, protocol.Refuse(protocol.StatusBadMessage, "claimer_hashed_nonce: must have 32 bytes")
	}
	p := claimer(invitee, request.ClaimerRequest)
	if _, err := r.exchange(ctx, p, ConduitClaimerHashedNonce, request.ClaimerHashedNonce); err != nil {
		return nil, err
	}
	heard, err := r.exchange(ctx, p, ConduitGreeterNonce, nil)
	return &protocol.Invite2aClaimerSendHashedNonceReply{GreeterNonce: heard}, err
}

// Invite2bGreeterSendNonce sends a nonce, then waits for the claimer's.
func (r *Rules) Invite2bGreeterSendNonce(ctx context.Context, author *Author, request *protocol.Invite2bGreeterSendNonceRequest) (*protocol.Invite2bGreeterSendNonceReply, error) {
	p := greeter(author, request.Token)
	if _, err := r.exchange(ctx, p, ConduitGreeterNonce, request.GreeterNonce); err != nil {
		return nil, err
	}
	heard, err := r.exchange(ctx, p, ConduitClaimerNonce, nil)
	return &protocol.Invite2bGreeterSendNonceReply{ClaimerNonce: heard}, err
}

// Invite2bClaimerSendNonce reveals the nonce.
func (r *Rules) Invite2bClaimerSendNonce(ctx context.Context, invitee *Invitee, request *protocol.Invite2bClaimerSendNonceRequest) (*protocol.EmptyReply, error) {
	_, err := r.exchange(ctx, claimer(invitee, request.ClaimerRequest), ConduitClaimerNonce, request.ClaimerNonce)
	return &protocol.EmptyReply{}, err
}

// Invite3aGreeterWaitPeerTrust waits until the claimer trusts.
func (r *Rules) Invite3aGreeterWaitPeerTrust(ctx context.Context, author *Author, request *protocol.Invite3aGreeterWaitPeerTrustRequest) (*protocol.EmptyReply, error) {
	_, err := r.exchange(ctx, greeter(author, request.Token), ConduitClaimerTrust, nil)
	return &protocol.EmptyReply{}, err
}

// Invite3aClaimerSignifyTrust trusts the greeter.
func (r *Rules) Invite3aClaimerSignifyTrust(ctx context.Context, invitee *Invitee, request *protocol.Invite3aClaimerSignifyTrustRequest) (*protocol.EmptyReply, error) {
	_, err := r.exchange(ctx, claimer(invitee, request.ClaimerRequest), ConduitClaimerTrust, nil)
	return &protocol.EmptyReply{}, err
}

// Invite3bGreeterSignifyTrust trusts the claimer.
func (r *Rules) Invite3bGreeterSignifyTrust(ctx context.Context, author *Author, request *protocol.Invite3bGreeterSignifyTrustRequest) (*protocol.EmptyReply, error) {
	_, err := r.exchange(ctx, greeter(author, request.Token), ConduitGreeterTrust, nil)
	return &protocol.EmptyReply{}, err
}

// Invite3bClaimerWaitPeerTrust waits until the greeter trusts.
func (r *Rules) Invite3bClaimerWaitPeerTrust(ctx context.Context, invitee *Invitee, request *protocol.Invite3bClaimerWaitPeerTrustRequest) (*protocol.EmptyReply, error) {
	_, err := r.exchange(ctx, claimer(invitee, request.ClaimerRequest), ConduitGreeterTrust, nil)
	return &protocol.EmptyReply{}, err
}

// Invite4GreeterCommunicate exchanges payloads, as often as wanted.
func (r *Rules) Invite4GreeterCommunicate(ctx context.Context, author *Author, request *protocol.Invite4GreeterCommunicateRequest) (*protocol.InviteCommunicateReply, error) {
	heard, err := r.exchange(ctx, greeter(author, request.Token), ConduitCommunicate, request.Payload)
	return &protocol.InviteCommunicateReply{Payload: heard}, err
}

// Invite4ClaimerCommunicate exchanges payloads, as often as wanted.
func (r *Rules) Invite4ClaimerCommunicate(ctx context.Context, invitee *Invitee, request *protocol.Invite4ClaimerCommunicateRequest) (*protocol.InviteCommunicateReply, error) {
	heard, err := r.exchange(ctx, claimer(invitee, request.ClaimerRequest), ConduitCommunicate, request.Payload)
	return &protocol.InviteCommunicateReply{Payload: heard}, err
}

// ConduitFacts are nil for what does not exist.
type ConduitFacts struct {
	InvitationFacts
	Conduit *Conduit
}

// Conduits are the steps of conduits that need no transaction.
type Conduits interface {
	// TakeHeard reads what a side of a conduit waits for and, when the exchange
	// that it waits in has ended, makes the half's Heard its Taken. It returns
	// the facts as they were before. It is one step.
	TakeHeard(ctx context.Context, organization parsec.OrganizationID, key ConduitKey, side Side, exchange uint64) (ConduitFacts, error)
	// ForgetConduits clears what the conduits hold of the invitations deleted at
	// the date or before.
	ForgetConduits(ctx context.Context, deleted parsec.DateTime) error
}

// ConduitTx is for conduits.
type ConduitTx interface {
	// Conduit returns the conduit of the scope's invitation and greeter; false
	// if there is none.
	Conduit() (*Conduit, bool)
	// PutConduit replaces the conduit of the scope.
	PutConduit(conduit Conduit)
	// MarkReceived sets Received in the conduits of the scope's invitation where
	// the claimer spoke last through the connection.
	MarkReceived(connection parsec.UUID)
}
