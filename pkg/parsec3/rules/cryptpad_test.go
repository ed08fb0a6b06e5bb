package rules_test

import (
	"bytes"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

func withCryptpad(s *setup) { s.options.CryptpadServerURL = "https://pad.example" }

// sessionRegistration has bob, a CONTRIBUTOR, register the session of a document.
type sessionRegistration struct {
	realmCommand
	request protocol.CryptpadRegisterSessionRequest
}

func newSessionRegistration(t *testing.T) *sessionRegistration {
	c := newRealmCommand(t, withCryptpad)
	c.author = c.bob()
	return &sessionRegistration{c, protocol.CryptpadRegisterSessionRequest{
		RealmID: c.realm, DocumentID: vlobID("document"), KeyIndex: 1, Timestamp: c.clock.now(),
		EncryptedCandidateViewKey: []byte("view of bob"), EncryptedCandidateEditKey: []byte("edit of bob"),
	}}
}

func (s *sessionRegistration) run() error {
	return failure(s.CryptpadRegisterSession(s.t.Context(), s.author, &s.request))
}

// without has the server be without CryptPad.
func (s *sessionRegistration) without() {
	s.Rules = rules.New(s.store, s.blocks, s.bus, s.webhooks, s.clock.now, discard, rules.Options{})
}

func TestCryptpadRegisterSessionTable(t *testing.T) {
	unavailable := row[*sessionRegistration]{"1", "no CryptPad", (*sessionRegistration).without, protocol.StatusCryptpadUnavailable}
	checkTable(t, "cryptpad_register_session", newSessionRegistration, append([]row[*sessionRegistration]{unavailable}, realmRows([]row[*sessionRegistration]{
		{"2", "unknown realm", func(s *sessionRegistration) { s.request.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"3", "deleted", func(s *sessionRegistration) { s.delete() }, protocol.StatusRealmDeleted},
		{"4", "no role", func(s *sessionRegistration) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		{"4", "no edit key", func(s *sessionRegistration) { s.request.EncryptedCandidateEditKey = nil }, protocol.StatusAuthorNotAllowed},
		{"4", "edit key of a READER", func(s *sessionRegistration) { s.forceRole(bobID, parsec.RoleReader) }, protocol.StatusAuthorNotAllowed},
		{"5", "another key index", func(s *sessionRegistration) { s.request.KeyIndex = 2 }, protocol.StatusBadKeyIndex},
		{"6", "too late", func(s *sessionRegistration) { s.request.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
	})...), append(standingApart, [2]string{"unknown realm", "deleted"}, [2]string{"no edit key", "edit key of a READER"})...)
}

// registers has a device register a session; whoever may write gives an edit key.
func (c *realmCommand) registers(device parsec3.DeviceID, document string, writes bool) *protocol.CryptpadRegisterSessionReply {
	c.t.Helper()
	name := nameOf(parsec.UUID(ownerOf(device)))
	request := &protocol.CryptpadRegisterSessionRequest{
		RealmID: c.realm, DocumentID: vlobID(document), KeyIndex: c.facts().KeyIndex, Timestamp: c.clock.now(),
		EncryptedCandidateViewKey: []byte("view of " + name),
	}
	if writes {
		request.EncryptedCandidateEditKey = []byte("edit of " + name)
	}
	reply, err := c.CryptpadRegisterSession(c.t.Context(), c.device(device), request)
	c.ok(nil, err)
	c.clock.advance(time.Second)
	return reply
}

// checkSession wants the session of a device, registered on a date.
func (c *realmCommand) checkSession(got *protocol.CryptpadRegisterSessionReply, device parsec3.DeviceID, on parsec.DateTime, edits bool) {
	c.t.Helper()
	name := nameOf(parsec.UUID(ownerOf(device)))
	if got.Author != device || got.Timestamp != on || string(got.EncryptedViewKey) != "view of "+name {
		c.t.Errorf("got %+v, want the session of %s", got, name)
	}
	if edits && string(got.EncryptedEditKey) != "edit of "+name || !edits && got.EncryptedEditKey != nil {
		c.t.Errorf("edit key %q", got.EncryptedEditKey)
	}
	if facts := c.facts(); got.NeededCommonCertificateTimestamp != c.lastCommon() || got.NeededRealmCertificateTimestamp != facts.Timestamp {
		c.t.Errorf("needs the certificates of %s and %s", got.NeededCommonCertificateTimestamp, got.NeededRealmCertificateTimestamp)
	}
}

// The first who may write settles the session: what readers register waits for it, and
// what others register changes nothing. Readers never get the edit key.
func TestCryptpadRegisterSession(t *testing.T) {
	c := newRealmCommand(t, withCryptpad)
	c.share(c.alice(), carolID, parsec.RoleReader)
	c.archive(c.alice(), parsec.ArchivingArchived) // It may be edited all the same.
	c.events.take()
	byCarol := c.clock.now()
	c.checkSession(c.registers(carolDesk, "document", false), carolDesk, byCarol, false)
	c.checkSession(c.registers(carolDesk, "document", false), carolDesk, byCarol, false)
	byBob := c.clock.now()
	c.checkSession(c.registers(bobLaptop, "document", true), bobLaptop, byBob, true)
	c.checkSession(c.registers(aliceLaptop, "document", true), bobLaptop, byBob, true)
	c.checkSession(c.registers(carolDesk, "document", false), bobLaptop, byBob, false)
	c.checkEvents()

	// Another document has a session of its own, and so has the same in another realm.
	byAlice := c.clock.now()
	c.checkSession(c.registers(aliceLaptop, "another", true), aliceLaptop, byAlice, true)
	second := realmCommand{c.command, realmID("second")}
	second.createRealm(c.alice(), second.realm)
	second.rotate()
	byAlice = c.clock.now()
	second.checkSession(second.registers(aliceLaptop, "document", true), aliceLaptop, byAlice, true)
	c.checkSession(c.registers(aliceLaptop, "document", true), bobLaptop, byBob, true)
}

// After a rotation the session of before, which those who were removed know, is replaced
// by whoever may write.
func TestCryptpadSessionAfterRotation(t *testing.T) {
	c := newRealmCommand(t, withCryptpad)
	c.share(c.alice(), carolID, parsec.RoleReader)
	byBob := c.clock.now()
	c.registers(bobLaptop, "document", true)
	c.unshare(c.alice(), bobID)
	c.rotate()
	got := c.registers(carolDesk, "document", false)
	c.checkSession(got, bobLaptop, byBob, false)
	if got.KeyIndex != 1 {
		t.Errorf("key index %d", got.KeyIndex)
	}
	byAlice := c.clock.now()
	got = c.registers(aliceLaptop, "document", true)
	c.checkSession(got, aliceLaptop, byAlice, true)
	if got.KeyIndex != 2 {
		t.Errorf("key index %d", got.KeyIndex)
	}
	c.checkSession(c.registers(carolDesk, "document", false), aliceLaptop, byAlice, false)
}

// What the keys are is the clients' business.
func TestCryptpadKeysMayBeEmpty(t *testing.T) {
	s := newSessionRegistration(t)
	s.request.EncryptedCandidateViewKey, s.request.EncryptedCandidateEditKey = []byte{}, []byte{}
	for range 2 {
		got, err := s.CryptpadRegisterSession(t.Context(), s.author, &s.request)
		s.ok(nil, err)
		if got.EncryptedEditKey == nil || len(got.EncryptedEditKey)+len(got.EncryptedViewKey) > 0 {
			t.Errorf("got %+v", got)
		}
	}
}

// Of many who register one document at once, all get the session of one of them.
func TestConcurrentCryptpadSessions(t *testing.T) {
	c := newRealmCommand(t, withCryptpad)
	const members = 8
	replies := make([]*protocol.CryptpadRegisterSessionReply, members)
	var calls []func() error
	for i := range members {
		author := c.author
		if i%2 == 0 {
			author = c.bob()
		}
		calls = append(calls, func() error {
			var err error
			replies[i], err = c.CryptpadRegisterSession(t.Context(), author, &protocol.CryptpadRegisterSessionRequest{
				RealmID: c.realm, DocumentID: vlobID("document"), KeyIndex: 1, Timestamp: c.clock.now(),
				EncryptedCandidateViewKey: []byte{byte(i)}, EncryptedCandidateEditKey: []byte{byte(i)},
			})
			return err
		})
	}
	if got := parallel(calls...); got[protocol.StatusOK] != members {
		t.Fatalf("got %v", got)
	}
	for _, reply := range replies[1:] {
		if !bytes.Equal(reply.EncryptedViewKey, replies[0].EncryptedViewKey) || !bytes.Equal(reply.EncryptedEditKey, replies[0].EncryptedEditKey) {
			t.Errorf("%+v is another session than %+v", reply, replies[0])
		}
	}
}
