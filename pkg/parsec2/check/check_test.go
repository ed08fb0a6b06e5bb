//go:build !without_postgresql

package check_test

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/check"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	parsec2check "parsec-server/pkg/parsec2/check"
)

// kind is where certificates of a kind are.
type kind struct {
	name                         string
	table, column, author, where string
	// subject is that of its faults.
	subject string
	resign  func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte
}

var kinds = []kind{
	{"user", "user_", "certificate", "certifier", "user_id = 'bob'", "user bob", func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.User](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	}},
	{"revocation", "user_", "revoked_certificate", "revoked_certifier", "user_id = 'rita'", "user rita revocation", func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RevokedUser](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	}},
	{"device", "device", "certificate", "certifier", "name = 'phone'", "device bob@phone", func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.Device](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	}},
	{"role", "realm_role_certificate", "certificate", "author", "role = 'CONTRIBUTOR'", "role of user carol", func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RealmRole](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	}},
	{"archiving", "realm_archiving_certificate", "certificate", "author", "certified_on = (SELECT max(certified_on) FROM realm_archiving_certificate)", "archiving at ", func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RealmArchiving](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	}},
	{"brief", "shamir_recovery", "brief_certificate", "", "current", "user bob Shamir recovery", func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.ShamirBrief](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	}},
	{"share", "shamir_recovery_share", "certificate", "", "shares = 2", "user bob Shamir recovery", func(signed []byte, author parsec.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.ShamirShare](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	}},
}

// change replaces the certificate.
func (k *kind) change(f *fixture, change func(signed []byte) []byte) {
	f.t.Helper()
	var signed []byte
	f.no(f.tx.QueryRow(f.t.Context(), "SELECT "+k.column+" FROM "+k.table+" WHERE "+k.where).Scan(&signed))
	f.sql("UPDATE "+k.table+" SET "+k.column+" = $1 WHERE "+k.where, change(signed))
}

// planting is a fault, by which rule and about what it must be found.
type planting struct {
	name    string
	plant   func(f *fixture)
	rule    *check.Rule
	subject string
}

// TestEveryFaultIsFound plants one fault at a time in a sound database.
func TestEveryFaultIsFound(t *testing.T) {
	f := newFixture(t)
	if faults := f.planted(func() {}); len(faults) > 0 {
		t.Fatalf("without fault: %s", describe(faults))
	}
	found := map[*check.Rule]bool{}
	for _, p := range append(signaturePlantings(), append(certificatePlantings(), tablePlantings()...)...) {
		faults := f.planted(func() { p.plant(f) })
		if !slices.ContainsFunc(faults, func(fault check.Fault) bool {
			return fault.Rule == p.rule && strings.Contains(fault.Subject, p.subject)
		}) {
			t.Errorf("%s: want %s about %q: %s", p.name, p.rule.Name, p.subject, describe(faults))
		}
		found[p.rule] = true
	}
	for _, rule := range parsec2check.Rules {
		if !found[rule] {
			t.Errorf("no fault of %s is planted", rule.Name)
		}
	}
}

func describe(faults []check.Fault) string {
	lines := make([]string, len(faults))
	for i, fault := range faults {
		lines[i] = fmt.Sprintf("\n\t%s: %s %s: %s", fault.Rule.Name, fault.Organization, fault.Subject, fault.Detail)
	}
	return fmt.Sprintf("%d faults%s", len(faults), strings.Join(lines, ""))
}

// signaturePlantings change the certificates of each kind: their signature, author, date
// and what they say.
func signaturePlantings() (all []planting) {
	for _, k := range kinds {
		all = append(all,
			planting{k.name + ": another signature", func(f *fixture) {
				k.change(f, func(signed []byte) []byte { return append([]byte{signed[0] ^ 1}, signed[1:]...) })
			}, parsec2check.Signature, k.subject},
			planting{k.name + ": by another key", func(f *fixture) {
				k.change(f, func(signed []byte) []byte { return k.resign(signed, f.phone.ID, f.now(), f.carol.SigningKey) })
			}, parsec2check.Signature, k.subject},
			planting{k.name + ": unreadable", func(f *fixture) {
				k.change(f, func([]byte) []byte {
					junk := []byte("no certificate")
					return append(ed25519.Sign(f.keyOf(k), junk), junk...)
				})
			}, parsec2check.Format, k.subject},
			planting{k.name + ": by a revoked", func(f *fixture) {
				if k.author != "" {
					f.sql("UPDATE " + k.table + " SET " + k.author + " = 'rita@desk' WHERE " + k.where)
				}
				k.change(f, func(signed []byte) []byte {
					return k.resign(signed, f.rita.ID, f.now().Add(time.Hour), f.rita.SigningKey)
				})
			}, parsec2check.AuthorRevoked, k.subject})
		if k.author == "" {
			all = append(all, planting{k.name + ": of another owner", func(f *fixture) {
				k.change(f, func(signed []byte) []byte { return k.resign(signed, f.carol.ID, f.now(), f.carol.SigningKey) })
			}, parsec2check.Author, k.subject})
			continue
		}
		all = append(all,
			statement(k.name+": by nobody", parsec2check.Author, k.subject, "UPDATE "+k.table+" SET "+k.author+" = 'nobody@nowhere' WHERE "+k.where),
			planting{k.name + ": it names another author", func(f *fixture) {
				k.change(f, func(signed []byte) []byte { return k.resign(signed, f.oscar.ID, f.now(), f.keyOf(k)) })
			}, parsec2check.Author, k.subject},
			planting{k.name + ": another date", func(f *fixture) {
				k.change(f, func(signed []byte) []byte { return k.resign(signed, f.authorOf(k).ID, f.now(), f.keyOf(k)) })
			}, parsec2check.CertificateRow, k.subject})
	}
	return append(all,
		statement("the sequester authority: another signature", parsec2check.Signature, "sequester authority",
			"UPDATE organization SET sequester_authority_certificate = set_byte(sequester_authority_certificate, 0, get_byte(sequester_authority_certificate, 0) # 1)"),
		statement("a sequester service: another signature", parsec2check.Signature, "sequester service ",
			"UPDATE sequester_service SET certificate = set_byte(certificate, 40, get_byte(certificate, 40) # 1)"),
		statement("a sequester service: another label", parsec2check.CertificateRow, "sequester service ", "UPDATE sequester_service SET label = 'other'"),
		statement("the key of the authority", parsec2check.CertificateRow, "sequester authority", "UPDATE organization SET sequester_verify_key_der = 'none'"))
}

// authorOf returns the device that the row of a kind names.
func (f *fixture) authorOf(k kind) *parsec2.Device {
	f.t.Helper()
	if k.author == "" {
		return f.bob
	}
	var name string
	f.no(f.tx.QueryRow(f.t.Context(), "SELECT "+k.author+" FROM "+k.table+" WHERE "+k.where).Scan(&name))
	for _, device := range []*parsec2.Device{f.alice, f.bob, f.phone, f.carol, f.oscar, f.rita} {
		if device.ID.String() == name {
			return device
		}
	}
	f.t.Fatalf("no device %s", name)
	return nil
}

func (f *fixture) keyOf(k kind) ed25519.PrivateKey { return f.authorOf(k).SigningKey }

// role adds a role certificate to the realm "work".
func (f *fixture) role(by, with *parsec2.Device, role parsec.RealmRole, date parsec.DateTime) {
	f.t.Helper()
	signed := must(certificate.RealmRole{Author: by.ID, Timestamp: date, RealmID: f.work, UserID: with.ID.User(), Role: role}.Sign(by.SigningKey))
	f.sql(`
INSERT INTO realm_role_certificate (realm, user_, role, certificate, author, certified_on)
SELECT r.id, u.id, nullif($3, ''), $4, $5, $6 FROM realm r, user_ u WHERE r.realm_id = $1 AND u.user_id = $2`,
		[16]byte(f.work), with.ID.User().String(), string(role), signed, by.ID.String(), int64(date))
}

// archive adds an archiving certificate to the realm "work".
func (f *fixture) archive(by *parsec2.Device, deletion *parsec.DateTime, date parsec.DateTime) {
	f.t.Helper()
	archiving := certificate.RealmArchiving{Author: by.ID, Timestamp: date, RealmID: f.work, Type: parsec.ArchivingArchived}
	if deletion != nil {
		archiving.Type, archiving.DeletionDate = parsec.ArchivingDeletionPlanned, deletion
	}
	f.sql(`
INSERT INTO realm_archiving_certificate (realm, certificate, author, certified_on) SELECT r.id, $2, $3, $4 FROM realm r WHERE r.realm_id = $1`,
		[16]byte(f.work), must(archiving.Sign(by.SigningKey)), by.ID.String(), int64(date))
}

// certificatePlantings add certificates that are signed well, and not allowed.
func certificatePlantings() []planting {
	user := &kinds[0]
	return []planting{
		{"a user by a STANDARD", func(f *fixture) {
			f.sql("UPDATE user_ SET certifier = 'carol@desk' WHERE user_id = 'bob'")
			user.change(f, func(signed []byte) []byte { return user.resign(signed, f.carol.ID, f.now(), f.carol.SigningKey) })
		}, parsec2check.AuthorProfile, "user bob"},
		{"a second founder", func(f *fixture) {
			f.sql("UPDATE user_ SET certifier = '' WHERE user_id = 'bob'")
			user.change(f, func(signed []byte) []byte { return user.resign(signed, parsec.DeviceID{}, f.now(), f.root) })
		}, parsec2check.Foundation, "user bob"},
		{"a second authority", func(f *fixture) {
			f.sql("UPDATE organization SET sequester_authority_certificate = $1", must(certificate.SequesterAuthority{
				Timestamp: f.now(), VerifyKeyDER: rsaKeys(f.t)["sequester_authority"].Public,
			}.Sign(f.root)))
		}, parsec2check.Foundation, "sequester authority"},
		{"a chain in a circle", func(f *fixture) {
			f.sql("UPDATE device SET certifier = 'bob@phone' WHERE name = 'phone'")
		}, parsec2check.Chain, "device bob@phone"},
		statement("another redacted user", parsec2check.Redacted, "user bob", "UPDATE user_ SET redacted_certificate = (SELECT redacted_certificate FROM user_ WHERE user_id = 'carol') WHERE user_id = 'bob'"),
		statement("another redacted device", parsec2check.Redacted, "device bob@phone", "UPDATE device SET redacted_certificate = 'none' WHERE name = 'phone'"),
		{"a first role that is missing", func(f *fixture) {
			f.sql("DELETE FROM realm_role_certificate WHERE role = 'OWNER' AND realm = (SELECT id FROM realm WHERE realm_id = $1)", [16]byte(f.work))
		}, parsec2check.RealmFirst, "role of user bob"},
		{"a role by a CONTRIBUTOR", func(f *fixture) { f.role(f.carol, f.oscar, parsec.RoleReader, f.now()) }, parsec2check.RealmRoles, "role of user oscar"},
		{"a role of oneself", func(f *fixture) { f.role(f.alice, f.alice, parsec.RoleReader, f.now()) }, parsec2check.RealmRoles, "role of user alice"},
		{"two roles of one date", func(f *fixture) {
			date := f.now()
			f.role(f.alice, f.carol, parsec.RoleReader, date)
			f.role(f.alice, f.carol, parsec.RoleManager, date)
		}, parsec2check.RealmDates, "role of user carol"},
		{"two archivings of one date", func(f *fixture) {
			date := f.now()
			f.archive(f.alice, nil, date)
			f.archive(f.alice, nil, date)
		}, parsec2check.RealmDates, "archiving at"},
		{"a role of a revoked", func(f *fixture) { f.role(f.alice, f.rita, parsec.RoleReader, f.now().Add(time.Hour)) }, parsec2check.RealmRevoked, "role of user rita"},
		{"an OUTSIDER as MANAGER", func(f *fixture) { f.role(f.alice, f.oscar, parsec.RoleManager, f.now()) }, parsec2check.RealmOutsider, "role of user oscar"},
		{"an archiving by a MANAGER", func(f *fixture) { f.archive(f.bob, nil, f.now()) }, parsec2check.RealmArchiving, "archiving at"},
		{"a deletion in the past", func(f *fixture) {
			date := f.now()
			f.archive(f.alice, new(date.Add(-time.Hour)), date)
		}, parsec2check.RealmDeletion, "archiving at"},
		{"no OWNER", func(f *fixture) { f.role(f.alice, f.alice, parsec.RoleNone, f.now()) }, parsec2check.AnOwner, "realm "},
	}
}

// statement is a planting by one statement.
func statement(name string, rule *check.Rule, subject, sql string) planting {
	return planting{name, func(f *fixture) { f.sql(sql) }, rule, subject}
}

// tablePlantings change the tables beside the certificates.
func tablePlantings() []planting {
	const (
		bob         = "(SELECT id FROM user_ WHERE user_id = 'bob')"
		reencrypted = "(SELECT id FROM realm WHERE maintenance_type IS NOT NULL)"
		long        = "(SELECT id FROM vlob WHERE version = 2)"
	)
	return []planting{
		statement("another name", parsec2check.CertificateRow, "user bob", "UPDATE user_ SET human_label = 'robert' WHERE user_id = 'bob'"),
		statement("another profile", parsec2check.CertificateRow, "user bob", "UPDATE user_ SET profile = 'ADMIN' WHERE user_id = 'bob'"),
		statement("another key", parsec2check.CertificateRow, "device bob@phone", "UPDATE device SET verify_key = sha256(verify_key) WHERE name = 'phone'"),
		statement("no first device", parsec2check.FirstDevice, "user bob", "DELETE FROM device WHERE user_ = "+bob+" AND name = 'desk'"),
		statement("users are not counted", parsec2check.UserCounts, "users STANDARD", "UPDATE user_count SET users = users + 1 WHERE profile = 'STANDARD'"),
		{"an e-mail twice", func(f *fixture) {
			f.sql("DROP INDEX user_active_human")
			f.sql("UPDATE user_ SET human_email = 'alice@example.com' WHERE user_id = 'bob'")
		}, parsec2check.Emails, "alice@example.com"},
		statement("no ADMIN", parsec2check.Administrator, "organization", "UPDATE user_ SET profile = 'STANDARD' WHERE user_id = 'alice'"),
		statement("a message is missing", parsec2check.Messages, "user bob", "DELETE FROM message WHERE position = 1"),
		statement("a message is not counted", parsec2check.Messages, "user bob", "UPDATE user_ SET message_count = message_count - 1 WHERE user_id = 'bob'"),
		statement("a message of nobody", parsec2check.Messages, "message ", "UPDATE message SET sender = 999"),

		statement("another role", parsec2check.RealmMembers, "user bob", "UPDATE realm_member SET role = 'OWNER' WHERE user_ = "+bob),
		statement("a member is missing", parsec2check.RealmMembers, "user bob", "DELETE FROM realm_member WHERE user_ = "+bob),
		statement("nobody knows what was written", parsec2check.RealmMembers, "user bob", "UPDATE realm_member SET last_vlob_update = 0 WHERE user_ = "+bob),
		statement("nobody knows what was given", parsec2check.RealmMembers, "user bob", "UPDATE realm_member SET last_role_change = 0 WHERE user_ = "+bob),
		statement("another date of a realm", parsec2check.RealmRow, "realm ", "UPDATE realm SET created_on = created_on + 1"),
		statement("another archiving", parsec2check.RealmRow, "realm ", "UPDATE realm SET archiving_type = 'AVAILABLE' WHERE archiving_type IS NOT NULL"),

		statement("a deleted realm that counts", parsec2check.DeletedRealm, "realm ", "UPDATE realm SET deleted = true WHERE maintenance_type IS NOT NULL"),
		statement("data of a deleted realm", parsec2check.DeletedRealm, "realm ", "UPDATE realm SET deleted = true, vlobs_size = 0, blocks_size = 0"),
		statement("a version is missing", parsec2check.Versions, "vlob ", "DELETE FROM vlob_atom WHERE vlob = "+long+" AND version = 1"),
		statement("the latest version is missing", parsec2check.Versions, "vlob ", "DELETE FROM vlob_atom WHERE vlob = "+long+" AND version = 2"),
		statement("another latest version", parsec2check.Versions, "vlob ", "UPDATE vlob SET version = 3 WHERE version = 2"),
		statement("an earlier version", parsec2check.Versions, "vlob ", "UPDATE vlob_atom SET written_on = written_on - 3600000000 WHERE version = 2"),
		statement("a log with a gap", parsec2check.Log, "realm ", "UPDATE realm SET checkpoint = checkpoint + 1"),
		statement("a number beyond the log", parsec2check.Log, "vlob ", "UPDATE vlob SET checkpoint = 99 WHERE version = 2"),
		statement("an unknown author", parsec2check.DataRole, "vlob ", "UPDATE vlob_atom SET author = 999 WHERE version = 2"),
		statement("an author who may not write", parsec2check.DataRole, "vlob ",
			"UPDATE vlob_atom SET author = (SELECT d.id FROM device d JOIN user_ u ON u.id = d.user_ WHERE u.user_id = 'oscar') WHERE version = 2"),
		statement("what is reencrypted is not counted", parsec2check.Reencryption, "realm ", "UPDATE realm SET reencrypted = reencrypted + 1 WHERE maintenance_type IS NOT NULL"),
		statement("a version of the next revision is missing", parsec2check.Reencryption, "realm ", "DELETE FROM vlob_atom WHERE revision = 3"),
		statement("a revision to come", parsec2check.Reencryption, "vlob ", "UPDATE vlob_atom SET revision = 4 WHERE revision = 3"),
		statement("a revision that is not kept", parsec2check.Reencryption, "realm ", "UPDATE realm SET kept_revision = 9 WHERE id = "+reencrypted),
		statement("the size of vlobs", parsec2check.RealmSizes, "realm ", "UPDATE realm SET vlobs_size = vlobs_size + 1 WHERE maintenance_type IS NULL"),
		statement("the size of blocks", parsec2check.RealmSizes, "realm ", "UPDATE realm SET blocks_size = blocks_size + 1"),
		statement("a block is missing", parsec2check.RealmSizes, "realm ", "DELETE FROM block"),
		statement("the author of a block", parsec2check.Blocks, "block ", "UPDATE block SET author = 999"),
		statement("the realm of a block", parsec2check.Blocks, "block ", "UPDATE block SET realm = 999"),
		statement("a copy of nothing", parsec2check.Copies, "copy ", "UPDATE sequester_copy SET version = 9"),
		statement("a realm is missing", parsec2check.Orphans, "vlob ", "DELETE FROM realm WHERE maintenance_type IS NOT NULL"),
		statement("a vlob is missing", parsec2check.Orphans, "version ", "DELETE FROM vlob"),
		statement("the root key is lost", parsec2check.Orphans, "organization Org2", "UPDATE organization SET root_verify_key = NULL"),
		statement("another threshold", parsec2check.Shamir, "user bob", "UPDATE shamir_recovery SET threshold = 1"),
		statement("another count of shares", parsec2check.Shamir, "user bob", "UPDATE shamir_recovery_share SET shares = 9"),
		statement("a share is missing", parsec2check.Shamir, "user bob", "DELETE FROM shamir_recovery_share WHERE shares = 2"),
		statement("nothing to recover", parsec2check.Invitations, "invitation ", "UPDATE shamir_recovery SET current = false"),
		statement("an unknown kind of invitation", parsec2check.Invitations, "invitation ", "UPDATE invitation SET type = 'GUEST' WHERE type = 'DEVICE'"),
		statement("an enrollment that cannot be read", parsec2check.Enrollments, "enrollment ", `
INSERT INTO pki_enrollment (organization, enrollment_id, submitter_certificate, submit_payload, submit_payload_signature, submitted_on, status)
SELECT id, '00000000-0000-0000-0000-0000000000aa', '', 'none', '', 1, 'SUBMITTED' FROM organization`),
		statement("an enrollment without device", parsec2check.Enrollments, "enrollment ", `
INSERT INTO pki_enrollment (organization, enrollment_id, submitter_certificate, submit_payload, submit_payload_signature, submitted_on, status,
    decided_on, accepter, accepted_device, accepter_certificate, accept_payload, accept_payload_signature)
SELECT id, '00000000-0000-0000-0000-0000000000aa', '', '', '', 1, 'ACCEPTED', 1, 'alice@laptop', 'erin@desk', '', '', '' FROM organization`),
	}
}
