package server

import (
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
)

// routes builds the handler of every HTTP request
// (docs/protocol/transport.md §3, §7, §9 and §10).
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.administrationRoutes(mux)
	mux.HandleFunc("/{$}", readable(s.home))
	mux.HandleFunc("/", s.notFound)

	outer := http.NewServeMux()
	s.wingRoutes(outer)
	outer.HandleFunc("/healthz", readable(healthy))
	outer.HandleFunc("/readyz", readable(s.ready))
	outer.HandleFunc("GET /redirect/{path...}", s.redirect)
	outer.HandleFunc("/redirect", s.notFound) // not a redirection to /redirect/
	if s.options.WebApp != "" {
		s.webAppRoutes(outer)
	}
	outer.HandleFunc(getParsecRoute, readable(s.getParsec))
	outer.HandleFunc("GET /static/icon.svg", static("image/svg+xml", pageIcon))
	outer.HandleFunc("GET /favicon.ico", static("image/x-icon", favicon))
	outer.HandleFunc("/", s.whileAvailable(mux.ServeHTTP, func(w http.ResponseWriter, _ *http.Request) { RefuseBusy(w) }))
	return s.withPanicsTold(s.withTimeLimits(s.withServerHeader(s.withCORS(s.withStrictTransport(s.enforceHTTPS(outer))))))
}

// withPanicsTold logs a panic. net/http then cuts the connection, and has nothing more to
// say: its own words are for nobody to look at.
func (s *Server) withPanicsTold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, failed := cause.(error); !failed || !errors.Is(err, http.ErrAbortHandler) {
				s.tellPanic(cause)
			}
			panic(http.ErrAbortHandler)
		}()
		next.ServeHTTP(w, r)
	})
}

// tellPanic is called by the deferred function that has recovered.
func (s *Server) tellPanic(cause any) {
	s.logger.Error("panic", "cause", cause, "stack", string(debug.Stack()))
}

// Only answers 405 to other methods. It names the methods in that answer, and in
// what is handled as OPTIONS.
func Only(handle http.HandlerFunc, methods ...string) http.HandlerFunc {
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		allowed := slices.Contains(methods, r.Method)
		if !allowed || r.Method == http.MethodOptions {
			w.Header().Set("Allow", allow)
		}
		if !allowed {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		handle(w, r)
	}
}

// readable is Only, for what balancers look at: with GET, with HEAD, or with
// OPTIONS, as HAProxy does unless it is told otherwise.
func readable(handle http.HandlerFunc) http.HandlerFunc {
	return Only(handle, http.MethodGet, http.MethodHead, http.MethodOptions)
}

// withTimeLimits bounds how long the client may stop reading, and how long its
// body may take, whether the route reads it or not.
func (s *Server) withTimeLimits(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timed := timedWriter{ResponseWriter: w, writeTimeout: s.options.WriteTimeout, isStream: isStream(r), isLast: s.isRetired}
		if !timed.isStream {
			timed.allowTime() // the previous request of the connection left its own
		}
		if r.ContentLength != 0 || timed.isStream { // which may stay open without any length
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

// IsUpgrade reports whether the request asks for a WebSocket.
func IsUpgrade(r *http.Request) bool {
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

// healthy answers that the process is up.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// PathOrganization returns the organization that the path of a request names.
func PathOrganization(r *http.Request) (parsec.OrganizationID, bool) {
	organization, err := parsec.ParseOrganizationID(r.PathValue("organization"))
	return organization, err == nil
}
