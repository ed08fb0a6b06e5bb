package protocol

import (
	"errors"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// InviteGreeterStartGreetingAttemptRequest has the author join an attempt.
type InviteGreeterStartGreetingAttemptRequest struct {
	Token parsec3.AccessToken `wire:"token"`
}

// InviteGreeterStartGreetingAttemptReply names the attempt.
type InviteGreeterStartGreetingAttemptReply struct {
	GreetingAttempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
}

// InviteClaimerStartGreetingAttemptRequest has the claimer join an attempt with a
// greeter.
type InviteClaimerStartGreetingAttemptRequest struct {
	Greeter parsec3.UserID `wire:"greeter"`
}

// InviteClaimerStartGreetingAttemptReply names the attempt.
type InviteClaimerStartGreetingAttemptReply struct {
	GreetingAttempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
}

// InviteGreeterCancelGreetingAttemptRequest ends an attempt.
type InviteGreeterCancelGreetingAttemptRequest struct{ AttemptCancellation }

// InviteGreeterCancelGreetingAttemptReply has no field.
type InviteGreeterCancelGreetingAttemptReply struct{}

// InviteClaimerCancelGreetingAttemptRequest ends an attempt.
type InviteClaimerCancelGreetingAttemptRequest struct{ AttemptCancellation }

// InviteClaimerCancelGreetingAttemptReply has no field.
type InviteClaimerCancelGreetingAttemptReply struct{}

// AttemptCancellation says which attempt is cancelled, and why.
type AttemptCancellation struct {
	GreetingAttempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
	Reason          CancelledAttemptReason    `wire:"reason"`
}

// CancelledAttemptReason is why a greeting attempt was cancelled.
type CancelledAttemptReason string

// AutomaticallyCancelled is for a side that starts again.
const (
	ManuallyCancelled       CancelledAttemptReason = "MANUALLY_CANCELLED"
	InvalidNonceHash        CancelledAttemptReason = "INVALID_NONCE_HASH"
	InvalidSASCode          CancelledAttemptReason = "INVALID_SAS_CODE"
	UndecipherablePayload   CancelledAttemptReason = "UNDECIPHERABLE_PAYLOAD"
	UndeserializablePayload CancelledAttemptReason = "UNDESERIALIZABLE_PAYLOAD"
	InconsistentPayload     CancelledAttemptReason = "INCONSISTENT_PAYLOAD"
	AutomaticallyCancelled  CancelledAttemptReason = "AUTOMATICALLY_CANCELLED"
)

// UnmarshalText refuses any other text.
func (r *CancelledAttemptReason) UnmarshalText(text []byte) error {
	switch reason := CancelledAttemptReason(text); reason {
	case ManuallyCancelled, InvalidNonceHash, InvalidSASCode, UndecipherablePayload, UndeserializablePayload,
		InconsistentPayload, AutomaticallyCancelled:
		*r = reason
		return nil
	default:
		return errors.New("no reason to cancel a greeting attempt")
	}
}

// Side is one of the two of a greeting attempt.
type Side string

// Who invites, and who is invited.
const (
	Greeter Side = "GREETER"
	Claimer Side = "CLAIMER"
)

// UnmarshalText refuses any other text.
func (s *Side) UnmarshalText(text []byte) error {
	switch side := Side(text); side {
	case Greeter, Claimer:
		*s = side
		return nil
	default:
		return errors.New("neither greeter nor claimer")
	}
}

// Peer returns the other one.
func (s Side) Peer() Side {
	if s == Greeter {
		return Claimer
	}
	return Greeter
}

// InviteGreeterStepRequest says the greeter's part of a step.
type InviteGreeterStepRequest struct {
	GreetingAttempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
	GreeterStep     GreeterStep               `wire:"greeter_step"`
}

// Validate implements rpc.Validator.
func (r *InviteGreeterStepRequest) Validate() error { return r.GreeterStep.validate(greeterSteps) }

// InviteGreeterStepReply has the claimer's part of the step.
type InviteGreeterStepReply struct {
	ClaimerStep ClaimerStep `wire:"claimer_step"`
}

// InviteClaimerStepRequest says the claimer's part of a step.
type InviteClaimerStepRequest struct {
	GreetingAttempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
	ClaimerStep     ClaimerStep               `wire:"claimer_step"`
}

// Validate implements rpc.Validator.
func (r *InviteClaimerStepRequest) Validate() error { return r.ClaimerStep.validate(claimerSteps) }

// InviteClaimerStepReply has the greeter's part of the step.
type InviteClaimerStepReply struct {
	GreeterStep GreeterStep `wire:"greeter_step"`
}

// Steps is how many steps a greeting attempt has. Their numbers begin with 0.
const Steps = 9

// GreeterStep is what the greeter says in a step (docs/protocol/v5/invite.md §4).
type GreeterStep struct{ step }

// ClaimerStep is what the claimer says in a step (docs/protocol/v5/invite.md §4).
type ClaimerStep struct{ step }

// step has the one field of its name, if that has any.
type step struct {
	Step string `wire:"step"`

	PublicKey      *parsec.PublicKey `wire:"public_key,optional,omitnil"`
	HashedNonce    *[32]byte         `wire:"hashed_nonce,optional,omitnil"`
	GreeterNonce   []byte            `wire:"greeter_nonce,optional,omitnil"`
	ClaimerNonce   []byte            `wire:"claimer_nonce,optional,omitnil"`
	ClaimerPayload []byte            `wire:"claimer_payload,optional,omitnil"`
	GreeterPayload []byte            `wire:"greeter_payload,optional,omitnil"`
}

// stepForm is the name of a step, and how its field is read and set; both are nil for
// a step without.
type stepForm struct {
	name string
	get  func(*step) []byte
	set  func(*step, []byte)
}

var (
	greeterSteps = [Steps]stepForm{
		{"NUMBER_0_WAIT_PEER", getPublicKey, setPublicKey},
		{name: "NUMBER_1_GET_HASHED_NONCE"},
		{"NUMBER_2_SEND_NONCE", func(s *step) []byte { return s.GreeterNonce }, func(s *step, said []byte) { s.GreeterNonce = said }},
		{name: "NUMBER_3_GET_NONCE"},
		{name: "NUMBER_4_WAIT_PEER_TRUST"},
		{name: "5"}, // as the protocol has it
		{name: "NUMBER_6_GET_PAYLOAD"},
		{"NUMBER_7_SEND_PAYLOAD", func(s *step) []byte { return s.GreeterPayload }, func(s *step, said []byte) { s.GreeterPayload = said }},
		{name: "NUMBER_8_WAIT_PEER_ACKNOWLEDGMENT"},
	}
	claimerSteps = [Steps]stepForm{
		{"NUMBER_0_WAIT_PEER", getPublicKey, setPublicKey},
		{"NUMBER_1_SEND_HASHED_NONCE", getHashedNonce, setHashedNonce},
		{name: "NUMBER_2_GET_NONCE"},
		{"NUMBER_3_SEND_NONCE", func(s *step) []byte { return s.ClaimerNonce }, func(s *step, said []byte) { s.ClaimerNonce = said }},
		{name: "NUMBER_4_SIGNIFY_TRUST"},
		{name: "NUMBER_5_WAIT_PEER_TRUST"},
		{"NUMBER_6_SEND_PAYLOAD", func(s *step) []byte { return s.ClaimerPayload }, func(s *step, said []byte) { s.ClaimerPayload = said }},
		{name: "NUMBER_7_GET_PAYLOAD"},
		{name: "NUMBER_8_ACKNOWLEDGE"},
	}
)

func getPublicKey(s *step) []byte {
	if s.PublicKey == nil {
		return nil
	}
	return s.PublicKey[:]
}

func setPublicKey(s *step, said []byte) {
	s.PublicKey = new(parsec.PublicKey)
	copy(s.PublicKey[:], said)
}

func getHashedNonce(s *step) []byte {
	if s.HashedNonce == nil {
		return nil
	}
	return s.HashedNonce[:]
}

func setHashedNonce(s *step, said []byte) {
	s.HashedNonce = new([32]byte)
	copy(s.HashedNonce[:], said)
}

// maxPartBytes bounds what is said in one step: no official client can say more
// (docs/protocol/v5/invite.md §4).
const maxPartBytes = 1 << 20

func (s *step) validate(forms [Steps]stepForm) error {
	number := s.number(forms)
	switch {
	case number < 0:
		return errors.New("no step of this side")
	case forms[number].get != nil && forms[number].get(s) == nil:
		return errors.New("the step lacks its field")
	case len(s.said(forms)) > maxPartBytes:
		return errors.New("the step says too much")
	default:
		return nil
	}
}

// number is -1 for what is no step.
func (s *step) number(forms [Steps]stepForm) int {
	for number := range forms {
		if forms[number].name == s.Step {
			return number
		}
	}
	return -1
}

// said is not nil.
func (s *step) said(forms [Steps]stepForm) []byte {
	if form := forms[s.number(forms)]; form.get != nil {
		return form.get(s)
	}
	return []byte{}
}

func stepOf(forms [Steps]stepForm, number int, said []byte) step {
	s := step{Step: forms[number].name}
	if set := forms[number].set; set != nil {
		set(&s, said)
	}
	return s
}

// Number returns that of a valid step.
func (s *GreeterStep) Number() int { return s.number(greeterSteps) }

// Said returns what a valid step holds: nothing, which is not nil, in a step without
// field.
func (s *GreeterStep) Said() []byte { return s.said(greeterSteps) }

// GreeterStepOf returns the step with a number that says said, which is not nil.
func GreeterStepOf(number int, said []byte) GreeterStep {
	return GreeterStep{stepOf(greeterSteps, number, said)}
}

// Number returns that of a valid step.
func (s *ClaimerStep) Number() int { return s.number(claimerSteps) }

// Said returns what a valid step holds: nothing, which is not nil, in a step without
// field.
func (s *ClaimerStep) Said() []byte { return s.said(claimerSteps) }

// ClaimerStepOf returns the step with a number that says said, which is not nil.
func ClaimerStepOf(number int, said []byte) ClaimerStep {
	return ClaimerStep{stepOf(claimerSteps, number, said)}
}
