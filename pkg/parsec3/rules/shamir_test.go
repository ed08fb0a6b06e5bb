package rules_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// shamirSetup is the content of a shamir_recovery_setup; tests spoil it before it is
// signed.
type shamirSetup struct {
	brief  certificate.ShamirBrief
	shares []certificate.ShamirShare
	// key signs the brief, and keys the shares.
	key   ed25519.PrivateKey
	keys  []ed25519.PrivateKey
	token parsec3.AccessToken
	data  []byte
}

// shamirSetup gives each recipient as many shares as its place says, from 1 on; two of
// them recover.
func (f *fixture) shamirSetup(author *rules.Author, recipients ...parsec3.UserID) *shamirSetup {
	s := &shamirSetup{
		brief: certificate.ShamirBrief{
			Author: author.Device, Timestamp: f.clock.now(), UserID: author.User, Threshold: 2, PerRecipientShares: map[parsec3.UserID]uint8{},
		},
		key: signingKey(author.Device), token: randomToken(), data: []byte("data of " + nameOf(parsec.UUID(author.User))),
	}
	for i, recipient := range recipients {
		s.brief.PerRecipientShares[recipient] = uint8(i + 1)
		s.shares = append(s.shares, certificate.ShamirShare{
			Author: author.Device, Timestamp: s.brief.Timestamp, UserID: author.User, Recipient: recipient,
			CipheredShare: fmt.Append(nil, "share of ", nameOf(parsec.UUID(recipient))),
		})
		s.keys = append(s.keys, s.key)
	}
	return s
}

func randomToken() parsec3.AccessToken {
	return must(parsec3.ParseAccessToken(parsec.NewUUID().Hex()))
}

// at dates all the certificates.
func (s *shamirSetup) at(date parsec.DateTime) {
	s.brief.Timestamp = date
	for i := range s.shares {
		s.shares[i].Timestamp = date
	}
}

// replace has another recipient in the brief and in the share of a place.
func (s *shamirSetup) replace(place int, by parsec3.UserID) {
	delete(s.brief.PerRecipientShares, s.shares[place].Recipient)
	s.brief.PerRecipientShares[by] = 1
	s.shares[place].Recipient = by
}

func (s *shamirSetup) request() *protocol.ShamirRecoverySetupRequest {
	request := &protocol.ShamirRecoverySetupRequest{
		CipheredData: s.data, RevealToken: s.token, BriefCertificate: must(s.brief.Sign(s.key)),
	}
	for i := range s.shares {
		request.ShareCertificates = append(request.ShareCertificates, must(s.shares[i].Sign(s.keys[i])))
	}
	return request
}

// setUp lets a second pass, as the other commands here do.
func (f *fixture) setUp(author *rules.Author, setup *shamirSetup) {
	f.t.Helper()
	f.ok(f.ShamirRecoverySetup(f.t.Context(), author, setup.request()))
	f.clock.advance(time.Second)
}

// shamirDeletion is the content of a shamir_recovery_delete.
type shamirDeletion struct {
	certificate.ShamirDeletion
	key ed25519.PrivateKey
}

func (f *fixture) shamirDeletion(author *rules.Author, of *shamirSetup) *shamirDeletion {
	return &shamirDeletion{certificate.ShamirDeletion{
		Author: author.Device, Timestamp: f.clock.now(), SetupToDeleteTimestamp: of.brief.Timestamp, SetupToDeleteUserID: of.brief.UserID,
		ShareRecipients: slices.Collect(maps.Keys(of.brief.PerRecipientShares)),
	}, signingKey(author.Device)}
}

func (d *shamirDeletion) request() *protocol.ShamirRecoveryDeleteRequest {
	return &protocol.ShamirRecoveryDeleteRequest{DeletionCertificate: must(d.Sign(d.key))}
}

func (f *fixture) deleteSetup(author *rules.Author, of *shamirSetup) {
	f.t.Helper()
	f.ok(f.ShamirRecoveryDelete(f.t.Context(), author, f.shamirDeletion(author, of).request()))
	f.clock.advance(time.Second)
}

// forceSetup has a user set up a recovery a microsecond from now, with a token.
func (c *realmCommand) forceSetup(device parsec3.DeviceID, token parsec3.AccessToken) {
	c.t.Helper()
	c.clock.advance(time.Microsecond)
	setup := c.shamirSetup(c.device(device), aliceID)
	setup.brief.Threshold, setup.token = 1, token
	c.ok(c.ShamirRecoverySetup(c.t.Context(), c.device(device), setup.request()))
}

// shamirSeen are the certificates of the topic that a device is given.
func (f *fixture) shamirSeen(device parsec3.DeviceID) [][]byte {
	f.t.Helper()
	_, certificates, err := f.store.Certificates(f.t.Context(), acme, device, rules.CertificatesAfter{}, 1<<30)
	f.ok(nil, err)
	return certificates.Shamir
}

func (f *fixture) checkSeen(device parsec3.DeviceID, want ...[]byte) {
	f.t.Helper()
	if got := f.shamirSeen(device); !slices.EqualFunc(got, want, bytes.Equal) {
		f.t.Errorf("%s is given %d certificates, want %d", nameOf(parsec.UUID(device)), len(got), len(want))
	}
}

// setupCreation has bob set up a recovery by alice, carol and dave.
type setupCreation struct {
	realmCommand
	*shamirSetup
}

func newSetupCreation(t *testing.T) *setupCreation {
	c := newRealmCommand(t)
	c.author = c.bob()
	return &setupCreation{c, c.shamirSetup(c.author, aliceID, carolID, daveID)}
}

func (s *setupCreation) run() error {
	return failure(s.ShamirRecoverySetup(s.t.Context(), s.author, s.request()))
}

func TestShamirRecoverySetupTable(t *testing.T) {
	checkTable(t, "shamir_recovery_setup", newSetupCreation, realmRows([]row[*setupCreation]{
		{"1", "brief of another key", func(s *setupCreation) { s.key = rootKey() }, protocol.StatusInvalidCertificateBriefCorrupted},
		{"2", "too late", func(s *setupCreation) { s.at(s.clock.now().Add(tooLate)) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "of another user", func(s *setupCreation) { s.brief.UserID = carolID }, protocol.StatusInvalidCertificateUserIDMustBeSelf},
		{"4", "a share missing", func(s *setupCreation) { s.shares = s.shares[:2] }, protocol.StatusInvalidCertificateMissingShareForRecipient},
		{"5", "share of another key", func(s *setupCreation) { s.keys[0] = rootKey() }, protocol.StatusInvalidCertificateShareCorrupted},
		{"5", "share of another user", func(s *setupCreation) { s.shares[0].UserID = carolID }, protocol.StatusInvalidCertificateShareCorrupted},
		{"5", "share of another date", func(s *setupCreation) { s.shares[0].Timestamp++ }, protocol.StatusInvalidCertificateShareInconsistentTimestamp},
		{"5", "share of a stranger", func(s *setupCreation) { s.shares[0].Recipient = malloryID }, protocol.StatusInvalidCertificateShareRecipientNotInBrief},
		{"5", "second share", func(s *setupCreation) { s.shares[1].Recipient = s.shares[0].Recipient }, protocol.StatusInvalidCertificateDuplicateShareForRecipient},
		{"5", "share for the author", func(s *setupCreation) { s.replace(len(s.shares)-1, bobID) }, protocol.StatusInvalidCertificateAuthorIncludedAsRecipient},
		{"6", "recipient unknown", func(s *setupCreation) { s.replace(0, nobodyID) }, protocol.StatusRecipientNotFound},
		{"6", "recipient revoked", func(s *setupCreation) { s.forceRevoked(carolID) }, protocol.StatusRevokedRecipient},
		{"7", "a setup exists", func(s *setupCreation) { s.forceSetup(bobLaptop, randomToken()) }, protocol.StatusShamirRecoveryAlreadyExists},
		{"8", "not after C", func(s *setupCreation) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
		{"8", "not after S", func(s *setupCreation) { s.forceSetup(carolDesk, randomToken()) }, protocol.StatusRequireGreaterTimestamp},
		{"9", "token taken", func(s *setupCreation) {
			s.forceSetup(malloryLaptop, s.token)
			s.clock.advance(time.Microsecond)
			s.at(s.clock.now())
		}, aborted(rules.TokenTaken)},
	}), standingApart...)
}

// Each certificate is of its author and of its type, and there is no share too many.
func TestShamirRecoverySetupLoads(t *testing.T) {
	s := newSetupCreation(t)
	s.brief.Author = aliceLaptop
	if got := status(nil, s.run()); got != protocol.StatusInvalidCertificateBriefCorrupted {
		t.Errorf("a brief of another author: got %s", got)
	}
	s = newSetupCreation(t)
	s.shares[0].Author = aliceLaptop
	if got := status(nil, s.run()); got != protocol.StatusInvalidCertificateShareCorrupted {
		t.Errorf("a share of another author: got %s", got)
	}
	request := newSetupCreation(t).request()
	request.BriefCertificate = request.ShareCertificates[0]
	if got := status(s.ShamirRecoverySetup(t.Context(), s.author, request)); got != protocol.StatusInvalidCertificateBriefCorrupted {
		t.Errorf("a share as the brief: got %s", got)
	}
	request = newSetupCreation(t).request()
	request.ShareCertificates = append(request.ShareCertificates, request.ShareCertificates[0])
	if got := status(s.ShamirRecoverySetup(t.Context(), s.author, request)); got != protocol.StatusInvalidCertificateMissingShareForRecipient {
		t.Errorf("a share too many: got %s", got)
	}
}

// What each refusal says about the certificates to read.
func TestShamirRecoverySetupDates(t *testing.T) {
	s := newSetupCreation(t)
	s.forceRevoked(daveID)
	err := s.run()
	if got := status(nil, err); got != protocol.StatusRevokedRecipient {
		t.Fatalf("got %s", got)
	}
	if got := detailsOf[protocol.LastCommonDetails](err).Timestamp; got != s.lastCommon() {
		t.Errorf("as of %s, want %s", got, s.lastCommon())
	}

	// The owner learns of its own setup, not of another's that it does not see.
	s = newSetupCreation(t)
	own := s.brief.Timestamp
	s.ok(nil, s.run())
	s.forceSetup(carolDesk, randomToken())
	s.checkAsOfShamir(s.run(), protocol.StatusShamirRecoveryAlreadyExists, own)
	// It is a recipient of this one.
	s.clock.advance(time.Microsecond)
	seen := s.fixture.shamirSetup(s.device(daveDesk), bobID, carolID)
	s.setUp(s.device(daveDesk), seen)
	s.checkAsOfShamir(s.run(), protocol.StatusShamirRecoveryAlreadyExists, seen.brief.Timestamp)
}

// checkAsOfShamir wants a refusal with the date of a certificate of Shamir recovery.
func (f *fixture) checkAsOfShamir(err error, want protocol.Status, date parsec.DateTime) {
	f.t.Helper()
	if got := status(nil, err); got != want {
		f.t.Errorf("got %s, want %s", got, want)
	}
	if got := detailsOf[protocol.LastShamirDetails](err).Timestamp; got != date {
		f.t.Errorf("%s: as of %s, want %s", want, got, date)
	}
}

// A setup is seen by its owner, and by each recipient with its share alone.
func TestShamirRecoverySetup(t *testing.T) {
	s := newSetupCreation(t)
	last := s.lastCommon()
	s.at(last)
	checkGreater(t, s.run(), last)
	s.at(last + 1)
	s.events.take()
	request := s.request()
	s.ok(s.ShamirRecoverySetup(t.Context(), s.author, request))
	s.checkEvents(notice.ShamirCertificate{Timestamp: last + 1, Users: []parsec3.UserID{bobID, aliceID, carolID, daveID}})
	s.checkSeen(bobLaptop, request.BriefCertificate)
	for i, device := range []parsec3.DeviceID{aliceLaptop, carolDesk, daveDesk} {
		s.checkSeen(device, request.BriefCertificate, request.ShareCertificates[i])
	}
	s.checkSeen(alicePhone, request.BriefCertificate, request.ShareCertificates[0])
	s.checkSeen(malloryLaptop)
	carol := s.fixture.shamirSetup(s.device(carolDesk), aliceID, bobID)
	carol.at(last + 1)
	checkGreater(t, failure(s.ShamirRecoverySetup(t.Context(), s.device(carolDesk), carol.request())), last+1)
	carol.at(last + 2)
	s.ok(s.ShamirRecoverySetup(t.Context(), s.device(carolDesk), carol.request()))
	signed := carol.request()
	s.checkSeen(aliceLaptop, request.BriefCertificate, request.ShareCertificates[0], signed.BriefCertificate, signed.ShareCertificates[0])
	s.checkSeen(daveDesk, request.BriefCertificate, request.ShareCertificates[2])
}

// setupDeletion has bob delete its recovery by alice, carol and dave.
type setupDeletion struct {
	realmCommand
	*shamirDeletion
	setup *shamirSetup
}

func newSetupDeletion(t *testing.T) *setupDeletion {
	s := newSetupCreation(t)
	s.setUp(s.author, s.shamirSetup)
	s.events.take()
	return &setupDeletion{s.realmCommand, s.shamirDeletion(s.author, s.shamirSetup), s.shamirSetup}
}

func (s *setupDeletion) run() error {
	return failure(s.ShamirRecoveryDelete(s.t.Context(), s.author, s.request()))
}

func TestShamirRecoveryDeleteTable(t *testing.T) {
	checkTable(t, "shamir_recovery_delete", newSetupDeletion, realmRows([]row[*setupDeletion]{
		{"1", "another key", func(s *setupDeletion) { s.key = rootKey() }, protocol.StatusInvalidCertificateCorrupted},
		{"2", "too late", func(s *setupDeletion) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"3", "of another user", func(s *setupDeletion) { s.SetupToDeleteUserID = carolID }, protocol.StatusInvalidCertificateUserIDMustBeSelf},
		{"4", "no such setup", func(s *setupDeletion) { s.SetupToDeleteTimestamp++ }, protocol.StatusShamirRecoveryNotFound},
		{"5", "a recipient missing", func(s *setupDeletion) { s.ShareRecipients = s.ShareRecipients[:2] }, protocol.StatusRecipientsMismatch},
		{"6", "deleted", func(s *setupDeletion) { s.clock.advance(time.Microsecond); s.deleteSetup(s.bob(), s.setup) }, protocol.StatusShamirRecoveryAlreadyDeleted},
		{"7", "not after C", func(s *setupDeletion) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
		{"7", "not after S", func(s *setupDeletion) { s.forceSetup(carolDesk, randomToken()) }, protocol.StatusRequireGreaterTimestamp},
	}), append(standingApart, [2]string{"no such setup", "a recipient missing"})...)
}

// The recipients are a set: those of the setup, whatever their order.
func TestShamirRecoveryDeleteRecipients(t *testing.T) {
	for name, test := range map[string]struct {
		recipients []parsec3.UserID
		want       protocol.Status
	}{
		"another order":  {[]parsec3.UserID{daveID, aliceID, carolID}, protocol.StatusOK},
		"one twice":      {[]parsec3.UserID{daveID, aliceID, carolID, daveID}, protocol.StatusOK},
		"nobody":         {nil, protocol.StatusRecipientsMismatch},
		"one too many":   {[]parsec3.UserID{daveID, aliceID, carolID, malloryID}, protocol.StatusRecipientsMismatch},
		"one of others":  {[]parsec3.UserID{daveID, aliceID, malloryID}, protocol.StatusRecipientsMismatch},
		"one for others": {[]parsec3.UserID{daveID, daveID, aliceID}, protocol.StatusRecipientsMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSetupDeletion(t)
			s.ShareRecipients = test.recipients
			if got := status(nil, s.run()); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A deletion is seen by whom the setup concerned, and lets its owner set up again.
func TestShamirRecoveryDelete(t *testing.T) {
	s := newSetupDeletion(t)
	before := map[parsec3.DeviceID][][]byte{}
	for _, device := range []parsec3.DeviceID{bobLaptop, aliceLaptop, carolDesk, daveDesk, malloryLaptop} {
		before[device] = s.shamirSeen(device)
	}
	s.forceRevoked(carolID) // Whoever is revoked is no obstacle.
	s.clock.advance(time.Microsecond)
	s.Timestamp = s.clock.now()
	signed := s.request()
	s.events.take()
	s.ok(s.ShamirRecoveryDelete(t.Context(), s.author, signed))
	s.checkEvents(notice.ShamirCertificate{Timestamp: s.Timestamp, Users: append([]parsec3.UserID{bobID}, s.ShareRecipients...)})
	for _, device := range []parsec3.DeviceID{bobLaptop, aliceLaptop, daveDesk} {
		s.checkSeen(device, append(before[device], signed.DeletionCertificate)...)
	}
	s.checkSeen(malloryLaptop)
	s.checkAsOfShamir(s.run(), protocol.StatusShamirRecoveryAlreadyDeleted, s.Timestamp)

	s.clock.advance(time.Second)
	again := s.shamirSetup(s.author, aliceID, daveID)
	again.token = s.setup.token
	if got := status(s.ShamirRecoverySetup(t.Context(), s.author, again.request())); got != aborted(rules.TokenTaken) {
		t.Errorf("the token of a setup that is deleted: got %s", got)
	}
	again.token = randomToken()
	s.setUp(s.author, again)
	if got := status(s.ShamirRecoveryDelete(t.Context(), s.author, signed)); got != protocol.StatusShamirRecoveryAlreadyDeleted {
		t.Errorf("the first deletion again: got %s", got)
	}
	s.deleteSetup(s.author, again)
}

// A revocation follows the certificates of Shamir recovery that its target sees, those
// of others are no obstacle (docs/protocol/v5/commands.md §8.5).
func TestUserRevokeFollowsShamirRecovery(t *testing.T) {
	for name, test := range map[string]struct {
		leave func(c *realmCommand)
		// after is the last date to exceed, in seconds ahead; -1 for the common topic.
		after int
	}{
		"owner":     {func(c *realmCommand) { c.setUpAt(10, carolDesk, aliceID, daveID) }, 10},
		"recipient": {func(c *realmCommand) { c.setUpAt(10, daveDesk, aliceID, carolID) }, 10},
		"neither":   {func(c *realmCommand) { c.setUpAt(10, daveDesk, aliceID, bobID) }, -1},
		"recipient of what is deleted": {func(c *realmCommand) {
			setup := c.setUpAt(10, daveDesk, aliceID, carolID)
			deletion := c.shamirDeletion(c.device(daveDesk), setup)
			deletion.Timestamp = c.ahead(20)
			c.ok(c.ShamirRecoveryDelete(c.t.Context(), c.device(daveDesk), deletion.request()))
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			c := newRealmCommand(t)
			test.leave(&c)
			last := c.ahead(test.after)
			if test.after < 0 {
				last = c.lastCommon()
			}
			revocation := c.revocation(c.alice(), carolID)
			c.checkFollows(last, &revocation.revoked.Timestamp, func() error {
				return failure(c.UserRevoke(t.Context(), c.alice(), revocation.request()))
			})
		})
	}
}

// setUpAt sets up a recovery some seconds ahead.
func (c *realmCommand) setUpAt(seconds int, device parsec3.DeviceID, recipients ...parsec3.UserID) *shamirSetup {
	c.t.Helper()
	setup := c.shamirSetup(c.device(device), recipients...)
	setup.at(c.ahead(seconds))
	c.ok(c.ShamirRecoverySetup(c.t.Context(), c.device(device), setup.request()))
	return setup
}

// Of many setups of one user at once, one is; of many users at once, all are, and the
// dates of the topic increase.
func TestInvariant43OneSetup(t *testing.T) {
	c := newRealmCommand(t)
	var calls []func() error
	for i := range 8 {
		setup := c.shamirSetup(c.bob(), aliceID, carolID)
		setup.at(setup.brief.Timestamp + parsec.DateTime(i))
		calls = append(calls, func() error { return failure(c.ShamirRecoverySetup(t.Context(), c.bob(), setup.request())) })
	}
	if got := parallel(calls...); got[protocol.StatusOK] != 1 || got[protocol.StatusShamirRecoveryAlreadyExists] != 7 {
		t.Errorf("got %v", got)
	}
	c.checkSeen(bobLaptop, c.shamirSeen(bobLaptop)[:1]...)
}
