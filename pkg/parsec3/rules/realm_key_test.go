package rules_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// realmRotation has alice add the second key, in an organization without sequester.
type realmRotation struct {
	realmCommand
	*keyRotation
}

func newRealmRotation(t *testing.T) *realmRotation {
	c := newRealmCommand(t)
	return &realmRotation{c, c.keyRotation(c.alice())}
}

func (s *realmRotation) run() error {
	_, err := s.RealmRotateKey(s.t.Context(), s.author, s.request())
	return err
}

// newSequesteredRotation has a storage service and a webhook.
func newSequesteredRotation(t *testing.T) *realmRotation {
	c := newRealmCommand(t, sequestered)
	c.createService(storageID, "")
	c.createService(webhookID, "https://example.com/")
	c.events.take()
	return &realmRotation{c, c.keyRotation(c.alice())}
}

func (s *realmRotation) answerOfWebhook(refusal *protocol.Refusal) {
	s.webhooks.keyRotation = func(context.Context, rules.SequesterService, *rules.KeyRotationQuestion) error { return refusal }
}

func TestRealmRotateKeyTable(t *testing.T) {
	checkTable(t, "realm_rotate_key", newSequesteredRotation, realmRows([]row[*realmRotation]{
		{"1", "another key", func(s *realmRotation) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		{"2", "too late", func(s *realmRotation) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "unknown realm", func(s *realmRotation) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"4", "deleted", func(s *realmRotation) { s.delete() }, protocol.StatusRealmDeleted},
		{"5", "not OWNER", func(s *realmRotation) { s.forceRole(aliceID, parsec.RoleManager) }, protocol.StatusAuthorNotAllowed},
		{"6", "another key index", func(s *realmRotation) { s.KeyIndex = 3 }, protocol.StatusBadKeyIndex},
		{"7", "participant missing", func(s *realmRotation) { delete(s.participants, bobID) }, protocol.StatusParticipantMismatch},
		{"7", "participant too many", func(s *realmRotation) { s.participants[carolID] = nil }, protocol.StatusParticipantMismatch},
		{"8", "not sequestered", func(s *realmRotation) { s.unsequester() }, protocol.StatusOrganizationNotSequestered},
		{"9", "service missing", func(s *realmRotation) { delete(s.services, storageID) }, protocol.StatusSequesterServiceMismatch},
		{"10", "not after C", func(s *realmRotation) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
		{"10", "not after R", func(s *realmRotation) { s.forceRole(bobID, parsec.RoleReader) }, protocol.StatusRequireGreaterTimestamp},
		{"11", "rejected", func(s *realmRotation) { s.answerOfWebhook(protocol.RefuseForSequester(webhookID, nil)) }, protocol.StatusRejectedBySequesterService},
		{"11", "no answer", func(s *realmRotation) { s.answerOfWebhook(protocol.RefuseWithoutSequester(webhookID)) }, protocol.StatusSequesterServiceUnavailable},
	}), append(standingApart, [2]string{"unknown realm", "deleted"},
		[2]string{"participant missing", "participant too many"}, [2]string{"not sequestered", "service missing"},
		[2]string{"not after C", "not after R"}, [2]string{"rejected", "no answer"})...)
}

// An organization that is not sequestered has no services, so no accesses of any.
func TestRealmRotateKeyForServicesOfNobody(t *testing.T) {
	s := newRealmRotation(t)
	s.services = map[parsec.SequesterServiceID][]byte{}
	checkRow(t, s, row[*realmRotation]{"8", "accesses", func(*realmRotation) {}, protocol.StatusOrganizationNotSequestered})
}

// The ways to be wrong about who gets the key, and what the refusal says of it.
func TestRealmRotateKeyMismatches(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(s *realmRotation)
		want  protocol.Status
	}{
		"nobody":                     {func(s *realmRotation) { clear(s.participants) }, protocol.StatusParticipantMismatch},
		"stranger instead of member": {func(s *realmRotation) { delete(s.participants, bobID); s.participants[carolID] = nil }, protocol.StatusParticipantMismatch},
		"revoked member left out":    {func(s *realmRotation) { s.forceRevoked(bobID); delete(s.participants, bobID) }, protocol.StatusParticipantMismatch},
		"former member":              {func(s *realmRotation) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusParticipantMismatch},
		"no accesses for services":   {func(s *realmRotation) { s.services = nil }, protocol.StatusSequesterServiceMismatch},
		"unknown service":            {func(s *realmRotation) { s.services[parsec.SequesterServiceID{9}] = nil }, protocol.StatusSequesterServiceMismatch},
		"other service": {func(s *realmRotation) {
			delete(s.services, storageID)
			s.services[parsec.SequesterServiceID{9}] = nil
		}, protocol.StatusSequesterServiceMismatch},
		"revoked service": {func(s *realmRotation) { s.revokeService(storageID) }, protocol.StatusSequesterServiceMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSequesteredRotation(t)
			test.spoil(s)
			err := s.run()
			if test.want == protocol.StatusParticipantMismatch {
				s.checkAsOfRealm(err, test.want)
			} else {
				s.checkAsOfSequester(err)
			}
		})
	}
}

// Without any service the accesses are an empty map.
func TestRealmRotateKeyWithoutService(t *testing.T) {
	c := newRealmCommand(t, sequestered)
	s := &realmRotation{c, c.keyRotation(c.alice())}
	s.services = nil
	s.checkAsOfSequester(s.run())
	s.services = map[parsec.SequesterServiceID][]byte{}
	s.ok(nil, s.run())
}

func TestRealmRotateKey(t *testing.T) {
	s := newRealmRotation(t)
	s.KeyIndex = 1
	s.checkAsOfRealm(s.run(), protocol.StatusBadKeyIndex)
	s.KeyIndex = 2
	s.archive(s.alice(), parsec.ArchivingArchived) // An archived realm may get a key.
	s.revoke(bobID)                                // A revoked member gets an access.
	last := s.clock.now().Add(-time.Second)        // It made C.
	s.Timestamp = last
	checkGreater(t, s.run(), last)
	s.Timestamp = last + 1
	s.events.take()
	s.ok(nil, s.run())
	s.checkEvents(notice.RealmCertificate{Timestamp: last + 1, Realm: s.realm, User: aliceID})
	if facts := s.facts(); facts.KeyIndex != 2 || facts.Timestamp != last+1 {
		t.Errorf("got %+v", facts)
	}
	got := must(s.keysBundle(s.alice(), 2))
	if !bytes.Equal(got.KeysBundle, s.bundle) || !bytes.Equal(got.KeysBundleAccess, s.participants[aliceID]) {
		t.Errorf("got %q", got)
	}
	if certificates := s.realmCertificates(s.alice()); !bytes.Equal(certificates[len(certificates)-1], s.request().RealmKeyRotationCertificate) {
		t.Error("the certificate is not the last one")
	}
}

// A key with texts that have no bytes is one like another.
func TestRealmRotateKeyToNothing(t *testing.T) {
	s := newRealmRotation(t)
	s.bundle, s.participants[aliceID], s.KeyCanary = []byte{}, []byte{}, []byte{}
	s.ok(nil, s.run())
	if got := must(s.keysBundle(s.alice(), 2)); len(got.KeysBundle) != 0 || len(got.KeysBundleAccess) != 0 {
		t.Errorf("got %q", got)
	}
}

// Of many who rotate to one index at once, one does; indexes have no gap.
func TestInvariant25ConcurrentRotations(t *testing.T) {
	c := newRealmCommand(t)
	var calls []func() error
	for i := range 8 {
		rotation := c.keyRotation(c.alice())
		rotation.Timestamp += parsec.DateTime(i)
		calls = append(calls, func() error { return failure(c.RealmRotateKey(t.Context(), c.alice(), rotation.request())) })
	}
	if got := parallel(calls...); got[protocol.StatusOK] != 1 || got[protocol.StatusBadKeyIndex] != 7 {
		t.Errorf("got %v", got)
	}
	if got := c.facts().KeyIndex; got != 2 {
		t.Errorf("the key index is %d", got)
	}
}

// keysQuery has bob ask for the first key.
type keysQuery struct {
	realmCommand
	asked parsec.RealmID
	index uint64
}

func newKeysQuery(t *testing.T) *keysQuery {
	c := newRealmCommand(t)
	c.rotate()
	c.author = c.bob()
	return &keysQuery{c, c.realm, 1}
}

func (s *keysQuery) run() error {
	return failure(s.RealmGetKeysBundle(s.t.Context(), s.author, &protocol.RealmGetKeysBundleRequest{RealmID: s.asked, KeyIndex: s.index}))
}

func TestRealmGetKeysBundleTable(t *testing.T) {
	checkTable(t, "realm_get_keys_bundle", newKeysQuery, realmRows([]row[*keysQuery]{
		{"1", "unknown realm", func(s *keysQuery) { s.asked = realmID("unknown") }, protocol.StatusAuthorNotAllowed},
		{"2", "deleted", func(s *keysQuery) { s.delete() }, protocol.StatusRealmDeleted},
		{"3", "no role", func(s *keysQuery) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		{"4", "no such key", func(s *keysQuery) { s.index = 3 }, protocol.StatusBadKeyIndex},
		{"5", "no access", func(s *keysQuery) { s.forceRole(carolID, parsec.RoleReader); s.author = s.device(carolDesk) }, protocol.StatusAccessNotAvailableForAuthor},
	}), append(standingApart, [2]string{"unknown realm", "deleted"},
		// Nobody has access to a key that there is not.
		[2]string{"no such key", "no access"})...)
}

// Of the keys before its first access a member gets none.
func TestInvariant28KeysBundles(t *testing.T) {
	c := newRealmCommand(t)
	c.rotate()
	c.share(c.alice(), carolID, parsec.RoleReader)
	c.rotate()
	for _, test := range []struct {
		author *rules.Author
		index  uint64
		want   protocol.Status
	}{
		{c.alice(), 1, protocol.StatusOK},
		{c.alice(), 2, protocol.StatusOK},
		{c.alice(), 3, protocol.StatusOK},
		{c.device(carolDesk), 0, protocol.StatusBadKeyIndex},
		{c.device(carolDesk), 1, protocol.StatusAccessNotAvailableForAuthor},
		{c.device(carolDesk), 2, protocol.StatusOK},
		{c.device(carolDesk), 3, protocol.StatusOK},
		{c.device(carolDesk), 4, protocol.StatusBadKeyIndex},
	} {
		err := failure(c.keysBundle(test.author, test.index))
		if got := status(nil, err); got != test.want {
			t.Errorf("key %d: got %s, want %s", test.index, got, test.want)
		}
		if got := detailsOf[protocol.LastRealmDetails](err); got != (protocol.LastRealmDetails{}) {
			t.Errorf("key %d: with %+v", test.index, got)
		}
	}
	// An access comes back with the role.
	c.unshare(c.alice(), carolID)
	if got := status(c.keysBundle(c.device(carolDesk), 2)); got != protocol.StatusAuthorNotAllowed {
		t.Errorf("without role: got %s", got)
	}
	c.share(c.alice(), carolID, parsec.RoleReader)
	if got := must(c.keysBundle(c.device(carolDesk), 3)); string(got.KeysBundleAccess) != "access of carol" {
		t.Errorf("got %q", got.KeysBundleAccess)
	}
}

// device is a device of Acme: a scenario has an author of its own.
func (c *realmCommand) device(id parsec3.DeviceID) *rules.Author { return c.fixture.author(id) }
