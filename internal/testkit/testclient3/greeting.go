package testclient3

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// polls are how long official clients wait before they ask again for the peer's part of
// a step; once these are over it is the last one each time
// (docs/protocol/v5/invite.md §4).
var polls = []time.Duration{
	62 * time.Millisecond, 125 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
}

// maxRestarts is how often official clients start again silently.
const maxRestarts = 8

// Person is who sits before a client that greets, or is greeted.
type Person interface {
	// Say reads a code aloud.
	Say(code SASCode)
	// Pick chooses what the other one has said among codes, "" for none of them.
	Pick(ctx context.Context, codes []SASCode) SASCode
}

// Talk is how two people hear each other.
type Talk struct{ greeter, claimer chan SASCode }

// NewTalk returns a talk of two quick people who hear well.
func NewTalk() *Talk { return &Talk{make(chan SASCode, 1), make(chan SASCode, 1)} }

// Greeter is who invites.
func (t *Talk) Greeter() Person { return talker{t.greeter, t.claimer} }

// Claimer is who is invited.
func (t *Talk) Claimer() Person { return talker{t.claimer, t.greeter} }

type talker struct{ own, peer chan SASCode }

func (t talker) Say(code SASCode) {
	select { // what nobody has heard is out of date
	case <-t.own:
	default:
	}
	t.own <- code
}

func (t talker) Pick(ctx context.Context, codes []SASCode) SASCode {
	select {
	case code := <-t.peer:
		if slices.Contains(codes, code) {
			return code
		}
	case <-ctx.Done():
	}
	return ""
}

// ErrSASCode is that of a person who did not find the code of the other one.
var ErrSASCode = errors.New("the codes differ")

// side is one of the two of an attempt: how it says its parts to the server.
type side interface {
	name() protocol.Side
	start(ctx context.Context) (parsec3.GreetingAttemptID, error)
	// step says a part, and returns that of the peer.
	step(ctx context.Context, attempt parsec3.GreetingAttemptID, number int, said []byte) ([]byte, error)
	cancel(ctx context.Context, attempt parsec3.GreetingAttemptID, reason protocol.CancelledAttemptReason) error
}

type greeterSide struct {
	rpc   *client3.RPC
	token parsec3.AccessToken
}

func (greeterSide) name() protocol.Side { return protocol.Greeter }

func (s greeterSide) start(ctx context.Context) (parsec3.GreetingAttemptID, error) {
	reply, err := client3.Call(ctx, s.rpc, protocol.InviteGreeterStartGreetingAttempt, &protocol.InviteGreeterStartGreetingAttemptRequest{Token: s.token})
	if err != nil {
		return parsec3.GreetingAttemptID{}, err
	}
	return reply.GreetingAttempt, nil
}

func (s greeterSide) step(ctx context.Context, attempt parsec3.GreetingAttemptID, number int, said []byte) ([]byte, error) {
	reply, err := client3.Call(ctx, s.rpc, protocol.InviteGreeterStep, &protocol.InviteGreeterStepRequest{
		GreetingAttempt: attempt, GreeterStep: protocol.GreeterStepOf(number, said),
	})
	switch {
	case err != nil:
		return nil, err
	case reply.ClaimerStep.Number() != number:
		return nil, errOtherStep
	default:
		return reply.ClaimerStep.Said(), nil
	}
}

func (s greeterSide) cancel(ctx context.Context, attempt parsec3.GreetingAttemptID, reason protocol.CancelledAttemptReason) error {
	_, err := client3.Call(ctx, s.rpc, protocol.InviteGreeterCancelGreetingAttempt, &protocol.InviteGreeterCancelGreetingAttemptRequest{
		AttemptCancellation: protocol.AttemptCancellation{GreetingAttempt: attempt, Reason: reason},
	})
	return err
}

type claimerSide struct {
	rpc     *client3.RPC
	greeter parsec3.UserID
}

func (claimerSide) name() protocol.Side { return protocol.Claimer }

func (s claimerSide) start(ctx context.Context) (parsec3.GreetingAttemptID, error) {
	reply, err := client3.Call(ctx, s.rpc, protocol.InviteClaimerStartGreetingAttempt, &protocol.InviteClaimerStartGreetingAttemptRequest{Greeter: s.greeter})
	if err != nil {
		return parsec3.GreetingAttemptID{}, err
	}
	return reply.GreetingAttempt, nil
}

func (s claimerSide) step(ctx context.Context, attempt parsec3.GreetingAttemptID, number int, said []byte) ([]byte, error) {
	reply, err := client3.Call(ctx, s.rpc, protocol.InviteClaimerStep, &protocol.InviteClaimerStepRequest{
		GreetingAttempt: attempt, ClaimerStep: protocol.ClaimerStepOf(number, said),
	})
	switch {
	case err != nil:
		return nil, err
	case reply.GreeterStep.Number() != number:
		return nil, errOtherStep
	default:
		return reply.GreeterStep.Said(), nil
	}
}

func (s claimerSide) cancel(ctx context.Context, attempt parsec3.GreetingAttemptID, reason protocol.CancelledAttemptReason) error {
	_, err := client3.Call(ctx, s.rpc, protocol.InviteClaimerCancelGreetingAttempt, &protocol.InviteClaimerCancelGreetingAttemptRequest{
		AttemptCancellation: protocol.AttemptCancellation{GreetingAttempt: attempt, Reason: reason},
	})
	return err
}

var errOtherStep = errors.New("the server answers with another step than it was asked for")

// exchange is a greeting attempt as one side goes through it.
type exchange struct {
	side
	algorithm SASAlgorithm
	person    Person
	pause     func(context.Context, time.Duration) error

	attempt parsec3.GreetingAttemptID
	key     exchangeKey
	// own and peer are the codes that the two people read aloud.
	own, peer SASCode
}

// say says a part until the peer has said its own.
func (x *exchange) say(ctx context.Context, number int, said []byte) ([]byte, error) {
	for try := 0; ; try++ {
		peer, err := x.step(ctx, x.attempt, number, said)
		if !isRefused(err, protocol.StatusNotReady) {
			return peer, err
		}
		if err := x.pause(ctx, polls[min(try, len(polls)-1)]); err != nil {
			return nil, err
		}
	}
}

// nothing is the part of who says nothing of interest.
var nothing = []byte{}

// meet goes through the steps that no person notices, again when the peer has started
// again.
func (x *exchange) meet(ctx context.Context) error {
	for restarts := 0; ; restarts++ {
		err := x.tryMeet(ctx)
		if restarts == maxRestarts || !x.isRestart(err) {
			return err
		}
	}
}

// isRestart reports whether the peer has begun a new attempt.
func (x *exchange) isRestart(err error) bool {
	refusal, refused := errors.AsType[*protocol.Refusal](err)
	if !refused || refusal.Status != protocol.StatusGreetingAttemptCancelled {
		return false
	}
	details := refusal.Details.(*protocol.AttemptCancelledDetails)
	return details.Origin == x.name().Peer() && details.Reason == protocol.AutomaticallyCancelled
}

func (x *exchange) tryMeet(ctx context.Context) (err error) {
	if x.attempt, err = x.start(ctx); err != nil {
		return err
	}
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	own := parsec.PublicKey(private.PublicKey().Bytes())
	said, err := x.say(ctx, 0, own[:])
	if err != nil {
		return err
	}
	peer := parsec.PublicKey(said)
	isGreeter := x.name() == protocol.Greeter
	greeterKey, claimerKey := own, peer
	if !isGreeter {
		greeterKey, claimerKey = peer, own
	}
	if x.key, err = x.algorithm.exchangeKeyOf(private, peer, greeterKey, claimerKey); err != nil {
		return err
	}
	nonces := x.claimerNonces
	if isGreeter {
		nonces = x.greeterNonces
	}
	claimerNonce, greeterNonce, err := nonces(ctx)
	if err != nil {
		return err
	}
	claimerCode, greeterCode, err := x.algorithm.codes(x.key, claimerNonce, greeterNonce)
	x.own, x.peer = claimerCode, greeterCode
	if isGreeter {
		x.own, x.peer = greeterCode, claimerCode
	}
	return err
}

func (x *exchange) claimerNonces(ctx context.Context) (claimer, greeter []byte, err error) {
	claimer = newExchangeNonce()
	hash := sha256.Sum256(claimer)
	if _, err = x.say(ctx, 1, hash[:]); err != nil {
		return nil, nil, err
	}
	if greeter, err = x.say(ctx, 2, nothing); err != nil {
		return nil, nil, err
	}
	_, err = x.say(ctx, 3, claimer)
	return claimer, greeter, err
}

func (x *exchange) greeterNonces(ctx context.Context) (claimer, greeter []byte, err error) {
	greeter = newExchangeNonce()
	hash, err := x.say(ctx, 1, nothing)
	if err != nil {
		return nil, nil, err
	}
	if _, err = x.say(ctx, 2, greeter); err != nil {
		return nil, nil, err
	}
	if claimer, err = x.say(ctx, 3, nothing); err != nil {
		return nil, nil, err
	}
	if err := checkNonce(claimer, [32]byte(hash)); err != nil {
		return nil, nil, x.abandon(ctx, protocol.InvalidNonceHash, err)
	}
	return claimer, greeter, nil
}

// abandon cancels the attempt and returns why.
func (x *exchange) abandon(ctx context.Context, reason protocol.CancelledAttemptReason, err error) error {
	if failed := x.cancel(ctx, x.attempt, reason); failed != nil {
		return fmt.Errorf("%w, and then: %w", err, failed)
	}
	return err
}

// compare has the two people read and pick codes, the greeter's first.
func (x *exchange) compare(ctx context.Context) error {
	steps := []func(context.Context, int) error{x.isHeard, x.hear}
	if x.name() == protocol.Claimer {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for i, step := range steps {
		if err := step(ctx, 4+i); err != nil {
			return err
		}
	}
	return nil
}

// isHeard reads the own code aloud, and waits until the peer says that it trusts.
func (x *exchange) isHeard(ctx context.Context, step int) error {
	x.person.Say(x.own)
	_, err := x.say(ctx, step, nothing)
	return err
}

// choices is how many codes a person picks one of.
const choices = 3

// hear has the person pick the peer's code among others, and says then that it trusts.
func (x *exchange) hear(ctx context.Context, step int) error {
	codes := []SASCode{x.peer}
	for len(codes) < choices {
		n, err := rand.Int(rand.Reader, big.NewInt(1<<sasBits))
		if err != nil {
			return err
		}
		if code := newSASCode(n.Uint64()); !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	if x.person.Pick(ctx, codes) != x.peer {
		return x.abandon(ctx, protocol.InvalidSASCode, ErrSASCode)
	}
	_, err := x.say(ctx, step, nothing)
	return err
}

// read decrypts what the peer has said, or cancels the attempt.
func (x *exchange) read(ctx context.Context, sealed []byte, name string, fields any) error {
	err := x.key.openPayload(sealed, name, fields)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUndecipherable):
		return x.abandon(ctx, protocol.UndecipherablePayload, err)
	default:
		return x.abandon(ctx, protocol.UndeserializablePayload, err)
	}
}
