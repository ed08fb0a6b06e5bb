package server

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
)

// maxFormBytes bounds the body of an administration request.
const maxFormBytes = 64 << 10

// administrationRoutes are those of docs/protocol/administration.md §4.
func (s *Server) administrationRoutes(mux *http.ServeMux) {
	const one = "/administration/organizations/{organization}"
	route := func(path string, methods map[string]administrationHandler) {
		if read, reads := methods[http.MethodGet]; reads {
			methods[http.MethodHead] = read // net/http leaves out the body
		}
		mux.HandleFunc(path, Only(func(w http.ResponseWriter, r *http.Request) {
			s.administrate(w, r, methods[r.Method])
		}, slices.Sorted(maps.Keys(methods))...))
	}
	route("/administration/organizations", map[string]administrationHandler{http.MethodPost: createOrganization})
	route(one, map[string]administrationHandler{
		http.MethodGet: ofOrganization(showOrganization), http.MethodPatch: ofOrganization(changeOrganization),
	})
	// Releases up to 2.12 also answered PATCH here.
	route(one+"/stats", map[string]administrationHandler{
		http.MethodGet: ofOrganization(showStatistics), http.MethodPatch: ofOrganization(showStatistics),
	})
	route(one+"/users", map[string]administrationHandler{http.MethodGet: ofOrganization(listUsers)})
	route(one+"/users/freeze", map[string]administrationHandler{http.MethodPost: freezeUser})
	route("/administration/stats", map[string]administrationHandler{http.MethodGet: showServerStatistics})
}

// administrationCall is one request of an administrator.
type administrationCall struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	by     organization.Administrator
}

// administrationHandler answers a request whose token is checked, or returns
// why not.
type administrationHandler func(call *administrationCall) error

// administrate checks the token and answers what handle returns.
func (s *Server) administrate(w http.ResponseWriter, r *http.Request, handle administrationHandler) {
	by, err := s.organizations.Connect(s.ClientAddress(r), bearerToken(r.Header))
	if err == nil {
		err = handle(&administrationCall{server: s, w: w, r: r, by: by})
	}
	if err == nil {
		return
	}
	var status StatusError
	var badData *badDataError
	var hasty *organization.TooManyAttemptsError
	switch {
	case errors.As(err, &badData):
		replyJSON(w, http.StatusBadRequest, administrationError{"bad_data", badData.reason})
	case errors.Is(err, organization.ErrNotFound):
		replyJSON(w, http.StatusNotFound, administrationError{Error: "not_found"})
	case errors.Is(err, organization.ErrAlreadyExists):
		replyJSON(w, http.StatusBadRequest, administrationError{Error: "already_exists"})
	case errors.Is(err, organization.ErrUserNotFound):
		replyJSON(w, http.StatusNotFound, administrationError{Error: "user_not_found"})
	case errors.Is(err, organization.ErrBadToken):
		replyJSON(w, http.StatusForbidden, administrationError{Error: "not_allowed"})
	case errors.As(err, &hasty):
		tellRetryAfter(w, hasty.RetryAfter)
		replyJSON(w, http.StatusTooManyRequests, administrationError{Error: "too_many_attempts"})
	case errors.As(err, &status):
		replyJSON(w, int(status), administrationError{Error: "bad_data", Reason: http.StatusText(int(status))})
	case r.Context().Err() != nil:
		s.logger.Debug("administration request abandoned", "error", err)
	case errors.Is(err, outage.ErrUnavailable):
		s.logger.Warn("administration request refused", "error", err)
		RefuseBusy(w)
	default:
		s.logger.Error("administration request failed", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// bearerToken is "" if there is none.
func bearerToken(header http.Header) string {
	scheme, token, _ := strings.Cut(header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 §11.1
		return ""
	}
	return strings.TrimLeft(token, " ")
}

type administrationError struct {
	Error  string `json:"error"`
	Reason string `json:"reason,omitempty"`
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

func (call *administrationCall) reply(value any) error {
	replyJSON(call.w, http.StatusOK, value)
	return nil
}

// ofOrganization has the organization checked before anything else.
func ofOrganization(handle func(*administrationCall, *organization.Organization) error) administrationHandler {
	return func(call *administrationCall) error {
		id, valid := PathOrganization(call.r)
		if !valid {
			return organization.ErrNotFound
		}
		found, err := call.server.organizations.Find(call.r.Context(), id)
		if err != nil {
			return err
		}
		return handle(call, found)
	}
}

// readForm returns what parse takes out of the form of the request.
func readForm[Given any](call *administrationCall, parse func(*form) Given) (given Given, err error) {
	held := call.server.StrangersShare(call.by.Address)
	defer held.Release()
	body, err := ReadBody(call.w, call.r, maxFormBytes, held)
	if err != nil {
		return given, err
	}
	defer PutBuffer(body)
	f, err := parseForm(*body)
	if err != nil {
		return given, err
	}
	given = parse(f)
	return given, f.err()
}

func createOrganization(call *administrationCall) error {
	given, err := readForm(call, parseCreation)
	if err != nil {
		return err
	}
	token, err := call.server.organizations.Create(call.r.Context(), call.by, given.id, given.settings)
	if err != nil {
		return err
	}
	return call.reply(struct {
		BootstrapToken string `json:"bootstrap_token"`
	}{token})
}

func showOrganization(call *administrationCall, found *organization.Organization) error {
	return call.reply(struct {
		IsBootstrapped             bool    `json:"is_bootstrapped"`
		IsExpired                  bool    `json:"is_expired"`
		UserProfileOutsiderAllowed bool    `json:"user_profile_outsider_allowed"`
		ActiveUsersLimit           *uint64 `json:"active_users_limit"`
		MinimumArchivingPeriod     uint64  `json:"minimum_archiving_period"`
	}{
		found.Bootstrapped(), found.Expired(call.server.now()), found.UserProfileOutsiderAllowed,
		found.ActiveUsersLimit, found.MinimumArchivingPeriod,
	})
}

func changeOrganization(call *administrationCall, found *organization.Organization) error {
	given, err := readForm(call, parseChange)
	if err != nil {
		return err
	}
	if err := call.server.organizations.Update(call.r.Context(), call.by, found.ID, given); err != nil {
		return err
	}
	return call.reply(struct{}{})
}

type profileForm struct {
	Profile parsec.UserProfile `json:"profile"`
	Active  uint64             `json:"active"`
	Revoked uint64             `json:"revoked"`
}

// statisticsForm has an ID in a survey, and Users outside of it.
type statisticsForm struct {
	ID           string        `json:"organization_id,omitempty"`
	DataSize     uint64        `json:"data_size"`
	MetadataSize uint64        `json:"metadata_size"`
	Realms       uint64        `json:"realms"`
	Users        *uint64       `json:"users,omitempty"`
	ActiveUsers  uint64        `json:"active_users"`
	Profiles     []profileForm `json:"users_per_profile_detail"`
}

func formOfStatistics(statistics *organization.Statistics) statisticsForm {
	profiles := make([]profileForm, len(parsec.UserProfiles))
	for i, profile := range parsec.UserProfiles {
		profiles[i] = profileForm{profile, statistics.Active[profile], statistics.Revoked[profile]}
	}
	active, _ := statistics.Users()
	return statisticsForm{
		DataSize: statistics.DataSize, MetadataSize: statistics.MetadataSize, Realms: statistics.Realms,
		ActiveUsers: active, Profiles: profiles,
	}
}

func showStatistics(call *administrationCall, found *organization.Organization) error {
	statistics, err := call.server.organizations.Statistics(call.r.Context(), found.ID)
	if err != nil {
		return err
	}
	form := formOfStatistics(&statistics)
	active, revoked := statistics.Users()
	form.Users = new(active + revoked)
	return call.reply(form)
}

type userForm struct {
	ID     string `json:"user_id"`
	Email  string `json:"user_email"`
	Name   string `json:"user_name"`
	Frozen bool   `json:"frozen"`
}

func formOfUser(user *organization.User) userForm {
	return userForm{user.ID, user.HumanHandle.Email(), user.HumanHandle.Label(), user.Frozen}
}

func listUsers(call *administrationCall, found *organization.Organization) error {
	users, err := call.server.organizations.Users(call.r.Context(), found.ID)
	if err != nil {
		return err
	}
	forms := make([]userForm, len(users))
	for i := range users {
		forms[i] = formOfUser(&users[i])
	}
	return call.reply(struct {
		Users []userForm `json:"users"`
	}{forms})
}

// freezeUser reads the body before it looks for the organization.
func freezeUser(call *administrationCall) error {
	id, valid := PathOrganization(call.r)
	if !valid {
		return organization.ErrNotFound
	}
	given, err := readForm(call, parseFreeze)
	if err != nil {
		return err
	}
	user, err := call.server.organizations.FreezeUser(call.r.Context(), call.by, id, given.user, given.frozen)
	if err != nil {
		return err
	}
	return call.reply(formOfUser(&user))
}

func showServerStatistics(call *administrationCall) error {
	format, at, err := parseSurvey(call.r.URL.Query())
	if err != nil {
		return err
	}
	if format == "csv" {
		return call.stream("text/csv", at, writeStatisticsCSV)
	}
	return call.stream("application/json", at, writeStatisticsJSON)
}

// stream writes a survey as it comes. A failure on the way cuts the
// connection: the client sees that the answer is not whole.
func (call *administrationCall) stream(contentType string, at *parsec.DateTime, write func(io.Writer, iter.Seq2[organization.Surveyed, error]) error) error {
	answer := &lateWriter{ResponseWriter: call.w, contentType: contentType}
	err := write(answer, call.server.organizations.Survey(call.r.Context(), at))
	if err != nil && answer.begun {
		if call.r.Context().Err() == nil {
			call.server.logger.Error("statistics not delivered", "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	return err
}

// lateWriter sends the type of an answer with its first bytes.
type lateWriter struct {
	http.ResponseWriter
	contentType string
	begun       bool
}

func (w *lateWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begun = true
		w.Header().Set("Content-Type", w.contentType)
	}
	return w.ResponseWriter.Write(p)
}

// writeStatisticsJSON writes nothing before the first organization is known.
func writeStatisticsJSON(w io.Writer, surveyed iter.Seq2[organization.Surveyed, error]) error {
	before := `{"stats": [`
	for o, err := range surveyed {
		if err != nil {
			return err
		}
		form := formOfStatistics(&o.Statistics)
		form.ID = o.Organization.ID.String()
		encoded, err := json.Marshal(form)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, before+string(encoded)); err != nil {
			return err
		}
		before = ", "
	}
	end := "]}"
	if before != ", " {
		end = before + end
	}
	_, err := io.WriteString(w, end)
	return err
}

func writeStatisticsCSV(w io.Writer, surveyed iter.Seq2[organization.Surveyed, error]) error {
	table := csv.NewWriter(w)
	table.UseCRLF = true
	header := []string{"organization_id", "data_size", "metadata_size", "realms", "active_users"}
	for _, profile := range parsec.UserProfiles {
		name := strings.ToLower(string(profile))
		header = append(header, name+"_users_active", name+"_users_revoked")
	}
	if err := table.Write(header); err != nil {
		return err
	}
	for o, err := range surveyed {
		if err != nil {
			return err
		}
		statistics := &o.Statistics
		active, _ := statistics.Users()
		row := []string{o.Organization.ID.String()}
		for _, number := range []uint64{statistics.DataSize, statistics.MetadataSize, statistics.Realms, active} {
			row = append(row, strconv.FormatUint(number, 10))
		}
		for _, profile := range parsec.UserProfiles {
			row = append(row, strconv.FormatUint(statistics.Active[profile], 10), strconv.FormatUint(statistics.Revoked[profile], 10))
		}
		if err := table.Write(row); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}
