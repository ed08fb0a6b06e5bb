package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var inviteV1Checks = []check{
	{"invitations", invitationsV1},
}

func (f *fixture) wantInvitationV1(invitee rules.InviteeV1, want rules.InvitationV1Facts) {
	f.Helper()
	got, err := f.store.InvitationV1(f.Context(), f.organization, invitee)
	f.no(err)
	equal(f, "invitation", got.Invitation, want.Invitation)
	equal(f, "invitee exists", got.InviteeExists, want.InviteeExists)
	f.update(rules.Scope{}, func(tx rules.Tx) error {
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
	f.wantInvitationV1(rules.InviteeV1{User: bob}, rules.InvitationV1Facts{InviteeExists: true})
	f.wantInvitationV1(rules.InviteeV1{Device: bobOne}, rules.InvitationV1Facts{InviteeExists: true})

	user, device := rules.InviteeV1{User: carol}, rules.InviteeV1{Device: deviceID("bob@two")}
	anyone := rules.Scope{Author: aliceOne}
	for _, invitee := range []rules.InviteeV1{user, device} {
		f.wantInvitationV1(invitee, rules.InvitationV1Facts{})
		for i, creator := range []parsec.DeviceID{aliceOne, bobOne} {
			invitation := rules.InvitationV1{Creator: creator, CreatedOn: at(i)}
			f.queue(anyone, func(tx rules.Tx) { tx.PutInvitationV1(invitee, invitation) })
			f.wantInvitationV1(invitee, rules.InvitationV1Facts{Invitation: &invitation})
		}
	}
	f.queue(anyone, func(tx rules.Tx) { tx.DeleteInvitationV1(user) })
	f.wantInvitationV1(user, rules.InvitationV1Facts{})
	kept := rules.InvitationV1{Creator: bobOne, CreatedOn: at(1)}
	f.wantInvitationV1(device, rules.InvitationV1Facts{Invitation: &kept})
	f.queue(anyone, func(tx rules.Tx) { tx.DeleteInvitationV1(user) })
	f.queue(onOrganization(), func(tx rules.Tx) { tx.CreateDevice(newDevice(device.Device, bobOne)) })
	f.wantInvitationV1(device, rules.InvitationV1Facts{Invitation: &kept, InviteeExists: true})
}
