package parsec2

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/server"
)

const messagePackType = "application/msgpack"

// oldestMajorOverHTTP is the first API that HTTP carries.
const oldestMajorOverHTTP = 2

// emptyMap is a msgpack map without item.
const emptyMap = "\x80"

// httpCall is one HTTP request of the protocol on its way through the checks of
// docs/protocol/transport.md §7.2, in order.
type httpCall struct {
	wing *Wing
	w    http.ResponseWriter
	r    *http.Request
	// address is the client's.
	address netip.Addr
	caller  caller
	// watch opens a session that reports when the caller may not be served any
	// more. What becomes of an invitation is told by its commands.
	watch func(ctx context.Context, onOver func()) (*rules.Session, error)
	// held is what the body holds of the budget of strangers.
	held *server.Share
}

// rpcHandler answers a request whose version is settled, or returns why not.
type rpcHandler func(call *httpCall) error

func (w *Wing) serveRPC(answer http.ResponseWriter, r *http.Request, handle rpcHandler) {
	client, own, ok := requestedAPI(r.Header)
	if !ok {
		// Which major would have answered is not known: the newest is named.
		answer.Header().Set("Api-Version", parsec.SupportedAPIVersions[len(parsec.SupportedAPIVersions)-1].String())
		w.server.RefuseVersion(answer, 0)
		return
	}
	answer.Header().Set("Api-Version", own.String())
	address := w.server.ClientAddress(r)
	call := &httpCall{wing: w, w: answer, r: r, address: address, caller: caller{
		api: client, release: protocol.ReleaseOf(r.UserAgent()), overHTTP: true,
		logger: w.server.Logger().With("api", client.String(), "address", address.String(), "transport", "http"),
	}}
	if err := handle(call); err != nil {
		call.fail(err)
	}
}

// fail answers with the status of an error.
func (call *httpCall) fail(err error) {
	var status server.StatusError
	var denial rules.Denial
	var hasty *server.HastyError
	switch {
	case errors.As(err, &status):
		call.w.WriteHeader(int(status))
	case errors.Is(err, rules.OtherGeneration):
		call.wing.server.RefuseVersion(call.w, organization.Parsec3)
	case errors.As(err, &denial):
		call.w.WriteHeader(cmp.Or(deniedOverHTTP[denial], http.StatusUnauthorized))
	case errors.As(err, &hasty):
		hasty.Refuse(call.w)
	case errors.Is(err, rules.ErrSessionOver):
		call.fail(call.whySessionOver())
	case call.r.Context().Err() != nil:
		call.caller.logger.Debug("request abandoned", "error", err)
	case errors.Is(err, server.ErrNoRoom), errors.Is(err, errOverForNow), call.wing.server.Commands().Err() != nil:
		server.RefuseBusy(call.w)
	case errors.Is(err, outage.ErrUnavailable):
		call.wing.server.LogFailure(call.r.Context(), call.caller.logger, "request refused", err)
		server.RefuseBusy(call.w)
	default:
		call.wing.server.LogFailure(call.r.Context(), call.caller.logger, "request failed", err)
		call.w.WriteHeader(http.StatusInternalServerError)
	}
}

// deniedOverHTTP are the statuses of docs/protocol/transport.md §7.2 of denials;
// any other is http.StatusUnauthorized. net/http does not name all of them.
var deniedOverHTTP = map[rules.Denial]int{
	rules.UnknownOrganization: http.StatusNotFound,
	rules.UnknownInvitation:   http.StatusNotFound,
	rules.OrganizationExpired: 460,
	rules.UserRevoked:         461,
	rules.UserFrozen:          462,
	rules.DeletedInvitation:   http.StatusGone,
	rules.TooManyEnrollments:  http.StatusTooManyRequests,
}

// errOverForNow is of a session that is over although its author may have one:
// events were lost, or the author is back.
var errOverForNow = errors.New("the session is over for now")

// whySessionOver returns what happened to the author since its checks.
func (call *httpCall) whySessionOver() error {
	session, err := call.watch(call.r.Context(), func() {})
	if err != nil {
		return err
	}
	session.Close()
	return errOverForNow
}

func (w *Wing) anonymous(answer http.ResponseWriter, r *http.Request) {
	w.serveRPC(answer, r, func(call *httpCall) error {
		id, valid := server.PathOrganization(r)
		if !valid {
			return server.StatusError(http.StatusNotFound)
		}
		organization, err := w.rules.FindOrganization(r.Context(), id)
		if err != nil {
			return err
		}
		spontaneous := r.Method == http.MethodPost && w.rules.Founding().Spontaneous(organization)
		if !spontaneous {
			if err := w.rules.CheckOpen(organization); err != nil {
				return err
			}
		}
		if err := call.checkContentType(); err != nil {
			return err
		}
		if r.Method == http.MethodGet {
			return call.reply([]byte(emptyMap))
		}
		caller := &rules.Anonymous{Organization: id, API: call.caller.client().API}
		return call.executeOfStranger(protocol.Anonymous, id, decoderOf(w.tables.anonymous, caller))
	})
}

func (w *Wing) authenticated(answer http.ResponseWriter, r *http.Request) {
	w.serveRPC(answer, r, func(call *httpCall) error {
		credentials, facts, err := call.credentials()
		if err != nil {
			return err
		}
		if err := call.checkContentType(); err != nil {
			return err
		}
		if err := credentials.check(facts); err != nil {
			return err
		}
		return call.withBody(server.MaxBodyBytes, func(body []byte) error {
			if err := call.authenticate(credentials, facts, body); err != nil {
				return err
			}
			held, err := call.becomeUser(cap(body))
			if err != nil {
				return err
			}
			defer held.Release()
			return call.execute(body)
		})
	})
}

func (w *Wing) invited(answer http.ResponseWriter, r *http.Request) {
	w.serveRPC(answer, r, func(call *httpCall) error {
		id, valid := server.PathOrganization(r)
		if !valid {
			return server.StatusError(http.StatusNotFound)
		}
		token, tokenErr := parsec.ParseUUID(r.Header.Get("Invitation-Token"))
		facts, err := w.rules.Invitation(r.Context(), id, parsec.InvitationToken(token))
		var denial rules.Denial
		if errors.As(err, &denial) && isOfOrganization(denial) {
			return err
		}
		if typeErr := call.checkContentType(); typeErr != nil {
			return typeErr
		}
		if tokenErr != nil {
			return server.StatusError(http.StatusUnsupportedMediaType)
		}
		if err != nil {
			return err
		}
		invitee := facts.Invitee(call.caller.client().API)
		return call.executeOfStranger(protocol.Invited, id, decoderOfClaimer(w.tables, &invitee))
	})
}

// isOfOrganization reports whether a denial is told before the form of the request is
// looked at.
func isOfOrganization(denial rules.Denial) bool {
	switch denial {
	case rules.UnknownOrganization, rules.OtherGeneration, rules.OrganizationExpired:
		return true
	default:
		return false
	}
}

// identify settles who calls, for the log too.
func (call *httpCall) identify(kind protocol.Kind, attributes ...any) {
	call.caller.kind = kind
	call.caller.logger = call.caller.logger.With("kind", kind.String()).With(attributes...)
}

// credentials are the authentication headers, as far as they are well formed.
type credentials struct {
	device    parsec.DeviceID
	signature []byte
	complete  bool
}

// credentials checks the organization, and reads the device named by the headers.
func (call *httpCall) credentials() (credentials, rules.AuthenticationFacts, error) {
	id, valid := server.PathOrganization(call.r)
	if !valid {
		return credentials{}, rules.AuthenticationFacts{}, server.StatusError(http.StatusNotFound)
	}
	given := parseCredentials(call.r.Header)
	facts, err := call.wing.rules.Authentication(call.r.Context(), id, given.device)
	if err == nil {
		err = call.wing.rules.CheckOpen(facts.Organization)
	}
	return given, facts, err
}

func parseCredentials(header http.Header) credentials {
	if !strings.EqualFold(header.Get("Authorization"), "PARSEC-SIGN-ED25519") {
		return credentials{}
	}
	author, err := base64.StdEncoding.DecodeString(header.Get("Author"))
	if err != nil {
		return credentials{}
	}
	device, err := parsec.ParseDeviceID(string(author))
	if err != nil {
		return credentials{}
	}
	signature, err := base64.StdEncoding.DecodeString(header.Get("Signature"))
	if err != nil {
		return credentials{device: device}
	}
	return credentials{device, signature, header.Get("Signature") != ""}
}

// check returns what is wrong already before the body is read.
func (c credentials) check(facts rules.AuthenticationFacts) error {
	if !c.complete {
		return server.StatusError(http.StatusUnauthorized)
	}
	return facts.CheckDevice()
}

// authenticate checks the signature of the body by a device that is checked.
func (call *httpCall) authenticate(given credentials, facts rules.AuthenticationFacts, body []byte) error {
	if !facts.Device.VerifyKey.Verify(body, given.signature) {
		return rules.BadSignature
	}
	author := facts.Author(call.caller.client().API)
	call.identify(protocol.Authenticated, "organization", author.Organization.String(), "device", author.Device.String())
	call.caller.decode = decoderOf(call.wing.tables.authors, &author)
	call.caller.account = accountOf(&author)
	call.watch = func(ctx context.Context, onOver func()) (*rules.Session, error) {
		return call.wing.rules.Resume(ctx, author, onOver)
	}
	return nil
}

// checkContentType ignores parameters: the types have none (RFC 9110 §8.3.1).
func (call *httpCall) checkContentType() error {
	switch server.MediaType(call.r.Header.Get("Content-Type")) {
	case messagePackType, "application/x-www-form-urlencoded":
		return nil
	default:
		return server.StatusError(http.StatusUnsupportedMediaType)
	}
}

// withBody reads a body of at most most bytes, on the account of strangers.
func (call *httpCall) withBody(most int64, handle func(body []byte) error) error {
	call.held = call.wing.server.StrangersShare(call.address)
	defer call.held.Release()
	body, err := server.ReadBody(call.w, call.r, most, call.held)
	if err != nil {
		return err
	}
	defer server.PutBuffer(body)
	return handle(*body)
}

// becomeUser puts what the body holds on the account of its author.
func (call *httpCall) becomeUser(capacity int) (*server.Share, error) {
	held := call.wing.server.UsersShare(call.caller.account)
	if err := held.Await(call.r.Context(), capacity); err != nil {
		return nil, err
	}
	call.held.Release()
	return held, nil
}

// execute runs the command of the body and answers it.
func (call *httpCall) execute(body []byte) error {
	t := call.caller.decode(body, call.caller.api.Major)
	if _, denied := errors.AsType[rules.Denial](t.Err); denied {
		return t.Err
	}
	if t.Form == nil {
		return server.StatusError(http.StatusUnsupportedMediaType)
	}
	if t.Err == nil {
		if err := call.wing.server.Limit(t.Form, call.wing.rules.Founding().SpontaneousBootstrap, call.address); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(call.r.Context())
	defer cancel(nil)
	stop := context.AfterFunc(call.wing.server.Commands(), func() { cancel(nil) })
	defer stop()
	if t.Form.Abandoned { // It waits: for longer than the checks before it hold.
		session, err := call.watch(ctx, func() { cancel(rules.ErrSessionOver) })
		if err != nil {
			return err
		}
		defer session.Close()
	}
	room, err := call.wing.admit(ctx, &call.caller, t.Form)
	if err != nil {
		return err
	}
	defer room.Release()
	reply, err := call.wing.server.Run(ctx, &call.caller, t)
	switch {
	case errors.Is(context.Cause(ctx), rules.ErrSessionOver):
		if err == nil {
			server.PutBuffer(reply.Encoded)
		}
		return rules.ErrSessionOver
	case server.OutcomeOf(ctx, &call.caller, err) == server.Failed: // Run has logged it
		if errors.Is(err, outage.ErrUnavailable) {
			server.RefuseBusy(call.w)
			return nil
		}
		return server.StatusError(http.StatusInternalServerError)
	case err != nil:
		return err
	}
	defer server.PutBuffer(reply.Encoded)
	room.Settle(cap(*reply.Encoded))
	return call.reply(*reply.Encoded)
}

// executeOfStranger answers a caller who is no device.
func (call *httpCall) executeOfStranger(kind protocol.Kind, id parsec.OrganizationID, decode decoder) error {
	call.identify(kind, "organization", id.String())
	call.caller.decode = decode
	call.watch = func(ctx context.Context, onOver func()) (*rules.Session, error) {
		return call.wing.rules.WatchOrganization(ctx, id, onOver)
	}
	return call.withBody(maxStrangerBytes, call.execute)
}

func (call *httpCall) reply(body []byte) error {
	call.w.Header().Set("Content-Type", messagePackType)
	call.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := call.w.Write(body); err != nil {
		call.caller.logger.Debug("reply not delivered", "error", err)
	}
	return nil
}

// requestedAPI settles the version: the client's, and this server's of the
// same major. Over HTTP there is no API 1.
func requestedAPI(header http.Header) (client, own parsec.APIVersion, ok bool) {
	values := header.Values("Api-Version")
	if len(values) == 0 {
		client = parsec.APIVersion{Major: 3} // clients up to 2.11.1 send none
	} else if client, ok = parseAPIVersion(values[0]); !ok {
		return client, own, false
	}
	own, ok = parsec.Negotiate(client)
	return client, own, ok && client.Major >= oldestMajorOverHTTP
}

func parseAPIVersion(text string) (parsec.APIVersion, bool) {
	majorText, minorText, found := strings.Cut(text, ".")
	major, majorErr := strconv.ParseUint(majorText, 10, 31)
	minor, minorErr := strconv.ParseUint(minorText, 10, 31)
	return parsec.APIVersion{Major: uint32(major), Minor: uint32(minor)}, found && majorErr == nil && minorErr == nil
}
