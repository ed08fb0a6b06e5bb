package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"

	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// attempt is the state of a greeting attempt.
type attempt struct {
	facts rules.Attempt
	// greeterSaid and claimerSaid are those of rules.Greeting, which share them.
	greeterSaid, claimerSaid [][]byte
}

func copyAttempt(of rules.Attempt) rules.Attempt {
	of.GreeterJoined, of.ClaimerJoined = organizationstore.CopyOf(of.GreeterJoined), organizationstore.CopyOf(of.ClaimerJoined)
	of.Cancelled = organizationstore.CopyOf(of.Cancelled)
	return of
}

// joined returns where the date is that a side has joined.
func joined(of *rules.Attempt, side protocol.Side) **parsec.DateTime {
	if side == protocol.Greeter {
		return &of.GreeterJoined
	}
	return &of.ClaimerJoined
}

// lastJoined returns when a greeter has last joined an attempt of an invitation.
func (o *organization) lastJoined(token parsec3.AccessToken, greeter parsec3.UserID) (last *parsec.DateTime) {
	for _, attempt := range o.attempts {
		of := &attempt.facts
		if of.Invitation == token && of.Greeter == greeter && of.GreeterJoined != nil && (last == nil || *last < *of.GreeterJoined) {
			last = organizationstore.CopyOf(of.GreeterJoined)
		}
	}
	return last
}

// greeting returns copies of what there is of an attempt, nil for none, and of the
// invitation with a token, nil for that of the attempt.
func (o *organization) greeting(token *parsec3.AccessToken, id *parsec3.GreetingAttemptID) (g rules.Greeting) {
	g.Organization = o.Organization()
	if id != nil && o.attempts[*id] != nil {
		stored := o.attempts[*id]
		g.Attempt = new(copyAttempt(stored.facts))
		g.Greeter, _ = o.copyUser(stored.facts.Greeter)
		g.GreeterSaid, g.ClaimerSaid = slices.Clone(stored.greeterSaid), slices.Clone(stored.claimerSaid)
		if token == nil {
			token = &stored.facts.Invitation
		}
	}
	if token != nil {
		g.Invitation = o.copyInvitation(*token)
	}
	return g
}

// Greeting implements rules.AttemptReader.
func (s *Store) Greeting(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID, token *parsec3.AccessToken, attempt parsec3.GreetingAttemptID) (rules.Standing, rules.Greeting, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	return o.standing(device), o.greeting(token, &attempt), err
}

var errChanged = errors.New("the attempt has changed")

// Say implements rules.AttemptReader.
func (s *Store) Say(ctx context.Context, speech rules.Speech, events ...event.Event) (bool, error) {
	err := s.Store.Update(ctx, speech.Organization, func(under *organizationstore.Tx) error {
		o := stateOf(under.Cell)
		of, found := o.attempts[speech.Attempt]
		if !found || !o.holds(of, &speech) {
			return errChanged
		}
		t := begin(under, rules.Scope{Organization: speech.Organization})
		t.Queue("Say", true, func() { of.say(speech.Side, speech.Step, bytes.Clone(speech.Said)) })
		for _, e := range events {
			t.Emit(e)
		}
		return nil
	})
	if errors.Is(err, errChanged) {
		return false, nil
	}
	return err == nil, err
}

// holds reports whether an attempt is as a speech says.
func (o *organization) holds(of *attempt, speech *rules.Speech) bool {
	greeter, known := o.users[speech.Greeter]
	invitation, invited := o.invitations[speech.Invitation]
	if !known || !invited {
		return false
	}
	if claimer, hasUser := o.users[invitation.Claimer.User]; hasUser && claimer.facts.RevokedOn != nil {
		return false
	}
	return parsec.Same(o.Organization().ExpirationDate, speech.Expiration) &&
		greeter.facts.RevokedOn == nil && greeter.facts.Profile == speech.Profile && greeter.facts.Frozen == speech.Frozen &&
		invitation.End == nil && of.facts.Invitation == speech.Invitation &&
		of.facts.Cancelled == nil && of.facts.Version == speech.Version
}

func (a *attempt) say(side protocol.Side, step int, said []byte) {
	of := &a.claimerSaid
	if side == protocol.Greeter {
		of = &a.greeterSaid
	}
	list := make([][]byte, max(len(*of), step+1))
	copy(list, *of)
	list[step] = said
	*of = list
	a.facts.Version++
}

// Greeting implements rules.AttemptTx.
func (t *tx) Greeting() *rules.Greeting {
	return new(t.organization.greeting(t.scope.Invitation, t.scope.Attempt))
}

// ActiveAttempts implements rules.AttemptTx. It scans them all.
func (t *tx) ActiveAttempts(_ context.Context, token parsec3.AccessToken) (active []rules.Attempt, err error) {
	for _, attempt := range t.organization.attempts {
		if attempt.facts.Invitation == token && attempt.facts.Cancelled == nil {
			active = append(active, copyAttempt(attempt.facts))
		}
	}
	return active, nil
}

// GreetingSession implements rules.AttemptTx. It scans the attempts.
func (t *tx) GreetingSession(_ context.Context, token parsec3.AccessToken, greeter parsec3.UserID, side protocol.Side, after parsec.DateTime) (session rules.GreetingSession, err error) {
	for _, attempt := range t.organization.attempts {
		of := attempt.facts
		switch {
		case of.Invitation != token || of.Greeter != greeter:
		case of.Cancelled == nil:
			session.Active = new(copyAttempt(of))
		default:
			session.Ended++
			if of.Cancelled.Origin == side && of.Cancelled.On > after {
				session.Restarts++
			}
		}
	}
	return session, nil
}

// EraseAttempts implements rules.AttemptTx.
func (t *tx) EraseAttempts(token parsec3.AccessToken, greeter parsec3.UserID, keep int) {
	t.Queue("EraseAttempts", t.holdsInvitation(token), func() {
		var ended []*attempt
		for _, attempt := range t.organization.attempts {
			if of := &attempt.facts; of.Invitation == token && of.Greeter == greeter && of.Cancelled != nil {
				ended = append(ended, attempt)
			}
		}
		slices.SortFunc(ended, func(a, b *attempt) int { return cmp.Compare(b.facts.Cancelled.On, a.facts.Cancelled.On) })
		last := t.organization.lastJoined(token, greeter)
		for _, attempt := range ended[min(keep, len(ended)):] {
			if joined := attempt.facts.GreeterJoined; joined == nil || *joined != *last {
				delete(t.organization.attempts, attempt.facts.ID)
			}
		}
	})
}

// CreateAttempt implements rules.AttemptTx.
func (t *tx) CreateAttempt(created rules.Attempt) {
	_, exists := t.organization.attempts[created.ID]
	possible := !exists && created.Cancelled == nil && t.holdsInvitation(created.Invitation)
	t.Queue("CreateAttempt", possible, func() { t.organization.attempts[created.ID] = &attempt{facts: copyAttempt(created)} })
}

// JoinAttempt implements rules.AttemptTx.
func (t *tx) JoinAttempt(id parsec3.GreetingAttemptID, side protocol.Side, on parsec.DateTime) {
	of := t.activeAttempt(id)
	t.Queue("JoinAttempt", of != nil && *joined(&of.facts, side) == nil, func() {
		*joined(&of.facts, side) = &on
		of.facts.Version++
	})
}

// CancelAttempt implements rules.AttemptTx.
func (t *tx) CancelAttempt(id parsec3.GreetingAttemptID, end rules.AttemptEnd) {
	of := t.activeAttempt(id)
	t.Queue("CancelAttempt", of != nil, func() {
		of.facts.Cancelled = &end
		of.facts.Version++
		of.greeterSaid, of.claimerSaid = nil, nil
	})
}

// activeAttempt returns an attempt that the transaction may change, nil for none.
func (t *tx) activeAttempt(id parsec3.GreetingAttemptID) *attempt {
	of, found := t.organization.attempts[id]
	if !found || of.facts.Cancelled != nil || !t.holdsInvitation(of.facts.Invitation) {
		return nil
	}
	return of
}
