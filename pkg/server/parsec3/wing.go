package parsec3

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
)

// apiVersion is what the server announces (docs/protocol/v5/overview.md §2).
var apiVersion = parsec.APIVersion{Major: 5, Minor: 6}

// serverName is what clients show as the version of the server.
const serverName = "parsec/3"

// Wing serves API 5. It implements server.Wing.
type Wing struct {
	server  *server.Server
	rules   *rules.Rules
	tables  tables
	streams *streams
	// uploads are those that are held while it cannot be known whose they are.
	uploads outage.Holder
}

// New returns the wing of a server.
func New(s *server.Server, r *rules.Rules) *Wing {
	w := &Wing{
		server: s, rules: r, tables: bind(r, s.Now), streams: newStreams(),
		uploads: outage.Holder{Patience: r.Patience(), Most: int64(s.StrangersBytes() / heldBytes)},
	}
	s.Every(tellPeriod, func(time.Time) { r.TellFailedUploads(s.Lasting()) })
	return w
}

// Generation implements server.Wing.
func (*Wing) Generation() organization.Generation { return organization.Parsec3 }

// Versions implements server.Wing.
func (*Wing) Versions() []parsec.APIVersion { return []parsec.APIVersion{apiVersion} }

// Routes implements server.Wing (docs/protocol/v5/transport.md §2).
func (w *Wing) Routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/anonymous/{organization}":            named(w.anonymous, http.MethodPost, http.MethodGet),
		"/invited/{organization}":              named(w.invited, http.MethodPost),
		"/authenticated/{organization}":        named(w.authenticated, http.MethodPost),
		"/authenticated/{organization}/events": named(w.events, http.MethodGet),
		"/authenticated/{organization}/tos":    named(w.tos, http.MethodPost),
		"/anonymous_server":                    named(w.anonymousServer, http.MethodPost),
		"/anonymous_account":                   named(w.anonymousServer, http.MethodPost), // its former name
		"/authenticated_account":               named(w.authenticatedAccount, http.MethodPost),
	}
}

// Patient implements server.Wing: what comes there may be an upload.
func (*Wing) Patient() []string { return []string{"/authenticated/{organization}"} }

// named answers as this generation does, and 405 to other methods.
func named(handle http.HandlerFunc, methods ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", serverName)
		if !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			writeRefusal(w, http.StatusMethodNotAllowed)
			return
		}
		handle(w, r)
	}
}

// Unavailable implements server.Wing.
func (w *Wing) Unavailable(answer http.ResponseWriter, r *http.Request) {
	answer.Header().Set("Server", serverName)
	if _, ok := requestedAPI(r.Header); ok {
		answer.Header().Set("Api-Version", apiVersion.String())
	}
	writeBusy(answer)
}

// Ready implements server.Wing.
func (w *Wing) Ready(ctx context.Context) error { return w.rules.Ready(ctx) }

// Drain implements server.Wing. Streams end with server.Server.Lasting.
func (*Wing) Drain() {}

// Cut implements server.Wing. Commands end with server.Server.Commands.
func (*Wing) Cut() {}
