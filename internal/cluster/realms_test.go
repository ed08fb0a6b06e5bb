//go:build !without_postgresql

package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// The invariants of docs/protocol/commands.md §10 on realms, roles, archiving
// and messages.

// roles returns the certificates of a realm, which replay as clients replay
// them (invariant 22), and what they end with.
func (c *cluster) roles(realm parsec.RealmID, members ...*member) (certificates [][]byte, roles map[parsec.UserID]parsec.RealmRole) {
	c.t.Helper()
	users := []*testclient.VerifiedUser{}
	for _, m := range members {
		reply := ask(c, c.alice.on[1], protocol.UserGet, &protocol.UserGetRequest{UserID: m.id()})
		user, err := testclient.VerifyTrustchain(c.alice.device.RootVerifyKey, m.id(), reply)
		if err != nil {
			c.t.Fatal(err)
		}
		users = append(users, user)
	}
	for _, m := range members {
		reply, err := parsec2.Call(c.ctx, m.on[1], protocol.RealmGetRoleCertificates, &protocol.RealmGetRoleCertificatesRequest{RealmID: realm})
		if err != nil {
			continue // It has no role.
		}
		if roles, err = testclient.VerifyRealmRoles(realm, users, reply.Certificates); err != nil {
			c.t.Fatal(err)
		}
		return reply.Certificates, roles
	}
	c.t.Fatal("nobody has a role")
	return nil, nil
}

func invariant18RealmCreatedOnce(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	for range rounds / 2 {
		realm := parsec.RealmID(parsec.NewUUID())
		got := c.race(repeat(6, func(i, process int) call {
			author := []*member{c.alice, bob}[i/2%2]
			return send(author.on[process], protocol.RealmCreate, must(author.device.NewRealm(realm, now())))
		})...)
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 5})
		if certificates, _ := c.roles(realm, c.alice, bob); len(certificates) != 1 {
			c.t.Fatalf("%d role certificates", len(certificates))
		}
	}
}

// invariant19RolesOfOneUserAreSerial covers invariant 28 too: the role comes
// with a message.
func invariant19RolesOfOneUserAreSerial(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	for round := range rounds {
		realm := c.alice.addRealm()
		grants := func(process int) call {
			request := must(c.alice.device.UpdateRole(realm, bob.id(), parsec.RoleReader, now()))
			request.RecipientMessage = []byte("message")
			return send(c.alice.on[process], protocol.RealmUpdateRoles, request)
		}
		c.wantEither(c.race(grants(0), grants(1)),
			order{protocol.StatusOK, protocol.StatusAlreadyGranted},
			order{protocol.StatusAlreadyGranted, protocol.StatusOK})
		date := now()
		got := c.race(
			c.alice.changesRole(0, realm, bob, parsec.RoleContributor, date), c.alice.changesRole(1, realm, bob, parsec.RoleNone, date))
		c.wantEither(got,
			order{protocol.StatusOK, protocol.StatusRequireGreaterTimestamp},
			order{protocol.StatusRequireGreaterTimestamp, protocol.StatusOK})
		if certificates, _ := c.roles(realm, c.alice, bob); len(certificates) != 3 {
			c.t.Fatalf("%d role certificates", len(certificates))
		}
		messages := ask(c, bob.on[1], protocol.MessageGet, &protocol.MessageGetRequest{}).Messages
		if len(messages) != round+1 {
			c.t.Fatalf("%d messages for %d grants", len(messages), round+1)
		}
	}
}

func invariant20RightsAtCommit(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	carol := c.addUser("carol@laptop", parsec.ProfileStandard)
	for range rounds {
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleManager)
		grant := bob.changesRole(1, realm, carol, parsec.RoleReader, now())
		got := c.race(c.alice.changesRole(0, realm, bob, parsec.RoleNone, now()), grant)
		c.wantEither(got,
			order{protocol.StatusOK, protocol.StatusNotAllowed},
			order{protocol.StatusOK, protocol.StatusOK})
		_, roles := c.roles(realm, c.alice, bob, carol)
		if given := roles[carol.id()] == parsec.RoleReader; given != (got[1] == protocol.StatusOK) {
			c.t.Fatalf("%v, and the role is given: %t", got, given)
		}
	}
}

func invariant21AnOwnerRemains(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	for range rounds {
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleOwner)
		got := c.race(
			c.alice.changesRole(0, realm, bob, parsec.RoleReader, now()), bob.changesRole(1, realm, c.alice, parsec.RoleReader, now()))
		c.wantEither(got,
			order{protocol.StatusOK, protocol.StatusNotAllowed},
			order{protocol.StatusNotAllowed, protocol.StatusOK})
		c.roles(realm, c.alice, bob)
	}
}

// invariant22RolesReplay has four users change each other's roles at random,
// archive and write, all at once, with clocks that differ.
func invariant22RolesReplay(c *cluster) {
	members := []*member{c.alice}
	for i := range 3 {
		members = append(members, c.addUser(fmt.Sprintf("user%d@laptop", i), parsec.ProfileStandard))
	}
	realm := c.alice.addRealm()
	for _, m := range members[1:] {
		c.alice.grant(realm, m, parsec.RoleOwner)
	}
	roles := []parsec.RealmRole{parsec.RoleNone, parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner, parsec.RoleOwner}
	random := rand.New(rand.NewPCG(1, 2))
	accepted := outcomes{}
	for range 25 {
		calls := repeat(8, func(i, process int) call {
			author := members[i/2]
			date := now().Add(time.Duration(random.IntN(20)-10) * time.Millisecond)
			switch random.IntN(8) {
			case 0:
				return author.createsVlob(process, realm, newVlobID(), date)
			case 1:
				available := protocol.ArchivingConfiguration{Type: parsec.ArchivingAvailable}
				return send(author.on[process], protocol.RealmUpdateArchiving, must(author.device.UpdateArchiving(realm, available, date)))
			default:
				target := members[(i/2+1+random.IntN(len(members)-1))%len(members)]
				return author.changesRole(process, realm, target, roles[random.IntN(len(roles))], date)
			}
		})
		for _, status := range c.race(calls...) {
			accepted[status]++
		}
	}
	c.roles(realm, members...)
	if accepted[protocol.StatusOK] < 50 {
		c.t.Errorf("got only %v", accepted)
	}
}

// invariant23WritesAndRemovals has one date for both, then writes without
// end; it covers invariant 29 too.
func invariant23WritesAndRemovals(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	for range rounds {
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleContributor)
		date := now()
		got := c.race(bob.createsVlob(0, realm, newVlobID(), date), c.alice.changesRole(1, realm, bob, parsec.RoleReader, date))
		c.wantEither(got,
			order{protocol.StatusOK, protocol.StatusRequireGreaterTimestamp},
			order{protocol.StatusNotAllowed, protocol.StatusOK})
	}
	for round := range rounds / 2 {
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleContributor)
		// Later than every write.
		removal := c.alice.changesRole(round%2, realm, bob, parsec.RoleNone, now().Add(time.Minute))
		c.nothingAfter(removal, protocol.StatusNotAllowed, []*member{bob},
			func(process int) call { return bob.createsVlob(process, realm, newVlobID(), now()) })
	}
}

func invariant24ChangesAndDemotions(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	carol := c.addUser("carol@laptop", parsec.ProfileStandard)
	for range rounds {
		for _, change := range []struct {
			by func(realm parsec.RealmID, date parsec.DateTime) call
			to parsec.RealmRole
		}{
			{func(realm parsec.RealmID, date parsec.DateTime) call {
				return bob.changesRole(0, realm, carol, parsec.RoleReader, date)
			}, parsec.RoleContributor},
			{func(realm parsec.RealmID, date parsec.DateTime) call { return bob.archives(0, realm, date) }, parsec.RoleManager},
		} {
			realm := c.alice.addRealm()
			c.alice.grant(realm, bob, parsec.RoleOwner)
			date := now()
			got := c.race(change.by(realm, date), c.alice.changesRole(1, realm, bob, change.to, date))
			c.wantEither(got,
				order{protocol.StatusOK, protocol.StatusRequireGreaterTimestamp},
				order{protocol.StatusNotAllowed, protocol.StatusOK})
		}
	}
}

// invariant25DatesNeverDecrease writes with many dates at once: a demotion
// must be later than the latest.
func invariant25DatesNeverDecrease(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	for range rounds / 2 {
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleContributor)
		dates := []parsec.DateTime{}
		got := c.race(repeat(8, func(_, process int) call {
			dates = append(dates, now().Add(time.Duration(rand.IntN(1000))*time.Millisecond))
			return bob.createsVlob(process, realm, newVlobID(), dates[len(dates)-1])
		})...)
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 8})
		highest := slices.Max(dates)
		c.wantEither(c.race(c.alice.changesRole(0, realm, bob, parsec.RoleReader, highest)), order{protocol.StatusRequireGreaterTimestamp})
		c.wantEither(c.race(c.alice.changesRole(1, realm, bob, parsec.RoleReader, highest+1)), order{protocol.StatusOK})
	}
}

// invariant26GrantsAndRevocations changes the role of a user without end in
// several realms, until it is revoked.
func invariant26GrantsAndRevocations(c *cluster) {
	phone := c.alice.addDevice("phone")
	for round := range rounds / 4 {
		bob := c.addUser(fmt.Sprintf("bob%d@laptop", round), parsec.ProfileStandard)
		grants := func() func(process int) call {
			realms := [2]parsec.RealmID{c.alice.addRealm(), c.alice.addRealm()}
			count := [2]int{}
			return func(process int) call {
				count[process]++
				role := []parsec.RealmRole{parsec.RoleReader, parsec.RoleContributor}[count[process]%2]
				return c.alice.changesRole(process, realms[process], bob, role, now())
			}
		}
		c.nothingAfter(phone.revokes(round%2, bob.id()), protocol.StatusUserRevoked, []*member{c.alice}, grants(), grants())
	}
}

func invariant30ArchivingIsSerial(c *cluster) {
	for range rounds / 2 {
		realm, date := c.alice.addRealm(), now()
		got := c.race(repeat(6, func(_, process int) call { return c.alice.archives(process, realm, date) })...)
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusRequireGreaterTimestamp: 5})
	}
}

func invariant31WritesAndArchiving(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	for round := range rounds / 2 {
		realm := c.alice.addRealm()
		c.alice.grant(realm, bob, parsec.RoleContributor)
		c.nothingAfter(c.alice.archives(round%2, realm, now()), protocol.StatusRealmArchived, []*member{bob},
			func(process int) call { return bob.createsVlob(process, realm, newVlobID(), now()) },
			func(process int) call {
				return send(bob.on[process], protocol.BlockCreate, &protocol.BlockCreateRequest{
					BlockID: parsec.BlockID(parsec.NewUUID()), RealmID: realm, Block: []byte("block"),
				})
			})
	}
}

// invariant50MessageNumbers sends to one user from many realms at once.
func invariant50MessageNumbers(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	listener := c.listen(1, bob)
	const sent = 40
	got := c.race(repeat(sent, func(_, process int) call {
		request := must(c.alice.device.UpdateRole(c.alice.addRealm(), bob.id(), parsec.RoleReader, now()))
		request.RecipientMessage = []byte("message")
		return send(c.alice.on[process], protocol.RealmUpdateRoles, request)
	})...)
	c.wantOutcomes(got, outcomes{protocol.StatusOK: sent})
	for count := uint64(1); count <= sent; {
		if received, isMessage := listener.next().(*protocol.MessageReceivedEvent); isMessage {
			if received.Index != count {
				c.t.Fatalf("event number %d says %d", count, received.Index)
			}
			count++
		}
	}
	for offset := range uint64(sent + 1) {
		messages := ask(c, bob.on[0], protocol.MessageGet, &protocol.MessageGetRequest{Offset: offset}).Messages
		if len(messages) != int(sent-offset) || len(messages) > 0 && messages[0].Count != offset+1 {
			c.t.Fatalf("after %d: %d messages, %+v", offset, len(messages), messages)
		}
	}
}
