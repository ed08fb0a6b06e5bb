package parsec3

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
)

const (
	messagePackType = "application/msgpack"

	// What a body may have, in bytes (docs/protocol/v5/transport.md §5): strangers
	// reach the other families too.
	maxStrangerBytes      = server.MaxBodyBytes
	maxAuthenticatedBytes = 8 << 20
	maxAccountBytes       = 16 << 20

	// requestLimit is how long a command may take, with the wait before it, until it
	// is answered 503: clients wait for ever. With what is cleaned up after it, and
	// with a body that comes late, a request ends within 60 s
	// (docs/protocol/v5/quirks.md §1).
	requestLimit = 50 * time.Second
)

// httpCall is one HTTP request on its way through the checks of
// docs/protocol/v5/transport.md §5, in order.
type httpCall struct {
	wing *Wing
	w    http.ResponseWriter
	r    *http.Request
	// ctx is done when nobody waits for the answer, or nobody may any longer.
	ctx context.Context
	// address is the client's.
	address netip.Addr
	// organization is that of the path, zero for a route without.
	organization parsec.OrganizationID
	caller       caller
	// opening is what the body begins with.
	opening openingBody
	// body and bodyErr are what reading the body gave, nil before.
	body    *[]byte
	bodyErr error
	// attempt is that of a step of a greeting that was read ahead, else nil.
	attempt *parsec3.GreetingAttemptID
	// holder is whose budget the request is on, nil for a stranger.
	holder *holder
	// upload is what may be held, nil for what may not.
	upload *upload
	// status is that of an answer without reply, 0 before.
	status int
}

// serve has handle answer a request of a family whose version is settled.
func (w *Wing) serve(answer http.ResponseWriter, r *http.Request, kind protocol.Kind, handle func(call *httpCall) error) {
	client, ok := requestedAPI(r.Header)
	if !ok {
		w.refuseVersion(answer, kind, 0)
		return
	}
	answer.Header().Set("Api-Version", apiVersion.String())
	address := w.server.ClientAddress(r)
	call := &httpCall{wing: w, w: answer, r: r, ctx: r.Context(), address: address, caller: caller{
		kind: kind, api: client, address: address, server: w.server.Logger(),
	}}
	defer call.end()
	if err := handle(call); err != nil {
		call.fail(err)
	}
}

// end is called after the answer.
func (call *httpCall) end() {
	if call.body != nil {
		server.PutBuffer(call.body)
	}
	call.endUpload()
}

// serveCommand is serve for a request that is answered within requestLimit.
func (w *Wing) serveCommand(answer http.ResponseWriter, r *http.Request, kind protocol.Kind, handle func(call *httpCall) error) {
	ctx, cancel := context.WithTimeout(r.Context(), requestLimit)
	defer cancel()
	stop := context.AfterFunc(w.server.Commands(), cancel)
	defer stop()
	w.serve(answer, r, kind, func(call *httpCall) error {
		call.ctx = ctx
		call.opening.ReadCloser = r.Body
		r.Body = &call.opening
		return handle(call)
	})
}

// requestedAPI returns the version of the client, false unless it is of API 5.
func requestedAPI(header http.Header) (parsec.APIVersion, bool) {
	version, err := parsec3.ParseAPIVersion(header.Get("Api-Version"))
	return version, err == nil && version.Major == apiVersion.Major
}

// refuseVersion answers 422 with the versions of a generation, 0 for all.
func (w *Wing) refuseVersion(answer http.ResponseWriter, kind protocol.Kind, generation organization.Generation) {
	w.server.Observer().RequestRefused(kind.String(), http.StatusUnprocessableEntity)
	answer.Header().Del("Api-Version")
	setDetailType(answer)
	w.server.RefuseVersion(answer, generation)
	writeDetail(answer, http.StatusUnprocessableEntity)
}

// details are the texts of answers, which no client reads. The other ones have that
// of HTTP.
var details = map[int]string{
	http.StatusUnauthorized:         "Missing authentication info",
	http.StatusForbidden:            "Bad authentication info",
	http.StatusNotFound:             "Organization not found",
	http.StatusNotAcceptable:        "Bad accept type",
	http.StatusUnsupportedMediaType: "Bad content type or invalid body or unknown command",

	int(rules.InvitationOver):      "Invitation already used or deleted",
	int(rules.OrganizationExpired): "Organization expired",
	int(rules.UserRevoked):         "User revoked",
	int(rules.UserFrozen):          "User frozen",
	int(rules.MustAcceptTOS):       "User must accept tos",
	int(rules.TokenExpired):        "Token expired",
}

func setDetailType(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json") }

func writeDetail(w http.ResponseWriter, status int) {
	text, known := details[status]
	if !known {
		text = http.StatusText(status)
	}
	body, err := json.Marshal(map[string]string{"detail": text})
	if err == nil {
		_, _ = w.Write(body) // the client may be gone
	}
}

// writeRefusal answers with a status, and a small body that says why.
func writeRefusal(w http.ResponseWriter, status int) {
	setDetailType(w)
	w.WriteHeader(status)
	writeDetail(w, status)
}

// writeBusy tells the client to try again soon: it shows that it is offline meanwhile.
func writeBusy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	writeRefusal(w, http.StatusServiceUnavailable)
}

// refuse answers a request whose command is not run, or has no reply.
func (call *httpCall) refuse(status int) {
	call.refused(status)
	writeRefusal(call.w, status)
}

// busy is refuse, for now.
func (call *httpCall) busy() {
	call.refused(http.StatusServiceUnavailable)
	writeBusy(call.w)
}

func (call *httpCall) refused(status int) {
	call.status = status
	call.wing.server.Observer().RequestRefused(call.caller.Kind(), status)
}

// fail answers with the status of an error.
func (call *httpCall) fail(err error) {
	status, hasStatus := errors.AsType[server.StatusError](err)
	abort, aborted := errors.AsType[rules.Abort](err)
	_, isHasty := errors.AsType[*server.HastyError](err)
	switch {
	case hasStatus && status == http.StatusRequestTimeout, aborted && abort == rules.UploadInDoubt:
		call.busy() // which clients wait after
	case hasStatus:
		call.refuse(int(status))
	case aborted && abort == rules.WrongGeneration:
		call.wing.refuseVersion(call.w, call.caller.kind, organization.Parsec2)
	case errors.Is(err, rules.ErrOldClient):
		call.wing.refuseVersion(call.w, call.caller.kind, organization.Parsec3)
	case aborted:
		call.refuse(int(abort))
	case call.r.Context().Err() != nil:
		call.upload.lose()
		call.caller.Logger().Debug("request abandoned", "error", err)
	case isHasty, errors.Is(err, server.ErrNoRoom), errors.Is(err, errNotServing), call.wing.server.Commands().Err() != nil:
		call.busy()
	case isOutage(err):
		call.wing.server.LogOutage(call.ctx, call.caller.Logger(), "request refused", err)
		call.busy()
	default:
		call.wing.server.LogFailure(call.ctx, call.caller.Logger(), "request failed", err)
		call.refuse(http.StatusInternalServerError)
	}
}

// checkOrganization wants a valid organization in the path.
func (call *httpCall) checkOrganization() error {
	id, valid := server.PathOrganization(call.r)
	if !valid {
		return rules.OrganizationNotFound
	}
	call.organization = id
	call.caller.is(id, parsec3.DeviceID{})
	return nil
}

// checkContentType ignores parameters and case.
func (call *httpCall) checkContentType() error {
	if server.MediaType(call.r.Header.Get("Content-Type")) != messagePackType {
		return server.StatusError(http.StatusUnsupportedMediaType)
	}
	return nil
}

// checkLength refuses a body that is said to be too long before it is read.
func (call *httpCall) checkLength(most int64) error {
	if call.r.ContentLength > most {
		return server.StatusError(http.StatusRequestEntityTooLarge)
	}
	return nil
}

// executeOfStranger runs the command of a body of someone who is not known.
func (call *httpCall) executeOfStranger(decode decoder) error {
	held := call.wing.server.StrangersShare(call.address)
	defer held.Release()
	return call.executeBody(maxStrangerBytes, held, decode)
}

// executeOfUser runs the command of a body of a device that is known.
func (call *httpCall) executeOfUser(author *rules.Author, most int64, decode decoder) error {
	return call.executeOf(holderOf(author), most, decode)
}

// executeOfOwner is executeOfUser for who has an account.
func (call *httpCall) executeOfOwner(author *rules.AccountAuthor, most int64, decode decoder) error {
	return call.executeOf(holderOfAccount(author), most, decode)
}

func (call *httpCall) executeOf(of holder, most int64, decode decoder) error {
	call.holder = &of
	held := call.wing.server.UsersShare(of.id)
	defer held.Release()
	if call.r.ContentLength > 0 { // else it grows, or is refused
		if err := call.awaitRoom(held, int(min(call.r.ContentLength, most))); err != nil {
			return err
		}
	}
	return call.executeBody(most, held, decode)
}

func (call *httpCall) executeBody(most int64, held *server.Share, decode decoder) error {
	body, err := call.readBody(most, held)
	if err != nil {
		return err
	}
	return call.executeMessage(body, decode)
}

// readBody reads the body, which is there until the end, unless it was read before.
func (call *httpCall) readBody(most int64, held *server.Share) ([]byte, error) {
	if call.body == nil && call.bodyErr == nil {
		call.body, call.bodyErr = server.ReadBody(call.w, call.r, most, held)
	}
	if call.bodyErr != nil {
		return nil, call.bodyErr
	}
	return *call.body, nil
}

func (call *httpCall) executeMessage(message []byte, decode decoder) error {
	t := decode(message)
	if t.Err != nil {
		call.caller.Logger().Debug("request not understood", "error", t.Err)
		return server.StatusError(http.StatusUnsupportedMediaType)
	}
	if err := call.wing.server.Limit(t.Form, call.wing.rules.Founding().SpontaneousBootstrap, call.address); err != nil {
		return err
	}
	return call.execute(t)
}

// execute runs a command once there is room for its reply.
func (call *httpCall) execute(t server.Task) error {
	if call.holder == nil {
		return call.run(t, nil)
	}
	room, err := call.wing.admit(call.ctx, *call.holder, t.Form)
	if err != nil {
		return err
	}
	defer room.Release()
	return call.run(t, room)
}

// run runs a command and answers it. The reply of a stranger takes room that is not
// known before.
func (call *httpCall) run(t server.Task, room *server.Share) error {
	reply, err := call.wing.server.Run(call.ctx, &call.caller, t)
	switch {
	case err == nil && reply.Long != nil:
		return call.replyLong(reply.Long)
	case err == nil:
		defer server.PutBuffer(reply.Encoded)
		room.Settle(cap(*reply.Encoded))
		if call.holder == nil {
			return call.replyToStranger(*reply.Encoded)
		}
		return call.reply(*reply.Encoded)
	case server.OutcomeOf(call.ctx, &call.caller, err) != server.Failed: // else Run has logged it
		return err
	case isOutage(err), call.ctx.Err() != nil:
		call.busy()
		return nil
	default:
		return server.StatusError(http.StatusInternalServerError)
	}
}

// replyToStranger replies if there is room for what the client may be slow to read.
func (call *httpCall) replyToStranger(body []byte) error {
	room := call.wing.server.StrangersShare(call.address)
	defer room.Release()
	if err := room.Grow(cap(body)); err != nil {
		call.busy()
		return nil
	}
	return call.reply(body)
}

func (call *httpCall) reply(body []byte) error {
	call.w.Header().Set("Content-Type", messagePackType)
	call.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := call.w.Write(body); err != nil {
		call.upload.lose()
		call.caller.Logger().Debug("reply not delivered", "error", err)
	}
	return nil
}

// replyLong ends the connection if it cannot send the reply whole: nobody takes a
// part for all of it. What it waits for has time limits of its own: a page, a write.
func (call *httpCall) replyLong(reply *server.LongReply) error {
	call.w.Header().Set("Content-Type", messagePackType)
	call.w.Header().Set("Content-Length", strconv.FormatInt(reply.Length, 10))
	if err := reply.Write(call.r.Context(), call.w); err != nil {
		call.wing.server.LogOutage(call.ctx, call.caller.Logger(), "reply not sent whole", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}
