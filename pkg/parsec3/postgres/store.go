package postgres

import (
	"cmp"
	"sync/atomic"

	"parsec-server/pkg/database"
	"parsec-server/pkg/gather"
	organizationstore "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

var _ rules.Store = (*Store)(nil)

// Store implements rules.Store on a database, whose methods it has, with those of
// the store of organizations there. Its own are safe for concurrent use too.
type Store struct {
	*database.Database
	*organizationstore.Store
	now     func() parsec.DateTime
	updates gather.Gatherer[rules.Topic, work]
	data    gather.Gatherer[share, work]
	reads   database.Batcher[*waitingRead]
	// presence is how often the instance was entered when all who are present were
	// written.
	presence atomic.Uint64
}

// New returns the store of a database, which writes and reads events by
// notice.Codec, with the store of organizations there. Now is the clock of the
// rules, by which reservations of blocks expire.
func New(on *database.Database, organizations *organizationstore.Store, now func() parsec.DateTime) *Store {
	s := &Store{Database: on, Store: organizations, now: now}
	byDate := func(a, b work) int { return cmp.Compare(a.scope.Date, b.scope.Date) }
	s.updates.Run, s.updates.Compare = s.runTopic, byDate
	s.data.Run, s.data.Compare = s.runData, byDate
	s.reads = database.Batcher[*waitingRead]{Run: s.answer, Most: readsTogether, Runs: readRuns, Patience: readPatience}
	s.OnPrune(s.pruneReservations)
	s.OnPrune(s.sumUsage)
	s.OnPrune(s.eraseRealms)
	s.OnPrune(s.pruneAccounts)
	s.OnPrune(s.prunePresence)
	s.OnPrune(s.pruneInvitations)
	s.OnPrune(s.pruneEnrollments)
	return s
}
