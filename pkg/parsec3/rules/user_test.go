package rules_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// outOfBallpark is the first date that is too far ahead.
const outOfBallpark = 300 * time.Second

var carolLaptop = deviceID("carol@laptop")

// userCreate has alice create carol.
type userCreate struct {
	command
	*userCreation
}

func newUserCreate(t *testing.T) *userCreate {
	t.Helper()
	f := newFixture(t)
	return &userCreate{command{f, f.alice()}, f.userCreation(f.alice(), carolLaptop, parsec.ProfileStandard)}
}

func (s *userCreate) run() error {
	_, err := s.UserCreate(s.t.Context(), s.author, s.request())
	return err
}

func TestUserCreateTable(t *testing.T) {
	checkTable(t, "user_create", newUserCreate, append(standingRows[*userCreate](),
		row[*userCreate]{"1", "author not allowed", func(s *userCreate) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
		row[*userCreate]{"2", "another key", func(s *userCreate) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		row[*userCreate]{"3", "dates differ", func(s *userCreate) { s.device.Timestamp++; s.redactedDevice.Timestamp++ }, protocol.StatusInvalidCertificate},
		row[*userCreate]{"4", "out of the ballpark", func(s *userCreate) { s.user.Timestamp = s.clock.now().Add(outOfBallpark); s.at(s.user.Timestamp) }, protocol.StatusTimestampOutOfBallpark},
		row[*userCreate]{"5", "user ids differ", func(s *userCreate) { s.device.UserID, s.redactedDevice.UserID = bobID, bobID }, protocol.StatusInvalidCertificate},
		row[*userCreate]{"6", "limit reached", func(s *userCreate) { s.limitUsers(3) }, protocol.StatusActiveUsersLimitReached},
		row[*userCreate]{"7", "user exists", func(s *userCreate) { s.setUserID(bobID) }, protocol.StatusUserAlreadyExists},
		row[*userCreate]{"8", "human taken", func(s *userCreate) { s.user.HumanHandle = human(bobID) }, protocol.StatusHumanHandleAlreadyTaken},
		row[*userCreate]{"9", "not later than the topic", func(s *userCreate) { s.at(s.lastCommon()) }, protocol.StatusRequireGreaterTimestamp},
	), standingApart...)
}

// TestUserCreateLoadsEveryCertificate spoils each of the four.
func TestUserCreateLoadsEveryCertificate(t *testing.T) {
	for name, spoil := range map[string]func(request *protocol.UserCreateRequest){
		"user":            func(r *protocol.UserCreateRequest) { r.UserCertificate = r.DeviceCertificate },
		"device":          func(r *protocol.UserCreateRequest) { r.DeviceCertificate = r.UserCertificate },
		"redacted user":   func(r *protocol.UserCreateRequest) { r.RedactedUserCertificate = r.DeviceCertificate },
		"redacted device": func(r *protocol.UserCreateRequest) { r.RedactedDeviceCertificate = nil },
	} {
		s := newUserCreate(t)
		request := s.request()
		spoil(request)
		if got := status(s.UserCreate(t.Context(), s.author, request)); got != protocol.StatusInvalidCertificate {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestUserCreateRedaction refuses redacted forms that are none, or not of the full
// ones (docs/protocol/v5/certificates.md §4).
func TestUserCreateRedaction(t *testing.T) {
	for name, spoil := range map[string]func(s *userCreate){
		"redacted user has a handle":  func(s *userCreate) { s.redactedUser = s.user },
		"redacted device has a label": func(s *userCreate) { s.redactedDevice = s.device },
		"full user has no handle":     func(s *userCreate) { s.user = s.redactedUser },
		"full device has no label":    func(s *userCreate) { s.device = s.redactedDevice },
		"another profile":             func(s *userCreate) { s.redactedUser.Profile = parsec.ProfileOutsider },
		"another date of the user":    func(s *userCreate) { s.redactedUser.Timestamp++ },
		"another user":                func(s *userCreate) { s.redactedUser.UserID = bobID },
		"another public key":          func(s *userCreate) { s.redactedUser.PublicKey[0]++ },
		"another date of the device":  func(s *userCreate) { s.redactedDevice.Timestamp++ },
		"another device":              func(s *userCreate) { s.redactedDevice.DeviceID = bobLaptop },
		"another verify key":          func(s *userCreate) { s.redactedDevice.VerifyKey[0]++ },
		"another purpose":             func(s *userCreate) { s.redactedDevice.Purpose = parsec3.PurposeRegistration },
	} {
		s := newUserCreate(t)
		spoil(s)
		if got := status(nil, s.run()); got != protocol.StatusInvalidCertificate {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestUserCreate has the user work, and everybody told.
func TestUserCreate(t *testing.T) {
	s := newUserCreate(t)
	request := s.request()
	s.ok(s.UserCreate(t.Context(), s.author, request))
	if got, want := s.events.bodies(), []event.Body{notice.CommonCertificate{Timestamp: s.user.Timestamp}}; !reflect.DeepEqual(got, want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
	full, redacted := s.common(s.alice()), s.common(s.mallory())
	last := len(full) - 2
	if !bytes.Equal(full[last], request.UserCertificate) || !bytes.Equal(full[last+1], request.DeviceCertificate) {
		t.Error("the certificates are not the last ones")
	}
	if !bytes.Equal(redacted[last], request.RedactedUserCertificate) || !bytes.Equal(redacted[last+1], request.RedactedDeviceCertificate) {
		t.Error("the redacted certificates are not the last ones of an OUTSIDER")
	}
	s.clock.advance(time.Second)
	s.ok(s.DeviceCreate(t.Context(), s.fixture.author(carolLaptop), s.deviceCreation(s.fixture.author(carolLaptop), deviceID("carol@phone")).request()))
}

// TestUserCreateIDsAreForEver refuses the ids of a revoked user, whose e-mail and
// place are free.
func TestUserCreateIDsAreForEver(t *testing.T) {
	f := newFixture(t)
	f.limitUsers(3)
	f.revoke(bobID)
	again := f.userCreation(f.alice(), bobLaptop, parsec.ProfileStandard)
	if got := status(f.UserCreate(t.Context(), f.alice(), again.request())); got != protocol.StatusUserAlreadyExists {
		t.Errorf("the id of a revoked user: got %s", got)
	}
	again.setUserID(userID("robert"))
	if got := status(f.UserCreate(t.Context(), f.alice(), again.request())); got != protocol.StatusUserAlreadyExists {
		t.Errorf("the device of a revoked user: got %s", got)
	}
	again.setDeviceID(deviceID("robert@laptop"))
	if got := status(f.UserCreate(t.Context(), f.alice(), again.request())); got != protocol.StatusOK {
		t.Errorf("the e-mail of a revoked user: got %s", got)
	}
}

// TestUserCreateCountsFrozenUsers towards the limit.
func TestUserCreateCountsFrozenUsers(t *testing.T) {
	s := newUserCreate(t)
	s.freeze(bobID)
	s.limitUsers(3)
	if got := status(nil, s.run()); got != protocol.StatusActiveUsersLimitReached {
		t.Errorf("got %s", got)
	}
	s.limitUsers(4)
	if got := status(nil, s.run()); got != protocol.StatusOK {
		t.Errorf("below the limit: got %s", got)
	}
}

// TestRequireGreaterNamesTheLast date of the topic.
func TestRequireGreaterNamesTheLast(t *testing.T) {
	s := newUserCreate(t)
	last := s.lastCommon()
	for _, date := range []parsec.DateTime{last, last - 1, s.clock.now().Add(-319 * time.Second)} {
		s.at(date)
		err := s.run()
		if got := status(nil, err); got != protocol.StatusRequireGreaterTimestamp {
			t.Errorf("%s: got %s", date, got)
		}
		if got := detailsOf[protocol.RequireGreaterTimestampDetails](err).StrictlyGreaterThan; got != last {
			t.Errorf("%s: asked for later than %s, want %s", date, got, last)
		}
	}
	s.at(last + 1)
	if got := status(nil, s.run()); got != protocol.StatusOK {
		t.Errorf("a microsecond later: got %s", got)
	}
}

// TestOutOfBallpark says both clocks.
func TestOutOfBallpark(t *testing.T) {
	s := newUserCreate(t)
	now := s.clock.now()
	for _, date := range []parsec.DateTime{now.Add(outOfBallpark), now.Add(-320 * time.Second)} {
		s.at(date)
		want := protocol.OutOfBallparkDetails{
			BallparkClientEarlyOffset: 300, BallparkClientLateOffset: 320, ServerTimestamp: now, ClientTimestamp: date,
		}
		if got := detailsOf[protocol.OutOfBallparkDetails](s.run()); got != want {
			t.Errorf("%s: got %+v, want %+v", date, got, want)
		}
	}
	s.at(now.Add(outOfBallpark) - 1)
	if got := status(nil, s.run()); got != protocol.StatusOK {
		t.Errorf("at the edge: got %s", got)
	}
}

// setUserID names another user in all the certificates.
func (c *userCreation) setUserID(id parsec3.UserID) {
	c.user.UserID, c.redactedUser.UserID, c.device.UserID, c.redactedDevice.UserID = id, id, id, id
}

// setDeviceID names another device.
func (c *userCreation) setDeviceID(id parsec3.DeviceID) {
	c.device.DeviceID, c.redactedDevice.DeviceID = id, id
}

// limitUsers sets the limit of active users.
func (f *fixture) limitUsers(limit uint64) {
	f.t.Helper()
	f.changeOrganization(acme, func(o *organization.Organization) { o.ActiveUsersLimit = &limit })
}

// freeze keeps a user out.
func (f *fixture) freeze(user parsec3.UserID) {
	f.t.Helper()
	f.ok(f.SetFrozen(f.t.Context(), acme, organization.UserChoice{ID: user.String()}, true))
}

// common returns the certificates of the common topic as the author sees them.
func (f *fixture) common(author *rules.Author) [][]byte {
	f.t.Helper()
	reply, err := f.certificateGet(author)
	f.ok(reply, err)
	return reply.CommonCertificates
}

// certificateGet is for replies that are held whole.
func (f *fixture) certificateGet(author *rules.Author) (*protocol.CertificateGetReply, error) {
	reply, _, err := f.CertificateGet(f.t.Context(), author, &protocol.CertificateGetRequest{})
	return reply, err
}

// lastCommon returns the date of the last certificate of the common topic.
func (f *fixture) lastCommon() (last parsec.DateTime) {
	f.t.Helper()
	f.ok(nil, f.store.Update(f.t.Context(), rules.Scope{Organization: acme, Common: rules.Shared}, func(tx rules.Tx) error {
		last = tx.Topics().Common
		return nil
	}))
	return last
}

// userUpdating has alice make bob an ADMIN.
type userUpdating struct {
	command
	*userUpdate
}

func newUserUpdating(t *testing.T) *userUpdating {
	t.Helper()
	f := newFixture(t)
	return &userUpdating{command{f, f.alice()}, f.userUpdate(f.alice(), bobID, parsec.ProfileAdmin)}
}

func (s *userUpdating) run() error {
	_, err := s.UserUpdate(s.t.Context(), s.author, s.request())
	return err
}

func TestUserUpdateTable(t *testing.T) {
	checkTable(t, "user_update", newUserUpdating, append(standingRows[*userUpdating](),
		row[*userUpdating]{"1", "author not allowed", func(s *userUpdating) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
		row[*userUpdating]{"2", "another key", func(s *userUpdating) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		row[*userUpdating]{"3", "out of the ballpark", func(s *userUpdating) { s.update.Timestamp = s.clock.now().Add(outOfBallpark) }, protocol.StatusTimestampOutOfBallpark},
		row[*userUpdating]{"4", "oneself", func(s *userUpdating) { s.update.UserID = aliceID }, protocol.StatusInvalidCertificate},
		row[*userUpdating]{"5", "unknown", func(s *userUpdating) { s.update.UserID = userID("nobody") }, protocol.StatusUserNotFound},
		row[*userUpdating]{"6", "revoked", func(s *userUpdating) { s.revoke(bobID) }, protocol.StatusUserRevoked},
		row[*userUpdating]{"7", "no changes", func(s *userUpdating) { s.update.NewProfile = parsec.ProfileStandard }, protocol.StatusUserNoChanges},
		row[*userUpdating]{"8", "not later than the topic", func(s *userUpdating) { s.update.Timestamp = s.lastCommon() }, protocol.StatusRequireGreaterTimestamp},
	), append(standingApart,
		// The user is oneself, or unknown, or another.
		[2]string{"oneself", "unknown"}, [2]string{"unknown", "revoked"}, [2]string{"unknown", "no changes"},
	)...)
}

func TestUserUpdate(t *testing.T) {
	s := newUserUpdating(t)
	s.ok(nil, s.run())
	want := []event.Body{notice.CommonCertificate{Timestamp: s.update.Timestamp}, notice.UserUpdated{User: bobID, Profile: parsec.ProfileAdmin}}
	if got := s.events.bodies(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
	s.clock.advance(time.Second)
	s.createUser(s.bob(), carolLaptop, parsec.ProfileStandard) // as an ADMIN may
	s.setProfile(bobID, parsec.ProfileOutsider)
	if got := status(s.UserCreate(t.Context(), s.bob(), s.userCreation(s.bob(), deviceID("dave@laptop"), parsec.ProfileStandard).request())); got != protocol.StatusAuthorNotAllowed {
		t.Errorf("after the change to OUTSIDER: got %s", got)
	}
	if full, redacted := s.common(s.alice()), s.common(s.bob()); reflect.DeepEqual(full, redacted) {
		t.Error("an OUTSIDER reads the full certificates")
	}
}

// userRevoking has alice revoke bob.
type userRevoking struct {
	command
	*revocation
}

func newUserRevoking(t *testing.T) *userRevoking {
	t.Helper()
	f := newFixture(t)
	return &userRevoking{command{f, f.alice()}, f.revocation(f.alice(), bobID)}
}

func (s *userRevoking) run() error {
	_, err := s.UserRevoke(s.t.Context(), s.author, s.request())
	return err
}

func TestUserRevokeTable(t *testing.T) {
	checkTable(t, "user_revoke", newUserRevoking, append(standingRows[*userRevoking](),
		row[*userRevoking]{"1", "author not allowed", func(s *userRevoking) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
		row[*userRevoking]{"2", "another key", func(s *userRevoking) { s.key = rootKey() }, protocol.StatusInvalidCertificate},
		row[*userRevoking]{"3", "out of the ballpark", func(s *userRevoking) { s.revoked.Timestamp = s.clock.now().Add(outOfBallpark) }, protocol.StatusTimestampOutOfBallpark},
		row[*userRevoking]{"4", "oneself", func(s *userRevoking) { s.revoked.UserID = aliceID }, protocol.StatusInvalidCertificate},
		row[*userRevoking]{"5", "unknown", func(s *userRevoking) { s.revoked.UserID = userID("nobody") }, protocol.StatusUserNotFound},
		row[*userRevoking]{"6", "revoked", func(s *userRevoking) { s.revoke(bobID) }, protocol.StatusUserAlreadyRevoked},
		row[*userRevoking]{"7", "not later than the topic", func(s *userRevoking) { s.revoked.Timestamp = s.lastCommon() }, protocol.StatusRequireGreaterTimestamp},
	), append(standingApart,
		// The user is oneself, or unknown, or another.
		[2]string{"oneself", "unknown"}, [2]string{"unknown", "revoked"},
	)...)
}

func TestUserRevoke(t *testing.T) {
	s := newUserRevoking(t)
	s.ok(nil, s.run())
	want := []event.Body{notice.CommonCertificate{Timestamp: s.revoked.Timestamp}, notice.UserRevokedOrFrozen{User: bobID}}
	if got := s.events.bodies(); !reflect.DeepEqual(got, want) {
		t.Errorf("told %+v, want %+v", got, want)
	}
	if got := status(s.certificateGet(s.bob())); got != aborted(rules.UserRevoked) {
		t.Errorf("the user goes on: got %s", got)
	}
	err := s.run()
	if got := status(nil, err); got != protocol.StatusUserAlreadyRevoked {
		t.Errorf("again: got %s", got)
	}
	if got := detailsOf[protocol.LastCommonDetails](err).Timestamp; got != s.lastCommon() {
		t.Errorf("again: the topic ends at %s, want %s", got, s.lastCommon())
	}
}

// TestUserRevokeAhead refuses the user at once, also by a date in the future.
func TestUserRevokeAhead(t *testing.T) {
	s := newUserRevoking(t)
	s.revoked.Timestamp = s.clock.now().Add(299 * time.Second)
	s.ok(nil, s.run())
	if got := status(s.certificateGet(s.bob())); got != aborted(rules.UserRevoked) {
		t.Errorf("got %s", got)
	}
}

// TestUserRevokeFollowsWhatTheUserSigned also in the common topic, of another
// device of the same user.
func TestUserRevokeFollowsWhatTheUserSigned(t *testing.T) {
	f := newFixture(t)
	f.setProfile(bobID, parsec.ProfileAdmin)
	f.createUser(f.bob(), carolLaptop, parsec.ProfileStandard)
	signed := f.lastCommon()
	early := f.revocation(f.alice(), bobID)
	early.revoked.Timestamp = signed
	err := status(f.UserRevoke(t.Context(), f.alice(), early.request()))
	if err != protocol.StatusRequireGreaterTimestamp {
		t.Errorf("got %s", err)
	}
	early.revoked.Timestamp++
	f.ok(f.UserRevoke(t.Context(), f.alice(), early.request()))
}

// TestAdministratorsRevokeEachOther leaves one.
func TestAdministratorsRevokeEachOther(t *testing.T) {
	f := newFixture(t)
	f.setProfile(bobID, parsec.ProfileAdmin)
	later := f.revocation(f.bob(), aliceID)
	later.revoked.Timestamp += parsec.DateTime(time.Second.Microseconds())
	counts := parallel(
		func() error {
			_, err := f.UserRevoke(t.Context(), f.alice(), f.revocation(f.alice(), bobID).request())
			return err
		},
		func() error { _, err := f.UserRevoke(t.Context(), f.bob(), later.request()); return err },
	)
	if counts[protocol.StatusOK] != 1 || counts[aborted(rules.UserRevoked)] != 1 {
		t.Errorf("got %v", counts)
	}
}

// listFrozen has alice ask.
type listFrozen struct{ command }

func (s *listFrozen) run() error {
	_, err := s.ListFrozenUsers(s.t.Context(), s.author, &protocol.ListFrozenUsersRequest{})
	return err
}

func TestListFrozenUsersTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *listFrozen {
		f := newFixture(t)
		return &listFrozen{command{f, f.alice()}}
	}, append(standingRows[*listFrozen](),
		row[*listFrozen]{"", "author not allowed", func(s *listFrozen) { s.author = s.bob() }, protocol.StatusAuthorNotAllowed},
	), standingApart...)
}

// TestListFrozenUsers is in order of creation, and keeps who is revoked.
func TestListFrozenUsers(t *testing.T) {
	f := newFixture(t)
	f.freeze(malloryID)
	f.freeze(bobID)
	f.revoke(bobID)
	reply, err := f.ListFrozenUsers(t.Context(), f.alice(), &protocol.ListFrozenUsersRequest{})
	f.ok(reply, err)
	if want := []parsec3.UserID{bobID, malloryID}; !reflect.DeepEqual(reply.FrozenUsers, want) {
		t.Errorf("got %v, want %v", reply.FrozenUsers, want)
	}
}

// TestUserCreateOfAnyLabel stores the labels that clients may choose.
func TestUserCreateOfAnyLabel(t *testing.T) {
	for _, label := range []string{"two\nlines", "\u202e", "\x01"} {
		s := newUserCreate(t)
		s.user.HumanHandle = must(parsec3.ParseHumanHandle("carol@example.com", label))
		s.device.DeviceLabel = must(parsec3.ParseDeviceLabel(label))
		s.ok(nil, s.run())
		people, err := s.People(t.Context(), acme)
		s.ok(nil, err)
		if got := people[len(people)-1].HumanHandle.Label(); got != label {
			t.Errorf("%q: got %q", label, got)
		}
	}
}
