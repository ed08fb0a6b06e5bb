package server

import (
	"context"
	"net/http"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Wing serves one generation of the protocol. Shutdown waits for the work that
// it starts by Start and Go.
type Wing interface {
	// Generation returns that of the organizations that the wing serves.
	Generation() organization.Generation
	// Versions returns the versions of the API that the wing serves over HTTP, in
	// order, one a major; there is one.
	Versions() []parsec.APIVersion
	// Routes returns the routes that the wing serves while commands can run, by
	// their patterns of http.ServeMux. A pattern that another wing has too leads
	// to the wing that the Api-Version of the request chooses.
	Routes() map[string]http.HandlerFunc
	// Unavailable answers a request of one of these routes with 503, as RefuseBusy
	// does, while no command can run.
	Unavailable(w http.ResponseWriter, r *http.Request)
	// Patient returns those of the patterns whose requests come to the wing while no
	// command can run, too: it has them wait, or refuses them as Unavailable does.
	Patient() []string
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
