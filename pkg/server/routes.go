package server

import (
	"net/http"
	"strings"

	"parsec-server/pkg/parsec"
)

// routes builds the handler of every HTTP request
// (docs/protocol/transport.md §3, §7, §9 and §10).
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", s.webSocket)
	mux.HandleFunc("/anonymous/{organization}", only(s.anonymous, http.MethodPost, http.MethodGet))
	mux.HandleFunc("/authenticated/{organization}", only(s.authenticated, http.MethodPost))
	mux.HandleFunc("/authenticated/{organization}/events", only(s.events, http.MethodGet))
	mux.HandleFunc("/invited/{organization}", only(s.invited, http.MethodPost))
	s.administrationRoutes(mux)
	mux.HandleFunc("/{$}", readable(home))
	mux.HandleFunc("/", notFound)

	outer := http.NewServeMux()
	outer.HandleFunc("/healthz", readable(healthy))
	outer.HandleFunc("/readyz", readable(s.ready))
	outer.HandleFunc("GET /redirect/{path...}", s.redirect)
	outer.HandleFunc("/redirect", notFound) // not a redirection to /redirect/
	outer.HandleFunc("GET /static/icon.svg", static("image/svg+xml", pageIcon))
	outer.HandleFunc("GET /favicon.ico", static("image/x-icon", favicon))
	outer.Handle("/", s.whileAvailable(mux))
	return s.withTimeLimits(s.withServerHeader(s.withStrictTransport(s.enforceHTTPS(outer))))
}

// only answers 405 to other methods. It tells the methods with that, and with
// what is handled as OPTIONS.
func only(handle http.HandlerFunc, methods ...string) http.HandlerFunc {
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		for _, method := range methods {
			if r.Method == method {
				if method == http.MethodOptions {
					w.Header().Set("Allow", allow)
				}
				handle(w, r)
				return
			}
		}
		w.Header().Set("Allow", allow)
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// readable is only for what balancers look at: with GET, with HEAD, or with
// OPTIONS, as HAProxy does unless it is told otherwise.
func readable(handle http.HandlerFunc) http.HandlerFunc {
	return only(handle, http.MethodGet, http.MethodHead, http.MethodOptions)
}

// withTimeLimits bounds how long the client may stop reading, and how long its
// body may take, whether the route reads it or not.
func (s *Server) withTimeLimits(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timed := timedWriter{ResponseWriter: w, writeTimeout: s.options.WriteTimeout}
		timed.allowTime() // the previous request of the connection left its own
		if r.ContentLength != 0 {
			timed.body = limitBody(w, r.Body, s.options.BodyTimeout)
			defer timed.body.drain()
			limited := *r
			limited.Body = timed.body
			r = &limited
		}
		next.ServeHTTP(timed, r)
	})
}

// withServerHeader names the server, with its version in debug mode only.
func (s *Server) withServerHeader(next http.Handler) http.Handler {
	name := "parsec"
	if s.options.Debug {
		name += "/" + s.options.Version
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", name)
		next.ServeHTTP(w, r)
	})
}

// webSocket serves upgrades, and refuses anything else as a bad request.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 || !isUpgrade(r) {
		http.Error(w, "This is a WebSocket endpoint.", http.StatusBadRequest)
		return
	}
	s.serveWebSocket(w, r)
}

// isUpgrade reports whether the request asks for a WebSocket.
func isUpgrade(r *http.Request) bool {
	return headerHasToken(r.Header, "Connection", "upgrade") && headerHasToken(r.Header, "Upgrade", "websocket")
}

func headerHasToken(header http.Header, name, token string) bool {
	for item := range listItems(header, name) {
		if strings.EqualFold(item, token) {
			return true
		}
	}
	return false
}

// healthy tells that the process is up.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

func pathOrganization(r *http.Request) (parsec.OrganizationID, bool) {
	organization, err := parsec.ParseOrganizationID(r.PathValue("organization"))
	return organization, err == nil
}
