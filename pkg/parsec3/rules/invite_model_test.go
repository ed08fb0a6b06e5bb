package rules_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// TestGreetingModel has two clients do what they like on two instances, and compares
// each answer with that of a model.
func TestGreetingModel(t *testing.T) {
	p := newPolled(t, hasty)
	invited := 0
	rapid.Check(t, func(rt *rapid.T) {
		invited++
		p.invited.Token = p.inviteUser(p.alice(), fmt.Sprintf("zack%d@example.com", invited))
		p.attempt = p.start(protocol.Greeter)
		p.start(protocol.Claimer)
		m := &greetingModel{attempts: map[parsec3.GreetingAttemptID]*modelAttempt{}}
		first := m.add(p.attempt)
		first.joined[protocol.Greeter], first.joined[protocol.Claimer] = true, true
		instances := []*polled{p, p.other()}
		rt.Repeat(map[string]func(*rapid.T){
			"start":  func(rt *rapid.T) { m.start(rt, drawn(rt, instances), drawnSide(rt)) },
			"step":   func(rt *rapid.T) { m.step(rt, drawn(rt, instances), drawnSide(rt)) },
			"next":   func(rt *rapid.T) { m.next(rt, drawn(rt, instances), drawnSide(rt)) },
			"cancel": func(rt *rapid.T) { m.cancel(rt, drawn(rt, instances), drawnSide(rt)) },
		})
	})
}

func drawn(rt *rapid.T, instances []*polled) *polled {
	return rapid.SampledFrom(instances).Draw(rt, "on")
}

func drawnSide(rt *rapid.T) protocol.Side {
	return rapid.SampledFrom([]protocol.Side{protocol.Greeter, protocol.Claimer}).Draw(rt, "side")
}

// greetingModel is what two sides have done.
type greetingModel struct {
	attempts map[parsec3.GreetingAttemptID]*modelAttempt
	order    []parsec3.GreetingAttemptID
}

type modelAttempt struct {
	joined map[protocol.Side]bool
	said   map[protocol.Side]map[int]string
	// origin is who has cancelled it, "" for nobody.
	origin protocol.Side
	reason protocol.CancelledAttemptReason
}

func (m *greetingModel) add(id parsec3.GreetingAttemptID) *modelAttempt {
	m.attempts[id] = &modelAttempt{
		joined: map[protocol.Side]bool{}, said: map[protocol.Side]map[int]string{protocol.Greeter: {}, protocol.Claimer: {}},
	}
	m.order = append(m.order, id)
	return m.attempts[id]
}

// active returns the attempt that is not cancelled, nil for none.
func (m *greetingModel) active() *modelAttempt {
	if last := m.attempts[m.order[len(m.order)-1]]; last.origin == "" {
		return last
	}
	return nil
}

func (m *greetingModel) start(rt *rapid.T, p *polled, side protocol.Side) {
	id := p.start(side)
	_, known := m.attempts[id]
	active := m.active()
	joins := active != nil && !active.joined[side]
	if joins != known {
		rt.Fatalf("joins an attempt that is known: %t, want %t", known, joins)
	}
	if joins {
		active.joined[side] = true
		return
	}
	if active != nil {
		active.origin, active.reason = side, protocol.AutomaticallyCancelled
	}
	m.add(id).joined[side] = true
}

// drawAttempt mostly draws the last one.
func (m *greetingModel) drawAttempt(rt *rapid.T) (parsec3.GreetingAttemptID, *modelAttempt) {
	back := min(rapid.IntRange(0, 1).Draw(rt, "back"), len(m.order)-1)
	id := m.order[len(m.order)-1-back]
	return id, m.attempts[id]
}

// refusal is that of an attempt which is over, or not joined, "" for none.
func (a *modelAttempt) refusal(side protocol.Side, cancelled protocol.Status) protocol.Status {
	switch {
	case a.origin != "":
		return cancelled
	case !a.joined[side]:
		return protocol.StatusGreetingAttemptNotJoined
	default:
		return ""
	}
}

func (m *greetingModel) cancel(rt *rapid.T, p *polled, side protocol.Side) {
	id, attempt := m.drawAttempt(rt)
	p.attempt = id
	err := p.cancelAttempt(side, protocol.InvalidNonceHash)
	want := attempt.refusal(side, protocol.StatusGreetingAttemptAlreadyCancelled)
	if want == "" {
		want = protocol.StatusOK
		attempt.origin, attempt.reason = side, protocol.InvalidNonceHash
	}
	attempt.check(rt, err, want)
}

// check compares an answer, with its fields.
func (a *modelAttempt) check(rt *rapid.T, err error, want protocol.Status) {
	if got := status(nil, err); got != want {
		rt.Fatalf("got %s, want %s", got, want)
	}
	if a.origin == "" || want == protocol.StatusOK {
		return
	}
	if details := detailsOf[protocol.AttemptCancelledDetails](err); details.Origin != a.origin || details.Reason != a.reason {
		rt.Fatalf("cancelled as %+v, want %s, %s", details, a.origin, a.reason)
	}
}

// next says the first part that a side has not said.
func (m *greetingModel) next(rt *rapid.T, p *polled, side protocol.Side) {
	attempt := m.attempts[m.order[len(m.order)-1]]
	step := 0
	for step < protocol.Steps-1 && attempt.said[side][step] != "" {
		step++
	}
	m.say(rt, p, side, m.order[len(m.order)-1], step, "a")
}

func (m *greetingModel) step(rt *rapid.T, p *polled, side protocol.Side) {
	id, _ := m.drawAttempt(rt)
	m.say(rt, p, side, id, rapid.IntRange(0, protocol.Steps-1).Draw(rt, "step"), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "said"))
}

func (m *greetingModel) say(rt *rapid.T, p *polled, side protocol.Side, id parsec3.GreetingAttemptID, step int, what string) {
	attempt, part := m.attempts[id], modelPart(side, step, what)
	p.attempt = id
	p.events.flush() // what happened on the other instance is known
	got, err := p.say(side, step, part)
	said, peers := attempt.said[side], attempt.said[side.Peer()]
	want := attempt.refusal(side, protocol.StatusGreetingAttemptCancelled)
	key := fmt.Sprintf("%x.", part)
	switch {
	case want != "":
	case step > 0 && (said[step-1] == "" || peers[step-1] == ""):
		want = protocol.StatusStepTooAdvanced
	case said[step] != "" && said[step] != key:
		want = protocol.StatusStepMismatch
	default:
		said[step] = key
		want = protocol.StatusNotReady
		if peers[step] != "" {
			want = protocol.StatusOK
		}
	}
	attempt.check(rt, err, want)
	if want == protocol.StatusOK && fmt.Sprintf("%x.", got) != peers[step] {
		rt.Fatalf("the peer said %x, want %s", got, peers[step])
	}
}

// modelPart is what a side may say in a step: nothing, in those without field.
func modelPart(side protocol.Side, step int, what string) []byte {
	if len(partOf(side, step)) == 0 {
		return []byte{}
	}
	part := make([]byte, 32)
	copy(part, what)
	return part
}
