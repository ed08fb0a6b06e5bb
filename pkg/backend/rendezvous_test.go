package backend_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
)

// pair is a greeter and a claimer of one invitation, each on a backend of its
// own over one store.
type pair struct {
	*fixture
	greeter *backend.Author
	invitee *backend.Invitee
	token   parsec.InvitationToken
	sides   [2]*backend.Backend
	// to is the greeter that the claimer names, zero for none.
	to parsec.UserID
}

func newPair(t testing.TB) *pair {
	f := newFixture(t)
	return f.pair()
}

func (f *fixture) pair() *pair {
	f.t.Helper()
	remote := backend.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, backend.Options{})
	p := &pair{fixture: f, greeter: f.alice(), token: f.inviteNew(f.alice(), forDevice()), sides: [2]*backend.Backend{f.Backend, remote}}
	facts, err := remote.Invitation(f.t.Context(), acme, p.token)
	f.ok(facts, err)
	invitee := facts.Invitee(latest)
	p.invitee = &invitee
	return p
}

// step is one command of the conduit, by its number and its side.
type step struct {
	number int // of steps
	side   backend.Side
}

// steps are the commands in order; the first half of each name.
var steps = []string{"1", "2a", "2b", "3a", "3b", "4"}

func nonce(text string) []byte { return []byte(fmt.Sprintf("%-32s", text)) }

// outcome is what a command gave.
type outcome struct {
	heard string
	err   error
}

// begin sends a command that says said, and gives its outcome when it comes.
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
	if s.side == backend.GreeterSide {
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

func (p *pair) wait(done <-chan outcome) outcome {
	p.t.Helper()
	select {
	case o := <-done:
		return o
	case <-time.After(time.Minute):
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

// talked returns once the side has spoken in its half of the conduit.
func (p *pair) talked(side backend.Side) {
	p.t.Helper()
	for {
		var said bool
		p.ok(nil, p.store.Update(p.t.Context(), backend.Scope{Organization: acme, Invitation: p.token, Greeter: p.greeter.User()}, func(tx backend.Tx) error {
			conduit, _ := tx.Conduit()
			said = conduit.Halves[side].Said != nil
			return nil
		}))
		if said {
			return
		}
	}
}

// through has both sides go through the steps before number; first speaks first.
func (p *pair) through(number int, first backend.Side) {
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
			n := step{n + 1, backend.GreeterSide}
			done := map[backend.Side]<-chan outcome{first: a, second: b}
			p.wantStatus("2a of the greeter", done[backend.GreeterSide], protocol.StatusOK)
			if number <= n.number {
				p.t.Fatal("a walk does not end in the middle of the nonces")
			}
			nonces := p.begin(p.t.Context(), n, "greeter")
			if got := p.wait(done[backend.ClaimerSide]); got.err != nil || got.heard != string(nonce("greeter")) {
				p.t.Fatalf("2a of the claimer: %+v", got)
			}
			p.wantStatus("2b of the claimer", p.begin(p.t.Context(), step{n.number, backend.ClaimerSide}, "claimer"), protocol.StatusOK)
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
	for _, first := range []backend.Side{backend.GreeterSide, backend.ClaimerSide} {
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
	for _, side := range []backend.Side{backend.GreeterSide, backend.ClaimerSide} {
		for number := 1; number < len(steps); number++ {
			p.wantStatus(steps[number]+" at once", p.begin(t.Context(), step{number, side}, "x"), protocol.StatusInvalidState)
		}
	}
	p.through(3, backend.GreeterSide)
	for _, side := range []backend.Side{backend.GreeterSide, backend.ClaimerSide} {
		for _, number := range []int{1, 2, 4, 5} {
			p.wantStatus(steps[number]+" instead of 3a", p.begin(t.Context(), step{number, side}, "x"), protocol.StatusInvalidState)
		}
	}
	a := p.begin(t.Context(), step{3, backend.GreeterSide}, "")
	p.wantStatus("3a", p.begin(t.Context(), step{3, backend.ClaimerSide}, ""), protocol.StatusOK)
	p.wantStatus("3a", a, protocol.StatusOK)
}

// TestConduitResets has what happens to who waits when a peer begins again.
func TestConduitResets(t *testing.T) {
	for _, side := range []backend.Side{backend.GreeterSide, backend.ClaimerSide} {
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
// same, and the first one served only by beginning again.
func TestConduitFirstSpeakerDies(t *testing.T) {
	for _, side := range []backend.Side{backend.GreeterSide, backend.ClaimerSide} {
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
		p.wantStatus("the step again", p.begin(t.Context(), step{5, side}, "lost"), protocol.StatusInvalidState)
		next := p.begin(t.Context(), step{5, 1 - side}, "more")
		p.talked(1 - side)
		p.begin(t.Context(), step{0, side}, "")
		p.wantStatus("the second, when the first begins again", next, protocol.StatusInvalidState)
	}
}

// TestConduitDeleted ends every wait, at every step.
func TestConduitDeleted(t *testing.T) {
	for _, number := range []int{0, 3, 4, 5} {
		for _, side := range []backend.Side{backend.GreeterSide, backend.ClaimerSide} {
			p := newPair(t)
			p.through(number, side)
			waiting := p.begin(t.Context(), step{number, side}, "")
			p.talked(side)
			p.ok(nil, p.inviteDelete(p.alice2(), p.token))
			for _, done := range []<-chan outcome{waiting, p.begin(t.Context(), step{number, side}, "")} {
				err := p.wait(done).err
				if side == backend.GreeterSide && status(nil, err) != protocol.StatusAlreadyDeleted {
					t.Errorf("step %s of the greeter: %v", steps[number], err)
				}
				if side == backend.ClaimerSide && !errors.Is(err, backend.DeletedInvitation) {
					t.Errorf("step %s of the claimer: %v", steps[number], err)
				}
			}
		}
	}
}

// TestConduitStrangers has who may not talk.
func TestConduitStrangers(t *testing.T) {
	p := newPair(t)
	p.greeter = p.bob()
	p.wantStatus("another greeter", p.begin(t.Context(), step{0, backend.GreeterSide}, ""), protocol.StatusNotFound)
	p.greeter = p.alice()
	token := p.token
	p.token = parsec.InvitationToken{1}
	p.wantStatus("another token", p.begin(t.Context(), step{0, backend.GreeterSide}, ""), protocol.StatusNotFound)
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
	p := &pair{fixture: f, greeter: f.bob(), invitee: &invitee, token: token, sides: [2]*backend.Backend{f.Backend, f.Backend}}
	waiting := p.begin(t.Context(), step{0, backend.ClaimerSide}, "")
	f.revoke(bobID.User())
	if err := p.wait(waiting).err; !errors.Is(err, backend.DeletedInvitation) {
		t.Errorf("the claimer: %v", err)
	}
	if err := p.wait(p.begin(t.Context(), step{0, backend.GreeterSide}, "")).err; !errors.Is(err, backend.ErrSessionOver) {
		t.Errorf("the greeter: %v", err)
	}
}

// modelled is one exchange under way in the model below.
type modelled struct {
	side backend.Side
	said string
	done <-chan outcome
}

// TestConduitModel plays random commands of both sides, resets, deaths and a
// deletion, against a model that keeps one thing: who waits at which state, and
// what it said. Steps 2a of the claimer and 2b of the greeter have two
// exchanges, which the model lets follow each other.
func TestConduitModel(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(rt *rapid.T) {
		token := f.inviteNew(f.alice(), forUser(parsec.NewUUID().Hex()+"@example.com"))
		facts, err := f.Invitation(t.Context(), acme, token)
		f.ok(facts, err)
		invitee := facts.Invitee(latest)
		remote := backend.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, backend.Options{})
		p := &pair{fixture: f, greeter: f.alice(), invitee: &invitee, token: token, sides: [2]*backend.Backend{f.Backend, remote}}
		m := &conduitModel{pair: p, rt: rt}
		for range rapid.IntRange(5, 40).Draw(rt, "commands") {
			m.command(rapid.SampledFrom([]backend.Side{backend.GreeterSide, backend.ClaimerSide}).Draw(rt, "side"))
			if m.waiting != nil && rapid.IntRange(0, 9).Draw(rt, "death") == 0 {
				m.die()
			}
		}
		m.delete()
	})
}

// conduitModel knows the state by its number: that of the step whose turn it
// is, leaving out the nonces, which steps 1 and 3a enclose.
type conduitModel struct {
	*pair
	rt *rapid.T
	// state is the step that is next, in modelSteps.
	state int
	// waiting is who waits in it.
	waiting *modelled
	cancel  context.CancelFunc
	// unserved is the side that has not taken what ended its last exchange.
	unserved *backend.Side
	// spoken is the side that spoke and died.
	spoken *modelled
	count  int
}

// command sends one: mostly that whose turn it is.
func (m *conduitModel) command(side backend.Side) {
	number := m.state
	switch rapid.IntRange(0, 9).Draw(m.rt, "choice") {
	case 0:
		number = 0
	case 1:
		number = rapid.SampledFrom([]int{1, 2, 3, 4, 5}).Draw(m.rt, "step")
	}
	m.count++
	said := fmt.Sprint("said ", m.count)
	if m.waiting != nil && number == 1 && m.state == 1 || number == 1 && m.state == 1 {
		number = 5 // The nonces are played as a whole, below.
	}
	mineSaid := m.waiting != nil && m.waiting.side == side || m.spoken != nil && m.spoken.side == side
	mineUnserved := m.unserved != nil && *m.unserved == side
	if number != m.state || mineSaid || mineUnserved {
		if number != 0 {
			m.want(m.begin(m.t.Context(), step{number, side}, said), outcome{err: protocol.Refuse(protocol.StatusInvalidState, "")})
			return
		}
		lost := m.waiting
		m.state, m.waiting, m.spoken, m.unserved = 0, nil, nil, nil
		m.first(side, 0, said)
		if lost != nil {
			m.want(lost.done, outcome{err: protocol.Refuse(protocol.StatusInvalidState, "")})
		}
		return
	}
	switch {
	case m.waiting != nil:
		peer := m.waiting
		m.waiting = nil
		m.want(m.begin(m.t.Context(), step{number, side}, said), outcome{heard: heardIn(number, peer.said)})
		m.want(peer.done, outcome{heard: heardIn(number, said)})
		m.next()
	case m.spoken != nil:
		peer := m.spoken
		m.spoken, m.unserved = nil, &peer.side
		m.want(m.begin(m.t.Context(), step{number, side}, said), outcome{heard: heardIn(number, peer.said)})
		m.next()
	default:
		m.first(side, number, said)
	}
}

// next goes on, through the nonces at once.
func (m *conduitModel) next() {
	if m.state < 5 {
		m.state++
	}
	if m.state != 1 {
		return
	}
	if m.unserved != nil {
		return // It has to begin again.
	}
	hashed := m.begin(m.t.Context(), step{1, backend.ClaimerSide}, "hash")
	m.want(m.begin(m.t.Context(), step{1, backend.GreeterSide}, ""), outcome{heard: string(nonce("hash"))})
	nonces := m.begin(m.t.Context(), step{2, backend.GreeterSide}, "greeter's")
	m.want(hashed, outcome{heard: string(nonce("greeter's"))})
	m.want(m.begin(m.t.Context(), step{2, backend.ClaimerSide}, "claimer's"), outcome{})
	m.want(nonces, outcome{heard: string(nonce("claimer's"))})
	m.state = 3
}

func (m *conduitModel) first(side backend.Side, number int, said string) {
	ctx, cancel := context.WithCancel(m.t.Context())
	m.waiting, m.cancel = &modelled{side, said, m.begin(ctx, step{number, side}, said)}, cancel
	m.talkedOf(said, number, side)
}

// talkedOf returns once the store has what a side said.
func (m *conduitModel) talkedOf(said string, number int, side backend.Side) {
	want := heardIn(number, said)
	for {
		var got []byte
		m.ok(nil, m.store.Update(m.t.Context(), backend.Scope{Organization: acme, Invitation: m.token, Greeter: aliceID.User()}, func(tx backend.Tx) error {
			conduit, _ := tx.Conduit()
			got = conduit.Halves[side].Said
			return nil
		}))
		if got != nil && string(got) == want {
			return
		}
	}
}

// die abandons who waits.
func (m *conduitModel) die() {
	m.cancel()
	m.want(m.waiting.done, outcome{err: context.Canceled})
	m.spoken, m.waiting = m.waiting, nil
}

func (m *conduitModel) delete() {
	m.ok(nil, m.inviteDelete(m.greeter, m.token))
	wants := [2]error{protocol.Refuse(protocol.StatusAlreadyDeleted, ""), backend.DeletedInvitation}
	if m.waiting != nil {
		m.want(m.waiting.done, outcome{err: wants[m.waiting.side]})
	}
	for side, want := range wants {
		m.want(m.begin(m.t.Context(), step{0, backend.Side(side)}, ""), outcome{err: want})
	}
}

// heardIn is how the peer hears what is said in a step.
func heardIn(number int, said string) string {
	switch steps[number] {
	case "1":
		return string(nonce(said))
	case "4":
		return said
	default:
		return ""
	}
}

func (m *conduitModel) want(done <-chan outcome, want outcome) {
	m.t.Helper()
	got := m.wait(done)
	if !errors.Is(got.err, want.err) || want.err == nil && got != want {
		m.rt.Fatalf("state %s: %+v, want %+v", steps[m.state], got, want)
	}
}
