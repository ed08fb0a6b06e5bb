//go:build !without_postgresql

package bench_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// comparison is a command beside what pgbench does in its place.
type comparison struct {
	name, script string
	// newExchange returns what one connection repeats in a realm, with a vlob of its own.
	newExchange func(o *founded, b *testing.B, realm parsec.RealmID, vlob parsec.VlobID) *exchange
	// oneRealm has all connections work in the same realm.
	oneRealm bool
	// rivals are the connections of pgbench, and pool is the most that the server has.
	rivals, pool int
}

// ordinaryPool is how many connections to the database a server has unless it is told.
const ordinaryPool = 7

// BenchmarkPgbench compares the server on PostgreSQL with pgbench, a client that does
// nothing else, in turns on one database: a script with the statements that the server
// sends for one write, and for vlob_read_batch a select by primary key. As the disk is
// synced for as many commits as come together, the server has as many connections as
// pgbench, or those that it has by itself. In one realm all of them change one row: more
// do not help pgbench there.
//
// The database is one that syncs, unless PARSEC_TEST_DB names another one.
func BenchmarkPgbench(b *testing.B) {
	dsn := durable(b)
	for _, item := range []comparison{
		{"vlob_create", "vlob_create", (*founded).creations, false, connections, connections},
		{"vlob_update", "vlob_update", (*founded).updates, false, connections, connections},
		{"vlob_create_through_7", "vlob_create", (*founded).creations, false, connections, ordinaryPool},
		{"vlob_update_through_7", "vlob_update", (*founded).updates, false, connections, ordinaryPool},
		{"vlob_create_in_one_realm", "vlob_create", (*founded).creations, true, ordinaryPool, ordinaryPool},
		{"vlob_update_in_one_realm", "vlob_update", (*founded).updates, true, ordinaryPool, ordinaryPool},
		{"vlob_read_batch", "vlob_read_batch", (*founded).readings, false, connections, ordinaryPool},
	} {
		b.Run(item.name, func(b *testing.B) { item.run(b, dsn) })
	}
}

// durable returns a database that syncs each commit to the disk.
func durable(b *testing.B) string {
	b.Helper()
	if os.Getenv("PARSEC_TEST_DB") != "" {
		return testkit.NewPostgres(b, testkit.Unsound)
	}
	server := testkit.StartBreakablePostgres(b, "fsync=on", "synchronous_commit=on", "full_page_writes=on")
	if _, err := database.Migrate(b.Context(), server.DSN); err != nil {
		b.Fatal(err)
	}
	return server.DSN
}

func (c *comparison) run(b *testing.B, dsn string) {
	o := found(b, startMeasured(b, "--db", dsn, "--db-max-connections", strconv.Itoa(c.pool)))
	realms := make([]parsec.RealmID, connections)
	for i := range connections {
		// The vlob of pgbench, and then that of the server in a realm of its own.
		rival := numbered(b, i)
		if i == 0 || !c.oneRealm {
			realms[i] = parsec.RealmID(rival)
			o.createRealm(b, realms[i])
		} else {
			realms[i] = realms[0]
		}
		o.createVlob(b, realms[i], parsec.VlobID(rival))
	}
	subject := o.side("server", testkit.DatabaseProcessorTime(b, dsn))
	realm := parsec.RealmID{}
	for range connections {
		if realm == (parsec.RealmID{}) || !c.oneRealm {
			realm = parsec.RealmID(parsec.NewUUID())
			o.createRealm(b, realm)
		}
		vlob := parsec.VlobID(parsec.NewUUID())
		o.createVlob(b, realm, vlob)
		subject.exchanges = append(subject.exchanges, c.newExchange(o, b, realm, vlob))
	}
	rival := pgbench{comparison: c, dsn: dsn, device: o.device, program: testkit.PostgresProgram(b, "pgbench"), database: subject.database}
	for b.Loop() {
		rival.round(b, tripsPerRound*connections/c.rivals)
		subject.round(b, tripsPerRound)
	}
	b.ReportMetric(0, "ns/op")
	subject.report(b)
	others := float64(rival.trips) / rival.elapsed.Seconds()
	b.ReportMetric(others, "pgbench/s")
	b.ReportMetric(subject.rate()/others, "ratio")
	b.ReportMetric(float64(rival.spent.Microseconds())/float64(rival.trips), "pgbench-database-µs")
	slices.Sort(subject.latencies)
	b.ReportMetric(float64(subject.latencies[len(subject.latencies)*99/100].Microseconds())/1000, "p99-ms")
}

// idPrefix begins the ids of what pgbench works on; the number of its connection
// follows, in decimal digits.
const idPrefix = "00000000-0000-4000-8000-"

func numbered(b *testing.B, number int) parsec.UUID {
	b.Helper()
	return must(parsec.ParseUUID(fmt.Sprintf("%s%012d", idPrefix, number)))
}

// pgbench runs a script.
type pgbench struct {
	*comparison
	program, dsn string
	device       *client3.Device
	elapsed      time.Duration
	trips        int
	// database is the processor time of the database, of which spent is for the trips.
	database testkit.ProcessorTime
	spent    time.Duration
}

var pgbenchRate = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)

func (p *pgbench) round(b *testing.B, trips int) {
	b.Helper()
	apart := "1"
	if p.oneRealm {
		apart = "0"
	}
	before := p.database(b)
	output, err := exec.CommandContext(b.Context(), p.program,
		"--no-vacuum", "--protocol=prepared", "--client="+strconv.Itoa(p.rivals), "--jobs=2",
		"--transactions="+strconv.Itoa(trips), "--file="+filepath.Join("testdata", p.script+".pgbench"),
		"--define=organization="+p.device.Organization.String(), "--define=device="+parsec.UUID(p.device.ID).String(),
		"--define=ids="+idPrefix, "--define=apart="+apart, "--define=number="+strconv.Itoa(p.trips),
		"--define=date="+strconv.FormatInt(int64(now()), 10),
		`--define=blob=\x`+hex.EncodeToString(kibibyte), `--define=body=\x`+hex.EncodeToString(make([]byte, len(kibibyte)+200)),
		p.dsn).CombinedOutput()
	found := pgbenchRate.FindSubmatch(output)
	if err != nil || found == nil {
		b.Fatalf("pgbench: %v: %s", err, output)
	}
	p.spent += p.database(b) - before
	done := trips * p.rivals
	p.trips += done
	p.elapsed += time.Duration(float64(done) / must(strconv.ParseFloat(string(found[1]), 64)) * float64(time.Second))
}
