//go:build !without_postgresql

package cluster_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// The invariants of docs/protocol/commands.md §10 on organizations and users.

func invariant01ConcurrentBootstraps(c *cluster) {
	address := c.create("Other")
	founders := make([]*member, 10)
	got := c.race(repeat(len(founders), func(i, process int) call {
		device, request, err := parsec2.NewOrganization(address, person(fmt.Sprintf("founder%d@laptop", i)), now())
		if err != nil {
			c.t.Fatal(err)
		}
		founders[i] = c.member(device)
		return send(c.clients[process].AnonymousRPC(address.Organization(), latest), protocol.OrganizationBootstrap, request)
	})...)
	c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyBootstrapped: 9})
	winner := founders[slices.Index(got, protocol.StatusOK)]
	c.wantUsers(winner, 1)
	if user := ask(c, winner.on[1], protocol.UserGet, &protocol.UserGetRequest{UserID: winner.id()}); len(user.DeviceCertificates) != 1 {
		c.t.Errorf("%d devices", len(user.DeviceCertificates))
	}
}

// wantUsers counts the active users, by the eyes of an administrator.
func (c *cluster) wantUsers(administrator *member, want uint64) {
	c.t.Helper()
	for _, commands := range administrator.on {
		if got := ask(c, commands, protocol.OrganizationStats, &protocol.OrganizationStatsRequest{}); got.ActiveUsers != want {
			c.t.Fatalf("%d active users, want %d", got.ActiveUsers, want)
		}
	}
}

func invariant02ConcurrentCreationsOfOneUser(c *cluster) {
	requests := make([]*protocol.UserCreateRequest, 10)
	got := c.race(repeat(len(requests), func(i, process int) call {
		carol := person(fmt.Sprintf("carol@laptop%d", i))
		carol.HumanHandle = must(parsec.ParseHumanHandle(fmt.Sprintf("carol%d@example.com", i), "Carol"))
		_, requests[i] = c.newUser(carol, parsec.ProfileStandard)
		return send(c.alice.on[process], protocol.UserCreate, requests[i])
	})...)
	c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 9})
	carol := ask(c, c.alice.on[0], protocol.UserGet, &protocol.UserGetRequest{UserID: deviceID("carol@laptop").User()})
	winner := requests[slices.Index(got, protocol.StatusOK)]
	if !bytes.Equal(carol.UserCertificate, winner.UserCertificate) || len(carol.DeviceCertificates) != 1 {
		c.t.Errorf("the user is not the winner's, with one device: %+v", carol)
	}
	c.wantUsers(c.alice, 2)
}

func (c *cluster) limit(process int, users uint64) {
	c.t.Helper()
	settings := client.OrganizationSettings{ActiveUsersLimit: &client.UsersLimit{Users: &users}}
	if err := c.administration(process).Update(c.ctx, c.alice.device.Organization, settings); err != nil {
		c.t.Fatal(err)
	}
}

// invariant03ActiveUsersLimit creates users by user_create and by the
// acceptance of enrollments.
func invariant03ActiveUsersLimit(c *cluster) {
	for round := range rounds / 4 {
		limit := uint64(1 + 3*(round+1))
		c.limit(round%2, limit)
		got := c.race(append(
			repeat(6, func(i, process int) call {
				_, request := c.newUser(person(fmt.Sprintf("user%d-%d@laptop", round, i)), parsec.ProfileStandard)
				return send(c.alice.on[process], protocol.UserCreate, request)
			}),
			repeat(6, func(i, process int) call {
				return c.acceptsEnrollment(process, person(fmt.Sprintf("enrolled%d-%d@laptop", round, i)))
			})...,
		)...)
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 3, protocol.StatusActiveUsersLimitReached: 9})
		c.wantUsers(c.alice, limit)
	}
}

// acceptsEnrollment has somebody submit an enrollment, and gives its
// acceptance by alice.
func (c *cluster) acceptsEnrollment(process int, person parsec2.Person) call {
	c.t.Helper()
	return c.submitsEnrollment(1-process, person)(process)
}

// submitsEnrollment returns a function that makes acceptances of it by alice,
// each another.
func (c *cluster) submitsEnrollment(process int, person parsec2.Person) func(process int) call {
	c.t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	card := testclient.Identity{Certificate: must(x509.ParseCertificate(der)), Key: key}
	_, submission, err := testclient.NewEnrollment(c.alice.device.Organization, card, "", person.Label)
	if err != nil {
		c.t.Fatal(err)
	}
	ask(c, c.clients[process].AnonymousRPC(c.alice.device.Organization, latest), protocol.PKIEnrollmentSubmit, submission)
	return func(process int) call {
		acceptance, err := testclient.AcceptEnrollment(c.alice.device, protocol.PKIEnrollmentItem{
			EnrollmentID: submission.EnrollmentID, SubmitterDERX509Certificate: submission.SubmitterDERX509Certificate,
			SubmitPayload: submission.SubmitPayload, SubmitPayloadSignature: submission.SubmitPayloadSignature,
		}, card, person, parsec.ProfileStandard, now())
		if err != nil {
			c.t.Fatal(err)
		}
		return send(c.alice.on[process], protocol.PKIEnrollmentAccept, acceptance)
	}
}

// invariant04LoweredLimit tells one process, and asks the other.
func invariant04LoweredLimit(c *cluster) {
	bob := c.addUser("bob@laptop", parsec.ProfileStandard)
	carol := c.addUser("carol@laptop", parsec.ProfileStandard)
	_, creation := c.newUser(person("dave@laptop"), parsec.ProfileStandard)
	create := send(c.alice.on[1], protocol.UserCreate, creation)
	c.limit(0, 2)
	c.wantUsers(c.alice, 3)
	for _, step := range []struct {
		revoked *member
		want    protocol.Status
	}{{bob, protocol.StatusActiveUsersLimitReached}, {carol, protocol.StatusOK}} {
		c.wantEither(c.race(create), order{protocol.StatusActiveUsersLimitReached})
		c.ok(c.alice.revokes(0, step.revoked.id()))
		c.wantEither(c.race(create), order{step.want})
	}
}

func invariant05OneActiveUserPerEmail(c *cluster) {
	n := 0
	sharing := func() parsec2.Person {
		n++
		person := person(fmt.Sprintf("user%d@laptop", n))
		person.HumanHandle = must(parsec.ParseHumanHandle("shared@example.com", "Somebody"))
		return person
	}
	creations := func() []call {
		return repeat(6, func(i, process int) call {
			if i < 3 {
				return c.acceptsEnrollment(process, sharing())
			}
			_, request := c.newUser(sharing(), parsec.ProfileStandard)
			return send(c.alice.on[process], protocol.UserCreate, request)
		})
	}
	holder := func() parsec.UserID {
		c.t.Helper()
		found := ask(c, c.alice.on[0], protocol.HumanFind, &protocol.HumanFindRequest{
			Query: "shared@example.com", OmitRevoked: true, Page: 1, PerPage: 10,
		})
		if found.Total != 1 {
			c.t.Fatalf("%d active users have the e-mail", found.Total)
		}
		return found.Results[0].UserID
	}
	c.wantOutcomes(c.race(creations()...), outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 5})
	for range rounds / 4 {
		first := holder()
		got := c.race(append(creations(), c.alice.revokes(1, first))...)
		accepted := len(slices.DeleteFunc(got[:6:6], func(s protocol.Status) bool { return s == protocol.StatusAlreadyExists }))
		switch {
		case got[6] != protocol.StatusOK || accepted > 1:
			c.t.Fatalf("got %v", got)
		case accepted == 1 && holder() == first:
			c.t.Fatal("the revoked user is still active")
		case accepted == 0: // All came before the revocation.
			c.wantOutcomes(c.race(creations()...), outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 5})
		}
	}
}

// invariant06IdsAreNeverReused creates a user again while it is revoked.
func invariant06IdsAreNeverReused(c *cluster) {
	for round := range rounds / 2 {
		bob := c.addUser(fmt.Sprintf("bob%d@laptop", round), parsec.ProfileStandard)
		_, again := c.newUser(person(fmt.Sprintf("bob%d@phone", round)), parsec.ProfileStandard)
		got := c.race(
			c.alice.revokes(0, bob.id()), send(c.alice.on[1], protocol.UserCreate, again), send(c.alice.on[0], protocol.UserCreate, again),
		)
		c.wantEither(got, order{protocol.StatusOK, protocol.StatusAlreadyExists, protocol.StatusAlreadyExists})
	}
}

// invariant07UserHasADevice reads by one process what the other creates.
func invariant07UserHasADevice(c *cluster) {
	for round := range rounds / 2 {
		carol, creation := c.newUser(person(fmt.Sprintf("carol%d@laptop", round)), parsec.ProfileStandard)
		read := func(ctx context.Context) error {
			for {
				user, err := parsec2.Call(ctx, c.alice.on[1], protocol.UserGet, &protocol.UserGetRequest{UserID: carol.id()})
				switch {
				case errors.Is(err, protocol.Refuse(protocol.StatusNotFound, "")):
				case err != nil:
					return err
				case len(user.DeviceCertificates) != 1:
					return fmt.Errorf("a user has %d devices", len(user.DeviceCertificates))
				default:
					return nil
				}
			}
		}
		c.wantOutcomes(c.race(read, read, send(c.alice.on[0], protocol.UserCreate, creation)), outcomes{protocol.StatusOK: 3})
	}
}

func invariant08ConcurrentCreationsOfOneDevice(c *cluster) {
	got := c.race(repeat(10, func(_, process int) call {
		_, request := c.alice.newDevice("phone")
		return send(c.alice.on[process], protocol.DeviceCreate, request)
	})...)
	c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 9})
	user := ask(c, c.alice.on[0], protocol.UserGet, &protocol.UserGetRequest{UserID: c.alice.id()})
	if len(user.DeviceCertificates) != 2 {
		c.t.Errorf("%d devices", len(user.DeviceCertificates))
	}
}

func invariant09ConcurrentRevocationsOfOneUser(c *cluster) {
	for round := range rounds {
		bob := c.addUser(fmt.Sprintf("bob%d@laptop", round), parsec.ProfileStandard)
		requests := []*protocol.UserRevokeRequest{}
		got := c.race(repeat(4, func(_, process int) call {
			request := must(c.alice.device.RevokeUser(bob.id(), now()))
			requests = append(requests, request)
			return send(c.alice.on[process], protocol.UserRevoke, request)
		})...)
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyRevoked: 3})
		stored := ask(c, c.alice.on[1], protocol.UserGet, &protocol.UserGetRequest{UserID: bob.id()}).RevokedUserCertificate
		if !bytes.Equal(stored, requests[slices.Index(got, protocol.StatusOK)].RevokedUserCertificate) {
			c.t.Fatal("the stored certificate is not the winner's")
		}
	}
}

func invariant11AnAdministratorRemains(c *cluster) {
	for round := range rounds / 2 {
		administrators := []*member{}
		for i := range 3 {
			administrators = append(administrators, c.addUser(fmt.Sprintf("admin%d-%d@laptop", round, i), parsec.ProfileAdmin))
		}
		// Everyone revokes everyone else at once; alice only watches.
		calls := []call{}
		for i, author := range administrators {
			for _, target := range administrators {
				if author != target {
					calls = append(calls, author.revokes(i%2, target.id()))
				}
			}
		}
		got := c.race(calls...)
		accepted := 0
		for _, status := range got {
			switch status {
			case protocol.StatusOK:
				accepted++
			case protocol.StatusAlreadyRevoked, sessionOver:
			default:
				c.t.Fatalf("got %v", got)
			}
		}
		if accepted != 2 {
			c.t.Fatalf("%d of 3 are revoked: %v", accepted, got)
		}
		c.wantUsers(c.alice, uint64(2+round))
	}
}

// invariant13RevokedAuthors has a user create and write without end, until it
// is revoked; it covers invariant 12 too.
func invariant13RevokedAuthors(c *cluster) {
	for round := range rounds / 4 {
		carol := c.addUser(fmt.Sprintf("carol%d@laptop", round), parsec.ProfileAdmin)
		realm := carol.addRealm()
		c.nothingAfter(c.alice.revokes(round%2, carol.id()), sessionOver, []*member{carol},
			func(process int) call {
				_, request := carol.newDevice(parsec.NewUUID().Hex())
				return send(carol.on[process], protocol.DeviceCreate, request)
			},
			func(process int) call {
				_, request, err := carol.device.NewUser(parsec2.Person{}, parsec.ProfileStandard, now())
				if err != nil {
					c.t.Error(err)
				}
				return send(carol.on[process], protocol.UserCreate, request)
			},
			func(process int) call { return carol.createsVlob(process, realm, newVlobID(), now()) },
		)
	}
}

func invariant14OneAcceptance(c *cluster) {
	for round := range rounds / 4 {
		accept := c.submitsEnrollment(1, person(fmt.Sprintf("carol%d@laptop", round)))
		got := c.race(accept(0), accept(1), accept(0))
		c.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusNoLongerAvailable: 2})
		c.wantUsers(c.alice, uint64(2+round))
	}
}
