//go:build !without_postgresql && !without_minio

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// deployment is a database that knows blocks, and where they are.
type deployment struct {
	t         *testing.T
	variables map[string]string
	blocks    []blockstore.Block
	// s3 returns a store in a bucket.
	s3 func(bucket string) string
}

// newDeployment keeps blocks in its database.
func newDeployment(t *testing.T) *deployment {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	d := &deployment{t: t, variables: map[string]string{"PARSEC_DB": dsn}}
	prefix := "parsec-test-" + parsec.NewUUID().Hex()[:8] + "-"
	server := sync.OnceValue(func() config.S3 { return testkit.S3(t) })
	d.s3 = func(bucket string) string {
		settings := server()
		return fmt.Sprintf("s3:%s:%s:%s:%s:%s", strings.ReplaceAll(settings.Endpoint, ":", `\:`), settings.Region, prefix+bucket,
			settings.Key.Reveal(), settings.Secret.Reveal())
	}
	store := d.open("POSTGRESQL")
	for i := range 40 {
		organization, err := parsec.ParseOrganizationID([]string{"Acme", "Acme-2"}[i/20])
		if err != nil {
			t.Fatal(err)
		}
		block := blockstore.Block{Organization: organization, ID: parsec.BlockID(parsec.NewUUID()), Size: 1000}
		if err := store.Create(t.Context(), block.Organization, block.ID, make([]byte, block.Size)); err != nil {
			t.Fatal(err)
		}
		d.blocks = append(d.blocks, block)
	}
	testkit.InsertBlocks(t, dsn, d.blocks...)
	slices.SortFunc(d.blocks, func(a, b blockstore.Block) int { return strings.Compare(blockName(&a), blockName(&b)) })
	return d
}

func (d *deployment) open(texts ...string) blockstore.Store {
	d.t.Helper()
	return openStoreOf(d.t, d.variables["PARSEC_DB"], texts...)
}

// run wants an exit code and a text in what is printed.
func (d *deployment) run(code int, want, command string, options ...string) outcome {
	d.t.Helper()
	got := executeWith(d.t.Context(), idle, d.variables, append([]string{"backend", "blockstore", command}, options...)...)
	if got.code != code || !strings.Contains(got.stdout+got.stderr, want) {
		d.t.Fatalf("%s %q: exit code %d\n%s%s\nwant %d and %q", command, options, got.code, got.stdout, got.stderr, code, want)
	}
	return got
}

func (d *deployment) delete(bucket string, block blockstore.Block) {
	d.t.Helper()
	if err := d.open(d.s3(bucket)).(blockstore.Inventory).Delete(d.t.Context(), blockName(&block)); err != nil {
		d.t.Fatal(err)
	}
}

// A deployment moves from its database to a RAID5 of three buckets, loses
// objects and gets them back.
func TestBlockstoreCommands(t *testing.T) {
	d := newDeployment(t)
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	d.run(0, "The block store is ready (POSTGRESQL).\n", "init")
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check")
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
	d.run(2, "--apply needs --deep", "check", "--apply")

	var to []string
	var raid []string
	for i, bucket := range []string{"a", "b", "c"} {
		node := fmt.Sprintf("RAID5:%d:%s", i, d.s3(bucket))
		raid = append(raid, node)
		to = append(to, "--to", node)
	}
	d.run(1, "no such bucket, create it with `parsec backend blockstore init`", "copy", to...)
	d.run(0, "The block store is ready (RAID5).\n", "init", "-b", raid[0], "-b", raid[1], "-b", raid[2])
	d.run(0, "40 blocks, 39.1 KiB; to be copied by --apply: 40, 39.1 KiB.\n", "copy", to...)
	d.run(0, "40 blocks, 39.1 KiB; copied: 40, 39.1 KiB.\n", "copy", append(to, "--apply")...)
	d.run(0, "40 blocks, 39.1 KiB; copied: 0, 0 bytes.\n", "copy", append(to, "--apply")...)

	d.variables["PARSEC_BLOCKSTORE"] = strings.Join(raid, " ")
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
	for _, block := range d.blocks[3:6] {
		d.delete("b", block)
	}
	d.delete("a", d.blocks[5])
	lost := blockName(&d.blocks[5])
	got := d.run(3, "40 blocks checked, 39.1 KiB: 4 missing, 1 lost.\n", "check")
	for _, want := range []string{
		"missing " + blockName(&d.blocks[3]) + " on node 1 (S3 bucket ",
		"lost " + lost + ": what there is does not give the block\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
	// The check of the whole database says the same of the parts of a RAID.
	whole := executeWith(t.Context(), idle, d.variables, "backend", "check", "--organization", d.blocks[3].Organization.String())
	if want := d.blocks[3].Organization.String() + " block " + d.blocks[3].ID.String() + " on node 1 (S3 bucket "; whole.code != 3 || !strings.Contains(whole.stdout, want) {
		t.Errorf("backend check: exit code %d, without %q:\n%s", whole.code, want, whole.stdout)
	}
	d.run(3, "4 missing, 1 lost.\n", "repair")
	d.run(3, "4 missing, 1 lost; 2 repaired.\n", "repair", "--apply")
	d.run(3, "40 blocks checked, 39.1 KiB: 2 missing, 1 lost.\n", "check", "--deep")
	d.run(0, "nothing wrong", "check", "--after", lost)

	lines := strings.Split(strings.TrimSpace(d.run(3, "", "check", "--json").stdout), "\n")
	if len(lines) != 4 || lines[2] != fmt.Sprintf(`{"problem":"lost","organization":"%s","block":"%s","detail":"what there is does not give the block","done":false}`, d.blocks[5].Organization, d.blocks[5].ID) ||
		lines[3] != `{"summary":{"counts":{"blocks":40,"bytes":40000},"problems":{"lost":1,"missing":2},"done":0,"complete":true}}` {
		t.Errorf("printed %q", lines)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	// The lost one is still in the database.
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	d.run(0, "copied: 1, 1000 bytes", "copy", append(to, "--apply")...)
	d.variables["PARSEC_BLOCKSTORE"] = strings.Join(raid, " ")
	d.run(0, "nothing wrong", "check", "--deep")
}

// Blocks that the database has no checksum of get it from a check, and are
// verified from then on.
func TestBlockstoreChecksums(t *testing.T) {
	d := newDeployment(t)
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	harm := func(block blockstore.Block, change string) {
		testkit.Execute(t, testkit.Connect(t, d.variables["PARSEC_DB"]), fmt.Sprintf(
			"UPDATE block_data SET data = %s WHERE block_id = '%s'", change, block.ID))
	}
	const otherByte = `set_byte(data, 500, get_byte(data, 500) # 1)`
	harm(d.blocks[7], "substr(data, 2)")
	d.run(3, "40 blocks checked, 39.1 KiB: 1 wrong, 1 lost; 39 checksums added.\n", "check", "--deep", "--apply")
	d.run(3, "1 wrong, 1 lost; 0 checksums added.\n", "check", "--deep", "--apply")
	harm(d.blocks[7], "'\\x00' || data")
	harm(d.blocks[3], otherByte)
	d.run(0, "nothing wrong", "check")
	got := d.run(3, "1 wrong, 1 lost; 1 checksums added.\n", "check", "--deep", "--apply")
	if want := "lost " + blockName(&d.blocks[3]) + ": "; !strings.Contains(got.stdout, want) {
		t.Errorf("no %q in\n%s", want, got.stdout)
	}
	harm(d.blocks[3], otherByte)
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
}

func TestBlockstoreOrphans(t *testing.T) {
	d := newDeployment(t)
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	store, acme := d.open("POSTGRESQL"), d.blocks[39].Organization
	elsewhere, err := parsec.ParseOrganizationID("Elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	orphan, foreign := parsec.BlockID(parsec.NewUUID()), parsec.BlockID(parsec.NewUUID())
	for _, err := range []error{
		store.Create(t.Context(), acme, orphan, []byte("abc")),
		store.Create(t.Context(), elsewhere, foreign, []byte("abc")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d.run(0, "42 objects, of which 1 are foreign and 1 too young to tell: 0 orphans, 0 bytes; 0 deleted.\n", "orphans", "--apply")
	d.age(2 * time.Hour)
	d.run(0, "1 too young", "orphans")
	d.run(3, "orphan Acme/"+orphan.String()+" on node 0 (PostgreSQL table block_data): 3 bytes, of 20", "orphans", "--min-age=1h")
	d.run(0, "42 objects, of which 1 are foreign and 0 too young to tell: 1 orphans, 3 bytes; 1 deleted.\n", "orphans", "--min-age=1h", "--apply")
	d.run(0, `{"summary":{"counts":{"objects":41,"foreign":1,"young":0,"orphan_bytes":0},"problems":{},"done":0,"complete":true}}`, "orphans", "--min-age=1h", "--json")
	d.run(0, "0 objects", "orphans", "--after", "0:Zoo/"+orphan.String())
	d.run(0, "nothing wrong", "check", "--deep")
	if err := store.Read(t.Context(), elsewhere, foreign, nil, make([]byte, 3)); err != nil {
		t.Errorf("a foreign object: %v", err)
	}
	if err := store.Read(t.Context(), acme, orphan, nil, make([]byte, 3)); !errors.Is(err, blockstore.ErrNotFound) {
		t.Errorf("the orphan: %v", err)
	}
}

// The blocks of organizations of Parsec 3 are known as those of API 1 to 3 are, and
// no orphans.
func TestBlockstoreOfBothGenerations(t *testing.T) {
	d := newDeployment(t)
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	store := d.open("POSTGRESQL")
	var third []blockstore.Block
	for _, name := range []string{"AAA", "Third", "Third"} {
		organization, err := parsec.ParseOrganizationID(name)
		if err != nil {
			t.Fatal(err)
		}
		third = append(third, blockstore.Block{Organization: organization, ID: parsec.BlockID(parsec.NewUUID()), Size: 500})
	}
	orphan := blockstore.Block{Organization: third[1].Organization, ID: parsec.BlockID(parsec.NewUUID()), Size: 500}
	for _, block := range append(slices.Clone(third), orphan) {
		if err := store.Create(t.Context(), block.Organization, block.ID, make([]byte, block.Size)); err != nil {
			t.Fatal(err)
		}
	}
	testkit.InsertParsec3Blocks(t, d.variables["PARSEC_DB"], third...)
	d.age(2 * time.Hour)
	d.run(0, "43 blocks checked, 40.5 KiB: nothing wrong", "check")
	d.run(0, "3 blocks checked", "check", "--after", blockName(&d.blocks[39]))
	d.run(0, "2 blocks checked", "check", "--after", blockName(&third[0]))
	d.run(0, "43 checksums added", "check", "--deep", "--apply")
	d.run(0, " 0 checksums added", "check", "--deep", "--apply")
	d.run(3, "orphan Third/"+orphan.ID.String(), "orphans", "--min-age=1h")
	d.run(0, "44 objects, of which 0 are foreign and 0 too young to tell: 1 orphans, 500 bytes; 1 deleted.\n", "orphans", "--min-age=1h", "--apply")
	d.run(0, "43 blocks checked, 40.5 KiB: nothing wrong", "check", "--deep")
	held := testkit.Number(t, testkit.Connect(t, d.variables["PARSEC_DB"]), "SELECT count(*) FROM parsec3.block WHERE upload_token IS NOT NULL")
	if held != 0 {
		t.Errorf("%d blocks are still held", held)
	}
}

// What only reads works on a database that takes no writes, as replicas do.
func TestBlockstoreOnReplica(t *testing.T) {
	d := newDeployment(t)
	d.variables["PARSEC_BLOCKSTORE"] = "POSTGRESQL"
	orphan := parsec.BlockID(parsec.NewUUID())
	if err := d.open("POSTGRESQL").Create(t.Context(), d.blocks[0].Organization, orphan, []byte("abc")); err != nil {
		t.Fatal(err)
	}
	d.age(2 * time.Hour)
	target := d.s3("a")
	d.run(0, "The block store is ready", "init", "-b", target)
	d.variables["PARSEC_DB"] += " default_transaction_read_only=on"
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check")
	d.run(0, "40 blocks checked, 39.1 KiB: nothing wrong.\n", "check", "--deep")
	d.run(0, "0 blocks checked", "check", "--after", blockName(&d.blocks[39]))
	d.run(3, "orphan "+d.blocks[0].Organization.String()+"/"+orphan.String(), "orphans", "--min-age=1h")
	d.run(0, "40 blocks, 39.1 KiB; copied: 40, 39.1 KiB.\n", "copy", "--to", target, "--apply")
	const refused = "cannot execute %s in a read-only transaction"
	d.run(1, fmt.Sprintf(refused, "UPDATE"), "check", "--deep", "--apply")
	d.run(1, fmt.Sprintf(refused, "INSERT"), "orphans", "--min-age=1h", "--apply")
}

func TestBlockstoreUsage(t *testing.T) {
	d := newDeployment(t)
	const s3 = `s3:http\://127.0.0.1\:1:eu:blocks:key:secret`
	d.variables["PARSEC_BLOCKSTORE"] = "RAID1:0:POSTGRESQL RAID1:1:" + s3
	d.run(2, "--blockstore and --to share a node", "copy", "--to", s3)
	d.run(2, "--blockstore and --to share a node", "copy", "--to", "POSTGRESQL")
	d.run(2, "Missing option '--to'", "copy")
	d.run(2, "Invalid value for '--to': Invalid blockstore type `x`", "copy", "--to", "x")
	d.run(2, "Invalid value for '--after'", "check", "--after", "Acme")
	d.run(1, "There is no organization Nobody in the database ", "check", "--after", "Nobody/"+d.blocks[0].ID.String())
	d.run(2, "Invalid value for '--after'", "orphans", "--after", "Acme/x")
	d.run(2, "Invalid value for '--min-age': uploads may take that long", "orphans", "--min-age=59m")
	d.run(2, "A block store in memory belongs to the server that runs.", "check", "-b", "MOCKED")
	d.run(2, "this command needs a PostgreSQL database", "check", "--db", "MOCKED")
	failed := d.run(1, `"problems":{},"done":0,"complete":false,"error":"node 1 (S3 bucket blocks at 127.0.0.1:1): `, "check", "--json").stdout
	if !json.Valid([]byte(failed)) {
		t.Errorf("not JSON: %s", failed)
	}
	d.run(1, "So far: 0 blocks checked, 0 bytes: nothing wrong.\nError: not complete: node 1 (S3 bucket blocks at 127.0.0.1:1): ", "check")
}

// age makes everything in the database older.
func (d *deployment) age(by time.Duration) {
	d.t.Helper()
	testkit.Execute(d.t, testkit.Connect(d.t, d.variables["PARSEC_DB"]), fmt.Sprintf("UPDATE block_data SET written_on = written_on - interval '%d seconds'", int(by.Seconds())))
}

// Where there is no terminal a line is printed from time to time.
func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr strings.Builder
		p := newProgress(&stdout, &stderr, 3<<20)
		for range 25 {
			<-time.After(time.Second)
			p.advance(1, 100<<10)
			p.reached = "Acme/x"
		}
		p.line("found")
		if want := "10 done, 1000.0 KiB of 3.0 MiB, up to 'Acme/x'\n20 done, 2.0 MiB of 3.0 MiB, up to 'Acme/x'\n"; stderr.String() != want || stdout.String() != "found\n" {
			t.Errorf("printed %q and %q", stderr.String(), stdout.String())
		}
	})
}

// A bar is taken away before a line is printed.
func TestProgressBar(t *testing.T) {
	var terminal strings.Builder
	p := newProgress(&terminal, &terminal, 1000)
	p.showBar()
	p.advance(1, 500)
	p.line("found")
	p.advance(1, 600) // More than there was at the beginning.
	p.end()
	if got := terminal.String(); !strings.Contains(got, "50%") || !strings.Contains(got, "\rfound\n") {
		t.Errorf("printed %q", got)
	}
}
