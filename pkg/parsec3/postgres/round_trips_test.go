//go:build !without_postgresql

package postgres_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// command is one of a client.
type command struct {
	name string
	run  func(ctx context.Context) error
}

// writes and reads return the hot commands of alice.
func writes(commands *rules.Rules, author *rules.Author) []command {
	version := uint32(1)
	return []command{
		{"vlob_create", func(ctx context.Context) error {
			_, err := commands.VlobCreate(ctx, author, &protocol.VlobCreateRequest{
				RealmID: theRealm, VlobID: parsec.VlobID(parsec.NewUUID()), KeyIndex: 1, Timestamp: now(), Blob: make([]byte, 1<<10),
			})
			return err
		}},
		{"vlob_update", func(ctx context.Context) error {
			version++
			_, err := commands.VlobUpdate(ctx, author, &protocol.VlobUpdateRequest{
				RealmID: theRealm, VlobID: theVlob, KeyIndex: 1, Version: version, Timestamp: now(), Blob: make([]byte, 1<<10),
			})
			return err
		}},
		{"block_create", func(ctx context.Context) error {
			_, err := commands.BlockCreate(ctx, author, &protocol.BlockCreateRequest{
				RealmID: theRealm, BlockID: parsec.BlockID(parsec.NewUUID()), KeyIndex: 1, Block: make([]byte, 1<<10),
			})
			return err
		}},
		{"async_enrollment_submit", func(ctx context.Context) error {
			id := parsec.NewUUID()
			handle, err1 := parsec3.ParseHumanHandle(id.Hex()+"@example.com", "newcomer")
			label, err2 := parsec3.ParseDeviceLabel("laptop")
			payload, err3 := certificate.EnrollmentSubmit{HumanHandle: handle, DeviceLabel: label}.Pack()
			_, err4 := commands.AsyncEnrollmentSubmit(ctx, &rules.Anonymous{Organization: author.Organization}, &protocol.AsyncEnrollmentSubmitRequest{
				EnrollmentID: parsec3.EnrollmentID(id), SubmitPayload: payload,
				SubmitPayloadSignature: protocol.SubmitSignature{Kind: protocol.SignedByOpenBao},
			})
			return errors.Join(err1, err2, err3, err4)
		}},
		{"totp_create_opaque_key", func(ctx context.Context) error {
			_, err := commands.TOTPCreateOpaqueKey(ctx, author, &protocol.TOTPCreateOpaqueKeyRequest{})
			return err
		}},
	}
}

func reads(parsec3 *rules.Rules, author *rules.Author, vlobs []parsec.VlobID) []command {
	last := parsec.DateTime(3)
	return []command{
		{"authentication", func(ctx context.Context) error {
			_, err := parsec3.Standing(ctx, acme, aliceOne)
			return err
		}},
		{"vlob_read_batch", func(ctx context.Context) error {
			_, err := parsec3.VlobReadBatch(ctx, author, &protocol.VlobReadBatchRequest{RealmID: theRealm, Vlobs: vlobs[:1]})
			return err
		}},
		{"vlob_read_batch at once", func(ctx context.Context) error {
			text := []byte("text")
			token := &rules.Token{Device: aliceOne, Date: now(), Signed: text, Signature: ed25519.Sign(privateKey, text)}
			applicant := &rules.Applicant{Organization: acme, User: alice, Token: token, API: author.API}
			_, err := parsec3.VlobReadBatchAtOnce(ctx, applicant, &protocol.VlobReadBatchRequest{RealmID: theRealm, Vlobs: vlobs[:1]})
			return err
		}},
		{"vlob_read_batch of 100", func(ctx context.Context) error {
			_, err := parsec3.VlobReadBatch(ctx, author, &protocol.VlobReadBatchRequest{RealmID: theRealm, Vlobs: vlobs})
			return err
		}},
		{"vlob_read_batch of nothing", func(ctx context.Context) error {
			_, err := parsec3.VlobReadBatch(ctx, author, &protocol.VlobReadBatchRequest{RealmID: theRealm, Vlobs: []parsec.VlobID{{9}}})
			return err
		}},
		{"vlob_read_versions", func(ctx context.Context) error {
			_, err := parsec3.VlobReadVersions(ctx, author, &protocol.VlobReadVersionsRequest{
				RealmID: theRealm, Items: []protocol.VlobNumber{{Vlob: theVlob, Version: 1}},
			})
			return err
		}},
		{"vlob_poll_changes", func(ctx context.Context) error {
			_, err := parsec3.VlobPollChanges(ctx, author, &protocol.VlobPollChangesRequest{RealmID: theRealm, LastCheckpoint: 1})
			return err
		}},
		{"block_read", func(ctx context.Context) error {
			return parsec3.BlockRead(ctx, author, &protocol.BlockReadRequest{BlockID: theBlock, RealmID: theRealm},
				func(_ *protocol.BlockReadReply, size uint64) ([]byte, error) { return make([]byte, size), nil })
		}},
		{"realm_get_keys_bundle", func(ctx context.Context) error {
			_, err := parsec3.RealmGetKeysBundle(ctx, author, &protocol.RealmGetKeysBundleRequest{RealmID: theRealm, KeyIndex: 1})
			return err
		}},
		{"certificate_get", func(ctx context.Context) error {
			_, _, err := parsec3.CertificateGet(ctx, author, &protocol.CertificateGetRequest{})
			return err
		}},
		{"certificate_get with nothing new", func(ctx context.Context) error {
			_, _, err := parsec3.CertificateGet(ctx, author, &protocol.CertificateGetRequest{
				CommonAfter: &last, RealmAfter: map[parsec.RealmID]parsec.DateTime{theRealm: last},
			})
			return err
		}},
		{"list_frozen_users", func(ctx context.Context) error {
			_, err := parsec3.ListFrozenUsers(ctx, author, &protocol.ListFrozenUsersRequest{})
			return err
		}},
		{"organization_info", func(ctx context.Context) error {
			_, err := parsec3.OrganizationInfo(ctx, author, &protocol.OrganizationInfoRequest{})
			return err
		}},
		{"async_enrollment_list", func(ctx context.Context) error {
			_, err := parsec3.AsyncEnrollmentList(ctx, author, &protocol.AsyncEnrollmentListRequest{})
			return err
		}},
		{"async_enrollment_info", func(ctx context.Context) error {
			_, err := parsec3.AsyncEnrollmentInfo(ctx, &rules.Anonymous{Organization: author.Organization}, &protocol.AsyncEnrollmentInfoRequest{})
			_ = err // There is none.
			return nil
		}},
		{"tos_get", func(ctx context.Context) error {
			_, err := parsec3.TOSGet(ctx, author, &protocol.TOSGetRequest{})
			_ = err // There are none.
			return nil
		}},
	}
}

// furnish adds the block, and vlobs, that reads ask for.
func furnish(t testing.TB, parsec3 *rules.Rules, author *rules.Author) (vlobs []parsec.VlobID) {
	t.Helper()
	_, err := parsec3.BlockCreate(t.Context(), author, &protocol.BlockCreateRequest{
		RealmID: theRealm, BlockID: theBlock, KeyIndex: 1, Block: make([]byte, 1<<10),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		vlob := parsec.VlobID{8, byte(i)}
		_, err := parsec3.VlobCreate(t.Context(), author, &protocol.VlobCreateRequest{
			RealmID: theRealm, VlobID: vlob, KeyIndex: 1, Timestamp: now(), Blob: make([]byte, 1<<10),
		})
		if err != nil {
			t.Fatal(err)
		}
		vlobs = append(vlobs, vlob)
	}
	return vlobs
}

// TestRoundTrips counts how often the commands wait for the database.
func TestRoundTrips(t *testing.T) {
	proxy := testkit.StartPostgresProxy(t, testkit.NewPostgres(t, testkit.Unsound))
	store := open(t, proxy.DSN, 1, now)
	populate(t, store)
	parsec3, author := newRules(t, store, blockstore.NewMemory())
	vlobs := furnish(t, parsec3, author)
	// To reserve a block, and to confirm it, are writes.
	want := map[string]int64{"vlob_create": 2, "vlob_update": 2, "block_create": 4, "async_enrollment_submit": 3, "totp_create_opaque_key": 3}
	commands := append(writes(parsec3, author), reads(parsec3, author, vlobs)...)
	for _, command := range commands {
		wanted, writes := want[command.name]
		if !writes {
			wanted = 1
		}
		// The first time prepares the statements of the only connection.
		for _, prepared := range []bool{false, true} {
			before := proxy.Waits.Load()
			if err := command.run(t.Context()); err != nil {
				t.Fatalf("%s: %v", command.name, err)
			}
			if trips := proxy.Waits.Load() - before; prepared && trips != wanted {
				t.Errorf("%s takes %d round trips, want %d", command.name, trips, wanted)
			}
		}
	}
}

// TestOneStatement has what reads many rows be one statement.
func TestOneStatement(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	proxy := testkit.StartPostgresProxy(t, dsn)
	first := open(t, dsn, 1, now)
	populate(t, first)
	parsec3, author := newRules(t, first, blockstore.NewMemory())
	vlobs := furnish(t, parsec3, author)
	through, author := newRules(t, open(t, proxy.DSN, 1, now), blockstore.NewMemory())
	want := map[string]bool{
		"authentication": true, "vlob_read_batch": true, "vlob_read_batch of 100": true, "vlob_read_versions": true,
		"vlob_poll_changes": true, "realm_get_keys_bundle": true,
	}
	for _, command := range reads(through, author, vlobs) {
		if !want[command.name] {
			continue
		}
		before := proxy.Statements()
		if err := command.run(t.Context()); err != nil {
			t.Fatalf("%s: %v", command.name, err)
		}
		sent := slices.DeleteFunc(proxy.Statements(), func(statement string) bool {
			// Others are of the delivery of events.
			isOurs := strings.Contains(statement, "parsec3.") || strings.HasPrefix(statement, "BEGIN ISOLATION LEVEL REPEATABLE READ")
			return !isOurs || slices.Contains(before, statement)
		})
		if len(sent) != 1 {
			t.Errorf("%s sends %q", command.name, sent)
		}
	}
}

// BenchmarkCommands has each hot command wait for PostgreSQL alone.
func BenchmarkCommands(b *testing.B) {
	store := open(b, testkit.NewPostgres(b, testkit.Unsound), 1, now)
	populate(b, store)
	parsec3, author := newRules(b, store, blockstore.NewMemory())
	vlobs := furnish(b, parsec3, author)
	for _, command := range append(writes(parsec3, author), reads(parsec3, author, vlobs)...) {
		b.Run(command.name, func(b *testing.B) {
			for b.Loop() {
				if err := command.run(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
