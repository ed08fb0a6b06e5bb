package parsec3

import (
	"slices"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// What clients ask for most is read together with who asks, in one round trip. The body
// of such a request is read before it is known whether they are let in; the checks have
// their order all the same, as what is wrong with the body is told after them.

// aheadBytes bounds a body that is read ahead of its sender's admission. It counts for
// no budget.
const aheadBytes = server.FreeBytes / 2

// readAhead reads the body if it is of one of some commands, which it returns, else nil:
// of vlob_read_batch, or of a step of a greeting, whose attempt is known then. A body is
// small, and is there already, or nearly: nobody is told to send it before they are let in.
func (call *httpCall) readAhead(commands ...*rpc.Form) *rpc.Form {
	if call.r.ContentLength <= 0 || call.r.ContentLength > aheadBytes ||
		call.r.Header.Get("Expect") != "" || !call.wing.server.Serving() {
		return nil
	}
	command := call.opening.command()
	if command == nil || !slices.Contains(commands, command) {
		return nil
	}
	body, err := call.readBody(aheadBytes, nil) // whoever wants the body is told of its error
	if err == nil && command != protocol.VlobReadBatch.Form {
		call.attempt = attemptOf(body)
	}
	return command
}

// attemptOf returns the greeting attempt of a step, nil for what is no step.
func attemptOf(message []byte) *parsec3.GreetingAttemptID {
	var step struct {
		GreetingAttempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
	}
	if wire.Microseconds.Scan(message) != nil || wire.Microseconds.Unmarshal(message, &step) != nil {
		return nil
	}
	return &step.GreetingAttempt
}

// executeAtOnce runs the command of an applicant, whose body was read ahead. When it is
// not understood, or would have to wait for room, they are admitted first, as anybody.
func (call *httpCall) executeAtOnce(applicant *rules.Applicant) error {
	call.holder = &holder{userOf{applicant.Organization, applicant.User}, largeReplies}
	if call.body != nil {
		t := decoderOf(call.wing.tables.atOnce, applicant)(*call.body)
		room := call.wing.server.UsersShare(call.holder.id)
		if t.Err == nil && room.Grow(largeReplies[t.Form]) == nil {
			defer room.Release()
			call.caller.is(applicant.Organization, applicant.Token.Device)
			return call.run(t, room)
		}
	}
	return call.executeAdmitted(applicant.Token)
}
