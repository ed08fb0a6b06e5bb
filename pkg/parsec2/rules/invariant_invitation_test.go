package rules_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// The invariants of docs/protocol/commands.md §10 on API 1 invitations.

// TestInvariant53EventsReachTheWaiters claims through rules of its own, as
// on another instance.
func TestInvariant53EventsReachTheWaiters(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		remote := *f
		remote.Rules = rules.New(f.store, f.blocks, f.bus, f.webhooks, f.clock.now, discard, rules.Options{})
		invite := i.beginInvite(t.Context(), f, i.inviter(f))
		claim := i.beginClaim(t.Context(), &remote, acme, "claim")
		if got, err := invite.result(); string(got) != "claim" || err != nil {
			t.Errorf("the inviter gets %q (%v)", got, err)
		}
		want := i.create(f)
		if got, err := claim.result(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the claimer gets %q (%v)", got, err)
		}
	})
}

func TestInvariant54InvitationsOfTwoOrganizations(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		token := f.createOrganization(other)
		f.ok(f.OrganizationBootstrap(t.Context(), f.anonymous(other), f.bootstrapRequest(token)))
		otherAlice := f.author(other, aliceID, parsec.ProfileAdmin)
		otherInviter := otherAlice
		if i.inviter(f).Device == bobID {
			otherInviter = f.createUser(otherAlice, bobID, parsec.ProfileStandard)
		}
		i.abandon(f, i.inviter(f))
		i.abandon(f, otherInviter)

		invite := i.beginInvite(t.Context(), f, i.inviter(f))
		claim := i.beginClaim(t.Context(), f, acme, "claim")
		otherClaim := i.beginClaim(t.Context(), f, other, "other claim")
		if got, err := invite.result(); string(got) != "claim" || err != nil {
			t.Errorf("the inviter gets %q (%v)", got, err)
		}
		if err := i.cancel(t.Context(), f, otherInviter); err != nil {
			t.Fatal(err)
		}
		if got := status(otherClaim.result()); got != protocol.StatusDenied {
			t.Errorf("the claimer of the cancelled invitation gets %s", got)
		}
		if got := status(i.creator(t.Context(), f, f.anonymous(acme))); got != protocol.StatusOK {
			t.Errorf("the invitation of the same id: %s", got)
		}
		want := i.create(f)
		if got, err := claim.result(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("the claimer of the same id gets %q (%v)", got, err)
		}
	})
}

// TestInvariant55NothingLeaks compares the refusals of an invitation that
// never was, and of users and devices that exist or not. See also
// TestInvitationV1NotFound.
func TestInvariant55NothingLeaks(t *testing.T) {
	f := newFixture(t)
	ctx, anonymous := t.Context(), f.anonymous(acme)
	f.revoke(malloryID.User())
	refusals := map[string]error{}
	for _, name := range []string{"alice", "mallory", "nobody"} {
		_, refusals["creator of "+name] = f.UserGetInvitationCreator(ctx, anonymous, &protocol.UserGetInvitationCreatorRequest{InvitedUserID: userID(name)})
		_, refusals["claim of "+name] = f.UserClaim(ctx, anonymous, &protocol.UserClaimRequest{InvitedUserID: userID(name)})
		device := deviceID(name + "@laptop")
		_, refusals["creator of "+device.String()] = f.DeviceGetInvitationCreator(ctx, anonymous, &protocol.DeviceGetInvitationCreatorRequest{InvitedDeviceID: device})
		_, refusals["claim of "+device.String()] = f.DeviceClaim(ctx, anonymous, &protocol.DeviceClaimRequest{InvitedDeviceID: device})
	}
	want := refusals["creator of nobody"]
	for name, got := range refusals {
		if got == nil || got.Error() != want.Error() || status(nil, got) != protocol.StatusNotFound {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestInvariant56AbandonedWaits relies on the bubble, which fails if a
// goroutine or a timer is left to wait for.
func TestInvariant56AbandonedWaits(t *testing.T) {
	forInvitationsV1(t, func(t *testing.T, f *fixture, i invitationV1) {
		ctx, cancel := context.WithCancel(t.Context())
		invite := i.beginInvite(ctx, f, i.inviter(f))
		cancel()
		if _, err := invite.result(); !errors.Is(err, context.Canceled) {
			t.Errorf("the invitation ends with %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		claim := i.beginClaim(ctx, f, acme, "claim")
		cancel()
		if _, err := claim.result(); !errors.Is(err, context.Canceled) {
			t.Errorf("the claim ends with %v", err)
		}
		synctest.Wait()
		// The invitation stays: nothing already done is undone.
		again := i.beginClaim(t.Context(), f, acme, "claim")
		want := i.create(f)
		if got, err := again.result(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("a later claim gets %q (%v)", got, err)
		}
	})
}
