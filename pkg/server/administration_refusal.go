package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
)

// What the server itself refuses.
var (
	errNoToken   = errors.New("no administration token")
	errInvalidID = fmt.Errorf("not an organization id: %w", organization.ErrNotFound)
)

// refusal is an answer in all its forms.
type refusal struct {
	status int
	// code and reason are those of docs/protocol/administration.md §4.
	code, reason string
	// detail is that of docs/protocol/v5/administration.md §1.
	detail any
}

// refusalBody is the body of a refusal.
type refusalBody struct {
	Detail any    `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// body returns the refusal in the form of a generation, 0 for all that both say.
func (r refusal) body(form organization.Generation) refusalBody {
	switch form {
	case organization.Parsec2:
		return refusalBody{Error: r.code, Reason: r.reason}
	case organization.Parsec3:
		return refusalBody{Detail: r.detail}
	default:
		return refusalBody{Detail: r.detail, Error: r.code, Reason: r.reason}
	}
}

// The codes of docs/protocol/administration.md §4.
const (
	codeNotAllowed = "not_allowed"
	codeNotFound   = "not_found"
	codeBadData    = "bad_data"
)

// mayOnlyRead tells a token that may only read from a wrong one.
const mayOnlyRead = "This token may only read"

// refusals are the answers to errors that say no more than which they are; the first
// one that an error is counts.
var refusals = []struct {
	err error
	refusal
}{
	{errNoToken, refusal{http.StatusForbidden, codeNotAllowed, "", "Not authenticated"}},
	{organization.ErrBadToken, refusal{http.StatusForbidden, codeNotAllowed, "", "Bad authorization token"}},
	{organization.ErrReadOnly, refusal{http.StatusForbidden, codeNotAllowed, mayOnlyRead, mayOnlyRead}},
	{errInvalidID, refusal{http.StatusNotFound, codeNotFound, "", "Invalid organization ID"}},
	{organization.ErrNotFound, refusal{http.StatusNotFound, codeNotFound, "", "Organization not found"}},
	{organization.ErrAlreadyExists, refusal{http.StatusBadRequest, "already_exists", "", "Organization already exists"}},
	{organization.ErrBeingDeleted, refusal{http.StatusConflict, "being_deleted", "", "Organization is being deleted"}},
	{organization.ErrAlreadyBootstrapped, refusal{http.StatusBadRequest, "already_bootstrapped", "", "Organization is bootstrapped already"}},
	{organization.ErrNotExpired, refusal{http.StatusBadRequest, "not_expired", "", "Organization is not expired"}},
	{organization.ErrNotDeleted, refusal{http.StatusBadRequest, "not_deleted", "", "Organization is not being deleted"}},
	{organization.ErrUserNotFound, refusal{http.StatusNotFound, "user_not_found", "", "User not found"}},
	{organization.ErrUserRevoked, refusal{http.StatusNotFound, "user_not_found", "", "User has been revoked"}},
	{organization.ErrOnlyParsec3, refusal{http.StatusNotFound, codeNotFound, "", "Not an organization of Parsec 3"}},
	{organization.ErrNotSequestered, refusal{http.StatusBadRequest, codeBadData, "", "Sequester disabled"}},
	{organization.ErrInvalidCertificate, refusal{http.StatusBadRequest, codeBadData, "", "Invalid certificate"}},
	{organization.ErrDateAhead, refusal{http.StatusBadRequest, codeBadData, "", "Timestamp too far in the future"}},
	{organization.ErrServiceExists, refusal{http.StatusBadRequest, codeBadData, "", "Sequester service already exists"}},
	{organization.ErrServiceNotFound, refusal{http.StatusNotFound, codeNotFound, "", "Sequester service not found"}},
	{organization.ErrServiceRevoked, refusal{http.StatusBadRequest, codeBadData, "", "Sequester service already revoked"}},
}

// refusalOf returns false for an error that is no answer.
func refusalOf(err error) (refusal, bool) {
	for _, known := range refusals {
		if errors.Is(err, known.err) {
			return known.refusal, true
		}
	}
	var badData *badDataError
	var greater *organization.GreaterTimestampError
	var hasty *organization.TooManyAttemptsError
	var status StatusError
	switch {
	case errors.As(err, &badData):
		return badData.refusal(), true
	case errors.As(err, &greater):
		return refusal{http.StatusBadRequest, codeBadData, "", struct {
			Message             string `json:"msg"`
			StrictlyGreaterThan string `json:"strictly_greater_than"`
		}{"Require greater timestamp", greater.Last.Short()}}, true
	case errors.As(err, &hasty):
		return refusal{http.StatusTooManyRequests, "too_many_attempts", "", "Too many attempts"}, true
	case errors.As(err, &status):
		text := http.StatusText(int(status))
		return refusal{int(status), codeBadData, text, text}, true
	default:
		return refusal{}, false
	}
}

// refuse answers why the request has no other answer.
func (call *administrationCall) refuse(err error) {
	if told, found := refusalOf(err); found {
		if hasty, ok := errors.AsType[*organization.TooManyAttemptsError](err); ok {
			tellRetryAfter(call.w, hasty.RetryAfter)
		}
		replyJSON(call.w, told.status, told.body(call.form))
		return
	}
	logger := call.server.logger
	switch {
	case call.r.Context().Err() != nil:
		logger.Debug("administration request abandoned", "error", err)
	case errors.Is(err, outage.ErrUnavailable):
		call.server.LogFailure(call.r.Context(), logger, "administration request refused", err)
		RefuseBusy(call.w)
	default:
		logger.Error("administration request failed", "error", err)
		call.w.WriteHeader(http.StatusInternalServerError)
	}
}

func replyJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil { // none of the values here
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever is gone needs no answer
}
