//go:build !without_postgresql

package invariants3_test

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

func TestInvariant01ConcurrentBootstraps(t *testing.T)  { everywhere(t, concurrentBootstraps) }
func TestInvariant02CommonDatesIncrease(t *testing.T)   { everywhere(t, commonDatesIncrease) }
func TestInvariant03UserWithDevice(t *testing.T)        { everywhere(t, userWithDevice) }
func TestInvariant04IDsAreNeverReused(t *testing.T)     { everywhere(t, idsAreNeverReused) }
func TestInvariant05ActiveUsersLimit(t *testing.T)      { everywhere(t, activeUsersLimit) }
func TestInvariant06OneActiveUserPerEmail(t *testing.T) { everywhere(t, oneActiveUserPerEmail) }
func TestInvariant07NothingAfterRevocation(t *testing.T) {
	everywhere(t, nothingAfterRevocation)
}
func TestInvariant08OneRevocation(t *testing.T)            { everywhere(t, oneRevocation) }
func TestInvariant09AnAdministratorRemains(t *testing.T)   { everywhere(t, anAdministratorRemains) }
func TestInvariant10NobodyActsOnItself(t *testing.T)       { everywhere(t, nobodyActsOnItself) }
func TestInvariant11AuthorsAreAdministrators(t *testing.T) { everywhere(t, authorsAreAdministrators) }
func TestInvariant12RevocationIsLast(t *testing.T)         { everywhere(t, revocationIsLast) }
func TestInvariant13OutsidersDoNotManage(t *testing.T)     { everywhere(t, outsidersDoNotManage) }
func TestInvariant14OutsidersSeeRedacted(t *testing.T)     { everywhere(t, outsidersSeeRedacted) }
func TestInvariant15CertificatesComeBack(t *testing.T)     { everywhere(t, certificatesComeBack) }
func TestInvariant16OrganizationsAreApart(t *testing.T)    { everywhere(t, organizationsAreApart) }
func TestInvariant17CommonComesFirst(t *testing.T)         { everywhere(t, commonComesFirst) }

func commonDatesIncrease(w *world) {
	heard := w.alice.listen(1)
	bob, carol := w.addUser("bob", parsec.ProfileAdmin), w.addUser("carol", parsec.ProfileStandard)
	for range rounds {
		_, create := bob.creates(1, person("new"), parsec.ProfileStandard, now())
		_, another := w.alice.creates(0, person("new"), parsec.ProfileStandard, now())
		w.collide(create, another, carol.addsDevice(0, now()), w.alice.addsDevice(1, now()),
			bob.setsProfile(1, carol, parsec.ProfileOutsider, now()), w.alice.setsProfile(0, carol, parsec.ProfileStandard, now()))
	}
	last := parsec.DateTime(0)
	for _, event := range heard.all() {
		if common, is := event.(*protocol.CommonCertificateEvent); is {
			if common.Timestamp <= last {
				w.Fatalf("a certificate of %s is committed after one of %s", common.Timestamp, last)
			}
			last = common.Timestamp
		}
	}
	w.coherent(bob, carol)
}

func userWithDevice(w *world) {
	for range rounds / 2 {
		device := vocabulary.DeviceID(parsec.NewUUID())
		users := make([]vocabulary.UserID, 4)
		got := w.collide(each(len(users), func(i, instance int) call {
			users[i] = vocabulary.UserID(parsec.NewUUID())
			return w.alice.createsAs(instance, person("new"), users[i], device, anytime)
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusUserAlreadyExists: 3})
		known := w.coherent()
		for i, user := range users {
			if exists := known.User(user) != nil; exists != (got[i] == protocol.StatusOK) {
				w.Errorf("the user of a creation that ends with %s exists: %t", got[i], exists)
			}
		}
	}
}

func idsAreNeverReused(w *world) {
	newDevice := func() vocabulary.DeviceID { return vocabulary.DeviceID(parsec.NewUUID()) }
	bob := w.addUser("bob", parsec.ProfileStandard)
	w.ok(w.alice.revokes(0, bob, anytime))
	w.want(protocol.StatusUserAlreadyExists, w.alice.createsAs(1, person("new"), bob.User, newDevice(), anytime))
	w.want(protocol.StatusUserAlreadyExists, w.alice.createsAs(1, person("new"), vocabulary.UserID(parsec.NewUUID()), bob.ID, anytime))
	for range rounds / 2 {
		user := vocabulary.UserID(parsec.NewUUID())
		got := w.collide(each(4, func(_, instance int) call {
			return w.alice.createsAs(instance, person("new"), user, newDevice(), anytime)
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusUserAlreadyExists: 3})
	}
	w.coherent()
}

func activeUsersLimit(w *world) {
	const free = 2
	for users := 1; users <= 1+free*rounds/2; users += free {
		limit := uint64(users + free)
		w.settle(organization.Change{ActiveUsersLimit: &organization.UsersLimit{Users: &limit}})
		got := w.collide(each(5, func(_, instance int) call {
			_, create := w.alice.creates(instance, person("new"), parsec.ProfileStandard, anytime)
			return create
		})...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: free, protocol.StatusActiveUsersLimitReached: 5 - free})
	}
	w.coherent()
}

func oneActiveUserPerEmail(w *world) {
	const email = "shared@example.com"
	var active *member
	for round := range rounds {
		var made []*member
		calls := each(4, func(_, instance int) call {
			user, create := w.alice.creates(instance, personWith(email, "shared"), parsec.ProfileStandard, anytime)
			made = append(made, user)
			return create
		})
		if active != nil && round%2 == 0 {
			w.ok(w.alice.revokes(0, active, anytime))
		} else if active != nil {
			calls = append(calls, w.alice.revokes(1, active, anytime)) // before, between or after the others
		}
		got := w.collide(calls...)
		known, alive := w.coherent(), 0
		for i, user := range made {
			if got[i] != protocol.StatusOK && got[i] != protocol.StatusHumanHandleAlreadyTaken {
				w.Fatalf("a creation ends with %s", got[i])
			}
			if got[i] == protocol.StatusOK && known.User(user.User).RevokedOn == nil {
				active = user
				alive++
			}
		}
		if alive > 1 || alive == 0 && round%2 == 0 {
			w.Fatalf("%d active users have one e-mail", alive)
		}
		if active != nil && known.User(active.User).RevokedOn != nil {
			active = nil
		}
	}
}

// nothingAfterRevocation has each command of a user meet its revocation: dated later, it
// is refused, or the revocation is.
func nothingAfterRevocation(w *world) {
	for name, prepare := range map[string]func(bob *member, realm parsec.RealmID, date parsec.DateTime) call{
		"user_create": func(bob *member, _ parsec.RealmID, date parsec.DateTime) call {
			_, create := bob.creates(1, person("new"), parsec.ProfileStandard, date)
			return create
		},
		"device_create": func(bob *member, _ parsec.RealmID, date parsec.DateTime) call { return bob.addsDevice(1, date) },
		"realm_create": func(bob *member, _ parsec.RealmID, date parsec.DateTime) call {
			return bob.createsRealm(1, newRealmID(), date)
		},
		"realm_rename": func(bob *member, realm parsec.RealmID, date parsec.DateTime) call {
			return bob.names(1, realm, 1, false, date)
		},
		"vlob_create": func(bob *member, realm parsec.RealmID, date parsec.DateTime) call {
			return bob.createsVlob(1, realm, newVlobID(), 1, date)
		},
		"shamir_recovery_setup": func(bob *member, _ parsec.RealmID, date parsec.DateTime) call {
			return bob.setsUp(1, date, w.alice)
		},
	} {
		w.inBothOrders(2, func() (call, call, func(first, second protocol.Status)) {
			bob := w.addUser("bob", parsec.ProfileAdmin)
			realm := bob.addRealm()
			date := now()
			return w.alice.revokes(0, bob, date), prepare(bob, realm, date+1), w.neverBoth("the revocation and a later " + name)
		})
	}
	// Everything that the user has is cut off, on both instances.
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := bob.addRealm()
	w.ok(bob.shares(0, realm, 1, w.alice, parsec.RoleOwner, anytime))
	streams := []*stream{bob.listen(0), bob.listen(1)}
	heard := w.alice.listen(1)
	date := w.nothingLater(bob, realm)
	for _, stream := range streams {
		stream.awaitEnd()
	}
	for instance := range bob.on {
		_, err := bob.on[instance].Events(w.ctx, "")
		if got := status(err); got != revoked {
			w.Errorf("a stream of a revoked user: %s", got)
		}
	}
	events := heard.all()
	at := place(events, commonAt(date))
	for i, event := range events {
		if vlob, is := event.(*protocol.VlobEvent); is && vlob.Author == bob.ID && i > at {
			w.Fatalf("a vlob of a revoked user is event %d, after the revocation, %d", i, at)
		}
	}
	w.coherent()
}

// nothingLater revokes bob while it writes through both instances, and returns the date
// of the revocation.
func (w *world) nothingLater(bob *member, realm parsec.RealmID) (date parsec.DateTime) {
	w.Helper()
	writes := each(2, func(_, instance int) call { return bob.createsVlob(instance, realm, newVlobID(), 1, anytime) })
	w.ok(writes...) // They are under way.
	ended := make(chan protocol.Status, len(writes))
	for instance := range bob.on {
		go func() {
			for {
				if got := status(bob.createsVlob(instance, realm, newVlobID(), 1, anytime)(w.ctx)); got != protocol.StatusOK {
					ended <- got
					return
				}
			}
		}()
	}
	w.ok(dated(w.alice.on[0], protocol.UserRevoke, anytime, func(on parsec.DateTime) (*protocol.UserRevokeRequest, error) {
		date = on
		return testclient3.RevokeUser(w.alice.Device, bob.User, on)
	}))
	for instance := range bob.on {
		w.want(revoked, bob.createsVlob(instance, realm, newVlobID(), 1, now()))
		w.want(revoked, bob.createsBlock(instance, realm, newBlockID(), 1, "block"))
	}
	for range writes {
		if got := <-ended; got != revoked {
			w.Errorf("a write meets the revocation with %s", got)
		}
	}
	return date
}

func oneRevocation(w *world) {
	for range rounds {
		bob := w.addUser("bob", parsec.ProfileStandard)
		got := w.collide(w.alice.revokes(0, bob, anytime), w.alice.revokes(1, bob, anytime))
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusUserAlreadyRevoked: 1})
		w.coherent() // with one certificate
	}
}

func anAdministratorRemains(w *world) {
	for round := range rounds {
		w := w.another()
		bob := w.addUser("bob", parsec.ProfileAdmin)
		if round%2 == 0 {
			got := w.collide(w.alice.revokes(0, bob, anytime), bob.revokes(1, w.alice, anytime))
			w.wantEither(got, serial(protocol.StatusOK, revoked), serial(revoked, protocol.StatusOK))
			continue
		}
		got := w.collide(w.alice.setsProfile(0, bob, parsec.ProfileStandard, anytime), bob.setsProfile(1, w.alice, parsec.ProfileStandard, anytime))
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusAuthorNotAllowed: 1})
		w.coherent(bob)
	}
}

func nobodyActsOnItself(w *world) {
	w.want(protocol.StatusInvalidCertificate, w.alice.revokes(0, w.alice, anytime))
	w.want(protocol.StatusInvalidCertificate, w.alice.setsProfile(1, w.alice, parsec.ProfileStandard, anytime))
	if known := w.coherent().User(w.alice.User); known.RevokedOn != nil || known.Profile() != parsec.ProfileAdmin {
		w.Error("alice is no active ADMIN")
	}
}

func authorsAreAdministrators(w *world) {
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob := w.addUser("bob", parsec.ProfileAdmin)
		date := now()
		_, create := bob.creates(1, person("new"), parsec.ProfileStandard, date+1)
		return w.alice.setsProfile(0, bob, parsec.ProfileStandard, date), create, w.neverBoth("a demotion and what its target signs later")
	})
	bob := w.addUser("bob", parsec.ProfileStandard)
	_, create := bob.creates(0, person("new"), parsec.ProfileStandard, anytime)
	w.want(protocol.StatusAuthorNotAllowed, create)
	w.coherent()
}

// revocationIsLast has a clock that is fast, and one that is right.
func revocationIsLast(w *world) {
	bob, carol := w.addUser("bob", parsec.ProfileStandard), w.addUser("carol", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleOwner, bob)

	// What bob has written where it is.
	written := ahead(60)
	w.ok(bob.createsVlob(0, realm, newVlobID(), 1, written))
	w.wantAfter(written, w.alice.revokes(1, bob, ahead(30)))

	// What bob has signed where it is no more.
	signed := ahead(90)
	w.ok(bob.names(1, realm, 1, false, signed), w.alice.unshares(0, realm, bob, ahead(100)))
	w.wantAfter(signed, w.alice.revokes(0, bob, ahead(80)))
	w.ok(w.alice.revokes(1, bob, ahead(95)))

	// What was given to carol, and taken again.
	given := ahead(110)
	w.ok(w.alice.shares(1, realm, 1, carol, parsec.RoleReader, given), w.alice.unshares(0, realm, carol, ahead(130)))
	w.wantAfter(given, w.alice.revokes(1, carol, ahead(105)))

	// What was given to carol, and is there.
	given = ahead(200)
	w.ok(w.alice.shares(0, realm, 1, carol, parsec.RoleReader, given))
	w.wantAfter(given, w.alice.revokes(0, carol, ahead(150)))
	w.ok(w.alice.revokes(0, carol, ahead(210)))
	w.want(protocol.StatusRecipientRevoked, w.alice.shares(1, realm, 1, carol, parsec.RoleContributor, ahead(205)))
	w.want(protocol.StatusRecipientRevoked, w.alice.shares(1, realm, 1, carol, parsec.RoleContributor, ahead(220)))
	w.coherent()

	// What dave is to recover, and what it deletes.
	dave := w.addUser("dave", parsec.ProfileStandard)
	setUp, deleted := ahead(260), ahead(280)
	w.ok(w.alice.setsUp(1, setUp, dave))
	w.wantAfter(setUp, w.alice.revokes(0, dave, ahead(230)))
	w.ok(w.alice.deletesSetup(0, deleted))
	w.wantAfter(deleted, w.alice.revokes(1, dave, ahead(265)))
	w.ok(w.alice.revokes(0, dave, ahead(285)))
	w.coherent()

	w.roleAgainstRevocation()
	w.recoveryAgainstRevocation()
}

// recoveryAgainstRevocation has a revocation wait for whoever adds to the topic of Shamir
// recovery: of what is signed there, too, it is the last.
func (w *world) recoveryAgainstRevocation() {
	if w.stall == nil {
		return // in memory an organization has one transaction at a time
	}
	bob := w.addUser("bob", parsec.ProfileStandard)
	var done atomic.Int64
	var wait func() []protocol.Status
	w.no(w.store.Update(w.ctx, rules.Scope{Organization: w.organization, Shamir: rules.Exclusive}, func(rules.Tx) error {
		wait = w.start([]call{w.alice.revokes(0, bob, anytime)}, &done)
		if err := w.awaitLocks(1, &done); err != nil {
			return err
		}
		if done.Load() > 0 {
			w.Errorf("a revocation does not wait for who adds to the topic of Shamir recovery")
		}
		return nil
	}))
	w.wantOutcomes(wait(), outcomes{protocol.StatusOK: 1})
}

// roleAgainstRevocation has a role given later than the revocation of who gets it.
func (w *world) roleAgainstRevocation() {
	w = w.another()
	realm := w.alice.addRealm()
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob := w.addUser("bob", parsec.ProfileStandard)
		date := now()
		return w.alice.revokes(0, bob, date), w.alice.shares(1, realm, 1, bob, parsec.RoleReader, date+1), w.neverBoth("a revocation and a later role")
	})
	w.coherent()
}

func outsidersDoNotManage(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealm()
	given := ahead(60)
	w.ok(w.alice.shares(0, realm, 1, bob, parsec.RoleManager, given))
	w.wantAfter(given, w.alice.setsProfile(1, bob, parsec.ProfileOutsider, ahead(30)))
	w.ok(w.alice.unshares(1, realm, bob, ahead(70))) // That bob has left changes nothing.
	w.wantAfter(given, w.alice.setsProfile(0, bob, parsec.ProfileOutsider, ahead(30)))
	w.ok(w.alice.setsProfile(0, bob, parsec.ProfileOutsider, ahead(65)))
	w.want(protocol.StatusRoleIncompatibleWithOutsider, w.alice.shares(0, realm, 1, bob, parsec.RoleManager, ahead(80)))
	w.coherent(bob)

	w = w.another()
	realm = w.alice.addRealm()
	w.inBothOrders(rounds, func() (call, call, func(first, second protocol.Status)) {
		bob := w.addUser("bob", parsec.ProfileStandard)
		date := now()
		return w.alice.setsProfile(0, bob, parsec.ProfileOutsider, date), w.alice.shares(1, realm, 1, bob, parsec.RoleManager, date+1),
			w.neverBoth("a change to OUTSIDER and a later role that manages")
	})
	w.coherent()
}

// redactions counts the redacted common certificates that a member is given.
func (m *member) redactions() (redacted, all int) {
	m.w.Helper()
	reply := ask(m, 1, protocol.CertificateGet, testclient3.NewKnowledge(m.Device).After())
	for _, signed := range reply.CommonCertificates {
		for _, author := range []vocabulary.DeviceID{{}, m.w.alice.ID} {
			key := m.RootVerifyKey
			if author != (vocabulary.DeviceID{}) {
				key = m.w.alice.VerifyKey()
			}
			if user, err := certificate.LoadUser(signed, key, author); err == nil {
				all++
				if user.HumanHandle == user.Redacted().HumanHandle {
					redacted++
				}
			}
			if device, err := certificate.LoadDevice(signed, key, author); err == nil {
				all++
				if device.DeviceLabel == device.Redacted().DeviceLabel {
					redacted++
				}
			}
		}
	}
	return redacted, all
}

func outsidersSeeRedacted(w *world) {
	bob, mallory := w.addUser("bob", parsec.ProfileStandard), w.addUser("mallory", parsec.ProfileOutsider)
	wantRedacted := func(m *member, want bool) {
		w.Helper()
		const certificates = 6 // three users with a device each
		redacted, all := m.redactions()
		if all != certificates || redacted != 0 && !want || redacted != all && want {
			w.Errorf("%d of %d certificates are redacted, want all: %t", redacted, all, want)
		}
	}
	wantRedacted(w.alice, false)
	wantRedacted(bob, false)
	wantRedacted(mallory, true)
	w.ok(w.alice.setsProfile(0, bob, parsec.ProfileOutsider, anytime), w.alice.setsProfile(0, mallory, parsec.ProfileStandard, anytime))
	wantRedacted(bob, true)
	wantRedacted(mallory, false)
	w.coherent(bob, mallory)
}

func certificatesComeBack(w *world) {
	_, request, err := w.alice.NewUser(person("bob"), parsec.ProfileStandard, now())
	w.no(err)
	w.ok(send(w.alice.on[0], protocol.UserCreate, request))
	signed := must(testclient3.CertifyRole(w.alice.Device, newRealmID(), w.alice.User, parsec.RoleOwner, now()))
	w.ok(send(w.alice.on[0], protocol.RealmCreate, &protocol.RealmCreateRequest{RealmRoleCertificate: signed}))
	reply := ask(w.alice, 1, protocol.CertificateGet, testclient3.NewKnowledge(w.alice.Device).After())
	all := reply.CommonCertificates
	for _, certificates := range reply.RealmCertificates {
		all = append(all, certificates...)
	}
	for _, sent := range [][]byte{request.UserCertificate, request.DeviceCertificate, signed} {
		if !slices.ContainsFunc(all, func(stored []byte) bool { return bytes.Equal(stored, sent) }) {
			w.Error("a certificate does not come back as it was sent")
		}
	}
	// Signed by somebody else, or changed on the way.
	forger, _, err := w.alice.NewUser(person("forger"), parsec.ProfileAdmin, now())
	w.no(err)
	forger.ID = w.alice.ID
	forged := must(testclient3.CertifyRole(forger, newRealmID(), w.alice.User, parsec.RoleOwner, now()))
	spoilt := must(testclient3.CertifyRole(w.alice.Device, newRealmID(), w.alice.User, parsec.RoleOwner, now()))
	spoilt[len(spoilt)-1] ^= 1
	for _, bad := range [][]byte{forged, spoilt} {
		w.want(protocol.StatusInvalidCertificate, send(w.alice.on[1], protocol.RealmCreate, &protocol.RealmCreateRequest{RealmRoleCertificate: bad}))
	}
	w.coherent()
}

// organizationsAreApart has everything of one organization exist in another too, under
// the same ids.
func organizationsAreApart(w *world) {
	other := w.another()
	bob := w.addUser("bob", parsec.ProfileStandard)
	other.ok(other.alice.createsAs(0, person("twin"), bob.User, bob.ID, anytime))
	realm, vlob, block := newRealmID(), newVlobID(), newBlockID()
	heard := w.alice.listen(0)
	for i, in := range []*world{w, other} {
		content := []string{"of the first", "of the other"}[i]
		in.ok(
			in.alice.createsRealm(i, realm, anytime), in.alice.createsVlobWith(1-i, realm, vlob, 0, content, anytime),
			in.alice.createsBlock(i, realm, block, 0, content),
		)
	}
	for i, in := range []*world{w, other} {
		content := []string{"of the first", "of the other"}[i]
		read := in.alice.reads(i, realm, vlob)
		if len(read.Items) != 1 || string(read.Items[0].Blob) != content || read.Items[0].Author != in.alice.ID {
			w.Errorf("the vlob %s is read as %+v", content, read.Items)
		}
		if block := in.alice.readsBlock(1-i, realm, block).Block; string(block) != content {
			w.Errorf("the block %s is read as %s", content, block)
		}
	}
	other.ok(other.alice.names(0, realm, 0, false, anytime))
	for _, event := range heard.all() {
		switch told := event.(type) {
		case *protocol.RealmCertificateEvent:
			if told.Timestamp != ask(w.alice, 1, protocol.VlobReadBatch, &protocol.VlobReadBatchRequest{RealmID: realm}).NeededRealmCertificateTimestamp {
				w.Errorf("alice hears of %+v", told)
			}
		case *protocol.VlobEvent: // Hers are not told to her.
			w.Errorf("alice hears of %+v", told)
		}
	}
	// Nobody of one is anybody in the other.
	stranger := *w.alice.Device
	stranger.Organization = other.organization
	w.want(onHTTP(403), w.member(&stranger).createsRealm(0, newRealmID(), now()))
	// Nobody waits for the other either.
	got := w.collide(w.alice.names(0, realm, 0, false, anytime), other.alice.names(1, realm, 0, false, anytime))
	w.wantOutcomes(got, outcomes{protocol.StatusOK: 2})
	w.coherent()
	other.coherent()
}

// commonComesFirst polls while users are created and get roles at once.
func commonComesFirst(w *world) {
	bob := w.addUser("bob", parsec.ProfileStandard)
	realm := w.alice.addRealmWith(parsec.RoleReader, bob)
	stop := make(chan struct{})
	polled := make(chan error, 2)
	for instance := range bob.on {
		go func() {
			known := testclient3.NewKnowledge(bob.Device)
			var err error
			for err == nil {
				known, err = bob.learn(known, instance)
				select {
				case <-stop:
					polled <- err
					return
				default:
				}
			}
			polled <- err
		}()
	}
	for range 2 * rounds {
		user := w.addUser("new", parsec.ProfileStandard)
		w.ok(w.alice.shares(1, realm, 1, user, parsec.RoleReader, anytime))
	}
	close(stop)
	for range bob.on {
		if err := <-polled; err != nil {
			w.Errorf("poll: %v", err)
		}
	}
	if members := bob.knowledge(0).Realm(realm).Members(); len(members) != 2+2*rounds {
		w.Errorf("%d members", len(members))
	}
}
