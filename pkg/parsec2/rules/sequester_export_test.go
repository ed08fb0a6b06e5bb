package rules_test

import (
	"errors"
	"slices"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

func TestExportRealm(t *testing.T) {
	s := newSequesterScenario(t)
	s.put(1, "", true)
	s.put(2, "https://example.com/", true)
	s.put(3, "", false)
	s.put(2, "https://example.com/", false)
	s.ok(nil, s.create(1, copies(1)))
	s.change(rules.Scope{Realm: s.realm, Block: parsec.BlockID{7}, By: rules.RealmData}, func(tx rules.Tx) {
		tx.CreateBlock(rules.Block{ID: parsec.BlockID{7}, Realm: s.realm, Author: bobID, Size: 7, CreatedOn: s.clock.now()})
	})
	key := rules.ExportKey{Organization: acme, Realm: s.realm, Service: serviceID(1)}

	for name, row := range map[string]struct {
		change func(*rules.ExportKey)
		want   error
	}{
		"as it should be":         {func(*rules.ExportKey) {}, nil},
		"a disabled service":      {func(k *rules.ExportKey) { k.Service = serviceID(3) }, nil},
		"a webhook":               {func(k *rules.ExportKey) { k.Service = serviceID(2) }, rules.ErrServiceWebhook},
		"an unknown service":      {func(k *rules.ExportKey) { k.Service = serviceID(9) }, rules.ErrServiceNotFound},
		"an unknown realm":        {func(k *rules.ExportKey) { k.Realm = parsec.RealmID{9} }, rules.ErrRealmNotFound},
		"an unknown organization": {func(k *rules.ExportKey) { k.Organization = must(parsec.ParseOrganizationID("Unknown")) }, protocol.Refuse(protocol.StatusNotFound, "")},
	} {
		wanted := key
		row.change(&wanted)
		if _, err := s.ExportRealm(t.Context(), wanted); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}

	export, err := s.ExportRealm(t.Context(), key)
	s.ok(nil, err)
	organization, err := s.FindOrganization(t.Context(), acme)
	s.ok(nil, err)
	if export.RootVerifyKey != *organization.RootVerifyKey || export.BlocksSize != 7 {
		t.Errorf("got %+v", export)
	}
	certificates, err := export.Certificates(t.Context())
	s.ok(nil, err)
	isAuthor := func(number int64) bool {
		return slices.ContainsFunc(certificates.Devices, func(device rules.ExportedCertificate) bool { return device.Number == number })
	}
	if versions, err := export.Versions(t.Context(), 0, 10); err != nil || len(versions) != 1 || string(versions[0].Copy) != string(copies(1)[serviceID(1)]) || !isAuthor(versions[0].Author) {
		t.Errorf("versions %+v, error %v", versions, err)
	}
	if versions, err := export.Versions(t.Context(), 1, 10); err != nil || len(versions) != 0 {
		t.Errorf("versions %+v after the last one, error %v", versions, err)
	}
	if blocks, _, done, err := export.Blocks(t.Context(), parsec.BlockID{}); err != nil || len(blocks) != 1 || blocks[0].Size != 7 || !isAuthor(blocks[0].Author) || !done {
		t.Errorf("blocks %+v, error %v", blocks, err)
	}
}

func TestExportOfOrganizationThatIsNotSequestered(t *testing.T) {
	s := newRealmScenario(t)
	if _, err := s.ExportRealm(t.Context(), rules.ExportKey{Organization: acme, Realm: s.realm, Service: serviceID(1)}); !errors.Is(err, rules.ErrNotSequestered) {
		t.Errorf("got %v", err)
	}
}
