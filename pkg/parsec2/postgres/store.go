package postgres

import (
	"parsec-server/pkg/database"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var _ rules.Store = (*Store)(nil)

// Store implements rules.Store on a database, whose methods it has, with those of
// the store of organizations there. Its own are safe for concurrent use too.
type Store struct {
	*database.Database
	*organizationstore.Store
	now       func() parsec.DateTime
	keys      keyCache
	vlobReads database.Batcher[*vlobRead]
}

// New returns the store of a database, which writes and reads events by
// notice.Codec, with the store of organizations there. Now is the clock of the
// rules, by which reservations of blocks expire.
func New(on *database.Database, organizations *organizationstore.Store, now func() parsec.DateTime) *Store {
	s := &Store{Database: on, Store: organizations, now: now}
	s.vlobReads = database.Batcher[*vlobRead]{
		Run: s.readVlobs, Most: vlobReadsTogether, Runs: vlobReadRuns, Patience: vlobReadPatience,
	}
	s.OnLost(s.keys.forget)
	s.OnPrune(s.pruneReservations)
	s.OnPrune(s.pruneRevisions)
	s.OnPrune(s.eraseRealms)
	return s
}
