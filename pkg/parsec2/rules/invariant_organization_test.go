package rules_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ed25519"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// The invariants of docs/protocol/commands.md §10 on organizations and users.

// outcomes is how many calls ended how.
type outcomes = map[protocol.Status]int

func repeat(n int, call func(i int) error) []func() error {
	calls := make([]func() error, n)
	for i := range calls {
		calls[i] = func() error { return call(i) }
	}
	return calls
}

func checkOutcomes(t *testing.T, got, want outcomes) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
}

func TestInvariant01ConcurrentBootstraps(t *testing.T) {
	for _, spontaneous := range []bool{false, true} {
		t.Run(fmt.Sprintf("spontaneous %t", spontaneous), func(t *testing.T) {
			f := newFixture(t, withoutOrganization, withOptions(func(o *rules.Options) { o.SpontaneousBootstrap = spontaneous }))
			token := ""
			if !spontaneous {
				token = f.createOrganization(acme)
			}
			got := parallel(repeat(10, func(i int) error {
				first := f.userCreation(nil, deviceID(fmt.Sprintf("first%d@laptop", i)), parsec.ProfileAdmin).request()
				request := f.bootstrapRequest(token)
				request.UserCertificate, request.RedactedUserCertificate = first.UserCertificate, first.RedactedUserCertificate
				request.DeviceCertificate, request.RedactedDeviceCertificate = first.DeviceCertificate, first.RedactedDeviceCertificate
				_, err := f.OrganizationBootstrap(t.Context(), f.anonymous(acme), request)
				return err
			})...)
			checkOutcomes(t, got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyBootstrapped: 9})
			if users := f.activeUsers(); users != 1 {
				t.Errorf("%d users", users)
			}
			if len(f.webhooks.bootstrapped) != 1 {
				t.Errorf("told the webhook %v", f.webhooks.bootstrapped)
			}
		})
	}
}

func (f *fixture) activeUsers() uint64 {
	f.t.Helper()
	var active uint64
	for _, count := range must(f.Statistics(f.t.Context(), acme)).Active {
		active += count
	}
	return active
}

func TestInvariant02ConcurrentCreationsOfOneUser(t *testing.T) {
	f := newFixture(t)
	got := parallel(repeat(10, func(i int) error {
		creation := f.userCreation(f.alice(), deviceID(fmt.Sprintf("carol@laptop%d", i)), parsec.ProfileStandard)
		_, err := f.UserCreate(t.Context(), f.alice(), creation.request())
		return err
	})...)
	checkOutcomes(t, got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 9})
	if devices := f.facts(carolID.User()).Devices; len(devices) != 1 {
		t.Errorf("devices %v", devices)
	}
	if users := f.activeUsers(); users != 4 {
		t.Errorf("%d users", users)
	}
}

func TestInvariant03ActiveUsersLimit(t *testing.T) {
	limit := uint64(5)
	f := newFixture(t, withOptions(func(o *rules.Options) { o.InitialActiveUsersLimit = &limit }))
	got := parallel(repeat(10, func(i int) error {
		creation := f.userCreation(f.alice(), deviceID(fmt.Sprintf("user%d@laptop", i)), parsec.ProfileStandard)
		_, err := f.UserCreate(t.Context(), f.alice(), creation.request())
		return err
	})...)
	checkOutcomes(t, got, outcomes{protocol.StatusOK: 2, protocol.StatusActiveUsersLimitReached: 8})
	if users := f.activeUsers(); users != limit {
		t.Errorf("%d users", users)
	}
}

func TestInvariant04LoweredLimit(t *testing.T) {
	f := newFixture(t)
	lower := func(limit uint64) {
		t.Helper()
		f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, LockOrganization: true}, func(tx rules.Tx) error {
			organization, _ := tx.Organization()
			lowered := *organization
			lowered.ActiveUsersLimit = &limit
			tx.PutOrganization(lowered)
			return nil
		}))
	}
	create := func(want protocol.Status) {
		t.Helper()
		creation := f.userCreation(f.alice(), carolID, parsec.ProfileStandard)
		if got := status(f.UserCreate(t.Context(), f.alice(), creation.request())); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	lower(2)
	if users := f.activeUsers(); users != 3 {
		t.Errorf("%d users", users)
	}
	create(protocol.StatusActiveUsersLimitReached)
	f.revoke(bobID.User())
	create(protocol.StatusActiveUsersLimitReached)
	f.revoke(malloryID.User())
	create(protocol.StatusOK)
}

func TestInvariant05OneActiveUserPerEmail(t *testing.T) {
	f := newFixture(t)
	shared := must(parsec.ParseHumanHandle("shared@example.com", "Somebody"))
	create := func(i int) error {
		creation := f.userCreation(f.alice(), deviceID(fmt.Sprintf("user%d@laptop", i)), parsec.ProfileStandard)
		creation.user.HumanHandle = shared
		_, err := f.UserCreate(t.Context(), f.alice(), creation.request())
		return err
	}
	checkOutcomes(t, parallel(repeat(10, create)...), outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 9})

	holder := func() rules.User {
		t.Helper()
		users, total, err := f.store.FindUsers(t.Context(), acme, rules.UserQuery{
			Words: []string{"shared@"}, OmitRevoked: true, Now: f.clock.now(), Limit: 100,
		})
		if err != nil || total != 1 {
			t.Fatalf("%d active users have the e-mail (%v)", total, err)
		}
		return users[0]
	}
	first := holder()
	revoke := func() error {
		_, err := f.UserRevoke(t.Context(), f.alice(), f.revocation(f.alice(), first.ID))
		return err
	}
	got := parallel(append(repeat(10, func(i int) error { return create(10 + i) }), revoke)...)
	if got[protocol.StatusOK]+got[protocol.StatusAlreadyExists] != 11 || got[protocol.StatusOK] > 2 {
		t.Errorf("outcomes %v", got)
	}
	if got[protocol.StatusOK] == 2 && holder().ID == first.ID {
		t.Error("the revoked user is still active")
	}
}

func TestInvariant06IdsAreNeverReused(t *testing.T) {
	f := newFixture(t)
	f.revoke(bobID.User())
	for _, id := range []parsec.DeviceID{bobID, bob2ID} {
		creation := f.userCreation(f.alice(), id, parsec.ProfileStandard)
		if got := status(f.UserCreate(t.Context(), f.alice(), creation.request())); got != protocol.StatusAlreadyExists {
			t.Errorf("%s: %s", id, got)
		}
	}
}

// TestInvariant07UserHasADevice reads while users are created.
func TestInvariant07UserHasADevice(t *testing.T) {
	f := newFixture(t)
	create := func(i int) error {
		creation := f.userCreation(f.alice(), carolID, parsec.ProfileStandard)
		creation.user.PublicKey[0] = byte(i) // not the same request
		creation.redactedUser.PublicKey[0] = byte(i)
		_, err := f.UserCreate(t.Context(), f.alice(), creation.request())
		return err
	}
	read := func(int) error {
		facts, found, err := f.store.UserAndDevices(t.Context(), acme, carolID.User())
		if err == nil && found && len(facts.Devices) != 1 {
			err = fmt.Errorf("a user has %d devices", len(facts.Devices))
		}
		return err
	}
	got := parallel(append(repeat(5, create), repeat(5, read)...)...)
	checkOutcomes(t, got, outcomes{protocol.StatusOK: 6, protocol.StatusAlreadyExists: 4})
}

func TestInvariant08ConcurrentCreationsOfOneDevice(t *testing.T) {
	f := newFixture(t)
	got := parallel(repeat(10, func(i int) error {
		creation := f.deviceCreation(f.bob(), bob2ID)
		creation.device.VerifyKey[0] = byte(i) // not the same request
		creation.redacted.VerifyKey[0] = byte(i)
		_, err := f.DeviceCreate(t.Context(), f.bob(), creation.request())
		return err
	})...)
	checkOutcomes(t, got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 9})
	if devices := f.facts(bobID.User()).Devices; len(devices) != 2 {
		t.Errorf("%d devices", len(devices))
	}
}

func TestInvariant09ConcurrentRevocationsOfOneUser(t *testing.T) {
	f := newFixture(t)
	authors := []*rules.Author{f.alice(), f.alice2()}
	requests := []*protocol.UserRevokeRequest{f.revocation(authors[0], bobID.User()), f.revocation(authors[1], bobID.User())}
	errs := make([]error, 2)
	got := parallel(repeat(2, func(i int) error {
		_, errs[i] = f.UserRevoke(t.Context(), authors[i], requests[i])
		return errs[i]
	})...)
	checkOutcomes(t, got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyRevoked: 1})
	winner := 0
	if errs[0] != nil {
		winner = 1
	}
	stored := f.facts(bobID.User()).User.Revocation
	if !bytes.Equal(stored.Certificate, requests[winner].RevokedUserCertificate) || stored.Certifier != authors[winner].Device {
		t.Error("the stored certificate is not the winner's")
	}
	if events := f.events.bodies(); !reflect.DeepEqual(events, []event.Body{notice.UserRevoked{User: bobID.User()}}) {
		t.Errorf("events %v", events)
	}
}

func TestInvariant10SelfRevocation(t *testing.T) {
	f := newFixture(t)
	f.createUser(f.alice(), carolID, parsec.ProfileAdmin)
	if got := status(f.UserRevoke(t.Context(), f.alice2(), f.revocation(f.alice2(), aliceID.User()))); got != protocol.StatusNotAllowed {
		t.Errorf("got %s", got)
	}
}

func TestInvariant11AnAdministratorRemains(t *testing.T) {
	f := newFixture(t)
	administrators := []*rules.Author{f.alice()}
	for i := range 4 {
		administrators = append(administrators, f.createUser(f.alice(), deviceID(fmt.Sprintf("admin%d@laptop", i)), parsec.ProfileAdmin))
	}
	// Everyone revokes everyone else at once.
	var calls []func() error
	for _, author := range administrators {
		for _, target := range administrators {
			if author == target {
				continue
			}
			calls = append(calls, func() error {
				_, err := f.UserRevoke(t.Context(), author, f.revocation(author, target.User()))
				return err
			})
		}
	}
	got := parallel(calls...)
	if got[protocol.StatusOK] != 4 || got[protocol.StatusOK]+got[protocol.StatusAlreadyRevoked]+got[sessionOver] != len(calls) {
		t.Errorf("outcomes %v", got)
	}
	statistics := must(f.Statistics(t.Context(), acme))
	if left := statistics.Active[parsec.ProfileAdmin]; left != 1 {
		t.Errorf("%d administrators are left", left)
	}
}

func TestInvariant13RevokedAuthors(t *testing.T) {
	f := newFixture(t)
	carol := f.createUser(f.alice(), carolID, parsec.ProfileAdmin)
	var calls []func() error
	for i := range 5 {
		calls = append(calls, func() error {
			_, err := f.DeviceCreate(t.Context(), carol, f.deviceCreation(carol, deviceID(fmt.Sprintf("carol@device%d", i))).request())
			return err
		}, func() error {
			creation := f.userCreation(carol, deviceID(fmt.Sprintf("user%d@laptop", i)), parsec.ProfileStandard)
			_, err := f.UserCreate(t.Context(), carol, creation.request())
			return err
		})
	}
	calls = append(calls, func() error {
		_, err := f.UserRevoke(t.Context(), f.alice(), f.revocation(f.alice(), carolID.User()))
		return err
	})
	f.events.take()
	for i := range 5 {
		f.events.watch(notice.UserInviteTopic(acme, userID(fmt.Sprintf("user%d", i))),
			notice.DeviceInviteTopic(acme, deviceID(fmt.Sprintf("carol@device%d", i))))
	}
	f.events.watch(notice.UserTopic(acme, carolID.User()))
	got := parallel(calls...)
	if got[protocol.StatusOK]+got[sessionOver] != len(calls) {
		t.Errorf("outcomes %v", got)
	}
	events := f.events.bodies()
	if len(events) != got[protocol.StatusOK] {
		t.Errorf("%d events for %d commands", len(events), got[protocol.StatusOK])
	}
	if last := events[len(events)-1]; last != (event.Body)(notice.UserRevoked{User: carolID.User()}) {
		t.Errorf("%v was committed after the revocation", last)
	}
	for _, author := range []*rules.Author{carol, f.author(acme, carolID, parsec.ProfileAdmin)} {
		if got := status(f.DeviceCreate(t.Context(), author, f.deviceCreation(author, deviceID("carol@late")).request())); got != sessionOver {
			t.Errorf("afterwards: %s", got)
		}
	}
}

// TestInvariant15OrganizationsAreApart gives two organizations the same users.
func TestInvariant15OrganizationsAreApart(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	token := f.createOrganization(other)
	f.ok(f.OrganizationBootstrap(ctx, f.anonymous(other), f.bootstrapRequest(token)))
	otherAlice := f.author(other, aliceID, parsec.ProfileAdmin)
	if got := status(f.UserGet(ctx, otherAlice, &protocol.UserGetRequest{UserID: bobID.User()})); got != protocol.StatusNotFound {
		t.Errorf("bob seen from the other organization: %s", got)
	}
	f.createUser(otherAlice, bobID, parsec.ProfileStandard)
	f.ok(f.UserRevoke(ctx, otherAlice, f.revocation(otherAlice, bobID.User())))
	f.send(other, aliceID.User(), "elsewhere")
	f.storeData(other)
	f.expire(other)
	if events := f.events.take(); len(events) > 0 {
		t.Errorf("the other organization publishes here: %v", events)
	}

	f.ok(f.DeviceCreate(ctx, f.bob(), f.deviceCreation(f.bob(), bob2ID).request()))
	messages, err := f.MessageGet(ctx, f.alice(), &protocol.MessageGetRequest{})
	if err != nil || len(messages.Messages) > 0 {
		t.Errorf("messages %v (%v)", messages, err)
	}
	stats, err := f.OrganizationStats(ctx, f.alice(), &protocol.OrganizationStatsRequest{})
	if err != nil || stats.Users != 3 || stats.ActiveUsers != 3 || stats.Realms != 0 || stats.DataSize != 0 || stats.MetadataSize != 0 {
		t.Errorf("statistics %+v (%v)", stats, err)
	}
	humans, err := f.HumanFind(ctx, f.alice(), &protocol.HumanFindRequest{Page: 1, PerPage: 100})
	if err != nil || humans.Total != 3 {
		t.Errorf("humans %+v (%v)", humans, err)
	}
	if got := status(f.UserCreate(ctx, otherAlice, f.userCreation(otherAlice, carolID, parsec.ProfileStandard).request())); got != sessionOver {
		t.Errorf("in the expired organization: %s", got)
	}
}

// TestInvariant16OutsidersLearnNoName looks for the names in the certificates.
func TestInvariant16OutsidersLearnNoName(t *testing.T) {
	f := newFixture(t)
	carol := f.createUser(f.alice2(), carolID, parsec.ProfileAdmin)
	f.createUser(carol, deviceID("dave@laptop"), parsec.ProfileStandard)
	for _, name := range []string{"alice", "bob", "mallory", "carol", "dave"} {
		reply, err := f.UserGet(t.Context(), f.mallory(), &protocol.UserGetRequest{UserID: userID(name)})
		if err != nil {
			t.Fatal(err)
		}
		for _, signed := range append(append([][]byte{reply.UserCertificate}, reply.DeviceCertificates...),
			append(reply.Trustchain.Users, reply.Trustchain.Devices...)...) {
			if text := inflate(t, signed); strings.Contains(text, "@example.com") || strings.Contains(text, "label of") {
				t.Errorf("%s: an outsider reads %q", name, text)
			}
		}
	}
}

// inflate returns the msgpack inside of a certificate.
func inflate(t *testing.T, signed []byte) string {
	t.Helper()
	reader, err := zlib.NewReader(bytes.NewReader(signed[ed25519.SignatureSize:]))
	if err != nil {
		t.Fatal(err)
	}
	return string(must(io.ReadAll(reader)))
}

// TestInvariant17CertificatesComeBack compares what is stored and returned
// with what was sent; TestUserCreate and the others show that a certificate by
// another key is refused.
func TestInvariant17CertificatesComeBack(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	user := f.userCreation(f.alice(), carolID, parsec.ProfileStandard).request()
	f.ok(f.UserCreate(ctx, f.alice(), user))
	carol := f.author(acme, carolID, parsec.ProfileStandard)
	device := f.deviceCreation(carol, deviceID("carol@phone")).request()
	f.ok(f.DeviceCreate(ctx, carol, device))
	revocation := f.revocation(f.alice(), carolID.User())
	f.ok(f.UserRevoke(ctx, f.alice(), revocation))

	full, err := f.UserGet(ctx, f.bob(), &protocol.UserGetRequest{UserID: carolID.User()})
	if err != nil {
		t.Fatal(err)
	}
	redacted, err := f.UserGet(ctx, f.mallory(), &protocol.UserGetRequest{UserID: carolID.User()})
	if err != nil {
		t.Fatal(err)
	}
	checkSet(t, "full", append(full.DeviceCertificates, full.UserCertificate, full.RevokedUserCertificate),
		[][]byte{user.UserCertificate, user.DeviceCertificate, device.DeviceCertificate, revocation.RevokedUserCertificate})
	checkSet(t, "redacted", append(redacted.DeviceCertificates, redacted.UserCertificate, redacted.RevokedUserCertificate),
		[][]byte{
			user.RedactedUserCertificate, user.RedactedDeviceCertificate, device.RedactedDeviceCertificate,
			revocation.RevokedUserCertificate,
		})
}
