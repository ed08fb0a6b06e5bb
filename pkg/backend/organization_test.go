package backend_test

import (
	"reflect"
	"testing"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/certificate"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
)

func TestOrganizationStats(t *testing.T) {
	f := newFixture(t)
	f.createUser(f.alice(), carolID, parsec.ProfileOutsider)
	f.revoke(carolID.User())
	f.ok(f.FreezeUser(t.Context(), somebody, acme, backend.UserChoice{ID: bobID.User()}, true))
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
	for _, author := range []*backend.Author{f.bob(), f.mallory()} {
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
	store := func(scope backend.Scope, rule func(backend.Tx)) {
		f.t.Helper()
		scope.Organization, scope.Author, scope.Realm = organization, aliceID, realm
		err := f.store.Update(f.t.Context(), scope, func(tx backend.Tx) error {
			rule(tx)
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	store(backend.Scope{By: backend.RealmExclusive}, func(tx backend.Tx) { tx.CreateRealm(f.clock.now()) })
	block := parsec.BlockID(parsec.NewUUID())
	store(backend.Scope{By: backend.RealmData, Block: block}, func(tx backend.Tx) {
		tx.CreateBlock(backend.Block{ID: block, Realm: realm, Author: aliceID, Size: 1000, CreatedOn: f.clock.now()})
	})
	store(backend.Scope{By: backend.RealmVlobCreate, Vlob: parsec.VlobID(parsec.NewUUID())}, func(tx backend.Tx) {
		tx.WriteVlob(backend.VlobVersion{Version: 1, Blob: []byte("12345"), Author: aliceID, Timestamp: f.clock.now()}, 1, nil)
	})
	return dataSizes{blocks: 1000, vlobs: 5}
}

func TestOrganizationConfig(t *testing.T) {
	limit := uint64(10)
	f := newFixture(t, withOptions(func(o *backend.Options) {
		o.InitialActiveUsersLimit, o.InitialOutsiderAllowed = &limit, false
	}))
	want := &protocol.OrganizationConfigReply{ActiveUsersLimit: &limit, MinimumArchivingPeriod: 2592000}
	for _, author := range []*backend.Author{f.alice(), f.bob(), f.mallory()} {
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

// sequesterService is a certificate that the authority of the vectors signs.
func (f *fixture) sequesterService(label string) (content certificate.SequesterService, signed []byte) {
	f.t.Helper()
	content = certificate.SequesterService{
		Timestamp: f.clock.now(), ServiceID: parsec.SequesterServiceID(parsec.NewUUID()), ServiceLabel: label,
		EncryptionKeyDER: publicKeyDER(rsaKey(f.t, "sequester_service")),
	}
	return content, must(content.Sign(rsaKey(f.t, "sequester_authority")))
}
