//go:build !without_postgresql

package bench_test

import (
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// pgbenchTrips leaves little weight to the preparation of the statements.
const pgbenchTrips = 500

// BenchmarkPgbench compares the server on PostgreSQL with pgbench, a client
// that does nothing else, with as many connections to the same database: a
// script that reads and writes the same rows, and for vlob_read one select by
// primary key. PARSEC_TEST_DB chooses the server of the database, and with it
// the durability.
func BenchmarkPgbench(b *testing.B) {
	for _, item := range []struct {
		name, script string
		newExchange  func(*testing.B, *organization, parsec.RealmID) *exchange
		// oneRealm has all connections work in the same realm.
		oneRealm bool
	}{
		{"vlob_update", "vlob_update", vlobUpdatesIn, false},
		{"vlob_update_in_one_realm", "vlob_update", vlobUpdatesIn, true},
		{"vlob_create", "vlob_create", vlobCreationsIn, false},
		{"vlob_read", "vlob_read", vlobReadsIn, false},
	} {
		b.Run(item.name, func(b *testing.B) {
			dsn := testkit.NewPostgres(b, testkit.Unsound)
			o := newOrganization(b, startOn(b, dsn))
			server := &side{name: "server"}
			rival := &pgbench{
				program: testkit.PostgresProgram(b, "pgbench"), dsn: dsn,
				script: filepath.Join("testdata", item.script+".pgbench"), organization: o,
			}
			for i := range benchmarkConnections {
				if i == 0 || !item.oneRealm {
					o.createRealm(b, parsec.RealmID(numberedID(b, i)))
				}
				realm := parsec.RealmID(numberedID(b, 0))
				if !item.oneRealm {
					realm = parsec.RealmID(numberedID(b, i))
				}
				o.createVlob(b, realm, parsec.VlobID(numberedID(b, i)), 1<<10)
			}
			realm := o.newRealm(b)
			for range benchmarkConnections {
				if !item.oneRealm {
					realm = o.newRealm(b)
				}
				server.exchanges = append(server.exchanges, item.newExchange(b, o, realm))
			}
			compareRounds(b, "ratio-to-pgbench", pgbenchTrips, rival, server)
		})
	}
}

// idPrefix begins the ids of what pgbench works on; the number of its
// connection follows, in decimal digits.
const idPrefix = "00000000-0000-4000-8000-"

func numberedID(b *testing.B, number int) parsec.UUID {
	b.Helper()
	return must(parsec.ParseUUID(fmt.Sprintf("%s%012d", idPrefix, number)))(b)
}

// pgbench runs a script. The first vlob of the database is that of its first
// connection.
type pgbench struct {
	program, dsn, script string
	organization         *organization
	elapsed              time.Duration
	trips                int
}

var pgbenchRate = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)

func (p *pgbench) round(b *testing.B, trips int) {
	b.Helper()
	device := p.organization.device
	connections := strconv.Itoa(benchmarkConnections)
	output, err := exec.CommandContext(b.Context(), p.program,
		"--no-vacuum", "--protocol=prepared", "--client="+connections, "--jobs=2",
		"--transactions="+strconv.Itoa(trips), "--file="+p.script,
		"--define=organization="+device.Organization.String(),
		"--define=user="+device.ID.User().String(), "--define=device="+device.ID.Name().String(),
		"--define=ids="+idPrefix, "--define=number="+strconv.Itoa(p.trips),
		"--define=date="+strconv.FormatInt(int64(now()), 10),
		`--define=blob=\x`+hex.EncodeToString(make([]byte, 1<<10)),
		`--define=body=\x`+hex.EncodeToString(make([]byte, 100)),
		p.dsn).CombinedOutput()
	found := pgbenchRate.FindSubmatch(output)
	if err != nil || found == nil {
		b.Fatalf("pgbench: %v: %s", err, output)
	}
	rate := must(strconv.ParseFloat(string(found[1]), 64))(b)
	done := trips * benchmarkConnections
	p.trips += done
	p.elapsed += time.Duration(float64(done) / rate * float64(time.Second))
}

func (p *pgbench) result() (name string, perSecond float64) {
	return "pgbench", float64(p.trips) / p.elapsed.Seconds()
}
