//go:build !without_postgresql

package bench_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

const (
	fewVersions  = 10_000
	manyVersions = 1_000_000
	// versionsPerVlob and versionsPerBlock spread the versions over vlobs, and
	// add blocks as they come with files.
	versionsPerVlob  = 10
	versionsPerBlock = 10
)

// BenchmarkVersions compares an organization with few versions of vlobs in a
// realm and one with a million: no command on that realm must slow down.
func BenchmarkVersions(b *testing.B) {
	for _, item := range []struct {
		name        string
		newExchange func(*testing.B, *organization, parsec.RealmID, *rand.Rand, int) *exchange
	}{
		{"vlob_update", func(b *testing.B, o *organization, realm parsec.RealmID, _ *rand.Rand, _ int) *exchange {
			b.Helper()
			return vlobUpdatesIn(b, o, realm)
		}},
		{"vlob_create", func(b *testing.B, o *organization, realm parsec.RealmID, _ *rand.Rand, _ int) *exchange {
			b.Helper()
			return vlobCreationsIn(b, o, realm)
		}},
		{"block_create", func(b *testing.B, o *organization, realm parsec.RealmID, _ *rand.Rand, _ int) *exchange {
			b.Helper()
			return blockCreationsIn(b, o, realm, 1<<10)
		}},
		{"vlob_read", func(b *testing.B, o *organization, _ parsec.RealmID, random *rand.Rand, versions int) *exchange {
			b.Helper()
			return numberedVlobs(b, o, protocol.VlobRead.Form,
				&protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: parsec.VlobID(numberedID(b, 0))}, random, versions)
		}},
		{"vlob_list_versions", func(b *testing.B, o *organization, _ parsec.RealmID, random *rand.Rand, versions int) *exchange {
			b.Helper()
			return numberedVlobs(b, o, protocol.VlobListVersions.Form,
				&protocol.VlobListVersionsRequest{VlobID: parsec.VlobID(numberedID(b, 0))}, random, versions)
		}},
		{"vlob_poll_changes", func(b *testing.B, o *organization, realm parsec.RealmID, _ *rand.Rand, versions int) *exchange {
			b.Helper()
			return newExchange(o.dial(b), encode(b, protocol.VlobPollChanges.Form, &protocol.VlobPollChangesRequest{
				RealmID: realm, LastCheckpoint: uint64(versions) - 1,
			}))
		}},
	} {
		b.Run(item.name, func(b *testing.B) {
			newSide := func(name string, versions int) *side {
				dsn := testkit.NewPostgres(b, testkit.Unsound)
				o := newOrganization(b, startOn(b, dsn))
				realm := o.newRealm(b)
				fillVersions(b, dsn, realm, versions)
				s := &side{name: name}
				random := rand.New(rand.NewPCG(1, 2))
				for range benchmarkConnections {
					s.exchanges = append(s.exchanges, item.newExchange(b, o, realm, random, versions))
				}
				return s
			}
			compare(b, "ratio-many-to-few", newSide("few", fewVersions), newSide("many", manyVersions))
		})
	}
}

const (
	// pollers is how many connections ask for all changes, whose replies are
	// long.
	pollers = 4
	// polledVlobs is how many changes each of them is told in a round.
	polledVlobs = manyVersions / versionsPerVlob
)

// BenchmarkPollFromZero compares a realm with few vlobs and one with more than
// a map may have items that is received, when all changes are polled: it counts
// changes, which must not cost more each when there are many.
func BenchmarkPollFromZero(b *testing.B) {
	newSide := func(name string, versions int) *polls {
		dsn := testkit.NewPostgres(b, testkit.Unsound)
		o := newOrganization(b, startOn(b, dsn))
		realm := o.newRealm(b)
		fillVersions(b, dsn, realm, versions)
		return newPolls(b, o, name, realm, versions/versionsPerVlob)
	}
	compareRounds(b, "ratio-many-to-few", polledVlobs, newSide("few-changes", fewVersions), newSide("many-changes", manyVersions))
}

// polls is a side that counts the changes that it is told of.
type polls struct {
	side
	vlobs int
}

func newPolls(b *testing.B, o *organization, name string, realm parsec.RealmID, vlobs int) *polls {
	b.Helper()
	const longestReply = 4 << 20
	p := &polls{side{name: name}, vlobs}
	for range pollers {
		e := newExchange(o.dial(b), encode(b, protocol.VlobPollChanges.Form, &protocol.VlobPollChangesRequest{RealmID: realm}))
		e.socket.SetReadLimit(longestReply)
		e.buffer = make([]byte, longestReply)
		p.exchanges = append(p.exchanges, e)
	}
	return p
}

// round has every connection told of so many changes.
func (p *polls) round(b *testing.B, changes int) {
	b.Helper()
	p.side.round(b, changes/p.vlobs)
}

func (p *polls) result() (name string, perSecond float64) {
	name, perSecond = p.side.result()
	return name, perSecond * float64(p.vlobs)
}

// numberedVlobs asks for another one of the vlobs of fillVersions each time.
func numberedVlobs(b *testing.B, o *organization, command *rpc.Form, request any, random *rand.Rand, versions int) *exchange {
	b.Helper()
	e := newExchange(o.dial(b), encode(b, command, request))
	prefix := numberedID(b, 0)
	place := bytes.Index(e.message, prefix[:]) + len(prefix) - 6
	own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
	e.freshen = func(message []byte) {
		number := own.IntN(versions / versionsPerVlob)
		for i := range 6 { // two decimal digits a byte, the last ones at the end
			message[place+5-i] = byte(number%10 + number/10%10<<4)
			number /= 100
		}
	}
	return e
}

// fillVersions writes into the tables: commands would take minutes. The ids
// are numbered.
func fillVersions(b *testing.B, dsn string, realm parsec.RealmID, versions int) {
	b.Helper()
	connection := must(pgx.Connect(b.Context(), dsn))(b)
	defer func() { _ = connection.Close(b.Context()) }() // The statements are done.
	vlobs, blocks := versions/versionsPerVlob, versions/versionsPerBlock
	for _, statement := range []string{
		fmt.Sprintf(`INSERT INTO vlob (organization, vlob_id, realm, version, updated_on, checkpoint)
			SELECT r.organization, ('%s' || lpad(n::text, 12, '0'))::uuid, r.id, %d, 0, (n + 1) * %d
			FROM realm r, generate_series(0, %d - 1) n WHERE r.realm_id = $1`, idPrefix, versionsPerVlob, versionsPerVlob, vlobs),
		fmt.Sprintf(`INSERT INTO vlob_atom (vlob, revision, version, author, written_on, blob)
			SELECT v.id, 1, n, (SELECT min(id) FROM device), 0, decode(repeat('a5', 200), 'hex')
			FROM realm r JOIN vlob v ON v.realm = r.id, generate_series(1, %d) n WHERE r.realm_id = $1`, versionsPerVlob),
		fmt.Sprintf(`INSERT INTO block (organization, block_id, realm, author, size, created_on)
			SELECT r.organization, ('%s' || lpad(n::text, 12, '0'))::uuid, r.id, (SELECT min(id) FROM device), 1, 0
			FROM realm r, generate_series(0, %d - 1) n WHERE r.realm_id = $1`, idPrefix, blocks),
		fmt.Sprintf("UPDATE realm SET checkpoint = %d, vlobs_size = %d WHERE realm_id = $1", versions, 200*versions),
	} {
		must(connection.Exec(b.Context(), statement, realm.String()))(b)
	}
	must(connection.Exec(b.Context(), "VACUUM ANALYZE"))(b)
}
