package storetest

import (
	"errors"
	"math"

	"parsec-server/pkg/organization/organizationtest"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

var organizationChecks = []check{
	{"unknown organization", unknownOrganization},
	{"create and replace", putOrganization},
	{"facts are copies", organizationCopies},
	{"refused creation", refusedCreation},
}

func unknownOrganization(f *fixture) {
	ctx, id := f.Context(), f.organization

	_, found, err := f.store.Organization(ctx, id)
	f.no(err)
	equal(f, "organization found", found, false)
	statistics := f.statistics(nil)
	equal(f, "sizes", statistics.DataSize+statistics.MetadataSize+statistics.Realms, 0)
	services, err := f.store.SequesterServices(ctx, id)
	f.no(err)
	equal(f, "services", len(services), 0)
	invitation, err := f.store.Invitation(ctx, id, parsec.InvitationToken{1})
	f.no(err)
	equal(f, "invitation", invitation, rules.InvitationFacts{})
	invitationV1, err := f.store.InvitationV1(ctx, id, rules.InviteeV1{User: alice})
	f.no(err)
	equal(f, "invitation of API 1", invitationV1, rules.InvitationV1Facts{})
	authentication, err := f.store.Authentication(ctx, id, aliceOne)
	f.no(err)
	equal(f, "authentication", authentication, rules.AuthenticationFacts{})
	_, found, err = f.store.UserAndDevices(ctx, id, alice)
	f.no(err)
	equal(f, "user found", found, false)
	users, total, err := f.store.FindUsers(ctx, id, rules.UserQuery{Limit: 100})
	f.no(err)
	equal(f, "users", len(users)+int(total), 0)
	messages, _, err := f.store.Messages(ctx, id, alice, 0, math.MaxUint64)
	f.no(err)
	equal(f, "messages", len(messages), 0)
	realms, err := f.store.RealmsOf(ctx, id, alice)
	f.no(err)
	equal(f, "realms", len(realms), 0)
	f.wantNoRealm(newRealmID())
	f.wantNoVlob(newVlobID())

	f.update(onOrganization(), func(tx rules.Tx) error {
		_, found := tx.Organization()
		equal(f, "organization found by a transaction", found, false)
		_, found = tx.Author()
		equal(f, "author found by a transaction", found, false)
		return nil
	})
	_, found, err = f.store.Organization(ctx, id)
	f.no(err)
	equal(f, "organization found after a transaction without effect", found, false)
}

func (f *fixture) wantOrganization(want rules.Organization) {
	f.Helper()
	got, found, err := f.store.Organization(f.Context(), f.organization)
	f.no(err)
	if !found {
		f.Fatal("organization not found")
	}
	equal(f, "organization", *got, want)
	f.update(rules.Scope{}, func(tx rules.Tx) error {
		got, found := tx.Organization()
		if !found {
			f.Error("organization not found by a transaction")
			return nil
		}
		equal(f, "organization of a transaction", *got, want)
		return nil
	})
}

func putOrganization(f *fixture) {
	minimal := rules.Organization{ID: f.organization, CreatedOn: at(3)}
	for _, organization := range []rules.Organization{minimal, organizationtest.Full(f.organization), minimal} {
		f.queue(onOrganization(), func(tx rules.Tx) { tx.PutOrganization(organization) })
		f.wantOrganization(organization)
	}
	zeroLimit := minimal
	zeroLimit.ActiveUsersLimit = new(uint64(0))
	f.queue(onOrganization(), func(tx rules.Tx) { tx.PutOrganization(zeroLimit) })
	f.wantOrganization(zeroLimit)
}

func organizationCopies(f *fixture) {
	given := organizationtest.Full(f.organization)
	f.queue(onOrganization(), func(tx rules.Tx) { tx.PutOrganization(given) })
	organizationtest.Spoil(&given)
	clear(given.SequesterAuthorityCertificate)
	clear(given.SequesterVerifyKeyDER)
	f.wantOrganization(organizationtest.Full(f.organization))

	read, _, err := f.store.Organization(f.Context(), f.organization)
	f.no(err)
	organizationtest.Spoil(read)
	f.update(onOrganization(), func(tx rules.Tx) error {
		organization, _ := tx.Organization()
		organizationtest.Spoil(organization)
		return nil
	})
	f.wantOrganization(organizationtest.Full(f.organization))
}

func refusedCreation(f *fixture) {
	refusal := errors.New("refused")
	err := f.try(onOrganization(), func(tx rules.Tx) error {
		tx.PutOrganization(organizationtest.Full(f.organization))
		tx.CreateUser(newUser(alice, parsec.ProfileAdmin, parsec.DeviceID{}))
		return refusal
	})
	if !errors.Is(err, refusal) {
		f.Errorf("error %v, want that of the rule", err)
	}
	unknownOrganization(f)
}
