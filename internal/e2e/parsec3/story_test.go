package parsec3_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	vlobCount  = 200
	blockCount = 64
	blockSize  = 512 << 10
)

// story is the life of an organization. Its steps follow each other.
type story struct {
	*world
	// alice and dora are ADMIN, bob and carol STANDARD; phone is alice's.
	alice, phone, bob, carol, dora *peer
	realm                          parsec.RealmID
	vlobs                          []parsec.VlobID
	// versions has the last version of each vlob, and blocks the blocks.
	versions map[parsec.VlobID]uint32
	blocks   []parsec.BlockID
}

// TestStoryInMemory has one server that keeps nothing.
func TestStoryInMemory(t *testing.T) {
	t.Parallel()
	tell(newWorld(t, testkit.StartParsec(t, program)))
}

func tell(w *world) {
	s := &story{world: w, versions: map[parsec.VlobID]uint32{}}
	s.begin()
	s.createWorkspace()
	s.write()
	s.readBack()
	s.resume()
	s.changeRoles()
	s.changeProfiles()
	s.removeCarol()
	s.archive()
	s.revokeCarol()
	s.freeze()
	s.changeTerms()
	s.expire()
}

// everybody are who should still be there.
func (s *story) everybody() []*peer { return []*peer{s.alice, s.phone, s.bob, s.dora} }

func (s *story) begin() {
	s.t.Helper()
	s.alice = s.login("alice", s.found("alice"))
	phone, err := s.alice.AddDevice(s.ctx, must(parsec3.ParseDeviceLabel("phone")))
	s.do("add the phone", err)
	s.phone = s.login("phone", phone)
	s.bob = s.addUser(s.alice, "bob", parsec.ProfileStandard)
	s.carol = s.addUser(s.phone, "carol", parsec.ProfileStandard)
	s.dora = s.addUser(s.alice, "dora", parsec.ProfileAdmin)
	for _, reader := range []*peer{s.alice, s.phone, s.bob, s.carol, s.dora} {
		s.do("poll", reader.Poll(s.ctx))
		for name, of := range map[string]*peer{"alice": s.alice, "bob": s.bob, "carol": s.carol, "dora": s.dora} {
			known := reader.Knowledge().User(of.Device.User)
			if known == nil || known.HumanHandle != person(name).HumanHandle || known.Profile() != of.Device.Profile || known.PublicKey != of.Device.PublicKey() {
				s.t.Errorf("%s knows of %s %+v", reader.name, name, known)
			}
		}
	}
}

func (s *story) addUser(by *peer, name string, profile parsec.UserProfile) *peer {
	s.t.Helper()
	device, err := by.AddUser(s.ctx, person(name), profile)
	s.do("add "+name, err)
	return s.login(name, device)
}

func (s *story) createWorkspace() {
	s.t.Helper()
	wantRefused(s.bob, protocol.StatusRealmNotFound, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{})
	var err error
	s.realm, err = s.alice.NewWorkspace(s.ctx, "Budget")
	s.do("create a workspace", err)
	wantRefused(s.bob, protocol.StatusAuthorNotAllowed, protocol.VlobPollChanges, &protocol.VlobPollChangesRequest{RealmID: s.realm})
	s.do("share with bob", s.alice.Share(s.ctx, s.realm, s.bob.Device.User, parsec.RoleContributor))
	if event := nextOf[*protocol.RealmCertificateEvent](s.bob); event.RealmID != s.realm {
		s.t.Errorf("bob hears of %s", event.RealmID)
	}
	if known := s.bob.Knowledge().Realm(s.realm); known.KeyIndex != 1 || !known.Named || known.Role(s.bob.Device.User) != parsec.RoleContributor {
		s.t.Errorf("bob knows %+v", known)
	}
}

// text is what a version of a vlob has.
func text(vlob parsec.VlobID, version uint32) []byte {
	return content(fmt.Sprintf("%s %d", parsec.UUID(vlob).Hex(), version), 100+int(version))
}

func (s *story) update(by *peer, vlob parsec.VlobID) {
	s.t.Helper()
	s.versions[vlob]++
	version := s.versions[vlob]
	if version == 1 {
		s.do("upload", by.Upload(s.ctx, s.realm, vlob, text(vlob, version)))
		return
	}
	s.do("update", by.Update(s.ctx, s.realm, vlob, version, text(vlob, version)))
}

// write stores vlobs of one to three versions, and blocks. bob and alice's phone are
// told of each version in order, and alice's own device of none.
func (s *story) write() {
	s.t.Helper()
	var written []parsec.VlobID
	for range vlobCount {
		s.vlobs = append(s.vlobs, parsec.VlobID(parsec.NewUUID()))
	}
	for round := range 3 {
		for i, vlob := range s.vlobs {
			if round <= i%3 {
				s.update(s.alice, vlob)
				written = append(written, vlob)
			}
		}
	}
	for range blockCount {
		block := parsec.BlockID(parsec.NewUUID())
		s.blocks = append(s.blocks, block)
		s.do("upload a block", s.alice.UploadBlock(s.ctx, s.realm, s.vlobs[0], block, content(parsec.UUID(block).Hex(), blockSize)))
	}
	for _, hearer := range []*peer{s.bob, s.phone} {
		seen := map[parsec.VlobID]uint32{}
		for _, vlob := range written {
			seen[vlob]++
			if event := nextOf[*protocol.VlobEvent](hearer); event.VlobID != vlob || event.Version != seen[vlob] || event.RealmID != s.realm || event.Author != s.alice.Device.ID {
				s.t.Fatalf("%s hears %+v, want version %d of %s", hearer.name, event, seen[vlob], vlob)
			}
		}
	}
	s.drain(s.alice)
}

// drain wants nothing heard by a peer of what it writes itself.
func (s *story) drain(p *peer) {
	s.t.Helper()
	for {
		select {
		case message := <-p.messages:
			if event, is := message.Event.(*protocol.VlobEvent); is && event.Author == p.Device.ID {
				s.t.Errorf("%s hears %+v of itself", p.name, event)
			}
		default:
			return
		}
	}
}

// readBack has bob read all that there is, and verify every certificate.
func (s *story) readBack() {
	s.t.Helper()
	changes, checkpoint, err := s.bob.Changes(s.ctx, s.realm, 0)
	if s.do("poll changes", err); !maps.Equal(changes, s.versions) {
		s.t.Errorf("%d changes, want %d", len(changes), len(s.versions))
	}
	if later, same, err := s.bob.Changes(s.ctx, s.realm, checkpoint); err != nil || len(later) != 0 || same != checkpoint {
		s.t.Errorf("later %v up to %d, %v", later, same, err)
	}
	for batch := range slices.Chunk(s.vlobs, 100) {
		s.wantVlobs(s.bob, batch)
	}
	for _, block := range s.blocks {
		data, err := s.bob.ReadBlock(s.ctx, s.realm, block)
		if s.do("read a block", err); !bytes.Equal(data, content(parsec.UUID(block).Hex(), blockSize)) {
			s.t.Errorf("block %s is another", block)
		}
	}
}

func (s *story) wantVlobs(reader *peer, vlobs []parsec.VlobID) {
	s.t.Helper()
	versions, err := reader.Read(s.ctx, s.realm, nil, vlobs...)
	if s.do("read", err); len(versions) != len(vlobs) {
		s.t.Errorf("%s reads %d vlobs of %d", reader.name, len(versions), len(vlobs))
	}
	for vlob, version := range versions {
		if version.Number != s.versions[vlob] || !bytes.Equal(version.Content, text(vlob, version.Number)) {
			s.t.Errorf("%s reads vlob %s, version %d", reader.name, vlob, version.Number)
		}
	}
}

// resume has bob lose his connection, and find on another server, if there is one,
// exactly what was written meanwhile.
func (s *story) resume() {
	s.t.Helper()
	s.bob.line.cut()
	for _, vlob := range s.vlobs[:5] {
		s.update(s.alice, vlob)
	}
	s.bob.server++
	s.bob.line.mend(s.addresses[s.bob.server%len(s.addresses)])
	if _, told := s.bob.next().(*protocol.OrganizationConfigEvent); !told {
		s.t.Error("bob is not told the configuration again")
	}
	for _, vlob := range s.vlobs[:5] {
		told := s.bob.next()
		if event, is := told.(*protocol.VlobEvent); !is || event.VlobID != vlob || event.Version != s.versions[vlob] {
			s.t.Fatalf("bob hears %+v, want version %d of %s", told, s.versions[vlob], vlob)
		}
	}
	s.wantVlobs(s.bob, s.vlobs[:5])
}

func (s *story) changeRoles() {
	s.t.Helper()
	bob, carol := s.bob.Device.User, s.carol.Device.User
	wantRefusal(s.world, protocol.StatusAuthorNotAllowed, s.bob.Share(s.ctx, s.realm, carol, parsec.RoleReader))
	s.do("make bob MANAGER", s.alice.Share(s.ctx, s.realm, bob, parsec.RoleManager))
	nextOf[*protocol.RealmCertificateEvent](s.bob)
	s.do("share with carol", s.bob.Share(s.ctx, s.realm, carol, parsec.RoleReader))
	nextOf[*protocol.RealmCertificateEvent](s.carol)
	s.wantVlobs(s.carol, s.vlobs[:10])
	wantRefused(s.carol, protocol.StatusAuthorNotAllowed, protocol.VlobCreate, &protocol.VlobCreateRequest{
		RealmID: s.realm, VlobID: parsec.VlobID(parsec.NewUUID()), KeyIndex: 1, Timestamp: now(),
	})
	wantRefusal(s.world, protocol.StatusAuthorNotAllowed, s.bob.Share(s.ctx, s.realm, carol, parsec.RoleManager))
	s.do("make carol CONTRIBUTOR", s.bob.Share(s.ctx, s.realm, carol, parsec.RoleContributor))
	nextOf[*protocol.RealmCertificateEvent](s.carol)
	s.update(s.carol, s.vlobs[0])
	s.wantVlobs(s.alice, s.vlobs[:1])
}

// changeProfiles makes carol OUTSIDER, who is then not told what others are called.
func (s *story) changeProfiles() {
	s.t.Helper()
	carol := s.carol.Device.User
	wantRefused(s.bob, protocol.StatusAuthorNotAllowed, protocol.UserUpdate, must(testclient3.UpdateProfile(s.bob.Device, carol, parsec.ProfileAdmin, now())))
	for _, change := range []struct {
		profile parsec.UserProfile
		handle  parsec.HumanHandle
	}{
		{parsec.ProfileOutsider, parsec.HumanHandle{}},
		{parsec.ProfileStandard, person("bob").HumanHandle},
	} {
		s.do("change the profile", s.alice.SetProfile(s.ctx, carol, change.profile))
		nextOf[*protocol.CommonCertificateEvent](s.carol)
		known := s.carol.Knowledge()
		if bob := known.User(s.bob.Device.User); bob.HumanHandle != change.handle || known.User(carol).Profile() != change.profile {
			s.t.Errorf("as %s carol knows of bob %+v", change.profile, bob)
		}
		if change.profile == parsec.ProfileOutsider {
			wantRefusal(s.world, protocol.StatusRoleIncompatibleWithOutsider, s.alice.Share(s.ctx, s.realm, carol, parsec.RoleManager))
		}
		s.wantVlobs(s.carol, s.vlobs[:10])
	}
}

// removeCarol takes carol's role, and rotates the key.
func (s *story) removeCarol() {
	s.t.Helper()
	s.do("unshare", s.alice.Unshare(s.ctx, s.realm, s.carol.Device.User))
	if event := nextOf[*protocol.RealmCertificateEvent](s.carol); event.RealmID != s.realm {
		s.t.Errorf("carol hears of %s", event.RealmID)
	}
	s.do("rotate", s.alice.RotateKey(s.ctx, s.realm))
	s.update(s.alice, s.vlobs[1])
	s.wantVlobs(s.bob, s.vlobs[:10])
	if known := s.bob.Knowledge().Realm(s.realm); known.KeyIndex != 2 {
		s.t.Errorf("bob knows the key %d", known.KeyIndex)
	}
	wantRefused(s.carol, protocol.StatusAuthorNotAllowed, protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: s.realm, Vlobs: s.vlobs[:1]})
	wantRefused(s.carol, protocol.StatusAuthorNotAllowed, protocol.BlockRead, &protocol.BlockReadRequest{RealmID: s.realm, BlockID: s.blocks[0]})
	wantRefused(s.carol, protocol.StatusAuthorNotAllowed, protocol.RealmGetKeysBundle, &protocol.RealmGetKeysBundleRequest{RealmID: s.realm, KeyIndex: 2})
	// What comes next for carol is not of the realm: a certificate of somebody else.
	s.do("change another profile", s.alice.SetProfile(s.ctx, s.bob.Device.User, parsec.ProfileAdmin))
	if event, is := s.carol.next().(*protocol.CommonCertificateEvent); !is {
		s.t.Errorf("carol hears %+v", event)
	}
}

// archive has bob meet an archived realm, to which he sends nothing before he has
// started again.
func (s *story) archive() {
	s.t.Helper()
	s.do("archive", s.alice.Archive(s.ctx, s.realm, parsec.ArchivingArchived, nil))
	vlob := parsec.VlobID(parsec.NewUUID())
	wantRefusal(s.world, protocol.StatusRealmArchived, s.bob.Upload(s.ctx, s.realm, vlob, text(vlob, 1)))
	s.wantVlobs(s.bob, s.vlobs[:10])
	s.do("make it available", s.alice.Archive(s.ctx, s.realm, parsec.ArchivingAvailable, nil))
	if err := s.bob.Upload(s.ctx, s.realm, vlob, text(vlob, 1)); !errors.Is(err, testclient3.ErrNotSent) {
		s.t.Errorf("bob sends: %v", err)
	}
	s.bob = s.restart(s.bob)
	s.update(s.bob, vlob)
	s.wantVlobs(s.alice, []parsec.VlobID{vlob})
	short := now()
	wantRefusal(s.world, protocol.StatusArchivingPeriodTooShort, s.alice.Archive(s.ctx, s.realm, parsec.ArchivingDeletionPlanned, &short))
}

// restart logs a device out, and in again.
func (s *story) restart(p *peer) *peer {
	s.t.Helper()
	p.logout()
	return s.login(p.name, p.Device)
}

// revokeCarol leaves a realm of hers without active OWNER: bob takes it over, and
// dora, who gets a role then, verifies it.
func (s *story) revokeCarol() {
	s.t.Helper()
	realm, err := s.carol.NewWorkspace(s.ctx, "Carol's")
	s.do("create a workspace", err)
	s.do("share with bob", s.carol.Share(s.ctx, realm, s.bob.Device.User, parsec.RoleManager))
	s.do("poll", s.bob.Poll(s.ctx))
	wantRefusal(s.world, protocol.StatusActiveOwnerAlreadyExists, s.bob.SelfPromote(s.ctx, realm))
	s.do("revoke", s.alice.Revoke(s.ctx, s.carol.Device.User))
	s.carol.wantStop(client.StatusUserRevoked)
	s.do("take over", s.bob.SelfPromote(s.ctx, realm))
	s.do("remove carol", s.bob.Unshare(s.ctx, realm, s.carol.Device.User))
	s.do("rotate", s.bob.RotateKey(s.ctx, realm))
	s.do("share with dora", s.bob.Share(s.ctx, realm, s.dora.Device.User, parsec.RoleReader))
	for known := s.dora.Knowledge().Realm(realm); known == nil; known = s.dora.Knowledge().Realm(realm) {
		nextOf[*protocol.RealmCertificateEvent](s.dora)
	}
	known := s.dora.Knowledge().Realm(realm)
	if want := map[parsec3.UserID]parsec.RealmRole{s.bob.Device.User: parsec.RoleOwner, s.dora.Device.User: parsec.RoleReader}; !maps.Equal(known.Members(), want) || known.KeyIndex != 2 {
		s.t.Errorf("dora knows %+v", known)
	}
	wantRefused(s.alice, protocol.StatusUserAlreadyRevoked, protocol.UserRevoke, must(testclient3.RevokeUser(s.alice.Device, s.carol.Device.User, now())))
}

// freeze keeps bob out for a while.
func (s *story) freeze() {
	s.t.Helper()
	freeze := func(frozen bool) {
		user, err := s.administration().Freeze(s.ctx, s.organization, client.UserChoice{Email: email("bob")}, frozen)
		if s.do("freeze", err); user.ID != parsec.UUID(s.bob.Device.User).Hex() || user.Frozen != frozen {
			s.t.Errorf("frozen: %+v", user)
		}
	}
	freeze(true)
	s.bob.wantStop(client.StatusUserFrozen)
	reply, err := client3.Call(s.ctx, s.alice.RPC(), protocol.ListFrozenUsers, &protocol.ListFrozenUsersRequest{})
	if s.do("list", err); !slices.Equal(reply.FrozenUsers, []parsec3.UserID{s.bob.Device.User}) {
		s.t.Errorf("frozen are %v", reply.FrozenUsers)
	}
	freeze(false)
	s.bob = s.restart(s.bob)
	s.wantVlobs(s.bob, s.vlobs[:10])
}

// changeTerms has everybody accept terms of service, which takes them offline and no
// further.
func (s *story) changeTerms() {
	s.t.Helper()
	urls := map[string]string{"en": "https://example.com/tos"}
	s.do("set the terms", s.administration().Update(s.ctx, s.organization, client.OrganizationSettings{TOS: &client.TermsOfService{PerLocaleURLs: urls}}))
	accepted := map[parsec3.UserID]bool{}
	for _, peer := range s.everybody() {
		if !accepted[peer.Device.User] {
			s.wantHTTP(peer.name+" calls", 463, peer.ping())
			s.accept(peer, urls)
			accepted[peer.Device.User] = true
		}
		s.do("call after the terms", peer.ping())
	}
	for _, peer := range s.everybody() {
		// It was offline, and is back without a new login.
		nextOf[*protocol.OrganizationConfigEvent](peer)
	}
	s.do("remove the terms", s.administration().Update(s.ctx, s.organization, client.OrganizationSettings{TOS: &client.TermsOfService{}}))
	for _, peer := range s.everybody() {
		nextOf[*protocol.OrganizationConfigEvent](peer)
		_, err := client3.Call(s.ctx, peer.client.TOS(peer.Device), protocol.TOSGet, &protocol.TOSGetRequest{})
		wantRefusal(s.world, protocol.StatusNoTOS, err)
	}
}

func (s *story) accept(p *peer, urls map[string]string) {
	s.t.Helper()
	tos := p.client.TOS(p.Device)
	terms, err := client3.Call(s.ctx, tos, protocol.TOSGet, &protocol.TOSGetRequest{})
	if s.do("get the terms", err); !maps.Equal(terms.PerLocaleURLs, urls) {
		s.t.Errorf("terms %v", terms.PerLocaleURLs)
	}
	_, err = client3.Call(s.ctx, tos, protocol.TOSAccept, &protocol.TOSAcceptRequest{TOSUpdatedOn: terms.UpdatedOn - 1})
	wantRefusal(s.world, protocol.StatusTOSMismatch, err)
	_, err = client3.Call(s.ctx, tos, protocol.TOSAccept, &protocol.TOSAcceptRequest{TOSUpdatedOn: terms.UpdatedOn})
	s.do("accept the terms", err)
}

// expire ends all streams, and lets everybody in again.
func (s *story) expire() {
	s.t.Helper()
	s.do("expire", s.administration().Update(s.ctx, s.organization, client.OrganizationSettings{IsExpired: new(true)}))
	for _, peer := range s.everybody() {
		peer.wantStop(client.StatusOrganizationExpired)
	}
	s.do("reopen", s.administration().Update(s.ctx, s.organization, client.OrganizationSettings{IsExpired: new(false)}))
	for _, peer := range s.everybody() {
		peer = s.restart(peer)
		if peer.name != s.dora.name {
			s.wantVlobs(peer, s.vlobs[:10])
		}
	}
}
