package parsec3

import (
	"cmp"
	"net/http"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
)

func (w *Wing) anonymous(answer http.ResponseWriter, r *http.Request) {
	w.serveCommand(answer, r, protocol.Anonymous, func(call *httpCall) error {
		if err := call.checkOrganization(); err != nil {
			return err
		}
		if err := call.checkContentType(); err != nil {
			return err
		}
		if r.Method == http.MethodGet {
			if err := w.rules.AdmitProbe(call.ctx, call.organization); err != nil {
				return err
			}
			return call.reply(nil)
		}
		if err := w.rules.AdmitAnonymous(call.ctx, call.organization); err != nil {
			return err
		}
		anonymous := &rules.Anonymous{Organization: call.organization, API: call.caller.api}
		return call.executeOfStranger(decoderOf(w.tables.anonymous, anonymous))
	})
}

func (w *Wing) anonymousServer(answer http.ResponseWriter, r *http.Request) {
	w.serveCommand(answer, r, protocol.AnonymousServer, func(call *httpCall) error {
		if err := call.checkContentType(); err != nil {
			return err
		}
		return call.executeOfStranger(decoderOf(w.tables.anonymousServer, call.peer()))
	})
}

func (w *Wing) authenticated(answer http.ResponseWriter, r *http.Request) {
	w.serveCommand(answer, r, protocol.Authenticated, func(call *httpCall) error {
		call.beginUpload()
		token, err := call.deviceToken((*httpCall).checkContentType, maxAuthenticatedBytes)
		if err != nil {
			return err
		}
		if call.readAhead(protocol.VlobReadBatch.Form, protocol.InviteGreeterStep.Form) == protocol.VlobReadBatch.Form {
			if applicant, known := w.rules.Recognize(call.organization, &token, call.caller.api); known {
				return call.executeAtOnce(applicant)
			}
		}
		return call.executeAdmitted(&token)
	})
}

// executeAdmitted runs the command of a device, once it is let in.
func (call *httpCall) executeAdmitted(token *rules.Token) error {
	author, err := call.author(token, call.wing.rules.Admit)
	if err != nil {
		return err
	}
	return call.executeOfUser(author, maxAuthenticatedBytes, decoderOf(call.wing.tables.authenticated, author))
}

func (w *Wing) tos(answer http.ResponseWriter, r *http.Request) {
	w.serveCommand(answer, r, protocol.TOS, func(call *httpCall) error {
		author, err := call.authenticate((*httpCall).checkContentType, maxStrangerBytes, w.rules.AdmitToTOS)
		if err != nil {
			return err
		}
		return call.executeOfUser(author, maxStrangerBytes, decoderOf(w.tables.tos, author))
	})
}

// admission applies the checks of docs/protocol/v5/transport.md §5 from the seventh on.
type admission func(*rules.Standing, *rules.Token, parsec.APIVersion) (*rules.Author, error)

// authenticate applies the checks up to 14 of docs/protocol/v5/transport.md §5.
func (call *httpCall) authenticate(checkForm func(*httpCall) error, most int64, admit admission) (*rules.Author, error) {
	token, err := call.deviceToken(checkForm, most)
	if err != nil {
		return nil, err
	}
	return call.author(&token, admit)
}

// deviceToken applies those up to the sixth, of which checkForm is the third or the
// fourth.
func (call *httpCall) deviceToken(checkForm func(*httpCall) error, most int64) (rules.Token, error) {
	if err := call.checkOrganization(); err != nil {
		return rules.Token{}, err
	}
	if err := checkForm(call); err != nil {
		return rules.Token{}, err
	}
	token, ok := parseDeviceToken(call.r.Header)
	if !ok {
		return rules.Token{}, server.StatusError(http.StatusUnauthorized)
	}
	return token, call.checkLength(most)
}

// author applies those from the seventh on.
func (call *httpCall) author(token *rules.Token, admit admission) (*rules.Author, error) {
	standing, err := call.standing(token.Device)
	if err != nil {
		return nil, err
	}
	author, err := admit(&standing, token, call.caller.api)
	if err != nil {
		return nil, err
	}
	call.caller.is(author.Organization, author.Device)
	return author, nil
}

func (w *Wing) invited(answer http.ResponseWriter, r *http.Request) {
	w.serveCommand(answer, r, protocol.Invited, func(call *httpCall) error {
		if err := call.checkOrganization(); err != nil {
			return err
		}
		if err := call.checkContentType(); err != nil {
			return err
		}
		token, ok := parseInvitationToken(r.Header)
		if !ok {
			return server.StatusError(http.StatusUnauthorized)
		}
		invited, err := call.admitInvited(token)
		if err != nil {
			return err
		}
		return call.executeOfStranger(decoderOf(w.tables.invited, invited))
	})
}

func (call *httpCall) admitInvited(token parsec3.AccessToken) (*rules.Invited, error) {
	call.readAhead(protocol.InviteClaimerStep.Form)
	if call.attempt != nil {
		return call.wing.rules.AdmitClaimer(call.ctx, call.organization, token, call.caller.api, *call.attempt)
	}
	return call.wing.rules.AdmitInvited(call.ctx, call.organization, token, call.caller.api)
}

func (w *Wing) authenticatedAccount(answer http.ResponseWriter, r *http.Request) {
	w.serveCommand(answer, r, protocol.AuthenticatedAccount, func(call *httpCall) error {
		if err := call.checkContentType(); err != nil {
			return err
		}
		token, ok := parseAccountToken(r.Header)
		if !ok {
			return server.StatusError(http.StatusUnauthorized)
		}
		if err := call.checkLength(maxAccountBytes); err != nil {
			return err
		}
		author, err := w.rules.AdmitAccount(call.ctx, &token, call.peer())
		if err != nil {
			return err
		}
		call.caller.method = author.Method
		return call.executeOfOwner(author, maxAccountBytes, decoderOf(w.tables.account, author))
	})
}

// peer returns where the request comes from.
func (call *httpCall) peer() rules.Peer {
	const unknown = "unknown"
	return rules.Peer{Address: call.address, UserAgent: cmp.Or(call.r.UserAgent(), unknown)}
}
