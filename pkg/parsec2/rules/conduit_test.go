package rules_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// pair is a greeter and a claimer of one invitation, each on rules of its
// own over one store.
type pair struct {
	*fixture
	greeter *rules.Author
	invitee *rules.Invitee
	token   parsec.InvitationToken
	sides   [2]*rules.Rules
	// to is the greeter that the claimer names, zero for none.
	to parsec.UserID
}

func newPair(t testing.TB) *pair {
	f := newFixture(t)
	return f.pair()
}

func (f *fixture) pair() *pair {
	f.t.Helper()
	remote := rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{})
	p := &pair{fixture: f, greeter: f.alice(), token: f.inviteNew(f.alice(), forDevice()), sides: [2]*rules.Rules{f.Rules, remote}}
	facts, err := remote.Invitation(f.t.Context(), acme, p.token)
	f.ok(facts, err)
	invitee := facts.Invitee(latest)
	p.invitee = &invitee
	return p
}

// step is one command of the conduit, by its number and its side.
type step struct {
	number int // of steps
	side   rules.Side
}

// steps are the commands in order; the first half of each name.
var steps = []string{"1", "2a", "2b", "3a", "3b", "4"}

func nonce(text string) []byte { return []byte(fmt.Sprintf("%-32s", text)) }

// outcome is what a command gave.
type outcome struct {
	heard string
	err   error
}

// begin sends a command that says said, and returns its outcome when it comes.
func (p *pair) begin(ctx context.Context, s step, said string) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		heard, err := p.run(ctx, s, said)
		done <- outcome{heard, err}
	}()
	return done
}

func (p *pair) run(ctx context.Context, s step, said string) (string, error) {
	b, to := p.sides[s.side], protocol.ClaimerRequest{GreeterUserID: p.to}
	key := parsec.PublicKey(nonce(said))
	if s.side == rules.GreeterSide {
		switch steps[s.number] {
		case "1":
			reply, err := b.Invite1GreeterWaitPeer(ctx, p.greeter, &protocol.Invite1GreeterWaitPeerRequest{Token: p.token, GreeterPublicKey: key})
			return string(reply.ClaimerPublicKey[:]), err
		case "2a":
			reply, err := b.Invite2aGreeterGetHashedNonce(ctx, p.greeter, &protocol.Invite2aGreeterGetHashedNonceRequest{Token: p.token})
			return string(reply.ClaimerHashedNonce), err
		case "2b":
			reply, err := b.Invite2bGreeterSendNonce(ctx, p.greeter, &protocol.Invite2bGreeterSendNonceRequest{Token: p.token, GreeterNonce: nonce(said)})
			if err != nil {
				return "", err
			}
			return string(reply.ClaimerNonce), nil
		case "3a":
			_, err := b.Invite3aGreeterWaitPeerTrust(ctx, p.greeter, &protocol.Invite3aGreeterWaitPeerTrustRequest{Token: p.token})
			return "", err
		case "3b":
			_, err := b.Invite3bGreeterSignifyTrust(ctx, p.greeter, &protocol.Invite3bGreeterSignifyTrustRequest{Token: p.token})
			return "", err
		default:
			reply, err := b.Invite4GreeterCommunicate(ctx, p.greeter, &protocol.Invite4GreeterCommunicateRequest{Token: p.token, Payload: []byte(said)})
			return string(reply.Payload), err
		}
	}
	switch steps[s.number] {
	case "1":
		reply, err := b.Invite1ClaimerWaitPeer(ctx, p.invitee, &protocol.Invite1ClaimerWaitPeerRequest{ClaimerRequest: to, ClaimerPublicKey: key})
		return string(reply.GreeterPublicKey[:]), err
	case "2a":
		reply, err := b.Invite2aClaimerSendHashedNonce(ctx, p.invitee, &protocol.Invite2aClaimerSendHashedNonceRequest{ClaimerRequest: to, ClaimerHashedNonce: nonce(said)})
		if err != nil {
			return "", err
		}
		return string(reply.GreeterNonce), nil
	case "2b":
		_, err := b.Invite2bClaimerSendNonce(ctx, p.invitee, &protocol.Invite2bClaimerSendNonceRequest{ClaimerRequest: to, ClaimerNonce: nonce(said)})
		return "", err
	case "3a":
		_, err := b.Invite3aClaimerSignifyTrust(ctx, p.invitee, &protocol.Invite3aClaimerSignifyTrustRequest{ClaimerRequest: to})
		return "", err
	case "3b":
		_, err := b.Invite3bClaimerWaitPeerTrust(ctx, p.invitee, &protocol.Invite3bClaimerWaitPeerTrustRequest{ClaimerRequest: to})
		return "", err
	default:
		reply, err := b.Invite4ClaimerCommunicate(ctx, p.invitee, &protocol.Invite4ClaimerCommunicateRequest{ClaimerRequest: to, Payload: []byte(said)})
		return string(reply.Payload), err
	}
}

// patience is how long a test waits for what comes in milliseconds, before it
// fails.
const patience = time.Minute

func (p *pair) wait(done <-chan outcome) outcome {
	p.t.Helper()
	select {
	case o := <-done:
		return o
	case <-time.After(patience):
		p.t.Fatal("the command does not end")
		return outcome{}
	}
}

func (p *pair) wantStatus(what string, done <-chan outcome, want protocol.Status) {
	p.t.Helper()
	if got := status(nil, p.wait(done).err); got != want {
		p.t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// until returns once the conduit is as wanted.
func (p *pair) until(what string, wanted func(rules.Conduit) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for {
		var conduit rules.Conduit
		err := p.store.Update(ctx, rules.Scope{Organization: acme, Invitation: p.token, Greeter: p.greeter.User()}, func(tx rules.Tx) error {
			if found, ok := tx.Conduit(); ok {
				conduit = *found
			}
			return ctx.Err()
		})
		if err != nil {
			p.t.Fatalf("%s: %v: %+v", what, err, conduit)
		}
		if wanted(conduit) {
			return
		}
	}
}

// talked returns once the side has spoken in its half of the conduit.
func (p *pair) talked(side rules.Side) {
	p.t.Helper()
	p.until("talk", func(c rules.Conduit) bool { return c.Halves[side].Said != nil })
}

// through has both sides go through the steps before number; first speaks first.
func (p *pair) through(number int, first rules.Side) {
	p.t.Helper()
	second := 1 - first
	for n := range number {
		a := p.begin(p.t.Context(), step{n, first}, "first")
		if steps[n] != "2b" && steps[n] != "2a" {
			p.talked(first)
		}
		b := p.begin(p.t.Context(), step{n, second}, "second")
		if steps[n] == "2a" {
			// The claimer's goes on until the greeter's next step.
			n := step{n + 1, rules.GreeterSide}
			done := map[rules.Side]<-chan outcome{first: a, second: b}
			p.wantStatus("2a of the greeter", done[rules.GreeterSide], protocol.StatusOK)
			if number <= n.number {
				p.t.Fatal("a walk does not end in the middle of the nonces")
			}
			nonces := p.begin(p.t.Context(), n, "greeter")
			if got := p.wait(done[rules.ClaimerSide]); got.err != nil || got.heard != string(nonce("greeter")) {
				p.t.Fatalf("2a of the claimer: %+v", got)
			}
			p.wantStatus("2b of the claimer", p.begin(p.t.Context(), step{n.number, rules.ClaimerSide}, "claimer"), protocol.StatusOK)
			if got := p.wait(nonces); got.err != nil || got.heard != string(nonce("claimer")) {
				p.t.Fatalf("2b of the greeter: %+v", got)
			}
			continue
		}
		if steps[n] == "2b" {
			p.wait(a) // Done with 2a: refused.
			p.wait(b)
			continue
		}
		p.wantStatus(steps[n]+" first", a, protocol.StatusOK)
		p.wantStatus(steps[n]+" second", b, protocol.StatusOK)
	}
}

// TestConduit goes through every step, whichever side comes first.
func TestConduit(t *testing.T) {
	for _, first := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
		p := newPair(t)
		p.through(5, first)
		for _, said := range []string{"", "one", "two"} {
			a := p.begin(t.Context(), step{5, first}, said)
			p.talked(first)
			b := p.begin(t.Context(), step{5, 1 - first}, said+" back")
			if got := p.wait(a); got.err != nil || got.heard != said+" back" {
				t.Errorf("first: %+v", got)
			}
			if got := p.wait(b); got.err != nil || got.heard != said {
				t.Errorf("second: %+v", got)
			}
		}
		// Either may begin again at any time.
		p.through(1, 1-first)
	}
}

// TestConduitStepsOutOfOrder changes nothing.
func TestConduitStepsOutOfOrder(t *testing.T) {
	p := newPair(t)
	for _, side := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
		for number := 1; number < len(steps); number++ {
			p.wantStatus(steps[number]+" at once", p.begin(t.Context(), step{number, side}, "x"), protocol.StatusInvalidState)
		}
	}
	p.through(3, rules.GreeterSide)
	for _, side := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
		for _, number := range []int{1, 2, 4, 5} {
			p.wantStatus(steps[number]+" instead of 3a", p.begin(t.Context(), step{number, side}, "x"), protocol.StatusInvalidState)
		}
	}
	a := p.begin(t.Context(), step{3, rules.GreeterSide}, "")
	p.wantStatus("3a", p.begin(t.Context(), step{3, rules.ClaimerSide}, ""), protocol.StatusOK)
	p.wantStatus("3a", a, protocol.StatusOK)
}

// TestConduitThirdPeer has one more claimer send what the first one has sent
// already, in each exchange: nobody else notices.
func TestConduitThirdPeer(t *testing.T) {
	for _, number := range []int{1, 3, 4, 5} {
		p := newPair(t)
		p.through(number, rules.GreeterSide)
		first := p.begin(t.Context(), step{number, rules.ClaimerSide}, "first")
		p.talked(rules.ClaimerSide)
		for late := 1; late < len(steps); late++ {
			p.wantStatus(steps[late]+" of a third peer in "+steps[number], p.begin(t.Context(), step{late, rules.ClaimerSide}, "third"), protocol.StatusInvalidState)
		}
		got := p.wait(p.begin(t.Context(), step{number, rules.GreeterSide}, "greeter"))
		if heard := map[string]string{"2a": string(nonce("first")), "4": "first"}[steps[number]]; got.err != nil || got.heard != heard {
			t.Errorf("%s of the greeter: %+v", steps[number], got)
		}
		if steps[number] == "2a" {
			p.begin(t.Context(), step{number + 1, rules.GreeterSide}, "greeter")
		}
		if got := p.wait(first); got.err != nil {
			t.Errorf("%s of the first claimer: %v", steps[number], got.err)
		}
	}
}

// TestConduitResets has what happens to who waits when a peer begins again.
func TestConduitResets(t *testing.T) {
	for _, side := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
		p := newPair(t)
		first := p.begin(t.Context(), step{0, side}, "first")
		p.talked(side)
		again := p.begin(t.Context(), step{0, side}, "again")
		p.wantStatus("step 1, when it is sent again", first, protocol.StatusInvalidState)
		if got := p.wait(p.begin(t.Context(), step{0, 1 - side}, "peer")); got.err != nil || got.heard != string(nonce("again")) {
			t.Errorf("the peer of who began again: %+v", got)
		}
		if got := p.wait(again); got.err != nil || got.heard != string(nonce("peer")) {
			t.Errorf("who began again: %+v", got)
		}
		p = newPair(t)
		p.through(3, side)
		waiting := p.begin(t.Context(), step{3, side}, "")
		p.talked(side)
		restarted := p.begin(t.Context(), step{0, 1 - side}, "restart")
		p.wantStatus("step 3a, when the peer begins again", waiting, protocol.StatusInvalidState)
		p.wantStatus("step 1, with it", p.begin(t.Context(), step{0, side}, ""), protocol.StatusOK)
		p.wantStatus("step 1", restarted, protocol.StatusOK)
	}
}

// TestConduitFirstSpeakerDies has the second one end its exchange all the
// same, and the first one served when it asks for step 4 again, by the same
// words; else by beginning again.
func TestConduitFirstSpeakerDies(t *testing.T) {
	for _, side := range []rules.Side{rules.GreeterSide, rules.ClaimerSide} {
		p := newPair(t)
		p.through(5, side)
		ctx, cancel := context.WithCancel(t.Context())
		first := p.begin(ctx, step{5, side}, "lost")
		p.talked(side)
		cancel()
		if err := p.wait(first).err; !errors.Is(err, context.Canceled) {
			t.Errorf("abandoned: %v", err)
		}
		if got := p.wait(p.begin(t.Context(), step{5, 1 - side}, "answer")); got.err != nil || got.heard != "lost" {
			t.Errorf("the second: %+v", got)
		}
		p.wantStatus("the step with other words", p.begin(t.Context(), step{5, side}, "other"), protocol.StatusInvalidState)
		for range 2 { // The reply may be lost, too.
			if got := p.wait(p.begin(t.Context(), step{5, side}, "lost")); got.err != nil || got.heard != "answer" {
				t.Errorf("the step again: %+v", got)
			}
		}
		next := p.begin(t.Context(), step{5, 1 - side}, "more")
		p.talked(1 - side)
		p.begin(t.Context(), step{0, side}, "")
		p.wantStatus("the second, when the first begins again", next, protocol.StatusInvalidState)
	}
}

// reach brings the conduit to a state, where nobody has spoken but who does two
// exchanges in one command; those go on in pending.
func (p *pair) reach(state rules.ConduitState) (pending [2]<-chan outcome) {
	p.t.Helper()
	if at := slices.Index(withoutNonces, state); at >= 0 {
		p.through(at, rules.GreeterSide)
		return pending
	}
	p.through(1, rules.GreeterSide)
	if state == rules.ConduitClaimerHashedNonce {
		return pending
	}
	pending[rules.ClaimerSide] = p.begin(p.t.Context(), step{1, rules.ClaimerSide}, "hash")
	p.wantStatus("2a of the greeter", p.begin(p.t.Context(), step{1, rules.GreeterSide}, ""), protocol.StatusOK)
	p.talked(rules.ClaimerSide)
	if state == rules.ConduitGreeterNonce {
		return pending
	}
	pending[rules.GreeterSide] = p.begin(p.t.Context(), step{2, rules.GreeterSide}, "nonce")
	p.wantStatus("2a of the claimer", pending[rules.ClaimerSide], protocol.StatusOK)
	p.talked(rules.GreeterSide)
	pending[rules.ClaimerSide] = nil
	return pending
}

// withoutNonces has the states at the numbers of their steps.
var withoutNonces = []rules.ConduitState{
	rules.ConduitWaitPeers, "", "", rules.ConduitClaimerTrust, rules.ConduitGreeterTrust, rules.ConduitCommunicate,
}

// TestConduitDeleted ends every wait, in every exchange.
func TestConduitDeleted(t *testing.T) {
	for _, exchange := range exchanges {
		for side := range exchange.commands {
			number := exchange.commands[side]
			if number < 0 {
				continue // A command that is there already.
			}
			p := newPair(t)
			waiter := 1 - side
			waiting := p.reach(exchange.state)[waiter]
			if waiting == nil {
				waiter = side
				waiting = p.begin(t.Context(), step{number, rules.Side(waiter)}, "")
				p.talked(rules.Side(waiter))
			}
			p.ok(nil, p.inviteDelete(p.alice2(), p.token))
			for _, done := range []<-chan outcome{waiting, p.begin(t.Context(), step{number, rules.Side(waiter)}, "")} {
				if err := p.wait(done).err; !errors.Is(err, deleted[waiter]) {
					t.Errorf("%s of side %d: %v", exchange.state, waiter, err)
				}
			}
		}
	}
}

// deleted is what the sides get of a deleted invitation.
var deleted = [2]error{protocol.Refuse(protocol.StatusAlreadyDeleted, ""), rules.DeletedInvitation}

// TestConduitAfterLostEvents has a waiter look again when events are lost,
// among them that which was for it.
func TestConduitAfterLostEvents(t *testing.T) {
	p := newPair(t)
	deaf := event.NewBus() // The store does not publish to it.
	t.Cleanup(deaf.Close)
	p.sides[rules.GreeterSide] = rules.New(p.store, p.blocks, deaf, p.webhooks, p.clock.now, discard, rules.Options{})
	served := p.begin(t.Context(), step{0, rules.GreeterSide}, "greeter")
	p.talked(rules.GreeterSide)
	p.wantStatus("the claimer", p.begin(t.Context(), step{0, rules.ClaimerSide}, "claimer"), protocol.StatusOK)
	deaf.Lose()
	if got := p.wait(served); got.err != nil || got.heard != string(nonce("claimer")) {
		t.Errorf("the greeter: %+v", got)
	}
	waiting := p.begin(t.Context(), step{1, rules.GreeterSide}, "")
	p.talked(rules.GreeterSide)
	deaf.Lose() // for nothing
	p.ok(nil, p.inviteDelete(p.alice(), p.token))
	deaf.Lose()
	p.wantStatus("the greeter of a deleted invitation", waiting, protocol.StatusAlreadyDeleted)
}

// TestConduitStrangers has who may not talk.
func TestConduitStrangers(t *testing.T) {
	p := newPair(t)
	p.greeter = p.bob()
	p.wantStatus("another greeter", p.begin(t.Context(), step{0, rules.GreeterSide}, ""), protocol.StatusNotFound)
	p.greeter = p.alice()
	token := p.token
	p.token = parsec.InvitationToken{1}
	p.wantStatus("another token", p.begin(t.Context(), step{0, rules.GreeterSide}, ""), protocol.StatusNotFound)
	p.token = token
	_, err := p.Invite1ClaimerWaitPeer(t.Context(), p.invitee, &protocol.Invite1ClaimerWaitPeerRequest{
		ClaimerRequest: protocol.ClaimerRequest{GreeterUserID: bobID.User()},
	})
	if got := status(nil, err); got != protocol.StatusNotFound {
		t.Errorf("to another greeter: %s", got)
	}
	for _, api := range []parsec.APIVersion{{Major: 2, Minor: 7}, {Major: 3, Minor: 1}} {
		p.invitee.API = api
		_, err := p.Invite2aClaimerSendHashedNonce(t.Context(), p.invitee, &protocol.Invite2aClaimerSendHashedNonceRequest{ClaimerHashedNonce: []byte("short")})
		if got := status(nil, err); got != protocol.StatusBadMessage {
			t.Errorf("a short hash in %s: %s", api, got)
		}
	}
	p.invitee.API = parsec.APIVersion{Major: 2, Minor: 6}
	_, err = p.Invite2aClaimerSendHashedNonce(t.Context(), p.invitee, &protocol.Invite2aClaimerSendHashedNonceRequest{ClaimerHashedNonce: []byte("short")})
	if got := status(nil, err); got != protocol.StatusInvalidState {
		t.Errorf("a short hash in 2.6: %s", got)
	}
}

// TestConduitRevokedGreeter wakes both sides.
func TestConduitRevokedGreeter(t *testing.T) {
	f := newFixture(t)
	token := f.inviteNew(f.bob(), forDevice())
	facts, err := f.Invitation(t.Context(), acme, token)
	f.ok(facts, err)
	invitee := facts.Invitee(latest)
	p := &pair{fixture: f, greeter: f.bob(), invitee: &invitee, token: token, sides: [2]*rules.Rules{f.Rules, f.Rules}}
	waiting := p.begin(t.Context(), step{0, rules.ClaimerSide}, "")
	f.revoke(bobID.User())
	if err := p.wait(waiting).err; !errors.Is(err, rules.DeletedInvitation) {
		t.Errorf("the claimer: %v", err)
	}
	if err := p.wait(p.begin(t.Context(), step{0, rules.GreeterSide}, "")).err; !errors.Is(err, rules.ErrSessionOver) {
		t.Errorf("the greeter: %v", err)
	}
}
