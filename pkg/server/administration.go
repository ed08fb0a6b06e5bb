package server

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// maxFormBytes bounds the body of an administration request.
const maxFormBytes = 64 << 10

// administrationTable is the handlers of each path of docs/protocol/administration.md §4
// and docs/protocol/v5/administration.md §1.
func administrationTable() map[string]methods {
	const one = "/administration/organizations/{organization}"
	table := map[string]methods{
		"/administration/organizations": {http.MethodGet: listOrganizations, http.MethodPost: createOrganization},
		"/administration/users":         {http.MethodGet: findMembers},
		one + "/members":                {http.MethodGet: ofOrganization(nothing, listMembers)},
		one + "/bootstrap_link":         {http.MethodPost: ofOrganization(nothing, showBootstrapLink)},
		one: {
			http.MethodGet:    ofOrganization(nothing, showOrganization),
			http.MethodPatch:  ofOrganization(parseChange, changeOrganization),
			http.MethodDelete: deleteOrganization,
		},
		one + "/deletion": {http.MethodGet: showDeletion},
		// Releases up to 2.12 also answered PATCH here.
		one + "/stats": {
			http.MethodGet:   ofOrganization(nothing, showStatistics),
			http.MethodPatch: ofOrganization(nothing, showStatistics),
		},
		one + "/users":            {http.MethodGet: ofOrganization(nothing, listUsers)},
		one + "/users/freeze":     {http.MethodPost: ofOrganization(parseFreeze, freezeUser)},
		one + "/users/reset_totp": {http.MethodPost: ofParsec3(parseReset, resetTOTP)},
		one + "/sequester/services": {
			http.MethodGet:  ofParsec3(nothing, listServices),
			http.MethodPost: ofParsec3(parseNewService, createService),
		},
		one + "/sequester/services/revoke": {http.MethodPost: ofParsec3(parseRevokedService, revokeService)},
		one + "/sequester/services/config": {http.MethodPut: ofParsec3(parseServiceConfig, configureService)},
		"/administration/stats":            {http.MethodGet: showServerStatistics},
	}
	for _, handlers := range table {
		if read, reads := handlers[http.MethodGet]; reads {
			handlers[http.MethodHead] = read // net/http leaves out the body
		}
	}
	return table
}

func (s *Server) administrationRoutes(mux *http.ServeMux) {
	for path, handlers := range administrationTable() {
		s.administrationRoute(mux, path, handlers)
	}
}

// methods are the handlers of a path.
type methods map[string]administrationHandler

func (s *Server) administrationRoute(mux *http.ServeMux, path string, handlers methods) {
	allow := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
	mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		handle, allowed := handlers[r.Method]
		if !allowed {
			w.Header().Set("Allow", allow)
			replyJSON(w, http.StatusMethodNotAllowed, refusalBody{Detail: "Method Not Allowed"})
			return
		}
		s.administrate(w, r, handle)
	})
}

// administrationCall is one request of an administrator.
type administrationCall struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	by     organization.Administrator
	// form is that of the answer: of the generation that the organization in question
	// is bound to, 0 where there is none or it has none yet
	// (docs/protocol/v5/administration.md §1.6).
	form organization.Generation
}

// administrationHandler answers a request whose token is checked, or returns
// why not.
type administrationHandler func(call *administrationCall) error

// administrate checks the token and answers what handle returns.
func (s *Server) administrate(w http.ResponseWriter, r *http.Request, handle administrationHandler) {
	call := &administrationCall{server: s, w: w, r: r}
	token := bearerToken(r.Header)
	by, err := s.organizations.Connect(s.ClientAddress(r), token)
	switch {
	case errors.Is(err, organization.ErrBadToken) && token == "":
		err = errNoToken
	case err == nil && by.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead:
		err = organization.ErrReadOnly
	case err == nil:
		call.by = by
		err = handle(call)
	}
	if err != nil {
		call.refuse(err)
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

func (call *administrationCall) reply(value any) error {
	replyJSON(call.w, http.StatusOK, value)
	return nil
}

// lookUp returns the organization of the path, and has the answer be in its form. The
// error says why there is none.
func (call *administrationCall) lookUp() (*organization.Organization, error) {
	id, valid := PathOrganization(call.r)
	if !valid {
		return nil, errInvalidID
	}
	found, err := call.server.organizations.Find(call.r.Context(), id)
	if err == nil {
		call.form = found.Bound()
	}
	return found, err
}

// ofOrganization has the organization looked up, which says how the body is read, then
// the body read, and then the organization be known.
func ofOrganization[Given any](parse func(*form) Given, handle func(*administrationCall, *organization.Organization, Given) error) administrationHandler {
	return func(call *administrationCall) error {
		found, missing := call.lookUp()
		given, err := readFormOf(call, missing, parse)
		if err != nil {
			return err
		}
		return handle(call, found, given)
	}
}

// readFormOf reads the form of a request about an organization that was looked up: what
// is wrong with the form is told before that there is no such organization.
func readFormOf[Given any](call *administrationCall, missing error, parse func(*form) Given) (given Given, err error) {
	if missing != nil && !errors.Is(missing, organization.ErrNotFound) {
		return given, missing
	}
	if given, err = readForm(call, parse); err == nil {
		err = missing
	}
	return given, err
}

// ofParsec3 is ofOrganization for what only organizations of Parsec 3 have: the answer
// is always in their form.
func ofParsec3[Given any](parse func(*form) Given, handle func(*administrationCall, parsec.OrganizationID, Given) error) administrationHandler {
	return func(call *administrationCall) error {
		found, missing := call.lookUp()
		call.form = organization.Parsec3
		given, err := readFormOf(call, missing, parse)
		switch {
		case err != nil:
			return err
		case found.Bound() == 0:
			return organization.ErrNotFound
		case found.Bound() != organization.Parsec3:
			return organization.ErrOnlyParsec3
		}
		return handle(call, found.ID, given)
	}
}
