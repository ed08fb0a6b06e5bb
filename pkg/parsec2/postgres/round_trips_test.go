//go:build !without_postgresql

package postgres_test

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// TestRoundTrips counts how often the hot commands wait for the database.
func TestRoundTrips(t *testing.T) {
	p := testkit.StartPostgresProxy(t, testkit.NewPostgres(t, testkit.Unsound))
	settings := options(p.DSN)
	bus := testkit.NewBus(t)
	store := open(t, settings, bus)
	populate(t, store)
	change(t, store, rules.Scope{LockOrganization: true}, func(tx rules.Tx) {
		tx.PutOrganization(rules.Organization{ID: acme, RootVerifyKey: &parsec.VerifyKey{1}})
	})
	parsec2 := rules.New(store, blockstore.NewMemory(), bus, nil, settings.Now, settings.Logger, rules.Options{})
	public := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	author := &rules.Author{
		Organization: acme, Device: aliceOne, Profile: parsec.ProfileAdmin, VerifyKey: parsec.VerifyKey(public),
		API: parsec.APIVersion{Major: 3, Minor: 4},
	}
	invited, err := parsec2.InviteNew(t.Context(), author, &protocol.InviteNewRequest{Type: parsec.InvitationDevice})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := parsec2.Invitation(t.Context(), acme, invited.Token)
	if err != nil {
		t.Fatal(err)
	}
	invitee := facts.Invitee(author.API)
	version := uint32(1)
	var block parsec.BlockID
	for _, command := range []struct {
		name string
		want int64
		run  func() error
	}{
		{"vlob_create", 2, func() error {
			_, err := parsec2.VlobCreate(t.Context(), author, &protocol.VlobCreateRequest{
				RealmID: theRealm, EncryptionRevision: 1, VlobID: parsec.VlobID(parsec.NewUUID()),
				Timestamp: settings.Now(), Blob: make([]byte, 1<<10),
			})
			return err
		}},
		{"vlob_update", 2, func() error {
			version++
			_, err := parsec2.VlobUpdate(t.Context(), author, &protocol.VlobUpdateRequest{
				EncryptionRevision: 1, VlobID: theVlob, Version: version, Timestamp: settings.Now(), Blob: make([]byte, 1<<18),
			})
			return err
		}},
		{"vlob_read", 1, func() error {
			_, err := parsec2.VlobRead(t.Context(), author, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: theVlob})
			return err
		}},
		{"vlob_poll_changes", 1, func() error {
			_, err := parsec2.VlobPollChanges(t.Context(), author, &protocol.VlobPollChangesRequest{RealmID: theRealm})
			return err
		}},
		{"block_create", 3, func() error {
			block = parsec.BlockID(parsec.NewUUID())
			_, err := parsec2.BlockCreate(t.Context(), author, &protocol.BlockCreateRequest{
				RealmID: theRealm, BlockID: block, Block: make([]byte, 1<<10),
			})
			return err
		}},
		{"block_read", 1, func() error {
			return parsec2.BlockRead(t.Context(), author, &protocol.BlockReadRequest{BlockID: block},
				func(size uint64) ([]byte, error) { return make([]byte, size), nil })
		}},
		{"authentication", 1, func() error {
			_, err := parsec2.Authentication(t.Context(), acme, aliceOne)
			return err
		}},
		{"human_find", 2, func() error {
			_, err := parsec2.HumanFind(t.Context(), author, &protocol.HumanFindRequest{Page: 1, PerPage: 100})
			return err
		}},
		{"invite_new", 4, func() error {
			_, err := parsec2.InviteNew(t.Context(), author, &protocol.InviteNewRequest{
				Type: parsec.InvitationUser, ClaimerEmail: parsec.NewUUID().Hex(),
			})
			return err
		}},
		{"invite_list", 1, func() error {
			_, err := parsec2.InviteList(t.Context(), author, &protocol.InviteListRequest{})
			return err
		}},
		// The first speaker of an exchange, 3, and the second, 2; without what
		// comes before.
		{"an exchange of a conduit", 5, func() error { return exchange(t, parsec2, author, &invitee) }},
	} {
		// The first time prepares the statements of the only connection.
		for _, prepared := range []bool{false, true} {
			before := p.Waits.Load()
			if err := command.run(); err != nil {
				t.Fatalf("%s: %v", command.name, err)
			}
			if trips := p.Waits.Load() - before; prepared && trips != command.want {
				t.Errorf("%s takes %d round trips, want %d", command.name, trips, command.want)
			}
		}
	}
}

// exchange has both sides go through step 1.
func exchange(t *testing.T, parsec2 *rules.Rules, author *rules.Author, invitee *rules.Invitee) error {
	greeted := make(chan error, 1)
	go func() {
		_, err := parsec2.Invite1GreeterWaitPeer(t.Context(), author, &protocol.Invite1GreeterWaitPeerRequest{Token: invitee.Token})
		greeted <- err
	}()
	_, err := parsec2.Invite1ClaimerWaitPeer(t.Context(), invitee, &protocol.Invite1ClaimerWaitPeerRequest{})
	return errors.Join(err, <-greeted)
}
