package server

import (
	"context"
	"net/http"
)

// Wing serves one generation of the protocol. Shutdown waits for the work that
// it starts by Start and Go.
type Wing interface {
	// Routes adds the routes that the wing serves while commands can run.
	Routes(mux *http.ServeMux)
	// Ready returns why the wing cannot serve, nil if it can. It is
	// outage.ErrNoRoom if the wing can read all the same.
	Ready(ctx context.Context) error
	// Drain is called when the server begins to end, once Lasting is done: idle
	// connections and those that wait end at once, the others when their command
	// is finished.
	Drain()
	// Cut is called at the end of the grace period: every connection ends.
	Cut()
}
