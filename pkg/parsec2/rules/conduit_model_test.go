package rules_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// exchanges are those of docs/protocol/invite.md §4, with the commands, by
// number, that begin with them; -1 for a side that a command before brings
// there.
var exchanges = []struct {
	state    rules.ConduitState
	commands [2]int
}{
	{rules.ConduitWaitPeers, [2]int{0, 0}},
	{rules.ConduitClaimerHashedNonce, [2]int{1, 1}},
	{rules.ConduitGreeterNonce, [2]int{2, -1}},
	{rules.ConduitClaimerNonce, [2]int{-1, 2}},
	{rules.ConduitClaimerTrust, [2]int{3, 3}},
	{rules.ConduitGreeterTrust, [2]int{4, 4}},
	{rules.ConduitCommunicate, [2]int{5, 5}},
}

// utterance is what a command says in one exchange.
type utterance struct {
	exchange int // of exchanges
	said     string
}

// utterances of a command: two for 2a of the claimer and 2b of the greeter.
func utterances(s step, said string) []utterance {
	greeting := s.side == rules.GreeterSide
	switch name := steps[s.number]; {
	case name == "1":
		return []utterance{{0, string(nonce(said))}}
	case name == "2a" && greeting:
		return []utterance{{1, ""}}
	case name == "2a":
		return []utterance{{1, string(nonce(said))}, {2, ""}}
	case name == "2b" && greeting:
		return []utterance{{2, string(nonce(said))}, {3, ""}}
	case name == "2b":
		return []utterance{{3, string(nonce(said))}}
	case name == "3a":
		return []utterance{{4, ""}}
	case name == "3b":
		return []utterance{{5, ""}}
	default:
		return []utterance{{6, said}}
	}
}

// TestConduitModel plays random commands of both sides, each on an instance of
// its own, with resets, repetitions, deaths and deletions at any moment,
// against a model.
func TestConduitModel(t *testing.T) {
	f := newFixture(t)
	remote := rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{})
	rapid.Check(t, func(rt *rapid.T) { playConduit(rt, f, remote, 60) })
}

// playConduit plays at most so many commands on a new invitation.
func playConduit(rt *rapid.T, f *fixture, remote *rules.Rules, commands int) {
	token := f.inviteNew(f.alice(), forUser(parsec.NewUUID().Hex()+"@example.com"))
	facts, err := f.Invitation(f.t.Context(), acme, token)
	f.ok(facts, err)
	invitee := facts.Invitee(latest)
	m := &conduitModel{rt: rt, last: -1, pair: &pair{
		fixture: f, greeter: f.alice(), invitee: &invitee, token: token, sides: [2]*rules.Rules{f.Rules, remote},
	}}
	defer func() { // whatever fails
		for _, c := range m.waiting {
			c.cancel()
		}
	}()
	for range rapid.IntRange(commands/10, commands).Draw(rt, "commands") {
		switch choice := rapid.IntRange(0, 99).Draw(rt, "choice"); {
		case choice == 0:
			m.delete()
		case choice == 1:
			m.clock.advance(deliveryTime)
			m.late = m.deleted
		case choice < 8 && len(m.waiting) > 0:
			m.die(rapid.SampledFrom(m.waiting).Draw(rt, "who dies"))
		default:
			m.command(rapid.SampledFrom([]rules.Side{rules.GreeterSide, rules.ClaimerSide}).Draw(rt, "side"))
		}
	}
	m.delete()
	for range 2 {
		for side := range m.sides {
			m.command(rules.Side(side))
		}
	}
	m.clock.advance(deliveryTime)
	m.late = true
	for side := range m.sides {
		m.command(rules.Side(side))
	}
}

// deliveryTime is how long what was said before a deletion with reason FINISHED
// may be asked for.
const deliveryTime = time.Minute

// conduitModel is what the specification says of a conduit.
type conduitModel struct {
	*pair
	rt *rapid.T
	// state is the exchange that comes next, and count how many have ended,
	// resets among them.
	state, count int
	// finished reports whether the reason of the deletion was FINISHED, and
	// late that it is too long ago to ask for anything.
	deleted, finished, late bool
	// said is what each side says in this exchange, and owed what ended the
	// exchange before for a side that has not taken it, which then becomes
	// taken; nil for nothing.
	said, owed, taken [2]*string
	// last is the exchange that ended last, of exchanges, when count was
	// lastCount; -1 for none.
	last, lastCount int
	// connections are those that the sides spoke through last.
	connections [2]parsec.UUID
	waiting     []*speaker
	commands    int
}

// speaker is a command under way.
type speaker struct {
	step
	left       []utterance
	connection parsec.UUID
	// count is that of the model when it began to wait.
	count  int
	done   <-chan outcome
	cancel context.CancelFunc
}

// command sends one, mostly that whose turn it is, and looks at all that comes
// of it.
func (m *conduitModel) command(side rules.Side) {
	number := exchanges[m.state].commands[side]
	switch rapid.IntRange(0, 9).Draw(m.rt, "which") {
	case 0:
		number = 0
	case 1:
		number = rapid.IntRange(0, len(steps)-1).Draw(m.rt, "step")
	}
	if number < 0 {
		number = rapid.IntRange(1, len(steps)-1).Draw(m.rt, "step out of turn")
	}
	m.commands++
	said := fmt.Sprint("said ", m.commands)
	if number == 5 {
		said = rapid.SampledFrom([]string{said, "", m.lastSaid(side), m.saying(side)}).Draw(m.rt, "payload")
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	c := &speaker{step: step{number, side}, left: utterances(step{number, side}, said), cancel: cancel}
	c.connection = rapid.SampledFrom([]parsec.UUID{{}, {1}, {2}}).Draw(m.rt, "connection")
	through, author, invitee := *m.pair, *m.greeter, *m.invitee
	author.Connection, invitee.Connection = c.connection, c.connection
	through.greeter, through.invitee = &author, &invitee
	c.done = through.begin(ctx, c.step, said)
	m.talk(c)
	m.settle()
}

// lastSaid returns what the side said in the exchange that ended last.
func (m *conduitModel) lastSaid(side rules.Side) string {
	for _, words := range []*string{m.owed[1-side], m.taken[1-side]} {
		if words != nil {
			return *words
		}
	}
	return ""
}

// saying returns what the side says in the exchange of the moment.
func (m *conduitModel) saying(side rules.Side) string {
	if m.said[side] == nil {
		return ""
	}
	return *m.said[side]
}

// again returns what a side heard in the last exchange, if that was u.
func (m *conduitModel) again(side rules.Side, u utterance, alive bool) *string {
	known := m.owed[1-side] != nil || m.taken[1-side] != nil
	same := known && m.lastSaid(side) == u.said
	switch {
	case u.exchange != m.last:
		return nil
	case m.owed[side] != nil && (same || !alive):
		return m.owed[side]
	case same:
		return m.taken[side]
	default:
		return nil
	}
}

// take has a side take what it is owed.
func (m *conduitModel) take(side rules.Side) {
	if m.owed[side] != nil {
		m.taken[side], m.owed[side] = m.owed[side], nil
	}
}

// repeat has a side that says again what it said get what it got, and tells
// whether that is so.
func (m *conduitModel) repeat(c *speaker, u utterance) bool {
	if u.exchange != 6 || m.state != 6 {
		return false
	}
	if said := m.said[c.side]; said != nil && *said == u.said {
		m.connections[c.side], c.count = c.connection, m.count
		m.waiting = append(m.waiting, c)
		return true
	}
	got := m.taken[c.side] != nil && c.connection != parsec.UUID{} && c.connection == m.connections[c.side]
	heard := m.again(c.side, u, true)
	if got || heard == nil {
		return false
	}
	m.take(c.side)
	m.connections[c.side] = c.connection
	m.end(c, outcome{heard: *heard})
	return true
}

// talk has a command say what comes next, until it waits or ends.
func (m *conduitModel) talk(c *speaker) {
	for {
		u, peer := c.left[0], 1-c.side
		if !m.deleted && m.repeat(c, u) {
			return
		}
		switch {
		case m.deleted:
			heard := m.again(c.side, u, false)
			if !m.finished || m.late || heard == nil {
				m.end(c, outcome{err: deleted[c.side]})
				return
			}
			m.take(c.side)
			if c.left = c.left[1:]; len(c.left) == 0 {
				m.end(c, outcome{heard: *heard})
				return
			}
			continue
		case m.state == u.exchange && m.said[c.side] == nil && m.owed[c.side] == nil:
		case u.exchange == 0:
			m.state, m.said, m.owed, m.taken = 0, [2]*string{}, [2]*string{}, [2]*string{}
			m.last, m.lastCount, m.connections = -1, 0, [2]parsec.UUID{}
			m.count++
		default:
			m.end(c, outcome{err: protocol.Refuse(protocol.StatusInvalidState, "")})
			return
		}
		m.connections[c.side] = c.connection
		if m.said[peer] == nil {
			m.said[c.side], c.count = &u.said, m.count
			m.waiting = append(m.waiting, c)
			return
		}
		heard := *m.said[peer]
		m.said[peer], m.owed[peer], m.taken[peer] = nil, &u.said, nil
		m.taken[c.side] = &heard
		m.last, m.lastCount = u.exchange, m.count
		m.state = min(m.state+1, len(exchanges)-1)
		m.count++
		if c.left = c.left[1:]; len(c.left) == 0 {
			m.end(c, outcome{heard: heard})
			return
		}
	}
}

// settle ends or moves on who waits, then compares the conduit.
func (m *conduitModel) settle() {
	for moved := true; moved; {
		moved = false
		for _, c := range slices.Clone(m.waiting) {
			owed := m.owed[c.side]
			if owed == nil && m.last >= 0 {
				owed = m.taken[c.side] // by another request for the same
			}
			if c.count == m.count && !m.deleted {
				continue
			}
			m.waiting = slices.DeleteFunc(m.waiting, func(other *speaker) bool { return other == c })
			moved = true
			switch {
			case m.deleted:
				m.end(c, outcome{err: deleted[c.side]})
			case c.count+1 == m.count && owed != nil:
				m.take(c.side)
				if c.left = c.left[1:]; len(c.left) == 0 {
					m.end(c, outcome{heard: *owed})
				} else {
					m.talk(c)
				}
			default:
				m.end(c, outcome{err: protocol.Refuse(protocol.StatusInvalidState, "")})
			}
		}
	}
	if m.deleted {
		return
	}
	want := rules.Conduit{State: exchanges[m.state].state, Exchange: uint64(m.count)}
	if m.last >= 0 {
		want.Last = rules.LastExchange{State: exchanges[m.last].state, Number: uint64(m.lastCount)}
	}
	for side := range want.Halves {
		want.Halves[side] = rules.Half{
			Said: bytesOf(m.said[side]), Heard: bytesOf(m.owed[side]), Taken: bytesOf(m.taken[side]), Speaker: m.connections[side],
		}
	}
	m.until(fmt.Sprintf("the conduit becomes %+v", want), func(got rules.Conduit) bool { return reflect.DeepEqual(got, want) })
}

func bytesOf(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

// end wants the command to end so.
func (m *conduitModel) end(c *speaker, want outcome) {
	m.t.Helper()
	got := m.wait(c.done)
	c.cancel()
	if !errors.Is(got.err, want.err) || want.err == nil && got != want {
		m.rt.Fatalf("%s of side %d: %+v, want %+v", steps[c.number], c.side, got, want)
	}
}

// die abandons a command that waits: what it said stays.
func (m *conduitModel) die(c *speaker) {
	c.cancel()
	m.waiting = slices.DeleteFunc(m.waiting, func(other *speaker) bool { return other == c })
	m.end(c, outcome{err: context.Canceled})
	m.settle()
}

func (m *conduitModel) delete() {
	want := protocol.StatusOK
	if m.deleted {
		want = protocol.StatusAlreadyDeleted
	}
	reason := rapid.SampledFrom([]protocol.InvitationDeletedReason{
		protocol.InvitationFinished, protocol.InvitationCancelled, protocol.InvitationRotten,
	}).Draw(m.rt, "reason")
	_, err := m.InviteDelete(m.t.Context(), m.greeter, &protocol.InviteDeleteRequest{Token: m.token, Reason: reason})
	if got := status(nil, err); got != want {
		m.rt.Fatalf("delete: %s, want %s", got, want)
	}
	if !m.deleted {
		m.deleted, m.finished = true, reason == protocol.InvitationFinished
	}
	m.settle()
}
