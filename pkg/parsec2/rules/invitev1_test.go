package rules_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// invitationV1 is what the commands for users and those for devices have in
// common: alice invites carol, or bob invites his phone.
type invitationV1 struct {
	inviter func(*fixture) *rules.Author
	topic   func(parsec.OrganizationID) event.Topic
	claimed func(claim []byte) event.Body
	invite  func(ctx context.Context, f *fixture, author *rules.Author) ([]byte, error)
	cancel  func(ctx context.Context, f *fixture, author *rules.Author) error
	creator func(ctx context.Context, f *fixture, anonymous *rules.Anonymous) (*protocol.InvitationCreatorReply, error)
	// claim returns both fields of the reply.
	claim func(ctx context.Context, f *fixture, anonymous *rules.Anonymous, claim []byte) ([2][]byte, error)
	// create creates the invitee, and returns what the claim must return.
	create func(f *fixture) [2][]byte
}

var invitationsV1 = map[string]invitationV1{
	"user": {
		inviter: (*fixture).alice,
		topic:   func(o parsec.OrganizationID) event.Topic { return notice.UserInviteTopic(o, carolID.User()) },
		claimed: func(claim []byte) event.Body { return notice.UserClaimed{User: carolID.User(), EncryptedClaim: claim} },
		invite: func(ctx context.Context, f *fixture, author *rules.Author) ([]byte, error) {
			reply, err := f.UserInvite(ctx, author, &protocol.InvitedUserRequest{UserID: carolID.User()})
			if err != nil {
				return nil, err
			}
			return reply.EncryptedClaim, nil
		},
		cancel: func(ctx context.Context, f *fixture, author *rules.Author) error {
			_, err := f.UserCancelInvitation(ctx, author, &protocol.InvitedUserRequest{UserID: carolID.User()})
			return err
		},
		creator: func(ctx context.Context, f *fixture, anonymous *rules.Anonymous) (*protocol.InvitationCreatorReply, error) {
			return f.UserGetInvitationCreator(ctx, anonymous, &protocol.UserGetInvitationCreatorRequest{InvitedUserID: carolID.User()})
		},
		claim: func(ctx context.Context, f *fixture, anonymous *rules.Anonymous, claim []byte) ([2][]byte, error) {
			reply, err := f.UserClaim(ctx, anonymous, &protocol.UserClaimRequest{InvitedUserID: carolID.User(), EncryptedClaim: claim})
			if err != nil {
				return [2][]byte{}, err
			}
			return [2][]byte{reply.UserCertificate, reply.DeviceCertificate}, nil
		},
		create: func(f *fixture) [2][]byte {
			request := f.userCreation(f.alice(), carolID, parsec.ProfileStandard).requestV1()
			f.ok(f.UserCreateV1(f.t.Context(), f.alice(), request))
			return [2][]byte{request.UserCertificate, request.DeviceCertificate}
		},
	},
	"device": {
		inviter: (*fixture).bob,
		topic:   func(o parsec.OrganizationID) event.Topic { return notice.DeviceInviteTopic(o, bob2ID) },
		claimed: func(claim []byte) event.Body { return notice.DeviceClaimed{Device: bob2ID, EncryptedClaim: claim} },
		invite: func(ctx context.Context, f *fixture, author *rules.Author) ([]byte, error) {
			reply, err := f.DeviceInvite(ctx, author, &protocol.InvitedDeviceRequest{InvitedDeviceName: bob2ID.Name()})
			if err != nil {
				return nil, err
			}
			return reply.EncryptedClaim, nil
		},
		cancel: func(ctx context.Context, f *fixture, author *rules.Author) error {
			_, err := f.DeviceCancelInvitation(ctx, author, &protocol.InvitedDeviceRequest{InvitedDeviceName: bob2ID.Name()})
			return err
		},
		creator: func(ctx context.Context, f *fixture, anonymous *rules.Anonymous) (*protocol.InvitationCreatorReply, error) {
			return f.DeviceGetInvitationCreator(ctx, anonymous, &protocol.DeviceGetInvitationCreatorRequest{InvitedDeviceID: bob2ID})
		},
		claim: func(ctx context.Context, f *fixture, anonymous *rules.Anonymous, claim []byte) ([2][]byte, error) {
			reply, err := f.DeviceClaim(ctx, anonymous, &protocol.DeviceClaimRequest{InvitedDeviceID: bob2ID, EncryptedClaim: claim})
			if err != nil {
				return [2][]byte{}, err
			}
			return [2][]byte{reply.DeviceCertificate, reply.EncryptedAnswer}, nil
		},
		create: func(f *fixture) [2][]byte {
			request := f.deviceCreation(f.bob(), bob2ID).requestV1([]byte("answer"))
			f.ok(f.DeviceCreateV1(f.t.Context(), f.bob(), request))
			return [2][]byte{request.DeviceCertificate, request.EncryptedAnswer}
		},
	},
}

// forInvitationsV1 runs a test for users and for devices, each in a synctest
// bubble.
func forInvitationsV1(t *testing.T, test func(t *testing.T, f *fixture, i invitationV1)) {
	for name, i := range invitationsV1 {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, inMemory)
				f.events.watch(i.topic(acme), i.topic(other))
				test(t, f, i)
			})
		})
	}
}

// pending is a call that waits.
type pending[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// begin returns once the call waits or is over. It works in a synctest bubble.
func begin[T any](call func() (T, error)) *pending[T] {
	p := &pending[T]{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.value, p.err = call()
	}()
	synctest.Wait()
	return p
}

func (p *pending[T]) result() (T, error) {
	<-p.done
	return p.value, p.err
}

func (i invitationV1) beginInvite(ctx context.Context, f *fixture, author *rules.Author) *pending[[]byte] {
	return begin(func() ([]byte, error) { return i.invite(ctx, f, author) })
}

func (i invitationV1) beginClaim(ctx context.Context, f *fixture, organization parsec.OrganizationID, claim string) *pending[[2][]byte] {
	return begin(func() ([2][]byte, error) { return i.claim(ctx, f, f.anonymous(organization), []byte(claim)) })
}

// abandon leaves an invitation without inviter.
func (i invitationV1) abandon(f *fixture, author *rules.Author) {
	ctx, cancel := context.WithCancel(f.t.Context())
	p := i.beginInvite(ctx, f, author)
	cancel()
	<-p.done
}

func TestInvitationV1(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		ctx := t.Context()
		first := i.beginInvite(ctx, f, i.inviter(f))
		second := i.beginInvite(ctx, f, i.inviter(f))
		claim := i.beginClaim(ctx, f, acme, "claim")
		for _, p := range []*pending[[]byte]{first, second} {
			if got, err := p.result(); string(got) != "claim" || err != nil {
				t.Errorf("an inviter gets %q (%v)", got, err)
			}
		}
		want := i.create(f)
		if got, err := claim.result(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the claimer gets %q (%v), want %q", got, err, want)
		}
	})
}

// hastyStore has the other side answer before the call that triggers it
// returns.
type hastyStore struct {
	rules.Store
	answer func()
}

func (s *hastyStore) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	err := s.Store.Update(ctx, scope, rule)
	s.answer()
	return err
}

func (s *hastyStore) Publish(ctx context.Context, e event.Event) error {
	err := s.Store.Publish(ctx, e)
	s.answer()
	return err
}

// TestInvitationV1HastyAnswers needs waits that begin before what triggers
// their end.
func TestInvitationV1HastyAnswers(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		hasty := *f
		store := &hastyStore{Store: f.store}
		hasty.Rules = rules.New(store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{})

		store.answer = func() {
			f.ok(nil, f.store.Publish(t.Context(), event.Event{Organization: acme, Body: i.claimed([]byte("claim"))}))
			f.events.flush()
		}
		if got, err := i.invite(t.Context(), &hasty, i.inviter(f)); string(got) != "claim" || err != nil {
			t.Errorf("the inviter gets %q (%v)", got, err)
		}
		var want [2][]byte
		store.answer = func() {
			want = i.create(f)
			f.events.flush()
		}
		if got, err := i.claim(t.Context(), &hasty, f.anonymous(acme), nil); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the claimer gets %q (%v), want %q", got, err, want)
		}
	})
}

func TestInvitationV1Cancelled(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		i.abandon(f, i.inviter(f))
		claim := i.beginClaim(t.Context(), f, acme, "claim")
		if err := i.cancel(t.Context(), f, i.inviter(f)); err != nil {
			t.Fatal(err)
		}
		if got := status(claim.result()); got != protocol.StatusDenied {
			t.Errorf("the claimer gets %s", got)
		}
		f.events.take()
		if err := i.cancel(t.Context(), f, i.inviter(f)); err != nil {
			t.Errorf("cancelling again: %v", err)
		}
		if events := f.events.take(); len(events) > 0 {
			t.Errorf("cancelling nothing publishes %v", events)
		}
	})
}

func TestInvitationV1CancelledByAnotherAdministrator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, inMemory)
		i := invitationsV1["user"]
		dave := f.createUser(f.alice(), deviceID("dave@laptop"), parsec.ProfileAdmin)
		i.abandon(f, f.alice())
		claim := i.beginClaim(t.Context(), f, acme, "claim")
		if err := i.cancel(t.Context(), f, dave); err != nil {
			t.Fatal(err)
		}
		if got := status(claim.result()); got != protocol.StatusDenied {
			t.Errorf("the claimer gets %s", got)
		}
	})
}

// TestInvitationV1CancelledWhenCreated is the cancellation of a v1 client
// whose user_create was answered late.
func TestInvitationV1CancelledWhenCreated(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		i.abandon(f, i.inviter(f))
		i.create(f)
		if err := i.cancel(t.Context(), f, i.inviter(f)); err != nil {
			t.Error(err)
		}
	})
}

func TestInvitationV1Timeouts(t *testing.T) {
	const limit = 300 * time.Second
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		begun := time.Now()
		if got := status(i.invite(t.Context(), f, i.inviter(f))); got != protocol.StatusTimeout || time.Since(begun) != limit {
			t.Errorf("the inviter gets %s after %s", got, time.Since(begun))
		}
		begun = time.Now()
		if got := status(i.claim(t.Context(), f, f.anonymous(acme), nil)); got != protocol.StatusTimeout || time.Since(begun) != limit {
			t.Errorf("the claimer gets %s after %s", got, time.Since(begun))
		}
	})
}

func TestInvitationV1Refused(t *testing.T) {
	userInvite := func(f *fixture, author *rules.Author, id parsec.UserID) protocol.Status {
		return status(f.UserInvite(f.t.Context(), author, &protocol.InvitedUserRequest{UserID: id}))
	}
	userCancel := func(f *fixture, author *rules.Author) protocol.Status {
		return status(f.UserCancelInvitation(f.t.Context(), author, &protocol.InvitedUserRequest{UserID: carolID.User()}))
	}
	cases := map[string]struct {
		got  func(*fixture) protocol.Status
		want protocol.Status
	}{
		"user_invite 1 standard": {
			func(f *fixture) protocol.Status { return userInvite(f, f.bob(), bobID.User()) }, protocol.StatusNotAllowed,
		},
		"user_invite 1 outsider": {
			func(f *fixture) protocol.Status { return userInvite(f, f.mallory(), carolID.User()) }, protocol.StatusNotAllowed,
		},
		"user_invite 2 active": {
			func(f *fixture) protocol.Status { return userInvite(f, f.alice(), bobID.User()) }, protocol.StatusAlreadyExists,
		},
		"user_invite 2 revoked": {
			func(f *fixture) protocol.Status {
				f.revoke(bobID.User())
				return userInvite(f, f.alice(), bobID.User())
			}, protocol.StatusAlreadyExists,
		},
		"user_cancel_invitation 1 standard": {
			func(f *fixture) protocol.Status { return userCancel(f, f.bob()) }, protocol.StatusNotAllowed,
		},
		"user_cancel_invitation 1 outsider": {
			func(f *fixture) protocol.Status { return userCancel(f, f.mallory()) }, protocol.StatusNotAllowed,
		},
		"device_invite exists": {
			func(f *fixture) protocol.Status {
				return status(f.DeviceInvite(f.t.Context(), f.alice(), &protocol.InvitedDeviceRequest{InvitedDeviceName: alice2ID.Name()}))
			}, protocol.StatusAlreadyExists,
		},
		"device_invite by a revoked user": {
			func(f *fixture) protocol.Status {
				f.revoke(bobID.User())
				return status(f.DeviceInvite(f.t.Context(), f.bob(), &protocol.InvitedDeviceRequest{InvitedDeviceName: bob2ID.Name()}))
			}, sessionOver,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := c.got(newFixture(t)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestInvitationV1NotFound also checks that the claim is told to nobody.
func TestInvitationV1NotFound(t *testing.T) {
	cases := map[string]struct {
		before       func(f *fixture, i invitationV1)
		organization parsec.OrganizationID
		want         protocol.Status
	}{
		"valid for the last microsecond": {
			before: func(f *fixture, i invitationV1) {
				i.abandon(f, i.inviter(f))
				f.clock.advance(time.Hour - time.Microsecond)
			},
			organization: acme, want: protocol.StatusOK,
		},
		"never":                {organization: acme, want: protocol.StatusNotFound},
		"unknown organization": {organization: other, want: protocol.StatusNotFound},
		"expired": {
			before: func(f *fixture, i invitationV1) {
				i.abandon(f, i.inviter(f))
				f.clock.advance(time.Hour)
			},
			organization: acme, want: protocol.StatusNotFound,
		},
		"cancelled": {
			before: func(f *fixture, i invitationV1) {
				i.abandon(f, i.inviter(f))
				f.ok(nil, i.cancel(f.t.Context(), f, i.inviter(f)))
			},
			organization: acme, want: protocol.StatusNotFound,
		},
		"created": {
			before: func(f *fixture, i invitationV1) {
				i.abandon(f, i.inviter(f))
				i.create(f)
			},
			organization: acme, want: protocol.StatusNotFound,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
				if c.before != nil {
					c.before(f, i)
				}
				f.events.take()
				if got := status(i.creator(t.Context(), f, f.anonymous(c.organization))); got != c.want {
					t.Errorf("the creator: %s, want %s", got, c.want)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				claim := i.beginClaim(ctx, f, c.organization, "claim")
				published := f.events.bodies()
				if c.want == protocol.StatusOK {
					if want := []event.Body{i.claimed([]byte("claim"))}; !reflect.DeepEqual(published, want) {
						t.Errorf("published %v, want %v", published, want)
					}
					cancel()
					return
				}
				if got := status(claim.result()); got != c.want {
					t.Errorf("the claim: %s, want %s", got, c.want)
				}
				if len(published) > 0 {
					t.Errorf("published %v", published)
				}
			})
		})
	}
}

func TestInvitationV1Creator(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		inviter := i.inviter(f)
		i.abandon(f, inviter)
		want := &protocol.InvitationCreatorReply{
			UserCertificate:   f.certificates(false, inviter.User())[0],
			DeviceCertificate: f.deviceCertificates(false, inviter.Device)[0],
			Trustchain:        protocol.Trustchain{Devices: [][]byte{}, Users: [][]byte{}, RevokedUsers: [][]byte{}},
		}
		if inviter.Device == bobID {
			want.Trustchain.Devices = f.deviceCertificates(false, aliceID)
			want.Trustchain.Users = f.certificates(false, aliceID.User())
		}
		if got, err := i.creator(t.Context(), f, f.anonymous(acme)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	})
}

// TestInvitationV1CreatorReplaced has another user invite the same user. Its
// trustchain goes through both devices of dave, who certified it, and through
// frank, who revoked dave.
func TestInvitationV1CreatorReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, inMemory)
		daveID, dave2ID := deviceID("dave@laptop"), deviceID("dave@phone")
		erinID, frankID := deviceID("erin@laptop"), deviceID("frank@laptop")
		dave := f.createUser(f.alice2(), daveID, parsec.ProfileAdmin)
		f.ok(f.DeviceCreate(t.Context(), dave, f.deviceCreation(dave, dave2ID).request()))
		erin := f.createUser(f.author(acme, dave2ID, parsec.ProfileAdmin), erinID, parsec.ProfileAdmin)
		frank := f.createUser(f.alice(), frankID, parsec.ProfileAdmin)
		f.ok(f.UserRevoke(t.Context(), frank, f.revocation(frank, daveID.User())))
		i := invitationsV1["user"]
		i.abandon(f, f.alice())
		f.clock.advance(2 * time.Hour)
		i.abandon(f, erin)
		reply, err := i.creator(t.Context(), f, f.anonymous(acme))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(reply.UserCertificate, f.certificates(false, erinID.User())[0]) {
			t.Error("another creator")
		}
		checkSet(t, "chain devices", reply.Trustchain.Devices,
			f.deviceCertificates(false, dave2ID, daveID, alice2ID, aliceID, frankID))
		checkSet(t, "chain users", reply.Trustchain.Users,
			f.certificates(false, daveID.User(), aliceID.User(), frankID.User()))
		checkSet(t, "chain revocations", reply.Trustchain.RevokedUsers, f.revocations(daveID.User()))
	})
}

// TestInvitationV1KeepsNothingOfTheRequest changes the claim's memory, as the
// connection does with its buffer.
func TestInvitationV1KeepsNothingOfTheRequest(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		invite := i.beginInvite(t.Context(), f, i.inviter(f))
		ctx, cancel := context.WithCancel(t.Context())
		claim := []byte("claim")
		waiting := begin(func() ([2][]byte, error) { return i.claim(ctx, f, f.anonymous(acme), claim) })
		cancel()
		if _, err := waiting.result(); !errors.Is(err, context.Canceled) {
			t.Errorf("the abandoned claim ends with %v", err)
		}
		clear(claim)
		if got, err := invite.result(); string(got) != "claim" || err != nil {
			t.Errorf("the inviter gets %q (%v)", got, err)
		}
	})
}
