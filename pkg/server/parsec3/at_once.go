package parsec3

import (
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
)

// Who reads has sent the same token a moment ago, mostly. Such a request is answered by
// rules that read who asks together with what is asked. Its body is read before it is
// known whether they are still let in; the checks have their order all the same, as
// what is wrong with the body is told after them.

// applicant returns who sends the request, if the token was verified a moment ago and
// the body is that of a command that is answered at once. A body is small, and is there
// already, or nearly: nobody is told to send it before they are let in.
func (call *httpCall) applicant(token *rules.Token) (*rules.Applicant, bool) {
	if call.r.ContentLength <= 0 || call.r.ContentLength > server.FreeBytes ||
		call.r.Header.Get("Expect") != "" || !call.wing.server.Serving() {
		return nil, false
	}
	applicant, known := call.wing.rules.Recognize(call.organization, token, call.caller.api)
	if !known || call.upload.opening.command() != protocol.VlobReadBatch.Form {
		return nil, false
	}
	return applicant, true
}

// executeAtOnce runs the command of an applicant. When it is not understood, or would
// have to wait for room, they are admitted first, as anybody.
func (call *httpCall) executeAtOnce(applicant *rules.Applicant) error {
	call.holder = &holder{userOf{applicant.Organization, applicant.User}, largeReplies}
	held := call.wing.server.UsersShare(call.holder.id)
	defer held.Release()
	body, failure := server.ReadBody(call.w, call.r, server.FreeBytes, held)
	if failure == nil {
		defer server.PutBuffer(body)
		t := decoderOf(call.wing.tables.atOnce, applicant)(*body)
		room := call.wing.server.UsersShare(call.holder.id)
		if t.Err == nil && room.Grow(largeReplies[t.Form]) == nil {
			defer room.Release()
			call.caller.is(applicant.Organization, applicant.Token.Device)
			return call.run(t, room)
		}
	}
	author, err := call.author(applicant.Token, call.wing.rules.Admit)
	switch {
	case err != nil:
		return err
	case failure != nil:
		return failure
	default:
		call.holder = new(holderOf(author))
		return call.executeMessage(*body, decoderOf(call.wing.tables.authenticated, author))
	}
}
