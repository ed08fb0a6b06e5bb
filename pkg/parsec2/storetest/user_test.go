package storetest

import (
	"cmp"
	"fmt"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var userChecks = []check{
	{"users and devices of a transaction", usersOfTransaction},
	{"revocation", revocation},
	{"freezing", freezing},
	{"e-mails", humans},
	{"counts", userCounts},
	{"trustchain", trustchain},
	{"order of users and devices", orderOfUsers},
	{"facts are copies", userCopies},
	{"user by e-mail", userByEmail},
	{"trustchains of other organizations", trustchainsApart},
}

func usersOfTransaction(f *fixture) {
	f.bootstrap()
	plain := rules.User{ID: bob, Profile: parsec.ProfileStandard, Certificate: []byte("c"), RedactedCertificate: []byte("c"), CreatedOn: at(5)}
	bare := rules.Device{ID: bobOne, VerifyKey: parsec.VerifyKey{9}, Certificate: []byte("c"), RedactedCertificate: []byte("c"), Certifier: aliceOne, CreatedOn: at(5)}
	f.update(onOrganization(), func(tx rules.Tx) error {
		tx.CreateUser(plain)
		tx.CreateDevice(bare)
		_, found, err := tx.User(f.Context(), bob)
		if err != nil {
			return err
		}
		equal(f, "effect seen before the end of its rule", found, false)
		_, found, err = tx.Device(f.Context(), bobOne)
		if err != nil {
			return err
		}
		equal(f, "effect seen before the end of its rule", found, false)
		return nil
	})
	f.update(onOrganization(), func(tx rules.Tx) error {
		user, found, err := tx.User(f.Context(), bob)
		if err != nil {
			return err
		}
		equal(f, "user found", found, true)
		equal(f, "user", user, &plain)
		device, found, err := tx.Device(f.Context(), bobOne)
		if err != nil {
			return err
		}
		equal(f, "device found", found, true)
		equal(f, "device", device, &bare)
		_, found, err = tx.User(f.Context(), carol)
		if err != nil {
			return err
		}
		equal(f, "unknown user found", found, false)
		_, found, err = tx.Device(f.Context(), deviceID("bob@two"))
		if err != nil {
			return err
		}
		equal(f, "unknown device found", found, false)
		return nil
	})
	for _, test := range []struct {
		author parsec.DeviceID
		found  bool
	}{{bobOne, true}, {deviceID("bob@two"), false}, {carolOne, false}, {parsec.DeviceID{}, false}} {
		f.update(rules.Scope{Author: test.author}, func(tx rules.Tx) error {
			user, found := tx.Author()
			equal(f, "author found for "+test.author.String(), found, test.found)
			if found {
				equal(f, "author", user, &plain)
			}
			return nil
		})
	}
}

// user reads a user that must exist.
func (f *fixture) user(id parsec.UserID) rules.User {
	f.Helper()
	facts, found, err := f.store.UserAndDevices(f.Context(), f.organization, id)
	f.no(err)
	if !found {
		f.Fatalf("user %v not found", id)
	}
	return facts.User
}

func revocation(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	given := rules.Revocation{Certificate: []byte("revoked"), Certifier: aliceOne, On: at(7)}
	f.revoke(bob, given)
	clear(given.Certificate)
	want := newUser(bob, parsec.ProfileStandard, aliceOne)
	want.Revocation = &rules.Revocation{Certificate: []byte("revoked"), Certifier: aliceOne, On: at(7)}
	equal(f, "revoked user", f.user(bob), want)
	f.update(rules.Scope{Author: bobOne}, func(tx rules.Tx) error {
		author, found := tx.Author()
		equal(f, "revoked author found", found, true)
		equal(f, "revoked author", author, &want)
		return nil
	})
	equal(f, "other user", f.user(alice).Revocation, nil)
}

func freezing(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	for _, frozen := range []bool{true, true, false, true} {
		f.queue(onOrganization(), func(tx rules.Tx) { tx.FreezeUser(bob, frozen) })
		equal(f, "frozen", f.user(bob).Frozen, frozen)
		equal(f, "other user frozen", f.user(alice).Frozen, false)
	}
}

func humans(f *fixture) {
	f.bootstrap()
	taken := func(email string, want bool) {
		f.Helper()
		f.update(onOrganization(), func(tx rules.Tx) error {
			got, err := tx.HumanTaken(f.Context(), email)
			if err != nil {
				return err
			}
			equal(f, email+" taken", got, want)
			return nil
		})
	}
	taken("alice@example.com", true)
	taken("Alice@example.com", false)
	taken("bob@example.com", false)
	taken("", false)
	f.enrol(parsec.ProfileStandard, bob)
	taken("bob@example.com", true)
	f.revoke(bob, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(9)})
	taken("bob@example.com", false)

	// Another user of the same human, with another label.
	again := newUser(userID("bob2"), parsec.ProfileStandard, aliceOne)
	again.HumanHandle = must(parsec.ParseHumanHandle("bob@example.com", "Robert"))
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateUser(again) })
	taken("bob@example.com", true)
	equal(f, "handle of the first user", f.user(bob).HumanHandle.Label(), "Bob")
	equal(f, "handle of the second user", f.user(again.ID).HumanHandle.Label(), "Robert")

	// Users without handle are nobody's.
	plain := newUser(carol, parsec.ProfileStandard, aliceOne)
	plain.HumanHandle = parsec.HumanHandle{}
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateUser(plain) })
	taken("", false)
	f.revoke(carol, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(9)})
	taken("bob@example.com", true)
}

func userCounts(f *fixture) {
	f.bootstrap()
	revoke := func(id string) func(rules.Tx) {
		return func(tx rules.Tx) {
			tx.RevokeUser(userID(id), rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(1 << 20)})
		}
	}
	freeze := func(id string, frozen bool) func(rules.Tx) {
		return func(tx rules.Tx) { tx.FreezeUser(userID(id), frozen) }
	}
	create := func(id string, profile parsec.UserProfile) func(rules.Tx) {
		return func(tx rules.Tx) { tx.CreateUser(newUser(userID(id), profile, aliceOne)) }
	}
	type counts map[parsec.UserProfile]uint64
	for _, step := range []struct {
		name                  string
		effect                func(rules.Tx)
		users, administrators uint64
		active, revoked       counts
	}{
		{"nothing", func(rules.Tx) {}, 1, 1, counts{"ADMIN": 1}, nil},
		{"create bob", create("bob", parsec.ProfileStandard), 2, 1, counts{"ADMIN": 1, "STANDARD": 1}, nil},
		{"create mallory", create("mallory", parsec.ProfileOutsider), 3, 1, counts{"ADMIN": 1, "STANDARD": 1, "OUTSIDER": 1}, nil},
		{"create adam", create("adam", parsec.ProfileAdmin), 4, 2, counts{"ADMIN": 2, "STANDARD": 1, "OUTSIDER": 1}, nil},
		{"freeze bob", freeze("bob", true), 4, 2, counts{"ADMIN": 2, "STANDARD": 1, "OUTSIDER": 1}, nil},
		{"freeze adam", freeze("adam", true), 4, 1, counts{"ADMIN": 2, "STANDARD": 1, "OUTSIDER": 1}, nil},
		{"freeze adam again", freeze("adam", true), 4, 1, counts{"ADMIN": 2, "STANDARD": 1, "OUTSIDER": 1}, nil},
		{"unfreeze adam", freeze("adam", false), 4, 2, counts{"ADMIN": 2, "STANDARD": 1, "OUTSIDER": 1}, nil},
		{"revoke bob", revoke("bob"), 3, 2, counts{"ADMIN": 2, "OUTSIDER": 1}, counts{"STANDARD": 1}},
		{"unfreeze bob", freeze("bob", false), 3, 2, counts{"ADMIN": 2, "OUTSIDER": 1}, counts{"STANDARD": 1}},
		{"revoke mallory", revoke("mallory"), 2, 2, counts{"ADMIN": 2}, counts{"STANDARD": 1, "OUTSIDER": 1}},
		{"revoke adam", revoke("adam"), 1, 1, counts{"ADMIN": 1}, counts{"ADMIN": 1, "STANDARD": 1, "OUTSIDER": 1}},
		{"freeze alice", freeze("alice", true), 1, 0, counts{"ADMIN": 1}, counts{"ADMIN": 1, "STANDARD": 1, "OUTSIDER": 1}},
	} {
		f.queue(onOrganization(), step.effect)
		f.update(onOrganization(), func(tx rules.Tx) error {
			users, administrators, err := tx.ActiveUsers(f.Context())
			if err != nil {
				return err
			}
			equal(f, step.name+": active users", users, step.users)
			equal(f, step.name+": active administrators", administrators, step.administrators)
			return nil
		})
		statistics := f.statistics(nil)
		for _, profile := range parsec.UserProfiles {
			equal(f, step.name+": active "+string(profile), statistics.Active[profile], step.active[profile])
			equal(f, step.name+": revoked "+string(profile), statistics.Revoked[profile], step.revoked[profile])
		}
	}
}

// trustchain has alice, signed by the root key, who certified adam; adam
// certified bob, and bob its second device. Carol, certified by alice, was
// revoked by adam, who was then revoked by alice. Zoe, certified by carol, was
// revoked by bob's second device.
func trustchain(f *fixture) {
	adam, adamOne, bobTwo, aliceTwo, zoe := userID("adam"), deviceID("adam@one"), deviceID("bob@a-second"), deviceID("alice@a-second"), userID("zoe")
	f.bootstrap()
	f.queue(onOrganization(), func(tx rules.Tx) {
		tx.CreateUser(newUser(adam, parsec.ProfileAdmin, aliceOne))
		tx.CreateDevice(newDevice(adamOne, aliceOne))
		tx.CreateUser(newUser(bob, parsec.ProfileStandard, adamOne))
		tx.CreateDevice(newDevice(bobOne, adamOne))
		tx.CreateDevice(newDevice(bobTwo, bobOne))
		tx.CreateUser(newUser(carol, parsec.ProfileAdmin, aliceOne))
		tx.CreateDevice(newDevice(carolOne, aliceOne))
		tx.CreateUser(newUser(zoe, parsec.ProfileStandard, carolOne))
	})
	f.revoke(zoe, rules.Revocation{Certificate: []byte("revoked zoe"), Certifier: bobTwo, On: at(5)})
	f.revoke(carol, rules.Revocation{Certificate: []byte("revoked carol"), Certifier: adamOne, On: at(6)})

	for _, test := range []struct {
		user                              parsec.UserID
		devices, chainDevices, chainUsers []string
	}{
		{alice, []string{"alice@one"}, nil, nil},
		{adam, []string{"adam@one"}, []string{"alice@one"}, []string{"alice"}},
		{bob, []string{"bob@one", "bob@a-second"}, []string{"adam@one", "alice@one", "bob@one"}, []string{"adam", "alice", "bob"}},
		{carol, []string{"carol@one"}, []string{"adam@one", "alice@one"}, []string{"adam", "alice"}},
		{zoe, nil, []string{"adam@one", "alice@one", "bob@a-second", "bob@one", "carol@one"}, []string{"adam", "alice", "bob", "carol"}},
	} {
		f.wantChain(test.user, test.devices, test.chainDevices, test.chainUsers)
	}

	// Revocations of the chain lead further.
	f.revoke(adam, rules.Revocation{Certificate: []byte("revoked adam"), Certifier: aliceTwo, On: at(7)})
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateDevice(newDevice(aliceTwo, aliceOne)) })
	f.wantChain(bob, []string{"bob@one", "bob@a-second"},
		[]string{"adam@one", "alice@a-second", "alice@one", "bob@one"}, []string{"adam", "alice", "bob"})
	f.wantChain(alice, []string{"alice@one", "alice@a-second"}, []string{"alice@one"}, []string{"alice"})
	_, found, err := f.store.UserAndDevices(f.Context(), f.organization, userID("nobody"))
	f.no(err)
	equal(f, "unknown user found", found, false)
}

func (f *fixture) wantChain(user parsec.UserID, devices, chainDevices, chainUsers []string) {
	f.Helper()
	facts, found, err := f.store.UserAndDevices(f.Context(), f.organization, user)
	f.no(err)
	equal(f, "user found", found, true)
	equal(f, "user", facts.User.ID, user)
	equalList(f, "devices of "+user.String(), deviceNames(facts.Devices), devices)
	followed, _ := rules.Follow(rules.Certifiers(&facts.User, facts.Devices), f.deviceOf, f.userOf)
	equalList(f, "devices that lead from "+user.String(), slices.Sorted(slices.Values(deviceNames(followed))), chainDevices)
	inChain := deviceNames(facts.ChainDevices)
	slices.Sort(inChain)
	equalList(f, "devices in the chain of "+user.String(), inChain, chainDevices)
	users := userNames(facts.ChainUsers)
	slices.Sort(users)
	equalList(f, "users in the chain of "+user.String(), users, chainUsers)
	for _, device := range slices.Concat(facts.Devices, facts.ChainDevices) {
		equal(f, "certificate of "+device.ID.String(), string(device.Certificate), "device "+device.ID.String())
	}
	for _, user := range facts.ChainUsers {
		equal(f, "certificate of "+user.ID.String(), string(user.Certificate), "user "+user.ID.String())
		if user.Revocation != nil {
			equal(f, "revocation of "+user.ID.String(), string(user.Revocation.Certificate), "revoked "+user.ID.String())
		}
	}
}

// deviceOf and userOf return nil for what does not exist.
func (f *fixture) deviceOf(id parsec.DeviceID) (device *rules.Device) {
	f.update(onOrganization(), func(tx rules.Tx) (err error) {
		device, _, err = tx.Device(f.Context(), id)
		return err
	})
	return device
}

func (f *fixture) userOf(id parsec.UserID) (user *rules.User) {
	f.update(onOrganization(), func(tx rules.Tx) (err error) {
		user, _, err = tx.User(f.Context(), id)
		return err
	})
	return user
}

func deviceNames(devices []rules.Device) []string {
	names := make([]string, len(devices))
	for i, device := range devices {
		names[i] = device.ID.String()
	}
	return names
}

func userNames(users []rules.User) []string {
	names := make([]string, len(users))
	for i, user := range users {
		names[i] = user.ID.String()
	}
	return names
}

// orderOfUsers creates users and devices in an order that is neither that of
// their names nor that of their dates.
func orderOfUsers(f *fixture) {
	f.bootstrap()
	create := func(userOrDevice ...string) {
		f.queue(onOrganization(), func(tx rules.Tx) {
			for i, name := range userOrDevice {
				user := newUser(userID(name), parsec.ProfileStandard, aliceOne)
				user.CreatedOn = at(100 - i)
				tx.CreateUser(user)
			}
		})
	}
	create("zoe", "Bob", "bob", "Zed")
	create("amy", "b-2")
	users, err := f.store.Users(f.Context(), f.organization)
	f.no(err)
	equalList(f, "users", userNames(users), []string{"Bob", "Zed", "alice", "amy", "b-2", "bob", "zoe"})

	var want []string
	for round := range 3 {
		f.queue(onOrganization(), func(tx rules.Tx) {
			for i, name := range []string{"m", "z", "a", "Q"} {
				for _, owner := range []string{"zoe", "bob"} {
					device := newDevice(deviceID(fmt.Sprintf("%s@%s%d", owner, name, 9-round)), aliceOne)
					device.CreatedOn = at((i * 7) % 5)
					tx.CreateDevice(device)
				}
			}
		})
		for _, name := range []string{"m", "z", "a", "Q"} {
			want = append(want, fmt.Sprintf("bob@%s%d", name, 9-round))
		}
	}
	facts, _, err := f.store.UserAndDevices(f.Context(), f.organization, bob)
	f.no(err)
	equalList(f, "devices of bob", deviceNames(facts.Devices), want)
}

func userCopies(f *fixture) {
	f.bootstrap()
	user, device := newUser(bob, parsec.ProfileStandard, aliceOne), newDevice(bobOne, aliceOne)
	f.queue(onOrganization(), func(tx rules.Tx) {
		tx.CreateUser(user)
		tx.CreateDevice(device)
	})
	for _, given := range [][]byte{user.Certificate, user.RedactedCertificate, device.Certificate, device.RedactedCertificate} {
		clear(given)
	}
	f.revoke(bob, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(5)})
	want := newUser(bob, parsec.ProfileStandard, aliceOne)
	want.Revocation = &rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(5)}

	spoil := func(user *rules.User) {
		user.Profile = parsec.ProfileAdmin
		user.Revocation.On++
	}
	facts, err := f.store.Authentication(f.Context(), f.organization, bobOne)
	f.no(err)
	spoil(facts.User)
	facts.Device.VerifyKey[0]++
	f.update(rules.Scope{Author: bobOne}, func(tx rules.Tx) error {
		author, _ := tx.Author()
		spoil(author)
		user, _, err := tx.User(f.Context(), bob)
		if err != nil {
			return err
		}
		spoil(user)
		device, _, err := tx.Device(f.Context(), bobOne)
		if err != nil {
			return err
		}
		device.VerifyKey[0]++
		return nil
	})
	found, _, err := f.store.FindUsers(f.Context(), f.organization, rules.UserQuery{Limit: 100})
	f.no(err)
	for i := range found {
		if found[i].ID == bob {
			spoil(&found[i])
		}
	}
	again, _, err := f.store.UserAndDevices(f.Context(), f.organization, bob)
	f.no(err)
	equal(f, "user", again.User, want)
	equalList(f, "devices", again.Devices, []rules.Device{newDevice(bobOne, aliceOne)})
}

// sortedUsers sorts ids that a store returns in any order.
func sortedUsers(users []parsec.UserID) []parsec.UserID {
	return slices.SortedFunc(slices.Values(users), func(a, b parsec.UserID) int { return cmp.Compare(a.String(), b.String()) })
}

func userByEmail(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	want := func(email string, id parsec.UserID, expected bool) {
		f.Helper()
		f.update(onOrganization(), func(tx rules.Tx) error {
			user, found, err := tx.UserByEmail(f.Context(), email)
			equal(f, email+" found", found, expected)
			if found {
				equal(f, email, user.ID, id)
			}
			return err
		})
	}
	want("bob@example.com", bob, true)
	want("BOB@example.com", bob, false)
	want("nobody@example.com", bob, false)
	f.revoke(bob, rules.Revocation{Certificate: []byte("r"), Certifier: aliceOne, On: at(40)})
	want("bob@example.com", bob, false)
	again := newUser(carol, parsec.ProfileStandard, aliceOne)
	again.HumanHandle = must(parsec.ParseHumanHandle("bob@example.com", "Bob"))
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateUser(again) })
	want("bob@example.com", carol, true)
}

// trustchainsApart has alice certified by carol in the other organization only.
func trustchainsApart(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob, carol)
	other := f.another()
	other.queue(onOrganization(), func(tx rules.Tx) {
		tx.PutOrganization(rules.Organization{ID: other.organization, CreatedOn: at(0)})
		tx.CreateUser(newUser(carol, parsec.ProfileAdmin, parsec.DeviceID{}))
		tx.CreateDevice(newDevice(carolOne, parsec.DeviceID{}))
		tx.CreateUser(newUser(alice, parsec.ProfileAdmin, carolOne))
		tx.CreateDevice(newDevice(aliceOne, carolOne))
	})
	f.wantChain(bob, []string{"bob@one"}, []string{"alice@one"}, []string{"alice"})
	other.wantChain(alice, []string{"alice@one"}, []string{"carol@one"}, []string{"carol"})
}
