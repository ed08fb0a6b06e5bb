package backend

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
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
	// Halves are those of the sides.
	Halves [2]Half
}

// Half is what a conduit holds of one side. Nil is nothing, which differs from
// what is empty.
type Half struct {
	// Said is what the side says in the exchange of the moment.
	Said []byte
	// Heard is what the peer said in the exchange before, which the side, who
	// spoke first there, has not taken yet.
	Heard []byte
}

// NewConduit is the conduit of a new invitation.
func NewConduit() Conduit { return Conduit{State: ConduitWaitPeers} }

// talk has a side say payload, not nil, in the exchange wanted. It gives what
// the peer said if that ends the exchange, nil if the peer has to come. The
// second speaker ends the exchange, so that it does not depend on the first
// still being there (docs/protocol/invite.md §4, Improve). A refusal changes
// nothing.
func (c *Conduit) talk(side Side, wanted ConduitState, payload []byte) (heard []byte, err error) {
	mine := &c.Halves[side]
	if c.State != wanted || mine.Said != nil || mine.Heard != nil {
		if wanted != ConduitWaitPeers {
			return nil, errInvalidState
		}
		*c = Conduit{State: ConduitWaitPeers, Exchange: c.Exchange + 1}
	}
	peer := &c.Halves[side.peer()]
	if peer.Said == nil {
		mine.Said = payload
		return nil, nil
	}
	heard = peer.Said
	peer.Said, peer.Heard = nil, payload
	c.State = nextConduitState[wanted]
	c.Exchange++
	return heard, nil
}

// Ended tells that a side which spoke first in an exchange can take what the
// peer said.
func (c *Conduit) Ended(side Side, exchange uint64) bool {
	return c.Exchange == exchange+1 && c.Halves[side].Heard != nil
}

// listen gives what the peer said to a side that spoke first in an exchange,
// nil if it has to come still.
func (c *Conduit) listen(side Side, exchange uint64) (heard []byte, err error) {
	switch {
	case c.Ended(side, exchange):
		return c.Halves[side].Heard, nil
	case c.Exchange == exchange:
		return nil, nil
	default:
		return nil, errInvalidState
	}
}

var errInvalidState = protocol.Refuse(protocol.StatusInvalidState, "The peer is in another step, or started again.")
