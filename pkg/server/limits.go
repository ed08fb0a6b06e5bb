package server

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"parsec-server/pkg/rpc"
)

// HastyError says that an address sends a limited command too often.
type HastyError struct{ wait time.Duration }

func (e *HastyError) Error() string {
	return fmt.Sprintf("too many requests of this kind from one address, wait %s", e.wait)
}

// Limit counts a command of address if it is limited: it returns a *HastyError if there
// were too many. Spontaneous reports whether anybody may bootstrap an organization.
func (s *Server) Limit(command *rpc.Form, spontaneous bool, address netip.Addr) error {
	if !command.Limited || command.SpontaneousOnly && !spontaneous {
		return nil
	}
	if wait := s.writes.Take(address); wait > 0 {
		return &HastyError{wait}
	}
	return nil
}

// Refuse tells an HTTP client when to come back.
func (e *HastyError) Refuse(w http.ResponseWriter) {
	tellRetryAfter(w, e.wait)
	w.WriteHeader(http.StatusTooManyRequests)
}

// RefuseBusy tells an HTTP client to try again soon.
func RefuseBusy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, "The server is busy, try again.", http.StatusServiceUnavailable)
}

// tellRetryAfter tells an HTTP client when to come back.
func tellRetryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}
