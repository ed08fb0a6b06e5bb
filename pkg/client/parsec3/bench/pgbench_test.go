//go:build !without_postgresql

package bench_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
)

// comparison is a command beside what pgbench does in its place.
type comparison struct {
	name, script string
	// newWork returns what one connection repeats in a realm, with a vlob of its own.
	newWork func(o *founded, realm parsec.RealmID, vlob parsec.VlobID) func(ctx context.Context) error
	// oneRealm has all connections work in the same realm.
	oneRealm bool
	// rivals are the connections of pgbench.
	rivals int
}

const connections = 32

// BenchmarkPgbench compares the server on PostgreSQL with pgbench, a client that does
// nothing else, in turns on one database: a script with the statements that the server
// sends for one write, and for vlob_read_batch a select by primary key. In one realm all
// of them change one row: more connections than 7 do not help pgbench there.
//
// The database is one that syncs, unless PARSEC_TEST_DB names another one. The processor
// time of a trip is that of the database, where it runs on Linux on this machine, and of
// this process, clients' included; it hardly depends on what else the machine does.
func BenchmarkPgbench(b *testing.B) {
	dsn := durable(b)
	for _, item := range []comparison{
		{"vlob_create", "vlob_create", (*founded).creations, false, connections},
		{"vlob_update", "vlob_update", (*founded).updates, false, connections},
		{"vlob_create_in_one_realm", "vlob_create", (*founded).creations, true, 7},
		{"vlob_update_in_one_realm", "vlob_update", (*founded).updates, true, 7},
		{"vlob_read_batch", "vlob_read_batch", (*founded).readings, false, connections},
	} {
		b.Run(item.name, func(b *testing.B) { item.run(b, dsn) })
	}
}

// durable returns a database that syncs each commit to the disk.
func durable(b *testing.B) string {
	b.Helper()
	if os.Getenv("PARSEC_TEST_DB") != "" {
		return testkit.NewPostgres(b)
	}
	server := testkit.StartBreakablePostgres(b, "fsync=on", "synchronous_commit=on", "full_page_writes=on")
	if _, err := database.Migrate(b.Context(), server.DSN); err != nil {
		b.Fatal(err)
	}
	return server.DSN
}

func (c *comparison) run(b *testing.B, dsn string) {
	o := found(b, dsn)
	realms := make([]parsec.RealmID, connections)
	var work []func(ctx context.Context) error
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
	realm := parsec.RealmID{}
	for range connections {
		if realm == (parsec.RealmID{}) || !c.oneRealm {
			realm = parsec.RealmID(parsec.NewUUID())
			o.createRealm(b, realm)
		}
		vlob := parsec.VlobID(parsec.NewUUID())
		o.createVlob(b, realm, vlob)
		work = append(work, c.newWork(o, realm, vlob))
	}
	rival := pgbench{comparison: c, dsn: dsn, device: o.device, program: testkit.PostgresProgram(b, "pgbench")}
	side := side{work: work}
	const trips = 300 // of each connection
	family := newFamily(b, dsn)
	var ofRival, ofDatabase, ofProcess time.Duration
	for b.Loop() {
		before := family.spent(b)
		rival.round(b, trips*connections/c.rivals)
		between, started := family.spent(b), processorTime(b)
		side.round(b, trips)
		ofRival, ofDatabase, ofProcess = ofRival+between-before, ofDatabase+family.spent(b)-between, ofProcess+processorTime(b)-started
		if b.Failed() {
			b.FailNow()
		}
	}
	rate, others := float64(len(side.latencies))/side.elapsed.Seconds(), float64(rival.trips)/rival.elapsed.Seconds()
	slices.Sort(side.latencies)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(others, "pgbench/s")
	b.ReportMetric(rate, "server/s")
	b.ReportMetric(rate/others, "ratio")
	each := func(spent time.Duration, trips int) float64 { return float64(spent.Microseconds()) / float64(trips) }
	b.ReportMetric(each(ofRival, rival.trips), "pgbench-database-µs")
	b.ReportMetric(each(ofDatabase, len(side.latencies)), "database-µs")
	b.ReportMetric(each(ofProcess, len(side.latencies)), "process-µs")
	b.ReportMetric(float64(side.latencies[len(side.latencies)*99/100].Microseconds())/1000, "p99-ms")
}

// side is the server, and what its connections repeat.
type side struct {
	work      []func(ctx context.Context) error
	latencies []time.Duration
	elapsed   time.Duration
}

func (s *side) round(b *testing.B, trips int) {
	b.Helper()
	latencies := make([][]time.Duration, len(s.work))
	begun := time.Now()
	var working sync.WaitGroup
	for i, work := range s.work {
		working.Go(func() {
			for range trips {
				sent := time.Now()
				if err := work(b.Context()); err != nil {
					b.Error(err)
					return
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	working.Wait()
	s.elapsed += time.Since(begun)
	s.latencies = append(s.latencies, slices.Concat(latencies...)...)
}

// founded is an organization of a server on a database.
type founded struct {
	address parsec.ServerAddress
	device  *client3.Device
	rpc     *client3.RPC
	b       *testing.B
}

func found(b *testing.B, dsn string) *founded {
	b.Helper()
	server := testkit.StartGenerations(b, testkit.GenerationsOptions{
		// Nothing waits for the events of what it writes.
		WrapStore3: func(rules.Store) rules.Store { return testkit.OpenParsec3Postgres(b, dsn, testkit.NewBus(b)) },
		Database:   dsn,
	})
	id := must(parsec.ParseOrganizationID("bench" + parsec.NewUUID().Hex()[:16]))
	token := must(server.Organizations.Create(b.Context(), organization.Administrator{}, id, organization.Change{}))
	device, request, err := client3.NewOrganization(client3.Founding{Organization: id, Token: new(must(parsec3.ParseAccessToken(token)))},
		client3.Person{Label: must(parsec3.ParseDeviceLabel("bench")), HumanHandle: must(parsec3.ParseHumanHandle("bench@example.com", "Bench"))}, now())
	if err != nil {
		b.Fatal(err)
	}
	o := &founded{address: server.Address, device: device, b: b}
	if _, err = client3.Call(b.Context(), o.client().Anonymous(id), protocol.OrganizationBootstrap, request); err != nil {
		b.Fatal(err)
	}
	o.rpc = o.client().Authenticated(device)
	return o
}

// client returns one with a connection of its own.
func (o *founded) client() *client3.Client {
	c := client3.New(o.address, client3.LatestVersion, client.Options{})
	o.b.Cleanup(c.Close)
	return c
}

func call[Request, Reply any](ctx context.Context, to *client3.RPC, command *rpc.Command[Request, Reply], request *Request) error {
	_, err := client3.Call(ctx, to, command, request)
	return err
}

func (o *founded) createRealm(b *testing.B, realm parsec.RealmID) {
	b.Helper()
	if err := call(b.Context(), o.rpc, protocol.RealmCreate, must(o.device.NewRealm(realm, now()))); err != nil {
		b.Fatal(err)
	}
}

var kibibyte = bytes.Repeat([]byte{0xa5}, 1<<10)

func (o *founded) createVlob(b *testing.B, realm parsec.RealmID, vlob parsec.VlobID) {
	b.Helper()
	err := call(b.Context(), o.rpc, protocol.VlobCreate, &protocol.VlobCreateRequest{RealmID: realm, VlobID: vlob, Timestamp: now(), Blob: kibibyte})
	if err != nil {
		b.Fatal(err)
	}
}

func (o *founded) creations(realm parsec.RealmID, _ parsec.VlobID) func(ctx context.Context) error {
	to := o.client().Authenticated(o.device)
	return func(ctx context.Context) error {
		return call(ctx, to, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, VlobID: parsec.VlobID(parsec.NewUUID()), Timestamp: now(), Blob: kibibyte,
		})
	}
}

func (o *founded) updates(realm parsec.RealmID, vlob parsec.VlobID) func(ctx context.Context) error {
	to, version := o.client().Authenticated(o.device), uint32(1)
	return func(ctx context.Context) error {
		version++
		return call(ctx, to, protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			RealmID: realm, VlobID: vlob, Version: version, Timestamp: now(), Blob: kibibyte,
		})
	}
}

func (o *founded) readings(realm parsec.RealmID, vlob parsec.VlobID) func(ctx context.Context) error {
	to := o.client().Authenticated(o.device)
	return func(ctx context.Context) error {
		return call(ctx, to, protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: []parsec.VlobID{vlob}})
	}
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
}

var pgbenchRate = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)

func (p *pgbench) round(b *testing.B, trips int) {
	b.Helper()
	apart := "1"
	if p.oneRealm {
		apart = "0"
	}
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
	done := trips * p.rivals
	p.trips += done
	p.elapsed += time.Duration(float64(done) / must(strconv.ParseFloat(string(found[1]), 64)) * float64(time.Second))
}

// family is the processes of the server of a database: their parent, 0 if it is not here.
type family int

func newFamily(b *testing.B, dsn string) family {
	b.Helper()
	backend := testkit.Number(b, testkit.Connect(b, dsn), "SELECT pg_backend_pid()")
	parent, _, _ := readProcess(strconv.FormatInt(backend, 10)) // elsewhere there is none
	return family(parent)
}

// spent returns the processor time of all of them, also of those that have ended.
func (f family) spent(b *testing.B) (sum time.Duration) {
	b.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		b.Fatal(err)
	}
	for _, process := range processes {
		id := filepath.Base(process)
		if parent, own, all := readProcess(id); id == strconv.Itoa(int(f)) {
			sum += all
		} else if parent == int(f) {
			sum += own
		}
	}
	return sum
}

// readProcess returns the parent of a process, and the processor time of the process
// alone, and with its children that have ended.
func readProcess(id string) (parent int, own, all time.Duration) {
	const name, fieldParent, fieldUser, fieldEnd = ") ", 1, 11, 15 // after the name
	text, err := os.ReadFile("/proc/" + id + "/stat")
	_, rest, found := strings.Cut(string(text), name)
	fields := strings.Fields(rest)
	if err != nil || !found || len(fields) < fieldEnd {
		return 0, 0, 0
	}
	parent, _ = strconv.Atoi(fields[fieldParent])
	for i, field := range fields[fieldUser:fieldEnd] {
		ticks, _ := strconv.Atoi(field)
		spent := time.Duration(ticks) * time.Second / 100
		if all += spent; i < 2 {
			own += spent
		}
	}
	return parent, own, all
}

// processorTime is that of this process so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func now() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// must is for what does not depend on the server.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
