//go:build !without_postgresql

package check_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"log/slog"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/internal/whole"
	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// The sizes of the organization of BenchmarkCheck: each user has two certificates, in two
// forms.
const (
	benchmarkUsers    = 50_000
	benchmarkVersions = 1_000_000
)

// BenchmarkCheck checks an organization of 100,000 certificates, and a million versions of
// vlobs in one realm.
func BenchmarkCheck(b *testing.B) {
	dsn := testkit.NewPostgres(b, testkit.Unsound)
	connection := testkit.Connect(b, dsn)
	fillOrganization(b, connection)
	opened, err := database.Open(b.Context(), database.Options{
		Source: database.Source{DSN: dsn, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}, MaxConnections: 1, Codec: testkit.Codec,
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer opened.Close()
	var peak uint64
	for b.Loop() {
		runtime.GC()
		err := opened.Inspect(b.Context(), func(ctx context.Context, on *database.Inspection) error {
			rows := int64(0)
			_, err := whole.Check(ctx, on, whole.Options{
				Report: func(fault check.Fault) { b.Errorf("%s %s: %s", fault.Rule.Name, fault.Subject, fault.Detail) },
				Advance: func(done int64) {
					if rows += done; rows%50_000 == 0 {
						var memory runtime.MemStats
						runtime.ReadMemStats(&memory)
						peak = max(peak, memory.HeapAlloc)
					}
				},
			})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(peak)/(1<<20), "MiB")
}

// fillOrganization writes what commands would, at once.
func fillOrganization(b *testing.B, connection *pgx.Conn) {
	b.Helper()
	root, key := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed(append(make([]byte, 31), 1))
	verifyKey := parsec.VerifyKey(key.Public().(ed25519.PublicKey))
	const start = parsec.DateTime(1704164645_000000)
	author, signer := parsec3.DeviceID{}, root
	var certificates, users, profiles, devices [][]any
	for i := range benchmarkUsers {
		var id [16]byte
		binary.BigEndian.PutUint64(id[8:], uint64(i+1))
		date := start + parsec.DateTime(i)
		profile := parsec.ProfileStandard
		if i == 0 {
			profile = parsec.ProfileAdmin
		}
		who := person("user" + parsec.UUID(id).Hex())
		user := certificate.User{Author: author, Timestamp: date, UserID: id, HumanHandle: who.HumanHandle, Profile: profile}
		device := certificate.Device{Author: author, Timestamp: date, UserID: id, DeviceID: id, DeviceLabel: who.Label, VerifyKey: verifyKey}
		certificates = append(certificates,
			[]any{"CoolOrg", "common", [16]byte{}, int64(date), int16(0), must(user.Sign(signer)), must(user.Redacted().Sign(signer))},
			[]any{"CoolOrg", "common", [16]byte{}, int64(date), int16(1), must(device.Sign(signer)), must(device.Redacted().Sign(signer))})
		users = append(users, []any{"CoolOrg", id, string(profile), who.HumanHandle.Email(), []byte(who.HumanHandle.Label()), int64(date), false})
		profiles = append(profiles, []any{"CoolOrg", id, int64(date), string(profile)})
		devices = append(devices, []any{"CoolOrg", id, id, verifyKey[:], int64(date)})
		author, signer = parsec3.DeviceID{15: 1}, key
	}
	last := start + benchmarkUsers
	realm := parsec.RealmID{15: 9}
	role := certificate.RealmRole{Author: author, Timestamp: last, RealmID: realm, UserID: parsec3.UserID{15: 1}, Role: parsec.RoleOwner}
	certificates = append(certificates, []any{"CoolOrg", "realm", [16]byte(realm), int64(last), int16(0), must(role.Sign(key)), nil})

	execute := func(sql string, args ...any) {
		b.Helper()
		if _, err := connection.Exec(b.Context(), sql, args...); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
	fill := func(table string, columns []string, rows [][]any) {
		b.Helper()
		if _, err := connection.CopyFrom(b.Context(), pgx.Identifier{"parsec3", table}, columns, pgx.CopyFromRows(rows)); err != nil {
			b.Fatalf("%s: %v", table, err)
		}
	}
	execute(`
INSERT INTO organization (organization_id, bootstrap_token, root_verify_key, user_profile_outsider_allowed, minimum_archiving_period, created_on, bootstrapped_on, generation)
VALUES ('CoolOrg', '', $1, true, 0, 0, $2, 3)`, []byte(root.Public().(ed25519.PublicKey)), int64(start))
	execute("INSERT INTO parsec3.topic VALUES ('CoolOrg', 'common', $1), ('CoolOrg', 'shamir_recovery', 0)", int64(last-1))
	fill("certificate", []string{"organization", "topic", "realm_id", "dated", "sequence", "certificate", "redacted"}, certificates)
	fill("user_", []string{"organization", "user_id", "profile", "human_email", "human_label", "created_on", "frozen"}, users)
	fill("user_profile", []string{"organization", "user_id", "since", "profile"}, profiles)
	fill("device", []string{"organization", "device_id", "user_id", "verify_key", "created_on"}, devices)
	execute("INSERT INTO parsec3.user_count SELECT organization, profile, false, count(*) FROM parsec3.user_ GROUP BY 1, 2")
	execute("INSERT INTO parsec3.realm VALUES ('CoolOrg', $1, $2, $2, 0, false, 'AVAILABLE', NULL, false)", [16]byte(realm), int64(last))
	execute("INSERT INTO parsec3.realm_member VALUES ('CoolOrg', $1, $2, 'OWNER', $3, $3, $3)", [16]byte(realm), [16]byte{15: 1}, int64(last))
	execute(`
INSERT INTO parsec3.vlob_atom SELECT 'CoolOrg', $1, md5((i / 10)::text)::uuid, i % 10 + 1, 0, $2, $3 + i, 'blob' FROM generate_series(1, $4::bigint) i`,
		[16]byte(realm), [16]byte{15: 1}, int64(last), benchmarkVersions)
	// The last vlob, and the first, are shorter than the others.
	execute("DELETE FROM parsec3.vlob_atom WHERE vlob_id IN (md5('0')::uuid, md5($1)::uuid)", "100000")
	execute(`
INSERT INTO parsec3.vlob SELECT organization, realm_id, vlob_id, max(version), 10 * row_number() OVER (ORDER BY vlob_id) FROM parsec3.vlob_atom GROUP BY 1, 2, 3`)
	execute(`
INSERT INTO parsec3.realm_counter SELECT organization, realm_id, count(*), max(written_on), sum(length(blob)), 0, 0, 0, true FROM parsec3.vlob_atom GROUP BY 1, 2`)
	execute(`
INSERT INTO parsec3.last_signed SELECT 'CoolOrg', $2, r.realm_id, r.last FROM (
    VALUES ('00000000-0000-0000-0000-000000000000'::uuid, $3::bigint), ($1::uuid, (SELECT max(written_on) FROM parsec3.vlob_atom))
) r (realm_id, last)`, [16]byte(realm), [16]byte{15: 1}, int64(last))
	execute("ANALYZE")
}
