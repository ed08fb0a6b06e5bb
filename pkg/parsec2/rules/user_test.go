package rules_test

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

var carolID = deviceID("carol@laptop")

func TestUserCreate(t *testing.T) {
	email := func(text string) parsec.HumanHandle { return must(parsec.ParseHumanHandle(text, "Somebody")) }
	// Each row but the first also breaks a later rule where it can: the order
	// of docs/protocol/commands.md §4 decides.
	cases := map[string]struct {
		author func(*fixture) *rules.Author
		limit  uint64
		before func(*fixture)
		spoil  func(*userCreation)
		want   protocol.Status
		// dated reports whether the reason names the timestamp.
		dated bool
	}{
		"ok": {want: protocol.StatusOK},
		"1 standard author": {
			author: (*fixture).bob, spoil: func(c *userCreation) { c.key = signingKey(aliceID) },
			want: protocol.StatusNotAllowed,
		},
		"1 outsider author": {author: (*fixture).mallory, want: protocol.StatusNotAllowed},
		"2 another key": {
			spoil: func(c *userCreation) { c.key = signingKey(bobID); c.user.Timestamp++ },
			want:  protocol.StatusInvalidCertification,
		},
		"2 author of the user": {
			spoil: func(c *userCreation) { c.user.Author = alice2ID }, want: protocol.StatusInvalidCertification,
		},
		"2 author of the redacted device": {
			spoil: func(c *userCreation) { c.redactedDevice.Author = alice2ID }, want: protocol.StatusInvalidCertification,
		},
		"2 signed by the root key": {
			spoil: func(c *userCreation) { c.user.Author = parsec.DeviceID{} }, want: protocol.StatusInvalidCertification,
		},
		"3 timestamps differ": {
			spoil: func(c *userCreation) { c.user.Timestamp -= 400_000_000 }, want: protocol.StatusInvalidData,
		},
		"4 too old": {
			spoil: func(c *userCreation) { c.shift(-320 * time.Second); c.device.DeviceID = bobID },
			want:  protocol.StatusInvalidCertification, dated: true,
		},
		"4 too early": {
			spoil: func(c *userCreation) { c.shift(300 * time.Second) },
			want:  protocol.StatusInvalidCertification, dated: true,
		},
		"4 old enough": {spoil: func(c *userCreation) { c.shift(-319 * time.Second) }, want: protocol.StatusOK},
		"5 device of another user": {
			spoil: func(c *userCreation) {
				c.device.DeviceID = deviceID("dave@laptop")
				c.redactedDevice.DeviceID = c.device.DeviceID
			},
			want: protocol.StatusInvalidData,
		},
		"6 redacted profile": {
			spoil: func(c *userCreation) { c.redactedUser.Profile = parsec.ProfileAdmin }, want: protocol.StatusInvalidData,
		},
		"6 redacted key": {
			spoil: func(c *userCreation) { c.redactedUser.PublicKey[0]++ }, want: protocol.StatusInvalidData,
		},
		"7 redacted handle": {
			spoil: func(c *userCreation) { c.redactedUser.HumanHandle = c.user.HumanHandle }, want: protocol.StatusInvalidData,
		},
		"8 redacted device key": {
			spoil: func(c *userCreation) { c.redactedDevice.VerifyKey[0]++ }, want: protocol.StatusInvalidData,
		},
		"9 redacted label": {
			limit: 3,
			spoil: func(c *userCreation) { c.redactedDevice.DeviceLabel = c.device.DeviceLabel },
			want:  protocol.StatusInvalidData,
		},
		"10 limit before existence": {
			limit: 3, spoil: func(c *userCreation) { c.rename(bobID) }, want: protocol.StatusActiveUsersLimitReached,
		},
		"10 under the limit": {limit: 4, want: protocol.StatusOK},
		"10 a revocation frees a slot": {
			limit: 3, before: func(f *fixture) { f.revoke(bobID.User()) }, want: protocol.StatusOK,
		},
		"11 same user": {spoil: func(c *userCreation) { c.rename(bobID) }, want: protocol.StatusAlreadyExists},
		"11 same user, revoked": {
			before: func(f *fixture) { f.revoke(bobID.User()) },
			spoil:  func(c *userCreation) { c.rename(deviceID("bob@phone")) },
			want:   protocol.StatusAlreadyExists,
		},
		"11 same e-mail": {
			spoil: func(c *userCreation) { c.user.HumanHandle = email("bob@example.com") }, want: protocol.StatusAlreadyExists,
		},
		"11 same e-mail, revoked": {
			before: func(f *fixture) { f.revoke(bobID.User()) },
			spoil:  func(c *userCreation) { c.user.HumanHandle = email("bob@example.com") },
			want:   protocol.StatusOK,
		},
		"no human handle": {
			spoil: func(c *userCreation) { c.user.HumanHandle = parsec.HumanHandle{} }, want: protocol.StatusOK,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withOptions(func(o *rules.Options) {
				if c.limit > 0 {
					o.InitialActiveUsersLimit = &c.limit
				}
			}))
			if c.before != nil {
				c.before(f)
				f.events.take()
			}
			author := f.alice()
			if c.author != nil {
				author = c.author(f)
			}
			creation := f.userCreation(author, carolID, parsec.ProfileStandard)
			if c.spoil != nil {
				c.spoil(creation)
			}
			_, err := f.UserCreate(t.Context(), author, creation.request())
			checkOutcome(t, err, c.want, c.dated)
			if events := f.events.take(); c.want != protocol.StatusOK && len(events) > 0 {
				t.Errorf("refused, but published %v", events)
			}
		})
	}
}

// shift moves every date.
func (c *userCreation) shift(by time.Duration) {
	c.user.Timestamp = c.user.Timestamp.Add(by)
	c.redactedUser.Timestamp = c.redactedUser.Timestamp.Add(by)
	c.device.Timestamp = c.device.Timestamp.Add(by)
	c.redactedDevice.Timestamp = c.redactedDevice.Timestamp.Add(by)
}

// rename changes the user and its first device, not the human.
func (c *userCreation) rename(first parsec.DeviceID) {
	c.user.UserID, c.redactedUser.UserID = first.User(), first.User()
	c.device.DeviceID, c.redactedDevice.DeviceID = first, first
}

// checkOutcome also checks that a refusal has a reason, which names the
// timestamp if and only if it is dated (docs/protocol/commands.md §1.3).
func checkOutcome(t *testing.T, err error, want protocol.Status, dated bool) {
	t.Helper()
	if got := status(nil, err); got != want {
		t.Fatalf("got %s (%v), want %s", got, err, want)
	}
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) {
		if refusal.Reason == "" {
			t.Error("the refusal has no reason")
		}
		if strings.Contains(refusal.Reason, "timestamp") != dated {
			t.Errorf("reason %q, dated: %t", refusal.Reason, dated)
		}
	}
}

func TestUserCreateStores(t *testing.T) {
	f := newFixture(t)
	f.events.watch(notice.UserInviteTopic(acme, carolID.User()))
	creation := f.userCreation(f.alice2(), carolID, parsec.ProfileOutsider)
	request := creation.request()
	f.ok(f.UserCreate(t.Context(), f.alice2(), request))

	want := []event.Event{{Organization: acme, Author: alice2ID, Body: notice.UserCreated{
		User: carolID.User(), UserCertificate: request.UserCertificate, DeviceCertificate: request.DeviceCertificate,
	}}}
	if got := f.events.take(); !reflect.DeepEqual(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}

	facts, found, err := f.store.UserAndDevices(t.Context(), acme, carolID.User())
	if err != nil || !found || len(facts.Devices) != 1 {
		t.Fatalf("read the user: %v, %t, %d devices", err, found, len(facts.Devices))
	}
	wantUser := rules.User{
		ID: carolID.User(), Profile: parsec.ProfileOutsider, HumanHandle: human(carolID.User()),
		Certificate: request.UserCertificate, RedactedCertificate: request.RedactedUserCertificate,
		Certifier: alice2ID, CreatedOn: creation.user.Timestamp,
	}
	if !reflect.DeepEqual(facts.User, wantUser) {
		t.Errorf("user %+v, want %+v", facts.User, wantUser)
	}
	wantDevice := rules.Device{
		ID: carolID, Label: creation.device.DeviceLabel, VerifyKey: verifyKey(signingKey(carolID)),
		Certificate: request.DeviceCertificate, RedactedCertificate: request.RedactedDeviceCertificate,
		Certifier: alice2ID, CreatedOn: creation.user.Timestamp,
	}
	if !reflect.DeepEqual(facts.Devices[0], wantDevice) {
		t.Errorf("device %+v, want %+v", facts.Devices[0], wantDevice)
	}
}

// TestUserCreateKeepsNothingOfTheRequest changes the request's memory, as the
// connection does with its buffer.
func TestUserCreateKeepsNothingOfTheRequest(t *testing.T) {
	f := newFixture(t)
	f.events.watch(notice.UserInviteTopic(acme, carolID.User()))
	request := f.userCreation(f.alice(), carolID, parsec.ProfileStandard).request()
	userCertificate := string(request.UserCertificate)
	f.ok(f.UserCreate(t.Context(), f.alice(), request))
	clear(request.UserCertificate)

	created := f.events.bodies()[0].(notice.UserCreated)
	if string(created.UserCertificate) != userCertificate {
		t.Error("the event changed with the request")
	}
	reply, err := f.UserGet(t.Context(), f.bob(), &protocol.UserGetRequest{UserID: carolID.User()})
	if err != nil || string(reply.UserCertificate) != userCertificate {
		t.Errorf("the stored certificate changed with the request (%v)", err)
	}
}

func TestUserCreateV1(t *testing.T) {
	limit := uint64(3)
	cases := map[string]struct {
		author func(*fixture) *rules.Author
		limit  *uint64
		spoil  func(*userCreation)
		want   protocol.Status
		dated  bool
	}{
		"ok, with handle and label": {want: protocol.StatusOK},
		"1 standard author":         {author: (*fixture).bob, want: protocol.StatusNotAllowed},
		"2 another key": {
			spoil: func(c *userCreation) { c.key = signingKey(bobID) }, want: protocol.StatusInvalidCertification,
		},
		"3 timestamps differ": {spoil: func(c *userCreation) { c.user.Timestamp++ }, want: protocol.StatusInvalidData},
		"4 too old": {
			spoil: func(c *userCreation) { c.shift(-time.Hour) }, want: protocol.StatusInvalidCertification, dated: true,
		},
		"5 device of another user": {
			limit: &limit,
			spoil: func(c *userCreation) { c.device.DeviceID = deviceID("dave@laptop") }, want: protocol.StatusInvalidData,
		},
		"10 limit": {
			limit: &limit, spoil: func(c *userCreation) { c.rename(bobID) }, want: protocol.StatusActiveUsersLimitReached,
		},
		"11 same user": {spoil: func(c *userCreation) { c.rename(bobID) }, want: protocol.StatusAlreadyExists},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withOptions(func(o *rules.Options) { o.InitialActiveUsersLimit = c.limit }))
			author := f.alice()
			if c.author != nil {
				author = c.author(f)
			}
			creation := f.userCreation(author, carolID, parsec.ProfileStandard)
			if c.spoil != nil {
				c.spoil(creation)
			}
			_, err := f.UserCreateV1(t.Context(), author, creation.requestV1())
			checkOutcome(t, err, c.want, c.dated)
		})
	}
}

func TestUserRevoke(t *testing.T) {
	cases := map[string]struct {
		author func(*fixture) *rules.Author
		target parsec.UserID
		key    parsec.DeviceID
		by     parsec.DeviceID
		shift  time.Duration
		twice  bool
		want   protocol.Status
		dated  bool
	}{
		"ok": {target: bobID.User(), want: protocol.StatusOK},
		"1 standard author": {
			author: (*fixture).bob, target: bobID.User(), shift: -time.Hour, want: protocol.StatusNotAllowed,
		},
		"2 another key": {
			target: aliceID.User(), key: bobID, shift: -time.Hour, want: protocol.StatusInvalidCertification,
		},
		"2 another author": {target: bobID.User(), by: alice2ID, want: protocol.StatusInvalidCertification},
		"3 too old": {
			target: aliceID.User(), shift: -320 * time.Second, want: protocol.StatusInvalidCertification, dated: true,
		},
		"3 too early": {
			target: bobID.User(), shift: 300 * time.Second, want: protocol.StatusInvalidCertification, dated: true,
		},
		"4 oneself":            {target: aliceID.User(), want: protocol.StatusNotAllowed},
		"5 unknown":            {target: userID("nobody"), want: protocol.StatusNotFound},
		"6 revoked":            {target: bobID.User(), twice: true, want: protocol.StatusAlreadyRevoked},
		"in the near future":   {target: bobID.User(), shift: 299 * time.Second, want: protocol.StatusOK},
		"before its own signs": {target: bobID.User(), shift: -319 * time.Second, want: protocol.StatusOK},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if c.twice {
				f.revoke(c.target)
				f.events.take()
			}
			author := f.alice()
			if c.author != nil {
				author = c.author(f)
			}
			signer, by := author.Device, author.Device
			if c.key != (parsec.DeviceID{}) {
				signer = c.key
			}
			if c.by != (parsec.DeviceID{}) {
				by = c.by
			}
			revoked := certificate.RevokedUser{Author: by, Timestamp: f.clock.now().Add(c.shift), UserID: c.target}
			signed := must(revoked.Sign(signingKey(signer)))
			_, err := f.UserRevoke(t.Context(), author, &protocol.UserRevokeRequest{RevokedUserCertificate: signed})
			checkOutcome(t, err, c.want, c.dated)

			var wantEvents []event.Body
			if c.want == protocol.StatusOK {
				wantEvents = []event.Body{notice.UserRevoked{User: c.target}}
				facts, err := f.store.Authentication(t.Context(), acme, bobID)
				want := &rules.Revocation{Certificate: signed, Certifier: by, On: revoked.Timestamp}
				if err != nil || !reflect.DeepEqual(facts.User.Revocation, want) {
					t.Errorf("stored %+v (%v), want %+v", facts.User.Revocation, err, want)
				}
			}
			if got := f.events.bodies(); !reflect.DeepEqual(got, wantEvents) {
				t.Errorf("events %v, want %v", got, wantEvents)
			}
		})
	}
}

func TestUserGet(t *testing.T) {
	f := newFixture(t)
	// carol, whom alice's second device certifies, certifies dave and revokes
	// bob; then alice revokes carol.
	carol := f.createUser(f.alice2(), carolID, parsec.ProfileAdmin)
	daveID := deviceID("dave@laptop")
	f.createUser(carol, daveID, parsec.ProfileStandard)
	f.ok(f.UserRevoke(t.Context(), carol, f.revocation(carol, bobID.User())))
	f.revoke(carolID.User())

	cases := map[string]struct {
		user         string
		revoked      bool
		devices      []parsec.DeviceID
		chainDevices []parsec.DeviceID
		chainUsers   []string
		chainRevoked []string
	}{
		"self-contained but for its own device": {
			user: "alice", devices: []parsec.DeviceID{aliceID, alice2ID},
			chainDevices: []parsec.DeviceID{aliceID}, chainUsers: []string{"alice"},
		},
		"certified by the first device": {
			user: "mallory", devices: []parsec.DeviceID{malloryID},
			chainDevices: []parsec.DeviceID{aliceID}, chainUsers: []string{"alice"},
		},
		"revocation certified by another": {
			user: "bob", revoked: true, devices: []parsec.DeviceID{bobID},
			chainDevices: []parsec.DeviceID{aliceID, alice2ID, carolID}, chainUsers: []string{"alice", "carol"},
			chainRevoked: []string{"carol"},
		},
		"certified by a revoked user": {
			user: "dave", devices: []parsec.DeviceID{daveID},
			chainDevices: []parsec.DeviceID{aliceID, alice2ID, carolID}, chainUsers: []string{"alice", "carol"},
			chainRevoked: []string{"carol"},
		},
		"revoked": {
			user: "carol", revoked: true, devices: []parsec.DeviceID{carolID},
			chainDevices: []parsec.DeviceID{aliceID, alice2ID}, chainUsers: []string{"alice"},
		},
	}
	for name, c := range cases {
		for _, author := range []*rules.Author{f.alice(), f.bob(), f.mallory()} {
			t.Run(name+" by "+string(author.Profile), func(t *testing.T) {
				redacted := author.Profile == parsec.ProfileOutsider
				reply, err := f.UserGet(t.Context(), author, &protocol.UserGetRequest{UserID: userID(c.user)})
				if err != nil {
					t.Fatal(err)
				}
				if got, want := reply.UserCertificate, f.certificates(redacted, userID(c.user)); string(got) != string(want[0]) {
					t.Error("another user certificate")
				}
				if (reply.RevokedUserCertificate != nil) != c.revoked {
					t.Errorf("revoked: %t, want %t", !c.revoked, c.revoked)
				}
				checkSet(t, "devices", reply.DeviceCertificates, f.deviceCertificates(redacted, c.devices...))
				checkSet(t, "chain devices", reply.Trustchain.Devices, f.deviceCertificates(redacted, c.chainDevices...))
				checkSet(t, "chain users", reply.Trustchain.Users, f.certificates(redacted, userIDs(c.chainUsers)...))
				checkSet(t, "chain revocations", reply.Trustchain.RevokedUsers, f.revocations(userIDs(c.chainRevoked)...))
			})
		}
	}
	if got := status(f.UserGet(t.Context(), f.alice(), &protocol.UserGetRequest{UserID: userID("nobody")})); got != protocol.StatusNotFound {
		t.Errorf("unknown user: %s", got)
	}
}

// TestUserGetAlone is the reply that has no trustchain at all.
func TestUserGetAlone(t *testing.T) {
	f := newFixture(t, withoutOrganization)
	token := f.createOrganization(acme)
	request := f.bootstrapRequest(token)
	f.ok(f.OrganizationBootstrap(t.Context(), &rules.Anonymous{Organization: acme, API: latest}, request))
	got, err := f.UserGet(t.Context(), f.alice(), &protocol.UserGetRequest{UserID: aliceID.User()})
	want := &protocol.UserGetReply{
		UserCertificate:    request.UserCertificate,
		DeviceCertificates: [][]byte{request.DeviceCertificate},
		Trustchain:         protocol.Trustchain{Devices: [][]byte{}, Users: [][]byte{}, RevokedUsers: [][]byte{}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
}

// facts reads a user that exists.
func (f *fixture) facts(user parsec.UserID) rules.UserFacts {
	f.t.Helper()
	facts, found, err := f.store.UserAndDevices(f.t.Context(), acme, user)
	if err != nil || !found {
		f.t.Fatalf("read %s: %t, %v", user, found, err)
	}
	return facts
}

func (f *fixture) certificates(redacted bool, users ...parsec.UserID) [][]byte {
	var list [][]byte
	for _, user := range users {
		if redacted {
			list = append(list, f.facts(user).User.RedactedCertificate)
		} else {
			list = append(list, f.facts(user).User.Certificate)
		}
	}
	return list
}

func (f *fixture) deviceCertificates(redacted bool, devices ...parsec.DeviceID) [][]byte {
	var list [][]byte
	for _, id := range devices {
		for _, device := range f.facts(id.User()).Devices {
			switch {
			case device.ID != id:
			case redacted:
				list = append(list, device.RedactedCertificate)
			default:
				list = append(list, device.Certificate)
			}
		}
	}
	return list
}

func (f *fixture) revocations(users ...parsec.UserID) [][]byte {
	var list [][]byte
	for _, user := range users {
		list = append(list, f.facts(user).User.Revocation.Certificate)
	}
	return list
}

func userIDs(texts []string) []parsec.UserID {
	var list []parsec.UserID
	for _, text := range texts {
		list = append(list, userID(text))
	}
	return list
}

// checkSet ignores the order.
func checkSet(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.SortFunc(got, bytes.Compare)
	slices.SortFunc(want, bytes.Compare)
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s: %d certificates, want %d", what, len(got), len(want))
	}
}
