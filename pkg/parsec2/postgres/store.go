package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Store = (*Store)(nil)

// Options are the settings of a store.
type Options struct {
	// Options are those of its database; the store sets their codec.
	database.Options
	// Now is the clock of the rules, by which reservations of blocks expire.
	Now func() parsec.DateTime
}

// Store implements rules.Store on a database, whose methods it has, with the store
// of organizations there. Its own are safe for concurrent use too.
type Store struct {
	*database.Database
	*organizationstore.Store
	now       func() parsec.DateTime
	keys      keyCache
	vlobReads database.Gatherer[*vlobRead]
}

// Open opens the store of a server or, without bus, of the command of an operator,
// as database.Open does. The caller closes it.
func Open(ctx context.Context, options Options, bus *event.Bus) (*Store, error) {
	options.Codec = notice.Codec{}
	opened, err := database.Open(ctx, options.Options, bus)
	if err != nil {
		return nil, err
	}
	s := &Store{Database: opened, Store: organizationstore.New(opened), now: options.Now}
	s.vlobReads = database.Gatherer[*vlobRead]{
		Run: s.readVlobs, Most: vlobReadsTogether, Runs: vlobReadRuns, Patience: vlobReadPatience,
	}
	s.OnLost(s.keys.forget)
	s.OnPrune(s.pruneReservations)
	s.OnPrune(s.pruneRevisions)
	return s, nil
}
