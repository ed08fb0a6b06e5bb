package server

import (
	"net/http"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
)

// What pages of other origins may send, and see of an answer
// (docs/protocol/v5/transport.md §8). They never have credentials of the browser.
const (
	corsMethods = "OPTIONS, GET, POST, PATCH, PUT"
	corsHeaders = "Accept, Accept-Language, Content-Language, Content-Type, api-version, authorization, last-event-id, user-agent"
	corsExposed = "Server, Api-Version, Supported-Api-Versions"
	corsMaxAge  = "600" // seconds
)

// withCORS lets pages of the configured origins ask, and see every answer: without
// it they take a refusal for a network that is down. It answers preflights.
func (s *Server) withCORS(next http.Handler) http.Handler {
	if len(s.options.CORSOrigins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		header := w.Header()
		header.Add("Vary", "Origin")
		allowed := s.allowedOrigin(origin)
		if allowed != "" {
			header.Set("Access-Control-Allow-Origin", allowed)
			header.Set("Access-Control-Expose-Headers", corsExposed)
		}
		method := r.Header.Get("Access-Control-Request-Method")
		if r.Method != http.MethodOptions || method == "" {
			next.ServeHTTP(w, r)
			return
		}
		if allowed == "" || !isListed(corsMethods, method) || !allListed(r.Header) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		header.Set("Access-Control-Allow-Methods", corsMethods)
		header.Set("Access-Control-Allow-Headers", corsHeaders)
		header.Set("Access-Control-Max-Age", corsMaxAge)
		w.WriteHeader(http.StatusOK)
	})
}

// allowedOrigin returns what the browser is told for an origin, "" for nothing.
func (s *Server) allowedOrigin(origin string) string {
	if slices.Contains(s.options.CORSOrigins, parsec.AnyOrigin) {
		return string(parsec.AnyOrigin)
	}
	if slices.Contains(s.options.CORSOrigins, parsec.Origin(origin)) {
		return origin
	}
	return ""
}

// allListed reports whether a page may send the headers that it asks for.
func allListed(header http.Header) bool {
	for name := range listItems(header, "Access-Control-Request-Headers") {
		if !isListed(corsHeaders, name) {
			return false
		}
	}
	return true
}

func isListed(list, wanted string) bool {
	for item := range strings.SplitSeq(list, ", ") {
		if strings.EqualFold(item, wanted) {
			return true
		}
	}
	return false
}
