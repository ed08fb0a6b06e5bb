package storetest

import (
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// storage and archive are services of the checks.
var (
	storage = parsec.SequesterServiceID{1}
	archive = parsec.SequesterServiceID{2}
)

// sequester bootstraps the organization with both services, and bob.
func (f *fixture) sequester() {
	f.bootstrap()
	f.enrol(parsec.ProfileStandard, bob)
	f.queue(onOrganization(), func(tx rules.Tx) {
		tx.PutSequesterService(rules.SequesterService{ID: storage, Label: "Storage", Certificate: []byte("storage"), CreatedOn: at(0)})
		tx.PutSequesterService(rules.SequesterService{ID: archive, Label: "Archive", Certificate: []byte("archive"), CreatedOn: at(0)})
	})
}

// writeCopied writes the next version of a vlob, with copies for services.
func (f *fixture) writeCopied(scope rules.Scope, author parsec.DeviceID, seconds int, copies map[parsec.SequesterServiceID][]byte) {
	f.Helper()
	f.update(scope, func(tx rules.Tx) error {
		realm, _ := tx.Realm()
		version := rules.VlobVersion{Version: 1, Blob: []byte("blob"), Author: author, Timestamp: at(seconds)}
		if vlob, found := tx.Vlob(); found {
			version.Version = vlob.Version + 1
		}
		tx.WriteVlob(version, realm.Checkpoint+1, copies)
		return nil
	})
}

func (f *fixture) exportKey(realm parsec.RealmID, service parsec.SequesterServiceID) rules.ExportKey {
	return rules.ExportKey{Organization: f.organization, Realm: realm, Service: service}
}

// authors returns the certificates of devices by their numbers.
func (f *fixture) authors(key rules.ExportKey) map[int64]string {
	f.Helper()
	certificates, err := f.store.ExportedCertificates(f.Context(), key)
	f.no(err)
	authors := map[int64]string{}
	for _, device := range certificates.Devices {
		authors[device.Number] = string(device.Certificate)
	}
	return authors
}

// wantExported reads all copies, so many at once.
func (f *fixture) wantExported(key rules.ExportKey, most int, want ...string) {
	f.Helper()
	var got []string
	authors := f.authors(key)
	for after := uint64(0); ; {
		versions, err := f.store.ExportedVersions(f.Context(), key, after, most)
		f.no(err)
		if len(versions) == 0 {
			break
		}
		if len(versions) > most || versions[0].Checkpoint <= after {
			f.Fatalf("%d copies from checkpoint %d on, want at most %d after %d", len(versions), versions[0].Checkpoint, most, after)
		}
		for _, v := range versions {
			after = v.Checkpoint
			got = append(got, fmt.Sprintf("%d: %s %d %q by %s on %s", v.Checkpoint, v.Vlob, v.Version, v.Copy, authors[v.Author], v.Timestamp))
		}
	}
	equalList(f, "copies", got, want)
}

// exportVersions has copies for two services, in two realms, before and after
// a reencryption.
func exportVersions(f *fixture) {
	f.sequester()
	realm, other := f.createRealm(), f.createRealm()
	first, second := newVlobID(), newVlobID()
	given := []byte("first")
	f.writeCopied(onVlobCreate(realm, first), aliceOne, 1, map[parsec.SequesterServiceID][]byte{storage: given, archive: []byte("archived")})
	clear(given) // The copy is the store's.
	f.writeCopied(onVlobCreate(other, newVlobID()), aliceOne, 2, map[parsec.SequesterServiceID][]byte{storage: []byte("elsewhere")})
	f.writeCopied(onVlobUpdate(first), aliceOne, 3, nil)
	f.writeCopied(onVlobCreate(realm, second), bobOne, 4, map[parsec.SequesterServiceID][]byte{storage: {}})
	want := []string{
		fmt.Sprintf(`1: %s 1 "first" by device alice@one on %s`, first, at(1)),
		fmt.Sprintf(`3: %s 1 "" by device bob@one on %s`, second, at(4)),
	}
	for most := 1; most <= 3; most++ {
		f.wantExported(f.exportKey(realm, storage), most, want...)
	}
	f.wantExported(f.exportKey(realm, archive), 9, fmt.Sprintf(`1: %s 1 "archived" by device alice@one on %s`, first, at(1)))
	f.start(realm)
	f.wantExported(f.exportKey(realm, storage), 9, want...)
	f.save(realm, 3, 3, item(first, 1, "new"), item(first, 2, "new"), item(second, 1, "new"))
	f.wantExported(f.exportKey(realm, storage), 9, want...)
	f.finish(realm)
	f.wantExported(f.exportKey(realm, storage), 9, want...)
}

// exportBlocks has blocks of two realms, and one that is uploaded still.
func exportBlocks(f *fixture) {
	f.sequester()
	realm, other := f.createRealm(), f.createRealm()
	create := func(realm parsec.RealmID, id byte, author parsec.DeviceID, size uint64) {
		block := newBlock(realm, parsec.BlockID{id}, size)
		block.Author = author
		f.queue(onBlock(realm, block.ID), func(tx rules.Tx) { tx.CreateBlock(block) })
	}
	create(realm, 3, bobOne, 30)
	create(realm, 1, aliceOne, 10)
	create(other, 2, aliceOne, 20)
	f.reserve(realm, newUpload(parsec.BlockID{4}, 60), 1)

	key := f.exportKey(realm, storage)
	size, found, err := f.store.ExportedSize(f.Context(), key)
	f.no(err)
	equal(f, "realm found", found, true)
	equal(f, "size", size, 40)
	authors := f.authors(key)
	for after, want := range map[byte][]string{0: {"1 device alice@one 10", "3 device bob@one 30"}, 1: {"3 device bob@one 30"}, 3: nil} {
		var got []string
		for last, done := (parsec.BlockID{after}), false; !done; {
			var blocks []rules.ExportedBlock
			blocks, last, done, err = f.store.ExportedBlocks(f.Context(), key, last)
			f.no(err)
			for _, block := range blocks {
				got = append(got, fmt.Sprint(block.ID[0], " ", authors[block.Author], " ", block.Size))
				equal(f, "checksum", block.Checksum, newBlock(realm, block.ID, 0).Checksum)
			}
		}
		equalList(f, fmt.Sprint("blocks after ", after), got, want)
	}
}

// exportCertificates has roles that are not added in the order of their dates,
// and numbers that stay when more comes.
func exportCertificates(f *fixture) {
	f.sequester()
	realm := f.createRealm()
	f.grant(realm, bob, parsec.RoleReader, 9)
	f.grant(realm, bob, parsec.RoleManager, 5)
	key := f.exportKey(realm, storage)
	before, err := f.store.ExportedCertificates(f.Context(), key)
	f.no(err)

	f.revoke(bob, rules.Revocation{Certificate: []byte("revoked bob"), Certifier: aliceOne, On: at(9)})
	f.enrol(parsec.ProfileStandard, carol)
	f.grant(f.createRealm(), carol, parsec.RoleReader, 9)
	after, err := f.store.ExportedCertificates(f.Context(), key)
	f.no(err)
	texts := func(certificates []rules.ExportedCertificate) (texts []string) {
		last := int64(0)
		for _, c := range certificates {
			if c.Number <= last {
				f.Errorf("number %d comes after %d", c.Number, last)
			}
			last = c.Number
			texts = append(texts, string(c.Certificate))
		}
		return texts
	}
	equalList(f, "roles", texts(after.Roles), []string{"role OWNER of alice", "role READER of bob", "role MANAGER of bob"})
	equalList(f, "devices", texts(after.Devices), []string{"device alice@one", "device bob@one", "device carol@one"})
	users := []rules.ExportedCertificate{after.Users[0].ExportedCertificate, after.Users[1].ExportedCertificate, after.Users[2].ExportedCertificate}
	equalList(f, "users", texts(users), []string{"user alice", "user bob", "user carol"})
	equal(f, "revocation of alice", after.Users[0].Revocation, nil)
	equal(f, "revocation of bob", string(after.Users[1].Revocation), "revoked bob")
	equalList(f, "roles that stay", after.Roles, before.Roles)
	equalList(f, "devices that stay", after.Devices[:2], before.Devices)
	equal(f, "number of bob", after.Users[1].Number, before.Users[1].Number)
}

// exportNothing has no such realm, or service, or organization.
func exportNothing(f *fixture) {
	f.sequester()
	realm := f.createRealm()
	f.writeCopied(onVlobCreate(realm, newVlobID()), aliceOne, 1, map[parsec.SequesterServiceID][]byte{storage: []byte("copy")})
	block := newBlock(realm, newBlockID(), 1)
	f.queue(onBlock(realm, block.ID), func(tx rules.Tx) { tx.CreateBlock(block) })
	for what, key := range map[string]rules.ExportKey{
		"realm":        f.exportKey(newRealmID(), storage),
		"service":      f.exportKey(realm, parsec.SequesterServiceID{9}),
		"organization": {Organization: newOrganizationID(), Realm: realm, Service: storage},
	} {
		_, found, err := f.store.ExportedSize(f.Context(), key)
		f.no(err)
		equal(f, "found without "+what, found, false)
		f.wantExported(key, 1)
		blocks, _, done, err := f.store.ExportedBlocks(f.Context(), key, parsec.BlockID{})
		f.no(err)
		equalList(f, "blocks without "+what, blocks, nil)
		equal(f, "done without "+what, done, true)
		certificates, err := f.store.ExportedCertificates(f.Context(), key)
		f.no(err)
		equal(f, "certificates without "+what, len(certificates.Users)+len(certificates.Devices)+len(certificates.Roles), 0)
	}
}
