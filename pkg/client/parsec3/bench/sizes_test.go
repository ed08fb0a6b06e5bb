//go:build !without_postgresql

package bench_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	fewVersions  = 10_000
	manyVersions = 1_000_000
	// versionsPerVlob and versionsPerBlock spread the versions over vlobs, and add
	// blocks as they come with files.
	versionsPerVlob  = 10
	versionsPerBlock = 10

	fewCertificates  = 100
	manyCertificates = 100_000
)

// BenchmarkVersions compares a realm with few versions of vlobs and one with a million:
// no command on it must slow down.
func BenchmarkVersions(b *testing.B) {
	compareSizes(b, fewVersions, manyVersions, fillVersions, []sized{
		{"vlob_update", func(o *founded, b *testing.B, realm parsec.RealmID, _ int) *exchange {
			vlob := parsec.VlobID(parsec.NewUUID())
			o.createVlob(b, realm, vlob)
			return o.updates(b, realm, vlob)
		}},
		{"vlob_create", func(o *founded, b *testing.B, realm parsec.RealmID, _ int) *exchange {
			return o.creations(b, realm, parsec.VlobID{})
		}},
		{"vlob_read_batch", (*founded).randomReadings},
		{"vlob_read_versions", func(o *founded, b *testing.B, realm parsec.RealmID, versions int) *exchange {
			e := o.exchange(b, protocol.VlobReadVersions.Form, &protocol.VlobReadVersionsRequest{
				RealmID: realm, Items: []protocol.VlobNumber{{Vlob: parsec.VlobID(numbered(b, 0)), Version: versionsPerVlob / 2}},
			})
			return randomly(b, e, versions/versionsPerVlob)
		}},
		{"vlob_poll_changes", func(o *founded, b *testing.B, realm parsec.RealmID, versions int) *exchange {
			return o.exchange(b, protocol.VlobPollChanges.Form, &protocol.VlobPollChangesRequest{RealmID: realm, LastCheckpoint: uint64(versions) - 1})
		}},
		{"block_create", func(o *founded, b *testing.B, realm parsec.RealmID, _ int) *exchange {
			return o.blockCreations(b, realm, 1<<10)
		}},
		{"organization_info", func(o *founded, b *testing.B, _ parsec.RealmID, _ int) *exchange {
			return o.exchange(b, protocol.OrganizationInfo.Form, &protocol.OrganizationInfoRequest{})
		}},
		{"realm_get_keys_bundle", func(o *founded, b *testing.B, realm parsec.RealmID, _ int) *exchange {
			e := o.exchange(b, protocol.RealmGetKeysBundle.Form, &protocol.RealmGetKeysBundleRequest{RealmID: realm, KeyIndex: 1})
			e.accepted = []byte("\xa6status\xadbad_key_index") // it has none, which is read likewise
			return e
		}},
	})
}

// BenchmarkCertificates compares an organization of few certificates and one of many,
// when a client asks for the last ten, and for nothing new.
func BenchmarkCertificates(b *testing.B) {
	last := func(news int) func(o *founded, b *testing.B, realm parsec.RealmID, certificates int) *exchange {
		return func(o *founded, b *testing.B, realm parsec.RealmID, certificates int) *exchange {
			common := firstDate + parsec.DateTime(certificates-news)
			return o.exchange(b, protocol.CertificateGet.Form, &protocol.CertificateGetRequest{
				CommonAfter: &common, RealmAfter: map[parsec.RealmID]parsec.DateTime{realm: now()},
			})
		}
	}
	compareSizes(b, fewCertificates, manyCertificates, fillCertificates, []sized{
		{"10_new", last(10)},
		{"nothing_new", last(0)},
	})
}

// BenchmarkPollFromZero asks for all changes of a realm of 100,000 vlobs.
func BenchmarkPollFromZero(b *testing.B) {
	const trips, pollers = 5, 2
	subject := newSized(b, "server", manyVersions, pollers, fillVersions, func(o *founded, b *testing.B, realm parsec.RealmID, _ int) *exchange {
		return o.exchange(b, protocol.VlobPollChanges.Form, &protocol.VlobPollChangesRequest{RealmID: realm})
	})
	for b.Loop() {
		subject.round(b, trips)
	}
	b.ReportMetric(0, "ns/op")
	subject.report(b)
}

// BenchmarkReadOfMany asks for 100 vlobs of a realm of 100,000 at once.
func BenchmarkReadOfMany(b *testing.B) {
	const trips, many = 50, 100
	subject := newSized(b, "server", manyVersions, connections, fillVersions, func(o *founded, b *testing.B, realm parsec.RealmID, versions int) *exchange {
		vlobs := make([]parsec.VlobID, many)
		for i := range vlobs {
			vlobs[i] = parsec.VlobID(numbered(b, rand.IntN(versions/versionsPerVlob)))
		}
		return o.exchange(b, protocol.VlobReadBatch.Form, &protocol.VlobReadBatchRequest{RealmID: realm, Vlobs: vlobs})
	})
	for b.Loop() {
		subject.round(b, trips)
	}
	b.ReportMetric(0, "ns/op")
	subject.report(b)
}

// sized is a command that is compared by how much there is.
type sized struct {
	name        string
	newExchange func(o *founded, b *testing.B, realm parsec.RealmID, size int) *exchange
}

// compareSizes compares each command with few and with many of what fill writes.
func compareSizes(b *testing.B, few, many int, fill func(b *testing.B, dsn string, o *founded, realm parsec.RealmID, size int), commands []sized) {
	b.Helper()
	for _, item := range commands {
		b.Run(item.name, func(b *testing.B) {
			compare(b, "ratio-many-to-few", tripsPerRound/3,
				newSized(b, "few", few, connections, fill, item.newExchange), newSized(b, "many", many, connections, fill, item.newExchange))
		})
	}
}

// newSized returns a side with a realm that fill was called with.
func newSized(
	b *testing.B, name string, size, connections int, fill func(b *testing.B, dsn string, o *founded, realm parsec.RealmID, size int),
	newExchange func(o *founded, b *testing.B, realm parsec.RealmID, size int) *exchange,
) *side {
	b.Helper()
	dsn := testkit.NewPostgres(b, testkit.Unsound)
	o := found(b, startMeasured(b, "--db", dsn))
	realm := parsec.RealmID(parsec.NewUUID())
	o.createRealm(b, realm)
	fill(b, dsn, o, realm, size)
	s := o.side(name, testkit.DatabaseProcessorTime(b, dsn))
	for range connections {
		s.exchanges = append(s.exchanges, newExchange(o, b, realm, size))
	}
	return s
}

// fillVersions writes into the tables: commands would take minutes. The ids are
// numbered.
func fillVersions(b *testing.B, dsn string, o *founded, realm parsec.RealmID, versions int) {
	b.Helper()
	vlobs, blocks := versions/versionsPerVlob, versions/versionsPerBlock
	of := fmt.Sprintf("'%s', '%s'", o.device.Organization, parsec.UUID(realm))
	by := fmt.Sprintf("'%s'", parsec.UUID(o.device.ID))
	connection := testkit.Connect(b, dsn)
	for _, sql := range []string{
		"SET session_replication_role = replica", // foreign keys take their time
		fmt.Sprintf(`INSERT INTO parsec3.vlob (organization, realm_id, vlob_id, version, checkpoint)
			SELECT %s, ('%s' || lpad(i::text, 12, '0'))::uuid, %[3]d, (i + 1) * %[3]d FROM generate_series(0, %d) i`, of, idPrefix, versionsPerVlob, vlobs-1),
		fmt.Sprintf(`INSERT INTO parsec3.vlob_atom (organization, realm_id, vlob_id, version, key_index, author, written_on, blob)
			SELECT %s, ('%s' || lpad(i::text, 12, '0'))::uuid, n, 0, %s, 0, decode(repeat('a5', 200), 'hex')
			FROM generate_series(0, %d) i, generate_series(1, %d) n`, of, idPrefix, by, vlobs-1, versionsPerVlob),
		fmt.Sprintf(`INSERT INTO parsec3.block (organization, realm_id, block_id, key_index, author, size, created_on)
			SELECT %s, ('%s' || lpad(i::text, 12, '0'))::uuid, 0, %s, 1, 0 FROM generate_series(0, %d) i`, of, idPrefix, by, blocks-1),
		fmt.Sprintf("UPDATE parsec3.realm_counter SET checkpoint = %d, vlobs_size = %d WHERE realm_id = '%s'", versions, 200*versions, parsec.UUID(realm)),
		"VACUUM ANALYZE",
	} {
		testkit.Execute(b, connection, sql)
	}
}

// firstDate is before that of the first certificate of fillCertificates.
const firstDate parsec.DateTime = 1_000_000

// fillCertificates writes common certificates before those of the organization, in the
// size that those of users have.
func fillCertificates(b *testing.B, dsn string, o *founded, _ parsec.RealmID, certificates int) {
	b.Helper()
	connection := testkit.Connect(b, dsn)
	testkit.Execute(b, connection, `
INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate)
SELECT $1, 'common', '00000000-0000-0000-0000-000000000000', $2::bigint + i, 0, decode(repeat(md5(i::text), 20), 'hex')
FROM generate_series(1, $3::int) i`, o.device.Organization.String(), int64(firstDate), certificates)
	testkit.Execute(b, connection, "VACUUM ANALYZE")
}

// randomReadings asks for another one of the vlobs of fillVersions each time.
func (o *founded) randomReadings(b *testing.B, realm parsec.RealmID, versions int) *exchange {
	b.Helper()
	return randomly(b, o.readings(b, realm, parsec.VlobID(numbered(b, 0))), versions/versionsPerVlob)
}

// randomly has an exchange name one of so many vlobs.
func randomly(b *testing.B, e *exchange, vlobs int) *exchange {
	b.Helper()
	prefix := numbered(b, 0)
	place := bytes.Index(e.request[e.body:], prefix[:]) + len(prefix) - 6
	e.freshen = func(body []byte) {
		number := rand.IntN(vlobs)
		for i := range 6 { // two decimal digits a byte, the last ones at the end
			body[place+5-i] = byte(number%10 + number/10%10<<4)
			number /= 100
		}
	}
	return e
}
