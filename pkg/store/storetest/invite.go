package storetest

import (
	"parsec-server/pkg/backend"
	"parsec-server/pkg/parsec"
)

var inviteChecks = []check{
	{"put", putInvitation},
	{"API 1", invitationsV1},
}

func (f *fixture) wantInvitation(token parsec.InvitationToken, want backend.InvitationFacts) {
	f.Helper()
	var err error
	want.Organization, _, err = f.store.Organization(f.Context(), f.organization)
	f.no(err)
	got, err := f.store.Invitation(f.Context(), f.organization, token)
	f.no(err)
	equal(f, "organization", got.Organization, want.Organization)
	equal(f, "invitation", got.Invitation, want.Invitation)
	equal(f, "greeter", got.Greeter, want.Greeter)
	f.update(backend.Scope{Invitation: token}, func(tx backend.Tx) error {
		invitation, found := tx.Invitation()
		equal(f, "invitation found by a transaction", found, want.Invitation != nil)
		if found {
			equal(f, "invitation of a transaction", invitation, want.Invitation)
		}
		return nil
	})
	if got.Invitation != nil && got.Invitation.DeletedOn != nil {
		*got.Invitation.DeletedOn++ // Facts are the caller's.
	}
}

func putInvitation(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	token := parsec.InvitationToken(parsec.NewUUID())
	f.wantInvitation(token, backend.InvitationFacts{})
	invitation := backend.Invitation{
		Token: token, Type: parsec.InvitationUser, Greeter: alice, ClaimerEmail: "zack@example.com", CreatedOn: at(1),
	}
	device := backend.Invitation{
		Token: parsec.InvitationToken(parsec.NewUUID()), Type: parsec.InvitationDevice, Greeter: bob, CreatedOn: at(2),
	}
	put := func(invitation backend.Invitation) {
		f.Helper()
		if invitation.DeletedOn != nil {
			invitation.DeletedOn = new(*invitation.DeletedOn)
			defer func() { *invitation.DeletedOn++ }()
		}
		f.queue(backend.Scope{Author: aliceOne}, func(tx backend.Tx) { tx.PutInvitation(invitation) })
	}
	put(invitation)
	put(device)
	greeter := newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{})
	f.wantInvitation(token, backend.InvitationFacts{Invitation: &invitation, Greeter: &greeter})
	invitation.DeletedOn = new(at(9))
	put(invitation)
	f.wantInvitation(token, backend.InvitationFacts{Invitation: &invitation, Greeter: &greeter})
	f.wantInvitation(token, backend.InvitationFacts{Invitation: &invitation, Greeter: &greeter})
	bobFacts := newUser(bob, parsec.ProfileStandard, aliceOne)
	f.wantInvitation(device.Token, backend.InvitationFacts{Invitation: &device, Greeter: &bobFacts})
}

func (f *fixture) wantInvitationV1(invitee backend.InviteeV1, want backend.InvitationV1Facts) {
	f.Helper()
	got, err := f.store.InvitationV1(f.Context(), f.organization, invitee)
	f.no(err)
	equal(f, "invitation", got.Invitation, want.Invitation)
	equal(f, "invitee exists", got.InviteeExists, want.InviteeExists)
	f.update(backend.Scope{}, func(tx backend.Tx) error {
		invitation, found, err := tx.InvitationV1(f.Context(), invitee)
		if err != nil {
			return err
		}
		equal(f, "invitation found by a transaction", found, want.Invitation != nil)
		if found {
			equal(f, "invitation of a transaction", invitation, want.Invitation)
		}
		return nil
	})
}

func invitationsV1(f *fixture) {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.wantInvitationV1(backend.InviteeV1{User: bob}, backend.InvitationV1Facts{InviteeExists: true})
	f.wantInvitationV1(backend.InviteeV1{Device: bobOne}, backend.InvitationV1Facts{InviteeExists: true})

	user, device := backend.InviteeV1{User: carol}, backend.InviteeV1{Device: deviceID("bob@two")}
	anyone := backend.Scope{Author: aliceOne}
	for _, invitee := range []backend.InviteeV1{user, device} {
		f.wantInvitationV1(invitee, backend.InvitationV1Facts{})
		for i, creator := range []parsec.DeviceID{aliceOne, bobOne} {
			invitation := backend.InvitationV1{Creator: creator, CreatedOn: at(i)}
			f.queue(anyone, func(tx backend.Tx) { tx.PutInvitationV1(invitee, invitation) })
			f.wantInvitationV1(invitee, backend.InvitationV1Facts{Invitation: &invitation})
		}
	}
	f.queue(anyone, func(tx backend.Tx) { tx.DeleteInvitationV1(user) })
	f.wantInvitationV1(user, backend.InvitationV1Facts{})
	kept := backend.InvitationV1{Creator: bobOne, CreatedOn: at(1)}
	f.wantInvitationV1(device, backend.InvitationV1Facts{Invitation: &kept})
	f.queue(anyone, func(tx backend.Tx) { tx.DeleteInvitationV1(user) })
	f.queue(onOrganization(), func(tx backend.Tx) { tx.CreateDevice(newDevice(device.Device, bobOne)) })
	f.wantInvitationV1(device, backend.InvitationV1Facts{Invitation: &kept, InviteeExists: true})
}
