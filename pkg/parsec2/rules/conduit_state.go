package rules

import (
	"bytes"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// ConduitState is the exchange that comes next in a conduit
// (docs/protocol/invite.md §4).
type ConduitState string

// The states.
const (
	ConduitWaitPeers          ConduitState = "1_WAIT_PEERS"
	ConduitClaimerHashedNonce ConduitState = "2_1_CLAIMER_HASHED_NONCE"
	ConduitGreeterNonce       ConduitState = "2_2_GREETER_NONCE"
	ConduitClaimerNonce       ConduitState = "2_3_CLAIMER_NONCE"
	ConduitClaimerTrust       ConduitState = "3_1_CLAIMER_TRUST"
	ConduitGreeterTrust       ConduitState = "3_2_GREETER_TRUST"
	ConduitCommunicate        ConduitState = "4_COMMUNICATE"
)

var nextConduitState = map[ConduitState]ConduitState{
	ConduitWaitPeers:          ConduitClaimerHashedNonce,
	ConduitClaimerHashedNonce: ConduitGreeterNonce,
	ConduitGreeterNonce:       ConduitClaimerNonce,
	ConduitClaimerNonce:       ConduitClaimerTrust,
	ConduitClaimerTrust:       ConduitGreeterTrust,
	ConduitGreeterTrust:       ConduitCommunicate,
	ConduitCommunicate:        ConduitCommunicate,
}

// Side is one of the two peers of a conduit.
type Side uint8

// The sides.
const (
	GreeterSide Side = iota
	ClaimerSide
)

func (s Side) peer() Side { return 1 - s }

// ConduitKey names a conduit of an organization.
type ConduitKey struct {
	Token   parsec.InvitationToken
	Greeter parsec.UserID
}

// Conduit is where a greeter and the claimers of an invitation meet.
type Conduit struct {
	State ConduitState
	// Exchange grows by one with each exchange that ends, and each reset.
	Exchange uint64
	// Last is the exchange that ended last; it means nothing after a reset.
	Last LastExchange
	// Received reports whether what the claimer has taken of it has reached it.
	Received bool
	// Halves are those of the sides.
	Halves [2]Half
}

// LastExchange is an exchange that ended: the state that it was in, and its
// number, one less than what Conduit.Exchange became.
type LastExchange struct {
	State  ConduitState
	Number uint64
}

// Half is what a conduit holds of one side. Nil is nothing, which differs from
// what is empty.
type Half struct {
	// Said is what the side says in the exchange of the moment.
	Said []byte
	// Heard is what the peer said in the exchange before, which the side, who
	// spoke first there, has not taken yet.
	Heard []byte
	// Taken is what the side has taken of the last exchange. It is kept, since
	// the reply may be lost on its way.
	Taken []byte
	// Speaker is the connection that the side spoke through last; zero over
	// HTTP.
	Speaker parsec.UUID
}

// NewConduit returns the conduit of a new invitation.
func NewConduit() Conduit { return Conduit{State: ConduitWaitPeers} }

// talk has a side say payload, not nil, in the exchange wanted. It returns what
// the peer said if that ends the exchange, nil if the peer has to come. The
// second speaker ends the exchange, so that it does not depend on the first
// still being there (docs/protocol/invite.md §4, Improve). A refusal changes
// nothing.
func (c *Conduit) talk(side Side, wanted ConduitState, payload []byte, speaker parsec.UUID) (heard []byte, err error) {
	if repeated, heard := c.repeat(side, wanted, payload, speaker); repeated {
		return heard, nil
	}
	mine := &c.Halves[side]
	if c.State != wanted || mine.Said != nil || mine.Heard != nil {
		if wanted != ConduitWaitPeers {
			return nil, errInvalidState
		}
		*c = Conduit{State: ConduitWaitPeers, Exchange: c.Exchange + 1}
	}
	mine.Speaker = speaker
	peer := &c.Halves[side.peer()]
	if peer.Said == nil {
		mine.Said = payload
		return nil, nil
	}
	heard = peer.Said
	peer.Said, peer.Heard, peer.Taken = nil, payload, nil
	mine.Taken = heard
	c.Last, c.Received = LastExchange{wanted, c.Exchange}, false
	c.State = nextConduitState[wanted]
	c.Exchange++
	return heard, nil
}

// repeat reports whether a side says again what it said already in step 4, whose
// reply it may not have got, and returns the reply, nil if the peer has to come
// still. A connection that got the reply says something new, even if it is the
// same; over HTTP, what is the same is taken as said again.
func (c *Conduit) repeat(side Side, wanted ConduitState, payload []byte, speaker parsec.UUID) (repeated bool, heard []byte) {
	if wanted != ConduitCommunicate || c.State != ConduitCommunicate {
		return false, nil
	}
	mine := &c.Halves[side]
	switch {
	case mine.Said != nil && bytes.Equal(mine.Said, payload):
	case mine.Taken != nil && speaker == mine.Speaker && speaker != (parsec.UUID{}):
		return false, nil
	case !c.lastSaid(side, payload):
		return false, nil
	default:
		if heard = c.again(side, wanted, payload); heard == nil {
			return false, nil
		}
	}
	mine.take(speaker)
	return true, heard
}

// again returns once more what a side heard in the last exchange, if wanted is
// that one; nil if there is none. What the side has taken already
// it gets again only for the payload that it sent then.
func (c *Conduit) again(side Side, wanted ConduitState, payload []byte) []byte {
	mine := &c.Halves[side]
	switch {
	case !c.lastKnown() || c.Last.State != wanted || c.Received && side == ClaimerSide:
		return nil
	case mine.Heard != nil:
		return mine.Heard
	case c.lastSaid(side, payload):
		return mine.Taken
	default:
		return nil
	}
}

// lastKnown reports whether Last and Taken are of the exchange that ended last.
func (c *Conduit) lastKnown() bool { return c.Last.State != "" && c.Last.Number+1 == c.Exchange }

// lastSaid reports whether the side said payload in the last exchange: its peer
// has it.
func (c *Conduit) lastSaid(side Side, payload []byte) bool {
	peer := &c.Halves[side.peer()]
	said := peer.Heard
	if said == nil {
		said = peer.Taken
	}
	return said != nil && bytes.Equal(said, payload)
}

// take moves what was not taken yet, through a connection.
func (h *Half) take(speaker parsec.UUID) {
	h.Speaker = speaker
	if h.Heard != nil {
		h.Heard, h.Taken = nil, h.Heard
	}
}

// ended reports whether a side which spoke first in an exchange can take what
// the peer said.
func (c *Conduit) ended(side Side, exchange uint64) bool {
	return c.Exchange == exchange+1 && c.Halves[side].Heard != nil
}

// TakeHeard is what Conduits.TakeHeard does to the conduit: a side which spoke
// first in an exchange takes what the peer said, if that has ended it.
func (c *Conduit) TakeHeard(side Side, exchange uint64) {
	if c.ended(side, exchange) {
		half := &c.Halves[side]
		half.take(half.Speaker)
	}
}

// Owes reports whether the claimer can ask again for what the greeter said last:
// it has not taken it, or the reply may be lost.
func (c *Conduit) Owes() bool {
	claimer := &c.Halves[ClaimerSide]
	return claimer.Heard != nil || claimer.Taken != nil && c.Last.Number+1 == c.Exchange && !c.Received
}

// listen returns what the peer said to a side that spoke first in an exchange,
// nil if it has to come still.
func (c *Conduit) listen(side Side, exchange uint64) (heard []byte, err error) {
	half := &c.Halves[side]
	switch {
	case c.ended(side, exchange):
		return half.Heard, nil
	case c.Exchange == exchange:
		return nil, nil
	case c.Exchange == exchange+1 && c.lastKnown() && half.Taken != nil: // Said again meanwhile, and taken.
		return half.Taken, nil
	default:
		return nil, errInvalidState
	}
}

var errInvalidState = protocol.Refuse(protocol.StatusInvalidState, "The peer is in another step, or started again.")
