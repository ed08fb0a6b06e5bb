//go:build !without_postgresql

package cluster_test

import (
	"testing"

	"parsec-server/internal/testkit"
)

// TestTwoProcesses runs the invariants of docs/protocol/commands.md §10 that
// concern concurrency, each in an organization of its own.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	shared := newCluster(t, testkit.NewPostgres(t))
	for name, check := range map[string]func(*cluster){
		"01":              invariant01ConcurrentBootstraps,
		"02":              invariant02ConcurrentCreationsOfOneUser,
		"03":              invariant03ActiveUsersLimit,
		"04":              invariant04LoweredLimit,
		"05":              invariant05OneActiveUserPerEmail,
		"06":              invariant06IdsAreNeverReused,
		"07":              invariant07UserHasADevice,
		"08":              invariant08ConcurrentCreationsOfOneDevice,
		"09":              invariant09ConcurrentRevocationsOfOneUser,
		"11":              invariant11AnAdministratorRemains,
		"12":              invariant12SessionsEnd,
		"13":              invariant13RevokedAuthors,
		"14":              invariant14OneAcceptance,
		"18":              invariant18RealmCreatedOnce,
		"19":              invariant19RolesOfOneUserAreSerial,
		"20":              invariant20RightsAtCommit,
		"21":              invariant21AnOwnerRemains,
		"22":              invariant22RolesReplay,
		"23":              invariant23WritesAndRemovals,
		"24":              invariant24ChangesAndDemotions,
		"25":              invariant25DatesNeverDecrease,
		"26":              invariant26GrantsAndRevocations,
		"30":              invariant30ArchivingIsSerial,
		"31":              invariant31WritesAndArchiving,
		"33":              invariant33OneStart,
		"34":              invariant34ExactParticipants,
		"36":              invariant36NothingIsLost,
		"37":              invariant37OneFinish,
		"42":              invariant42OneWinner,
		"44":              invariant44Checkpoints,
		"47":              invariant47SequesterServices,
		"48":              invariant48ConcurrentBlocks,
		"50":              invariant50MessageNumbers,
		"53":              invariant53EventsReachTheWaiters,
		"linearizability": linearizableVlobs,
		"57":              invariant57ExpiredOrganization,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(shared.within(t))
		})
	}
}
