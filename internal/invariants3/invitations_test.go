//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"fmt"
	"testing"

	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

func TestOneInvitation(t *testing.T)       { everywhere(t, oneInvitation) }
func TestInvitationsEndOnce(t *testing.T)  { everywhere(t, invitationsEndOnce) }
func TestOneActiveAttempt(t *testing.T)    { everywhere(t, oneActiveAttempt) }
func TestStepsOfTheRevoked(t *testing.T)   { everywhere(t, stepsOfTheRevoked) }
func TestStepsAndInvitations(t *testing.T) { everywhere(t, stepsAndInvitations) }

// invites invites the owner of an address, and tells the token.
func (m *member) invites(instance int, email string, into *vocabulary.AccessToken) call {
	return func(ctx context.Context) error {
		reply, err := parsec3.Call(ctx, m.on[instance], protocol.InviteNewUser, &protocol.InviteNewUserRequest{ClaimerEmail: email})
		if err == nil {
			*into = reply.Token
		}
		return err
	}
}

func (m *member) cancels(instance int, token vocabulary.AccessToken) call {
	return send(m.on[instance], protocol.InviteCancel, &protocol.InviteCancelRequest{Token: token})
}

func (m *member) completes(instance int, token vocabulary.AccessToken) call {
	return send(m.on[instance], protocol.InviteComplete, &protocol.InviteCompleteRequest{Token: token})
}

// oneInvitation has administrators invite one person at once, who is sent one token.
func oneInvitation(w *world) {
	dora := w.addUser("dora", parsec.ProfileAdmin)
	for round := range rounds {
		email := fmt.Sprintf("zack%d@example.com", round)
		tokens := make([]vocabulary.AccessToken, 4)
		got := w.collide(each(len(tokens), func(i, instance int) call {
			by := []*member{w.alice, dora}[i/2]
			return by.invites(instance, email, &tokens[i])
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: len(tokens)})
		for _, token := range tokens[1:] {
			if token != tokens[0] {
				w.Fatalf("there are two invitations: %s and %s", token, tokens[0])
			}
		}
	}
}

// invitationsEndOnce has an invitation ended by several at once.
func invitationsEndOnce(w *world) {
	dora := w.addUser("dora", parsec.ProfileAdmin)
	for range rounds {
		var token vocabulary.AccessToken
		w.ok(w.alice.invites(0, "zack@example.com", &token))
		got := w.collide(w.alice.cancels(0, token), w.alice.completes(1, token), dora.cancels(1, token), dora.completes(0, token))
		accepted := 0
		for _, status := range got {
			switch status {
			case protocol.StatusOK:
				accepted++
			case protocol.StatusInvitationCompleted, protocol.StatusInvitationAlreadyCompleted,
				protocol.StatusInvitationCancelled, protocol.StatusInvitationAlreadyCancelled:
			default:
				w.Fatalf("an end is answered %s", status)
			}
		}
		if accepted != 1 {
			w.Fatalf("%d ends are accepted: %v", accepted, got)
		}
	}
}

// claimer comes by a token to an instance.
func (w *world) claimer(instance int, token vocabulary.AccessToken) *parsec3.RPC {
	return w.clients[instance].Invited(w.organization, token)
}

// startsAsGreeter and startsAsClaimer tell the attempt that they join.
func (m *member) startsAsGreeter(instance int, token vocabulary.AccessToken, into *vocabulary.GreetingAttemptID) call {
	return func(ctx context.Context) error {
		reply, err := parsec3.Call(ctx, m.on[instance], protocol.InviteGreeterStartGreetingAttempt, &protocol.InviteGreeterStartGreetingAttemptRequest{Token: token})
		if err == nil {
			*into = reply.GreetingAttempt
		}
		return err
	}
}

func (w *world) startsAsClaimer(instance int, token vocabulary.AccessToken, greeter *member, into *vocabulary.GreetingAttemptID) call {
	return func(ctx context.Context) error {
		reply, err := parsec3.Call(ctx, w.claimer(instance, token), protocol.InviteClaimerStartGreetingAttempt, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: greeter.User})
		if err == nil {
			*into = reply.GreetingAttempt
		}
		return err
	}
}

// oneActiveAttempt has both sides join at once: they meet in one attempt.
func oneActiveAttempt(w *world) {
	for round := range rounds {
		var token vocabulary.AccessToken
		var greeter, claimer vocabulary.GreetingAttemptID
		w.ok(w.alice.invites(0, fmt.Sprintf("zack%d@example.com", round), &token))
		got := w.collide(w.alice.startsAsGreeter(round%2, token, &greeter), w.startsAsClaimer(1-round%2, token, w.alice, &claimer))
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 2})
		if greeter != claimer {
			w.Fatal("the sides are in two attempts")
		}
	}
}

// saysAsClaimer and saysAsGreeter say something in the first step.
func (w *world) saysAsClaimer(instance int, token vocabulary.AccessToken, attempt vocabulary.GreetingAttemptID) call {
	return send(w.claimer(instance, token), protocol.InviteClaimerStep, &protocol.InviteClaimerStepRequest{
		GreetingAttempt: attempt, ClaimerStep: protocol.ClaimerStepOf(0, make([]byte, 32)),
	})
}

func (m *member) saysAsGreeter(instance int, attempt vocabulary.GreetingAttemptID) call {
	return send(m.on[instance], protocol.InviteGreeterStep, &protocol.InviteGreeterStepRequest{
		GreetingAttempt: attempt, GreeterStep: protocol.GreeterStepOf(0, make([]byte, 32)),
	})
}

// greets has both sides join an attempt, in which the peer of the greeter has said its
// part.
func (w *world) greets(by *member, email string) (token vocabulary.AccessToken, attempt vocabulary.GreetingAttemptID) {
	w.Helper()
	w.ok(w.alice.invites(0, email, &token))
	w.ok(by.startsAsGreeter(0, token, &attempt), w.startsAsClaimer(1, token, by, &attempt))
	w.want(protocol.StatusNotReady, w.saysAsClaimer(1, token, attempt))
	return token, attempt
}

// stepsOfTheRevoked has a greeter revoked while it says something: before, or not at
// all.
func stepsOfTheRevoked(w *world) {
	for round := range rounds {
		dora := w.addUser("dora", parsec.ProfileAdmin)
		token, attempt := w.greets(dora, fmt.Sprintf("zack%d@example.com", round))
		got := w.collide(w.alice.revokes(0, dora, anytime), dora.saysAsGreeter(1, attempt))
		if got[0] != protocol.StatusOK || got[1] != protocol.StatusOK && got[1] != revoked {
			w.Fatalf("got %v", got)
		}
		w.want(revoked, dora.saysAsGreeter(0, attempt))
		w.want(protocol.StatusGreeterRevoked, w.saysAsClaimer(0, token, attempt))
	}
}

// stepsAndInvitations has an invitation end while a greeter says something.
func stepsAndInvitations(w *world) {
	for round := range rounds {
		token, attempt := w.greets(w.alice, fmt.Sprintf("zack%d@example.com", round))
		got := w.collide(w.alice.cancels(0, token), w.alice.saysAsGreeter(1, attempt))
		if got[0] != protocol.StatusOK || got[1] != protocol.StatusOK && got[1] != protocol.StatusInvitationCancelled {
			w.Fatalf("got %v", got)
		}
		w.want(protocol.StatusInvitationCancelled, w.alice.saysAsGreeter(0, attempt))
		w.want(onHTTP(410), w.saysAsClaimer(0, token, attempt))
	}
}
