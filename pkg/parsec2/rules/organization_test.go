package rules_test

import (
	"reflect"
	"testing"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

func TestOrganizationStats(t *testing.T) {
	f := newFixture(t)
	f.createUser(f.alice(), carolID, parsec.ProfileOutsider)
	f.revoke(carolID.User())
	f.ok(f.FreezeUser(t.Context(), somebody, acme, organization.UserChoice{ID: bobID.User().String()}, true))
	realm := f.storeData(acme)
	want := &protocol.OrganizationStatsReply{
		DataSize: realm.blocks, MetadataSize: realm.vlobs, Realms: 1, Users: 4, ActiveUsers: 3,
		UsersPerProfileDetail: []protocol.ProfileDetail{
			{Profile: parsec.ProfileAdmin, Active: 1}, {Profile: parsec.ProfileStandard, Active: 1},
			{Profile: parsec.ProfileOutsider, Active: 1, Revoked: 1},
		},
	}
	got, err := f.OrganizationStats(t.Context(), f.alice(), &protocol.OrganizationStatsRequest{})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	for _, author := range []*rules.Author{f.bob(), f.mallory()} {
		if got := status(f.OrganizationStats(t.Context(), author, &protocol.OrganizationStatsRequest{})); got != protocol.StatusNotAllowed {
			t.Errorf("%s gets %s", author.Profile, got)
		}
	}
}

// dataSizes are what storeData stored, in bytes.
type dataSizes struct{ blocks, vlobs uint64 }

// storeData adds a realm with a vlob and a block.
func (f *fixture) storeData(organization parsec.OrganizationID) dataSizes {
	f.t.Helper()
	realm := parsec.RealmID(parsec.NewUUID())
	store := func(scope rules.Scope, rule func(rules.Tx)) {
		f.t.Helper()
		scope.Organization, scope.Author, scope.Realm = organization, aliceID, realm
		err := f.store.Update(f.t.Context(), scope, func(tx rules.Tx) error {
			rule(tx)
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	store(rules.Scope{By: rules.RealmExclusive}, func(tx rules.Tx) { tx.CreateRealm(f.clock.now()) })
	block := parsec.BlockID(parsec.NewUUID())
	store(rules.Scope{By: rules.RealmData, Block: block}, func(tx rules.Tx) {
		tx.CreateBlock(rules.Block{ID: block, Realm: realm, Author: aliceID, Size: 1000, CreatedOn: f.clock.now()})
	})
	store(rules.Scope{By: rules.RealmVlobCreate, Vlob: parsec.VlobID(parsec.NewUUID())}, func(tx rules.Tx) {
		tx.WriteVlob(rules.VlobVersion{Version: 1, Blob: []byte("12345"), Author: aliceID, Timestamp: f.clock.now()}, 1, nil)
	})
	return dataSizes{blocks: 1000, vlobs: 5}
}

func TestOrganizationConfig(t *testing.T) {
	limit := uint64(10)
	f := newFixture(t, withOptions(func(o *rules.Options) {
		o.InitialActiveUsersLimit, o.InitialOutsiderAllowed = &limit, false
	}))
	want := &protocol.OrganizationConfigReply{ActiveUsersLimit: &limit, MinimumArchivingPeriod: 2592000}
	for _, author := range []*rules.Author{f.alice(), f.bob(), f.mallory()} {
		got, err := f.OrganizationConfig(t.Context(), author, &protocol.OrganizationConfigRequest{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s gets %+v (%v), want %+v", author.Profile, got, err, want)
		}
	}
}

func TestOrganizationConfigSequestered(t *testing.T) {
	f := newFixture(t, sequestered)
	organization := must(f.FindOrganization(t.Context(), acme))
	check := func(services ...[]byte) {
		t.Helper()
		want := &protocol.OrganizationConfigReply{
			UserProfileOutsiderAllowed:    true,
			SequesterAuthorityCertificate: organization.SequesterAuthorityCertificate,
			SequesterServicesCertificates: append([][]byte{}, services...),
			MinimumArchivingPeriod:        2592000,
		}
		got, err := f.OrganizationConfig(t.Context(), f.bob(), &protocol.OrganizationConfigRequest{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	check()
	first, firstSigned := f.sequesterService("first")
	second, secondSigned := f.sequesterService("second")
	third, thirdSigned := f.sequesterService("third")
	for _, signed := range [][]byte{firstSigned, secondSigned, thirdSigned} {
		f.ok(nil, f.CreateSequesterService(t.Context(), acme, signed, ""))
	}
	check(firstSigned, secondSigned, thirdSigned)
	f.ok(nil, f.DisableSequesterService(t.Context(), acme, second.ServiceID))
	check(firstSigned, thirdSigned)
	f.ok(nil, f.EnableSequesterService(t.Context(), acme, second.ServiceID))
	f.ok(nil, f.DisableSequesterService(t.Context(), acme, first.ServiceID))
	check(secondSigned, thirdSigned)
	f.ok(nil, f.DisableSequesterService(t.Context(), acme, second.ServiceID))
	f.ok(nil, f.DisableSequesterService(t.Context(), acme, third.ServiceID))
	check()
}

// sequesterService returns a certificate that the authority of the vectors
// signs.
func (f *fixture) sequesterService(label string) (content certificate.SequesterService, signed []byte) {
	f.t.Helper()
	content = certificate.SequesterService{
		Timestamp: f.clock.now(), ServiceID: parsec.SequesterServiceID(parsec.NewUUID()), ServiceLabel: label,
		EncryptionKeyDER: publicKeyDER(rsaKey(f.t, "sequester_service")),
	}
	return content, must(content.Sign(rsaKey(f.t, "sequester_authority")))
}
