package e2e_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// story is the life of one organization as the clients of one generation see
// it. Its steps follow each other.
type story struct {
	*world
	generation
	audience

	// alice founds, on her laptop; bob is an ADMIN too, carol is not.
	alice, bob, carol *peer
	// laptop and phone are alice's, desk is bob's and home carol's.
	laptop, phone, desk, home *listener

	realm    parsec.RealmID
	revision uint64
	vlobs    []parsec.VlobID
	blocks   []parsec.BlockID
	// log is the change log of the realm: its checkpoints are the indexes plus 1.
	log []entry
}

// entry is one version of one vlob.
type entry struct {
	vlob    parsec.VlobID
	version uint32
}

func TestStory(t *testing.T) {
	t.Parallel()
	for _, g := range generations {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			s := &story{world: newWorld(t, testkit.InstanceOptions{}), generation: g, realm: newRealmID(), revision: 1}
			s.begin()
			s.verifyUsers()
			s.createRealm()
			s.shareWithBob()
			s.writeVlobs()
			s.writeBlocks()
			s.pollChanges()
			s.changeRoles()
			s.reencrypt()
			s.removeCarol()
			s.verifyRoles()
			s.revokeBob()
			s.expire()
		})
	}
}

// begin founds the organization and connects everybody.
func (s *story) begin() {
	s.t.Helper()
	laptop := s.found(s.world, "CoolOrg", "alice@laptop")
	if status := s.status(); !status.IsBootstrapped || status.ExpirationDate != nil {
		s.t.Errorf("status %+v", status)
	}
	s.alice = s.connect(s.world, laptop)
	phone := s.addDevice(s.world, s.generation, s.alice, deviceID("alice@phone").Name())
	beacon := s.addDevice(s.world, s.generation, s.connect(s.world, phone), deviceID("alice@beacon").Name())
	desk := s.addUser(s.world, s.generation, s.alice, s.person("bob@desk"), parsec.ProfileAdmin)
	s.bob = s.connect(s.world, desk)
	home := s.addUser(s.world, s.generation, s.bob, s.person("carol@home"), parsec.ProfileStandard)
	s.carol = s.connect(s.world, home)
	s.laptop, s.phone = s.listen(s.world, laptop), s.listen(s.world, phone)
	s.desk, s.home = s.listen(s.world, desk), s.listen(s.world, home)
	s.audience = audience{
		w: s.world, beacon: s.connect(s.world, beacon), listeners: []*listener{s.laptop, s.phone, s.desk, s.home},
	}
	s.expect(nil)
}

func (s *story) status() *protocol.AdministrationStatusReply {
	s.t.Helper()
	id := must(parsec.ParseOrganizationID("CoolOrg"))
	return ok(s.world, s.administration(), protocol.AdministrationStatus, &protocol.AdministrationStatusRequest{OrganizationID: id})
}

// verified returns what reader learns of a user, verified.
func (s *story) verified(reader, user *peer) *testclient.VerifiedUser {
	s.t.Helper()
	reply := ok(s.world, reader, protocol.UserGet, &protocol.UserGetRequest{UserID: user.user()})
	verified, err := testclient.VerifyTrustchain(reader.device.RootVerifyKey, user.user(), reply)
	if err != nil {
		s.t.Fatalf("%s verifies %s: %v", reader.device.ID, user.user(), err)
	}
	return verified
}

// verifyUsers has everybody verify everybody: alice@beacon is certified by
// alice@phone, and carol by bob.
func (s *story) verifyUsers() {
	s.t.Helper()
	everybody := []*peer{s.alice, s.bob, s.carol}
	devices := map[*peer]int{s.alice: 3, s.bob: 1, s.carol: 1}
	for _, reader := range everybody {
		for _, user := range everybody {
			verified := s.verified(reader, user)
			if verified.User.Profile != user.device.Profile || verified.User.HumanHandle != user.device.HumanHandle ||
				verified.User.PublicKey != user.device.PublicKey() || len(verified.Devices) != devices[user] || verified.Revocation != nil {
				s.t.Errorf("%s finds %+v", reader.device.ID, verified)
			}
		}
	}
	refused(s.world, protocol.StatusNotFound, s.alice, protocol.UserGet, &protocol.UserGetRequest{UserID: deviceID("dan@none").User()})
}

func (s *story) createRealm() {
	s.t.Helper()
	ok(s.world, s.alice, protocol.RealmCreate, must(s.alice.device.NewRealm(s.realm, s.tick())))
	owner := s.roleEvent(parsec.RoleOwner)
	s.expect(hears{s.laptop: owner, s.phone: owner})
	refused(s.world, protocol.StatusAlreadyExists, s.alice, protocol.RealmCreate, must(s.alice.device.NewRealm(s.realm, s.tick())))
	s.expect(nil)
}

func (s *story) roleEvent(role parsec.RealmRole) []protocol.Event {
	return []protocol.Event{&protocol.RealmRolesUpdatedEvent{RealmID: s.realm, Role: role}}
}

// give changes a role, with a message, and returns the date.
func (s *story) give(author, target *peer, role parsec.RealmRole, message []byte) parsec.DateTime {
	s.t.Helper()
	date := s.tick()
	request := must(author.device.UpdateRole(s.realm, target.user(), role, date))
	request.RecipientMessage = message
	ok(s.world, author, protocol.RealmUpdateRoles, request)
	return date
}

// wantMessages wants every message of a user.
func (s *story) wantMessages(reader *peer, want ...protocol.Message) {
	s.t.Helper()
	for offset := range want {
		got := ok(s.world, reader, protocol.MessageGet, &protocol.MessageGetRequest{Offset: uint64(offset)}).Messages
		if !slices.EqualFunc(got, want[offset:], func(x, y protocol.Message) bool {
			return x.Count == y.Count && x.Sender == y.Sender && x.Timestamp == y.Timestamp && bytes.Equal(x.Body, y.Body)
		}) {
			s.t.Errorf("messages of %s after %d: %+v, want %+v", reader.user(), offset, got, want[offset:])
		}
	}
}

func (s *story) shareWithBob() {
	s.t.Helper()
	refused(s.world, protocol.StatusNotAllowed, s.bob, protocol.RealmStatus, &protocol.RealmStatusRequest{RealmID: s.realm})
	date := s.give(s.alice, s.bob, parsec.RoleContributor, []byte("the key of revision 1"))
	s.expect(hears{s.desk: append(s.roleEvent(parsec.RoleContributor), &protocol.MessageReceivedEvent{Index: 1})})
	s.wantMessages(s.bob, protocol.Message{
		Count: 1, Sender: s.alice.device.ID, Timestamp: date, Body: []byte("the key of revision 1"),
	})
	s.wantMessages(s.alice)
	refused(s.world, protocol.StatusAlreadyGranted, s.alice, protocol.RealmUpdateRoles,
		must(s.alice.device.UpdateRole(s.realm, s.bob.user(), parsec.RoleContributor, s.tick())))
	s.expect(nil)
}

// changeRoles makes bob MANAGER, who gives carol a role.
func (s *story) changeRoles() {
	s.t.Helper()
	refused(s.world, protocol.StatusNotAllowed, s.bob, protocol.RealmUpdateRoles,
		must(s.bob.device.UpdateRole(s.realm, s.carol.user(), parsec.RoleReader, s.tick())))
	s.give(s.alice, s.bob, parsec.RoleManager, nil)
	s.expect(hears{s.desk: s.roleEvent(parsec.RoleManager)})
	s.give(s.bob, s.carol, parsec.RoleReader, []byte("for carol"))
	s.expect(hears{s.home: append(s.roleEvent(parsec.RoleReader), &protocol.MessageReceivedEvent{Index: 1})})

	refused(s.world, protocol.StatusNotAllowed, s.carol, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: s.realm, EncryptionRevision: s.revision, VlobID: newVlobID(), Timestamp: s.tick(), Blob: []byte("x"),
	})
	refused(s.world, protocol.StatusNotAllowed, s.carol, protocol.BlockCreate, &protocol.BlockCreateRequest{
		RealmID: s.realm, BlockID: parsec.BlockID(parsec.NewUUID()), Block: []byte("x"),
	})
	s.expect(nil)
	// bob is heard by all but himself, carol included from now on.
	heard := []protocol.Event{s.write(s.bob, s.vlobs[0])}
	s.expect(hears{s.laptop: heard, s.phone: heard, s.home: heard})
}

func (s *story) removeCarol() {
	s.t.Helper()
	s.give(s.alice, s.carol, parsec.RoleNone, []byte("farewell"))
	s.expect(hears{s.home: append(s.roleEvent(parsec.RoleNone), &protocol.MessageReceivedEvent{Index: 3})})
	heard := []protocol.Event{s.write(s.alice, s.vlobs[1])}
	s.expect(hears{s.phone: heard, s.desk: heard})
	refused(s.world, protocol.StatusNotAllowed, s.carol, protocol.VlobRead, &protocol.VlobReadRequest{
		EncryptionRevision: s.revision, VlobID: s.vlobs[0],
	})
	refused(s.world, protocol.StatusNotAllowed, s.carol, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: s.blocks[0]})
	refused(s.world, protocol.StatusNotAllowed, s.carol, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: s.realm})
}

func (s *story) verifyRoles() {
	s.t.Helper()
	users := []*testclient.VerifiedUser{s.verified(s.bob, s.alice), s.verified(s.bob, s.bob), s.verified(s.bob, s.carol)}
	reply := ok(s.world, s.bob, protocol.RealmGetRoleCertificates, &protocol.RealmGetRoleCertificatesRequest{RealmID: s.realm})
	got, err := testclient.VerifyRealmRoles(s.realm, users, reply.Certificates)
	want := map[parsec.UserID]parsec.RealmRole{
		s.alice.user(): parsec.RoleOwner, s.bob.user(): parsec.RoleManager, s.carol.user(): parsec.RoleNone,
	}
	if err != nil || !maps.Equal(got, want) || len(reply.Certificates) != 5 {
		s.t.Errorf("roles %v of %d certificates, %v", got, len(reply.Certificates), err)
	}
}

// revokeBob ends the connections of bob, one of which waits for an event.
func (s *story) revokeBob() {
	s.t.Helper()
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		s.desk.wantEnd()
	}()
	date := s.tick()
	ok(s.world, s.alice, protocol.UserRevoke, must(s.alice.device.RevokeUser(s.bob.user(), date)))
	<-listening
	s.bob.wantEnd()
	s.leave(s.desk)
	s.expect(nil)
	s.wantDenied(s.bob.device, "revoked_device", client.StatusUserRevoked)

	if verified := s.verified(s.alice, s.bob); verified.Revocation == nil || verified.Revocation.Timestamp != date {
		s.t.Errorf("bob is %+v", verified)
	}
	// carol stays trusted: bob created her before.
	s.verified(s.alice, s.carol)
	refused(s.world, protocol.StatusAlreadyRevoked, s.alice, protocol.UserRevoke, must(s.alice.device.RevokeUser(s.bob.user(), s.tick())))
}

// wantDenied wants the device to be refused: result over WebSocket, and status
// over HTTP.
func (s *story) wantDenied(device *parsec2.Device, result string, status int) {
	s.t.Helper()
	if !s.overHTTP {
		conn, err := s.client.DialAuthenticated(s.ctx, device, s.version)
		if refusal, found := errors.AsType[*parsec2.HandshakeError](err); !found || refusal.Result != result {
			s.t.Errorf("%s connects: %v, %v, want %s", device.ID, conn, err, result)
		}
		return
	}
	rpc := s.client.AuthenticatedRPC(device, s.version)
	_, err := parsec2.Call(s.ctx, rpc, protocol.Ping, &protocol.PingRequest{})
	if failure, found := errors.AsType[*client.HTTPError](err); !found || failure.Status != status {
		s.t.Errorf("%s calls: %v, want HTTP %d", device.ID, err, status)
	}
	_, err = rpc.ServerSentEvents(s.ctx)
	if failure, found := errors.AsType[*client.HTTPError](err); !found || failure.Status != status {
		s.t.Errorf("%s listens: %v, want HTTP %d", device.ID, err, status)
	}
}

// expire ends every connection that is left.
func (s *story) expire() {
	s.t.Helper()
	date := s.clock.Now().Add(-time.Second)
	ok(s.world, s.administration(), protocol.AdministrationUpdate, &protocol.AdministrationUpdateRequest{
		OrganizationID: s.alice.device.Organization, ExpirationDate: &date,
	})
	for _, left := range []*listener{s.laptop, s.phone, s.home} {
		left.wantEnd()
	}
	for _, left := range []*peer{s.alice, s.carol, s.beacon} {
		left.wantEnd()
		s.wantDenied(left.device, "organization_expired", client.StatusOrganizationExpired)
	}
	if status := s.status(); status.ExpirationDate == nil || *status.ExpirationDate != date {
		s.t.Errorf("status %+v", status)
	}
	ok(s.world, s.administration(), protocol.AdministrationUpdate, &protocol.AdministrationUpdateRequest{
		OrganizationID: s.alice.device.Organization,
	})
	ok(s.world, s.connect(s.world, s.alice.device), protocol.Ping, &protocol.PingRequest{Ping: "back"})
}
