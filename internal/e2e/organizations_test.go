package e2e_test

import (
	"bytes"
	"errors"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// twin is one of the organizations that have all their ids in common.
type twin struct {
	audience
	name       string
	alice, bob *peer
	// phone is alice's, desk is bob's.
	phone, desk *listener
}

// TestOrganizationsDoNotMeet has organizations with the same ids at once.
func TestOrganizationsDoNotMeet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	var twins []*twin
	for _, name := range []string{"Org1", "Org2", "Org3"} {
		o := &twin{name: name}
		o.alice = inAPI3.connect(w, inAPI3.found(w, name, "alice@laptop"))
		phone := createDevice(w, inAPI3, o.alice, deviceID("alice@phone").Name())
		o.bob = inAPI3.connect(w, createUser(w, inAPI3, o.alice, inAPI3.person("bob@desk"), parsec.ProfileStandard))
		o.phone, o.desk = inAPI3.listen(w, phone), inAPI3.listen(w, o.bob.device)
		beacon := createDevice(w, inAPI3, o.alice, deviceID("alice@beacon").Name())
		o.audience = audience{w: w, beacon: inAPI3.connect(w, beacon), listeners: []*listener{o.phone, o.desk}}
		twins = append(twins, o)
	}
	shareIDs(w, twins)
	checkIdentities(w, twins[0].alice.device, twins[1].alice.device)
	cancelInOne(w, twins[0], twins[1])

	ok(w, twins[0].alice, protocol.UserRevoke, must(twins[0].alice.device.RevokeUser(twins[0].bob.user(), w.tick())))
	twins[0].desk.wantEnd()
	twins[0].bob.wantEnd()
	twins[0].leave(twins[0].desk)
	expired := w.clock.Now()
	ok(w, w.administration(), protocol.AdministrationUpdate, &protocol.AdministrationUpdateRequest{
		OrganizationID: twins[1].alice.device.Organization, ExpirationDate: &expired,
	})
	twins[1].phone.wantEnd()
	twins[1].desk.wantEnd()
	twins[0].expect(nil)
	twins[2].expect(nil)
	ok(w, twins[2].bob, protocol.Ping, &protocol.PingRequest{Ping: "still here"})
}

// shareIDs does the same in each organization, with the same ids and other
// bytes.
func shareIDs(w *world, twins []*twin) {
	w.t.Helper()
	realm, vlob, block := newRealmID(), newVlobID(), parsec.BlockID(parsec.NewUUID())
	for _, o := range twins {
		ok(w, o.alice, protocol.RealmCreate, must(o.alice.device.NewRealm(realm, w.tick())))
		request := must(o.alice.device.UpdateRole(realm, o.bob.user(), parsec.RoleReader, w.tick()))
		request.RecipientMessage = []byte("message of " + o.name)
		ok(w, o.alice, protocol.RealmUpdateRoles, request)
		ok(w, o.alice, protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: w.tick(), Blob: []byte("vlob of " + o.name),
		})
		ok(w, o.alice, protocol.BlockCreate, &protocol.BlockCreateRequest{RealmID: realm, BlockID: block, Block: []byte("block of " + o.name)})
	}
	for _, o := range twins {
		written := &protocol.RealmVlobsUpdatedEvent{RealmID: realm, Checkpoint: 1, SourceID: vlob, SourceVersion: 1}
		o.expect(hears{
			o.phone: {&protocol.RealmRolesUpdatedEvent{RealmID: realm, Role: parsec.RoleOwner}, written},
			o.desk: {
				&protocol.RealmRolesUpdatedEvent{RealmID: realm, Role: parsec.RoleReader},
				&protocol.MessageReceivedEvent{Index: 1}, written,
			},
		})
		read := ok(w, o.bob, protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})
		fetched := ok(w, o.bob, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: block})
		messages := ok(w, o.bob, protocol.MessageGet, &protocol.MessageGetRequest{}).Messages
		if string(read.Blob) != "vlob of "+o.name || string(fetched.Block) != "block of "+o.name ||
			len(messages) != 1 || string(messages[0].Body) != "message of "+o.name {
			w.t.Errorf("%s: vlob %q, block %q, messages %+v", o.name, read.Blob, fetched.Block, messages)
		}
		stats := ok(w, o.alice, protocol.OrganizationStats, &protocol.OrganizationStatsRequest{})
		if stats.Realms != 1 || stats.Users != 2 || stats.DataSize != uint64(len(fetched.Block)) || stats.MetadataSize != uint64(len(read.Blob)) {
			w.t.Errorf("%s: %+v", o.name, stats)
		}
	}
}

// checkIdentities has a device knock at the organization of its twin.
func checkIdentities(w *world, device, other *parsec2.Device) {
	w.t.Helper()
	astray := *device
	astray.Organization = other.Organization
	for _, item := range []struct {
		root parsec.VerifyKey
		want string
	}{{device.RootVerifyKey, "rvk_mismatch"}, {other.RootVerifyKey, "bad_protocol"}} {
		astray.RootVerifyKey = item.root
		for _, g := range []generation{inAPI1, inAPI2, inAPI3} {
			_, err := w.client.DialAuthenticated(w.ctx, &astray, g.version)
			if refusal, found := errors.AsType[*parsec2.HandshakeError](err); !found || refusal.Result != item.want {
				w.t.Errorf("API %s: %v, want %s", g.name, err, item.want)
			}
		}
	}
	_, err := parsec2.Call(w.ctx, w.client.AuthenticatedRPC(&astray, inAPI3.version), protocol.Ping, &protocol.PingRequest{})
	if failure, found := errors.AsType[*client.HTTPError](err); !found || failure.Status != 401 {
		w.t.Errorf("over HTTP: %v", err)
	}
}

// cancelInOne invites the same user in two organizations, as API 1 does, and
// cancels one of both.
func cancelInOne(w *world, cancelled, kept *twin) {
	w.t.Helper()
	person := inAPI1.person("dan@pc")
	id := person.ID.User()
	claim := &protocol.UserClaimRequest{InvitedUserID: id, EncryptedClaim: []byte("claim")}
	var claims []<-chan outcome[protocol.UserClaimReply]
	var inviters []*peer
	for _, o := range []*twin{cancelled, kept} {
		inviter := inAPI1.connect(w, o.alice.device)
		invited := async(w, inviter, protocol.UserInvite, &protocol.InvitedUserRequest{UserID: id})
		claimer := connectClaimer(w, inAPI1, inviter)
		checkCreator(w, inviter, claimer, protocol.UserGetInvitationCreator, &protocol.UserGetInvitationCreatorRequest{InvitedUserID: id})
		claims = append(claims, async(w, claimer, protocol.UserClaim, claim))
		wait(w, invited)
		inviters = append(inviters, inviter)
	}
	ok(w, inviters[0], protocol.UserCancelInvitation, &protocol.InvitedUserRequest{UserID: id})
	if result := <-claims[0]; !errors.Is(result.err, protocol.Refuse(protocol.StatusDenied, "")) {
		w.t.Errorf("%s: claim %v, %v", cancelled.name, result.reply, result.err)
	}
	_, request, err := inviters[1].device.NewUser(person, parsec.ProfileStandard, w.tick())
	if err != nil {
		w.t.Fatal(err)
	}
	ok(w, inviters[1], protocol.UserCreateV1, testclient.UserCreateV1(request))
	if got := wait(w, claims[1]); !bytes.Equal(got.UserCertificate, request.UserCertificate) {
		w.t.Errorf("%s: other certificate", kept.name)
	}
	refused(w, protocol.StatusNotFound, inviters[0], protocol.UserGet, &protocol.UserGetRequest{UserID: id})
}
