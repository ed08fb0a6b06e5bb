//go:build !without_postgresql

package check_test

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/check"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	parsec3check "parsec-server/pkg/parsec3/check"
)

// row is a row of the table certificate.
type row struct {
	topic    string
	realm    [16]byte
	dated    int64
	sequence int16
	signed   []byte
	claim    certificate.Claim
}

// find returns the last certificate of a type.
func (f *fixture) find(kind string) (found row) {
	f.t.Helper()
	rows, err := f.tx.Query(f.t.Context(), "SELECT topic, realm_id, dated, sequence, certificate FROM parsec3.certificate WHERE topic <> 'sequester' ORDER BY dated, sequence")
	f.no(err)
	for rows.Next() {
		var one row
		f.no(rows.Scan(&one.topic, &one.realm, &one.dated, &one.sequence, &one.signed))
		one.claim = must(certificate.ReadClaim(one.signed))
		if one.claim.Type == kind {
			found = one
		}
	}
	f.no(rows.Err())
	if found.signed == nil {
		f.t.Fatalf("no %s", kind)
	}
	return found
}

// replace puts another certificate in the place of one.
func (f *fixture) replace(old row, signed []byte) {
	f.t.Helper()
	f.sql("UPDATE parsec3.certificate SET certificate = $1 WHERE topic = $2 AND realm_id = $3 AND dated = $4 AND sequence = $5",
		signed, old.topic, old.realm, old.dated, old.sequence)
}

// add appends a certificate to a topic, at the date that it says or another.
func (f *fixture) add(topic string, realm parsec.RealmID, signed []byte, redacted []byte) {
	f.t.Helper()
	claim := must(certificate.ReadClaim(signed))
	f.sql("INSERT INTO parsec3.certificate (organization, topic, realm_id, dated, sequence, certificate, redacted) VALUES ('CoolOrg', $1, $2, $3, 0, $4, $5)",
		topic, [16]byte(realm), int64(claim.Timestamp), signed, redacted)
}

// keyOf returns the key of a device, that of the root for nil.
func (f *fixture) keyOf(id *parsec3.DeviceID) ed25519.PrivateKey {
	f.t.Helper()
	if id == nil {
		return f.root
	}
	for _, device := range []*client3.Device{f.alice, f.ada, f.bob, f.phone, f.carol, f.oscar, f.rita, f.sam} {
		if device.ID == *id {
			return device.SigningKey
		}
	}
	f.t.Fatalf("no device %s", id)
	return nil
}

// resign signs what a certificate says, but for its author and date.
var resign = map[string]func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte{
	"user_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.User](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"device_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.Device](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"user_update_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.UserUpdate](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"revoked_user_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RevokedUser](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"realm_role_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RealmRole](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"realm_key_rotation_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RealmKeyRotation](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"realm_name_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RealmName](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"realm_archiving_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.RealmArchiving](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"shamir_recovery_brief_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.ShamirBrief](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"shamir_recovery_share_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.ShamirShare](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
	"shamir_recovery_deletion_certificate": func(signed []byte, author parsec3.DeviceID, date parsec.DateTime, key ed25519.PrivateKey) []byte {
		c := must(certificate.Read[certificate.ShamirDeletion](signed))
		c.Author, c.Timestamp = author, date
		return must(c.Sign(key))
	},
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
	plantings := append(signaturePlantings(), append(certificatePlantings(), tablePlantings()...)...)
	found := map[*check.Rule]bool{}
	for _, p := range plantings {
		faults := f.planted(func() { p.plant(f) })
		if !slices.ContainsFunc(faults, func(fault check.Fault) bool {
			return fault.Rule == p.rule && strings.Contains(fault.Subject, p.subject)
		}) {
			t.Errorf("%s: want %s about %q: %s", p.name, p.rule.Name, p.subject, describe(faults))
		}
		found[p.rule] = true
	}
	for _, rule := range parsec3check.Rules {
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
	for kind, sign := range resign {
		add := func(what string, rule *check.Rule, change func(f *fixture, old row) []byte) {
			all = append(all, planting{kind + ": " + what, func(f *fixture) {
				old := f.find(kind)
				f.replace(old, change(f, old))
			}, rule, kind})
		}
		add("another signature", ruleNamed("v5_certificate_signature"), func(_ *fixture, old row) []byte {
			return append([]byte{old.signed[0] ^ 1}, old.signed[1:]...)
		})
		add("another byte", ruleNamed("v5_certificate_signature"), func(f *fixture, old row) []byte {
			date := old.claim.Timestamp.Add(time.Microsecond)
			other := sign(old.signed, *old.claim.Author, date, f.keyOf(old.claim.Author))
			return append(slices.Clone(old.signed[:64]), other[64:]...)
		})
		add("an unknown author", ruleNamed("v5_certificate_author"), func(f *fixture, old row) []byte {
			return sign(old.signed, parsec3.DeviceID(parsec.NewUUID()), old.claim.Timestamp, f.alice.SigningKey)
		})
		add("a revoked author", ruleNamed("v5_author_revoked"), func(f *fixture, old row) []byte {
			return sign(old.signed, f.rita.ID, old.claim.Timestamp, f.rita.SigningKey)
		})
		add("another date", parsec3check.CertificateRow, func(f *fixture, old row) []byte {
			return sign(old.signed, *old.claim.Author, old.claim.Timestamp.Add(-time.Microsecond), f.keyOf(old.claim.Author))
		})
		all = append(all, planting{kind + ": unreadable", func(f *fixture) { f.replace(f.find(kind), []byte("no certificate")) }, ruleNamed("v5_certificate_format"), ""})
	}
	for name, condition := range map[string]string{
		"the sequester authority": "sequence = 0 AND dated = (SELECT min(dated) FROM parsec3.certificate WHERE topic = 'sequester')",
		"a sequester service":     "dated = (SELECT max(created_on) FROM parsec3.sequester_service)",
		"the end of a service":    "dated = (SELECT max(revoked_on) FROM parsec3.sequester_service)",
	} {
		all = append(all, planting{name + ": another signature", func(f *fixture) {
			f.sql("UPDATE parsec3.certificate SET certificate = set_byte(certificate, octet_length(certificate) - 20, get_byte(certificate, octet_length(certificate) - 20) # 1) WHERE topic = 'sequester' AND " + condition)
		}, ruleNamed("v5_certificate_signature"), "sequester"})
	}
	return all
}

func ruleNamed(name string) *check.Rule {
	i := slices.IndexFunc(parsec3check.Rules, func(rule *check.Rule) bool { return rule.Name == name })
	return parsec3check.Rules[i]
}

// role adds a role certificate to the realm "work".
func role(f *fixture, by *client3.Device, with parsec3.UserID, role parsec.RealmRole) {
	f.t.Helper()
	f.add("realm", f.work, must(certificate.RealmRole{Author: by.ID, Timestamp: f.now(), RealmID: f.work, UserID: with, Role: role}.Sign(by.SigningKey)), nil)
}

// certificatePlantings add certificates that are signed well, and not allowed.
func certificatePlantings() []planting {
	user := func(by, of *client3.Device, key ed25519.PrivateKey, date parsec.DateTime, id parsec3.UserID, profile parsec.UserProfile) (full, redacted []byte) {
		made := certificate.User{Author: by.ID, Timestamp: date, UserID: id, HumanHandle: of.HumanHandle, PublicKey: of.PublicKey(), Profile: profile}
		return must(made.Sign(key)), must(made.Redacted().Sign(key))
	}
	return []planting{
		{"a user by a STANDARD", func(f *fixture) {
			full, redacted := user(f.bob, f.bob, f.bob.SigningKey, f.now(), parsec3.UserID(parsec.NewUUID()), parsec.ProfileStandard)
			f.add("common", parsec.RealmID{}, full, redacted)
		}, ruleNamed("v5_author_profile"), "user_certificate"},
		{"a user without device", func(f *fixture) {
			full, redacted := user(f.alice, f.bob, f.alice.SigningKey, f.now(), parsec3.UserID(parsec.NewUUID()), parsec.ProfileStandard)
			f.add("common", parsec.RealmID{}, full, redacted)
		}, ruleNamed("v5_first_device"), "common"},
		{"a user twice", func(f *fixture) {
			full, redacted := user(f.alice, f.bob, f.alice.SigningKey, f.now(), f.bob.User, parsec.ProfileStandard)
			f.add("common", parsec.RealmID{}, full, redacted)
		}, ruleNamed("v5_ids"), "user_certificate"},
		{"a second founder", func(f *fixture) {
			made := certificate.User{Timestamp: f.now(), UserID: parsec3.UserID(parsec.NewUUID()), HumanHandle: f.bob.HumanHandle, PublicKey: f.bob.PublicKey(), Profile: parsec.ProfileAdmin}
			f.add("common", parsec.RealmID{}, must(made.Sign(f.root)), must(made.Redacted().Sign(f.root)))
		}, ruleNamed("v5_foundation"), "user_certificate"},
		{"a redacted certificate that is not", func(f *fixture) {
			f.sql("UPDATE parsec3.certificate SET redacted = certificate WHERE dated = (SELECT created_on FROM parsec3.user_ WHERE user_id = $1) AND sequence = 0", [16]byte(f.bob.User))
		}, ruleNamed("v5_redacted"), "user_certificate"},
		{"no redacted certificate", func(f *fixture) {
			f.sql("UPDATE parsec3.certificate SET redacted = NULL WHERE dated = (SELECT created_on FROM parsec3.user_ WHERE user_id = $1) AND sequence = 1", [16]byte(f.bob.User))
		}, ruleNamed("v5_redacted"), "device_certificate"},
		{"an update of oneself", func(f *fixture) {
			f.add("common", parsec.RealmID{}, must(certificate.UserUpdate{Author: f.alice.ID, Timestamp: f.now(), UserID: f.alice.User, NewProfile: parsec.ProfileStandard}.Sign(f.alice.SigningKey)), nil)
		}, ruleNamed("v5_not_oneself"), "user_update_certificate"},
		{"a second revocation", func(f *fixture) {
			f.add("common", parsec.RealmID{}, must(certificate.RevokedUser{Author: f.alice.ID, Timestamp: f.now(), UserID: f.rita.User}.Sign(f.alice.SigningKey)), nil)
		}, ruleNamed("v5_user_state"), "revoked_user_certificate"},
		{"two certificates of one date", func(f *fixture) {
			old := f.find("user_update_certificate")
			f.sql("INSERT INTO parsec3.certificate SELECT organization, topic, realm_id, dated, 7, certificate, redacted FROM parsec3.certificate WHERE dated = $1", old.dated)
		}, ruleNamed("v5_topic_dates"), "user_update_certificate"},
		{"two certificates of a realm of one date", func(f *fixture) {
			old := f.find("realm_name_certificate")
			f.sql("INSERT INTO parsec3.certificate SELECT organization, topic, realm_id, dated, 7, certificate, redacted FROM parsec3.certificate WHERE dated = $1", old.dated)
		}, ruleNamed("v5_topic_dates"), "realm_name_certificate"},
		{"a role in the common topic", func(f *fixture) {
			f.add("common", parsec.RealmID{}, must(certificate.RealmRole{Author: f.alice.ID, Timestamp: f.now(), RealmID: f.work, UserID: f.ada.User, Role: parsec.RoleReader}.Sign(f.alice.SigningKey)), nil)
		}, ruleNamed("v5_topic"), "common"},

		{"a first role of another", func(f *fixture) {
			f.sql("DELETE FROM parsec3.certificate WHERE topic = 'realm' AND dated = (SELECT created_on FROM parsec3.realm WHERE realm_id = $1)", [16]byte(f.work))
			f.sql("UPDATE parsec3.certificate SET certificate = $1 WHERE topic = 'realm' AND dated = (SELECT min(dated) FROM parsec3.certificate WHERE realm_id = $2)",
				must(certificate.RealmRole{Author: f.alice.ID, Timestamp: f.now(), RealmID: f.work, UserID: f.bob.User, Role: parsec.RoleOwner}.Sign(f.alice.SigningKey)), [16]byte(f.work))
		}, ruleNamed("v5_realm_first"), "realm_role_certificate"},
		{"a role by a CONTRIBUTOR", func(f *fixture) { role(f, f.carol, f.ada.User, parsec.RoleReader) }, ruleNamed("v5_realm_roles"), "realm_role_certificate"},
		{"a role of a revoked", func(f *fixture) { role(f, f.alice, f.rita.User, parsec.RoleReader) }, ruleNamed("v5_realm_revoked"), "realm_role_certificate"},
		{"an OUTSIDER as MANAGER", func(f *fixture) { role(f, f.alice, f.oscar.User, parsec.RoleManager) }, ruleNamed("v5_realm_outsider"), "realm_role_certificate"},
		{"another role of oneself", func(f *fixture) { role(f, f.bob, f.bob.User, parsec.RoleReader) }, ruleNamed("v5_realm_own_role"), "realm_role_certificate"},
		{"a promotion beside an OWNER", func(f *fixture) { role(f, f.bob, f.bob.User, parsec.RoleOwner) }, ruleNamed("v5_realm_promotion"), "realm_role_certificate"},
		{"a rotation by a MANAGER", func(f *fixture) {
			f.add("realm", f.work, must(certificate.RealmKeyRotation{Author: f.bob.ID, Timestamp: f.now(), RealmID: f.work, KeyIndex: 3}.Sign(f.bob.SigningKey)), nil)
		}, ruleNamed("v5_realm_owner"), "realm_key_rotation_certificate"},
		{"a rotation left out", func(f *fixture) {
			f.add("realm", f.work, must(certificate.RealmKeyRotation{Author: f.alice.ID, Timestamp: f.now(), RealmID: f.work, KeyIndex: 4}.Sign(f.alice.SigningKey)), nil)
		}, ruleNamed("v5_realm_keys"), "realm_key_rotation_certificate"},
		{"a role of another realm", func(f *fixture) {
			f.add("realm", f.work, must(certificate.RealmRole{Author: f.alice.ID, Timestamp: f.now(), RealmID: f.home, UserID: f.ada.User, Role: parsec.RoleReader}.Sign(f.alice.SigningKey)), nil)
		}, ruleNamed("v5_realm_topic"), "realm_role_certificate"},
		{"a deletion in the past", func(f *fixture) {
			date := f.now()
			f.add("realm", f.work, must(certificate.RealmArchiving{
				Author: f.alice.ID, Timestamp: date, RealmID: f.work, Type: parsec.ArchivingDeletionPlanned, DeletionDate: new(date.Add(-time.Hour)),
			}.Sign(f.alice.SigningKey)), nil)
		}, ruleNamed("v5_realm_deletion"), "realm_archiving_certificate"},

		{"a service twice", func(f *fixture) {
			f.sql("INSERT INTO parsec3.certificate SELECT organization, topic, realm_id, dated, 7, certificate, redacted FROM parsec3.certificate WHERE topic = 'sequester' AND dated = (SELECT max(created_on) FROM parsec3.sequester_service)")
		}, ruleNamed("v5_sequester_services"), "sequester"},

		{"a second setup", func(f *fixture) {
			f.add("shamir_recovery", parsec.RealmID{}, must(certificate.ShamirBrief{
				Author: f.bob.ID, Timestamp: f.now(), UserID: f.bob.User, Threshold: 1, PerRecipientShares: map[parsec3.UserID]uint8{f.alice.User: 1},
			}.Sign(f.bob.SigningKey)), nil)
		}, ruleNamed("v5_shamir_owner"), "shamir_recovery_brief_certificate"},
		{"a setup for a revoked", func(f *fixture) {
			f.add("shamir_recovery", parsec.RealmID{}, must(certificate.ShamirBrief{
				Author: f.alice.ID, Timestamp: f.now(), UserID: f.alice.User, Threshold: 1, PerRecipientShares: map[parsec3.UserID]uint8{f.rita.User: 1},
			}.Sign(f.alice.SigningKey)), nil)
		}, ruleNamed("v5_shamir_recipients"), "shamir_recovery_brief_certificate"},
		{"a share that is missing", func(f *fixture) {
			f.sql("DELETE FROM parsec3.certificate WHERE topic = 'shamir_recovery' AND dated = $1 AND sequence = 2", int64(f.setup))
		}, ruleNamed("v5_shamir_shares"), "topic of Shamir recovery"},
		{"a deletion for others", func(f *fixture) {
			f.add("shamir_recovery", parsec.RealmID{}, must(certificate.ShamirDeletion{
				Author: f.bob.ID, Timestamp: f.now(), SetupToDeleteTimestamp: f.setup, SetupToDeleteUserID: f.bob.User, ShareRecipients: []parsec3.UserID{f.alice.User},
			}.Sign(f.bob.SigningKey)), nil)
		}, ruleNamed("v5_shamir_deletion"), "shamir_recovery_deletion_certificate"},
	}
}

// statement is a planting by one statement.
func statement(name string, rule *check.Rule, subject, sql string, args ...func(f *fixture) any) planting {
	return planting{name, func(f *fixture) {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg(f)
		}
		f.sql(sql, values...)
	}, rule, subject}
}

// tablePlantings change the tables beside the certificates.
func tablePlantings() []planting {
	bob := func(f *fixture) any { return [16]byte(f.bob.User) }
	work := func(f *fixture) any { return [16]byte(f.work) }
	vlob := func(f *fixture) any { return [16]byte(f.vlob) }
	setup := func(f *fixture) any { return int64(f.setup) }
	account := "INSERT INTO parsec3.account VALUES ('00000000-0000-0000-0000-0000000000aa', 'a@example.com', 'a', 1)"
	return []planting{
		statement("another date of the bootstrap", parsec3check.OrganizationRow, "organization", "UPDATE organization SET bootstrapped_on = bootstrapped_on + 1"),
		statement("another authority", parsec3check.OrganizationRow, "organization", "UPDATE organization SET sequester_authority_certificate = NULL"),
		statement("another key of the authority", parsec3check.OrganizationRow, "organization", "UPDATE organization SET sequester_verify_key_der = 'none'"),
		statement("the date of a topic", parsec3check.TopicRow, "topic common", "UPDATE parsec3.topic SET last_date = last_date - 1 WHERE topic = 'common'"),
		statement("a topic is missing", parsec3check.TopicRow, "topic shamir_recovery", "DELETE FROM parsec3.topic WHERE topic = 'shamir_recovery'"),
		statement("another name", parsec3check.UserRow, "user ", "UPDATE parsec3.user_ SET human_label = 'robert' WHERE user_id = $1", bob),
		statement("another profile", parsec3check.UserRow, "user ", "UPDATE parsec3.user_ SET profile = 'ADMIN' WHERE user_id = $1", bob),
		statement("a revocation is lost", parsec3check.UserRow, "user ", "UPDATE parsec3.user_ SET revoked_on = NULL WHERE revoked_on IS NOT NULL"),
		statement("a user is missing", parsec3check.UserRow, "users", "DELETE FROM parsec3.user_ WHERE user_id = $1", bob),
		statement("a user without certificate", parsec3check.UserRow, "user ", `
INSERT INTO parsec3.user_ (organization, user_id, profile, human_email, human_label, created_on, frozen)
VALUES ('CoolOrg', '00000000-0000-0000-0000-0000000000aa', 'STANDARD', 'a@example.com', 'a', 1, false)`),
		statement("a profile of the past", parsec3check.UserRow, "user ", "UPDATE parsec3.user_profile SET profile = 'OUTSIDER' WHERE user_id = $1", bob),
		statement("a profile is missing", parsec3check.UserRow, "user ", "DELETE FROM parsec3.user_profile WHERE user_id = $1", bob),
		statement("another key of a device", parsec3check.DeviceRow, "device ", "UPDATE parsec3.device SET verify_key = sha256(verify_key) WHERE user_id = $1", bob),
		statement("a device is missing", parsec3check.DeviceRow, "devices", "DELETE FROM parsec3.device WHERE user_id = $1", bob),
		statement("a service is missing", parsec3check.ServiceRow, "sequester services", "DELETE FROM parsec3.sequester_service"),
		statement("a service is not revoked", parsec3check.ServiceRow, "sequester service ", "UPDATE parsec3.sequester_service SET revoked_on = NULL WHERE revoked_on IS NOT NULL"),
		statement("nobody knows what was signed", parsec3check.Signed, "user ", "DELETE FROM parsec3.last_signed WHERE realm_id = '00000000-0000-0000-0000-000000000000'"),
		statement("nobody knows what was signed in a realm", parsec3check.Signed, "realm ", "UPDATE parsec3.last_signed SET last_date = last_date - 1 WHERE realm_id = $1", work),
		statement("users are not counted", parsec3check.UserCounts, "users STANDARD", "UPDATE parsec3.user_count SET users = users + 1 WHERE profile = 'STANDARD' AND NOT revoked"),
		{"an e-mail twice", func(f *fixture) {
			f.sql("DROP INDEX parsec3.user_active_human")
			f.sql("UPDATE parsec3.user_ SET human_email = 'alice@example.com' WHERE user_id = $1", [16]byte(f.bob.User))
		}, parsec3check.Emails, "alice@example.com"},
		statement("no ADMIN", parsec3check.Administrator, "organization", "UPDATE parsec3.user_ SET profile = 'STANDARD' WHERE profile = 'ADMIN'"),

		statement("another key index", parsec3check.RealmRow, "realm ", "UPDATE parsec3.realm SET key_index = 1 WHERE realm_id = $1", work),
		statement("another date of a realm", parsec3check.RealmRow, "realm ", "UPDATE parsec3.realm SET last_date = last_date - 1 WHERE realm_id = $1", work),
		statement("another archiving", parsec3check.RealmRow, "realm ", "UPDATE parsec3.realm SET archiving = 'ARCHIVED' WHERE realm_id = $1", work),
		statement("another date of deletion", parsec3check.RealmRow, "realm ", "UPDATE parsec3.realm SET deletion_date = deletion_date - 1 WHERE deletion_date IS NOT NULL"),
		statement("no certificate of a realm", parsec3check.RealmExists, "realm ", "DELETE FROM parsec3.certificate WHERE realm_id = $1", work),
		statement("no counter", parsec3check.RealmExists, "realm ", "DELETE FROM parsec3.realm_counter WHERE realm_id = $1", work),
		statement("another role of a member", parsec3check.RealmMembers, "realm ", "UPDATE parsec3.realm_member SET role = 'OWNER' WHERE realm_id = $1 AND user_id = $2", work, bob),
		statement("a member is missing", parsec3check.RealmMembers, "realm ", "DELETE FROM parsec3.realm_member WHERE realm_id = $1 AND user_id = $2", work, bob),
		{"no OWNER", func(f *fixture) {
			role(f, f.alice, f.alice.User, parsec.RoleReader)
		}, parsec3check.AnOwner, "realm "},
		statement("no keys bundle", parsec3check.KeysBundles, "realm ", "DELETE FROM parsec3.keys_bundle WHERE realm_id = $1 AND key_index = 1", work),
		statement("no access of a member", parsec3check.KeysAccesses, "realm ", "DELETE FROM parsec3.keys_bundle_access WHERE realm_id = $1 AND user_id = $2 AND key_index = 2", work, bob),
		statement("no access by a share", parsec3check.KeysAccesses, "realm ", "DELETE FROM parsec3.keys_bundle_access WHERE realm_id = $1 AND user_id = $2 AND key_index = 1", work, bob),
		statement("an access of a stranger", parsec3check.KeysAccesses, "realm ", "UPDATE parsec3.keys_bundle_access SET user_id = $3 WHERE realm_id = $1 AND user_id = $2 AND key_index = 2",
			work, bob, func(f *fixture) any { return [16]byte(f.oscar.User) }),
		statement("no access of a service", parsec3check.ServiceAccesses, "sequester service ", "DELETE FROM parsec3.sequester_access WHERE key_index = 2"),
		statement("data of a deleted realm", parsec3check.DeletedRealm, "realm ", "UPDATE parsec3.realm SET deleted = true WHERE realm_id = $1", work),
		statement("a realm is missing", parsec3check.Orphans, "realm ", "DELETE FROM parsec3.realm WHERE realm_id = $1", work),
		statement("an organization is missing", parsec3check.Orphans, "organization CoolOrg", "UPDATE organization SET organization_id = 'Other'"),

		statement("a version is missing", parsec3check.Versions, "vlob ", "DELETE FROM parsec3.vlob_atom WHERE vlob_id = $1 AND version = 1", vlob),
		statement("the latest version is missing", parsec3check.Versions, "vlob ", "DELETE FROM parsec3.vlob_atom WHERE vlob_id = $1 AND version = 2", vlob),
		statement("all versions are missing", parsec3check.Versions, "vlob ", "DELETE FROM parsec3.vlob_atom WHERE vlob_id = $1", vlob),
		statement("a head is missing", parsec3check.Versions, "vlob ", "DELETE FROM parsec3.vlob WHERE vlob_id = $1", vlob),
		statement("a log with a gap", parsec3check.Log, "realm ", "UPDATE parsec3.realm_counter SET checkpoint = checkpoint + 1 WHERE realm_id = $1", work),
		statement("a number beyond the log", parsec3check.Log, "vlob ", "UPDATE parsec3.vlob SET checkpoint = 99 WHERE vlob_id = $1", vlob),
		statement("a key that is not there", parsec3check.DataKey, "vlob ", "UPDATE parsec3.vlob_atom SET key_index = 3 WHERE vlob_id = $1 AND version = 2", vlob),
		statement("an earlier key", parsec3check.DataKey, "vlob ", "UPDATE parsec3.vlob_atom SET key_index = 0 WHERE vlob_id = $1 AND version = 2", vlob),
		statement("a key that was not there yet", parsec3check.DataKey, "vlob ", "UPDATE parsec3.vlob_atom SET key_index = 2 WHERE vlob_id = $1 AND version = 1", vlob),
		statement("an unknown author", ruleNamed("v5_data_author"), "vlob ", "UPDATE parsec3.vlob_atom SET author = $1 WHERE version = 2", bob),
		statement("a revoked author", ruleNamed("v5_data_author"), "vlob ", "UPDATE parsec3.vlob_atom SET author = $1 WHERE version = 2", func(f *fixture) any { return [16]byte(f.rita.ID) }),
		statement("an author who may not write", ruleNamed("v5_data_role"), "vlob ", "UPDATE parsec3.vlob_atom SET author = $1 WHERE version = 2", func(f *fixture) any { return [16]byte(f.oscar.ID) }),
		statement("the size of vlobs", parsec3check.RealmCounter, "realm ", "UPDATE parsec3.realm_counter SET vlobs_size = vlobs_size + 1, unsummed = true WHERE realm_id = $1", work),
		statement("the size of blocks", parsec3check.RealmCounter, "realm ", "UPDATE parsec3.realm_counter SET blocks_size = blocks_size + 1, unsummed = true WHERE realm_id = $1", work),
		statement("a block is missing", parsec3check.RealmCounter, "realm ", "DELETE FROM parsec3.block"),
		statement("the sums", parsec3check.Usage, "organization", "INSERT INTO parsec3.usage VALUES ('CoolOrg', 1, 1) ON CONFLICT (organization) DO UPDATE SET vlobs_size = usage.vlobs_size + 1"),
		statement("what is not summed up", parsec3check.Usage, "realm ", "UPDATE parsec3.realm_counter SET summed_vlobs = vlobs_size + 1, unsummed = false WHERE realm_id = $1", work),
		statement("the author of a block", parsec3check.Blocks, "block ", "UPDATE parsec3.block SET author = $1", bob),
		statement("the key of a block", parsec3check.Blocks, "block ", "UPDATE parsec3.block SET key_index = 3"),

		statement("another threshold", parsec3check.ShamirRow, "Shamir recovery", "UPDATE parsec3.shamir_setup SET threshold = 1 WHERE created_on = $1", setup),
		statement("a setup is missing", parsec3check.ShamirRow, "Shamir recovery", "DELETE FROM parsec3.shamir_setup WHERE created_on = $1", setup),
		statement("another count of shares", parsec3check.ShamirRow, "Shamir recovery", "UPDATE parsec3.shamir_share SET shares = 9 WHERE created_on = $1", setup),
		statement("shares are missing", parsec3check.ShamirRow, "Shamir recovery", "DELETE FROM parsec3.shamir_share WHERE created_on = $1", setup),
		statement("a recipient sees nothing", parsec3check.ShamirSeen, "Shamir recovery", "DELETE FROM parsec3.shamir_seen WHERE dated = $1 AND sequence = 1", setup),
		statement("a stranger sees something", parsec3check.ShamirSeen, "Shamir recovery", "INSERT INTO parsec3.shamir_seen VALUES ('CoolOrg', $2, $1, 1)", setup,
			func(f *fixture) any { return [16]byte(f.oscar.User) }),
		statement("an invitation to a setup that is deleted", parsec3check.Invitations, "invitation ", "UPDATE parsec3.invitation SET setup_date = $1 WHERE type = 'SHAMIR_RECOVERY'",
			func(f *fixture) any { return int64(f.firstSetup) }),
		statement("two invitations", parsec3check.Invitations, "invitation ", `
INSERT INTO parsec3.invitation (organization, token, type, created_by, created_on, claimer_email)
SELECT organization, '00000000-0000-0000-0000-0000000000aa', type, created_by, created_on, upper(claimer_email) FROM parsec3.invitation WHERE type = 'USER'`),
		statement("an unknown end", parsec3check.Invitations, "invitation ", "UPDATE parsec3.invitation SET ended_on = 1, ended_as = 'LOST' WHERE type = 'USER'"),
		statement("a greeter who is none", parsec3check.Invitations, "invitation ", `
INSERT INTO parsec3.greeting_attempt (organization, attempt_id, token, greeter, version, greeter_said, claimer_said)
SELECT organization, '00000000-0000-0000-0000-0000000000aa', token, $1, 1, '{}', '{}' FROM parsec3.invitation WHERE type = 'DEVICE'`,
			func(f *fixture) any { return [16]byte(f.oscar.User) }),
		statement("an enrollment that cannot be read", parsec3check.Enrollments, "enrollment ", "UPDATE parsec3.enrollment SET payload = 'none' WHERE status = 'SUBMITTED'"),
		statement("an acceptance that cannot be read", parsec3check.Enrollments, "enrollment ", "UPDATE parsec3.enrollment SET payload = 'none' WHERE status = 'ACCEPTED'"),
		{"an enrollment without user", func(f *fixture) {
			old := f.find("user_certificate")
			f.sql("DELETE FROM parsec3.certificate WHERE dated = $1", old.dated)
		}, parsec3check.Enrollments, "enrollment "},
		statement("an unknown status", parsec3check.Enrollments, "enrollment ", "UPDATE parsec3.enrollment SET status = 'LOST', payload = NULL, signature = NULL, entity = NULL WHERE status = 'ACCEPTED'"),
		statement("a session by nobody", parsec3check.Cryptpad, "document ", `
INSERT INTO parsec3.cryptpad_session (organization, realm_id, document_id, author, registered_on, key_index, view_key)
VALUES ('CoolOrg', $1, '00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-0000000000aa', 1, 1, '')`, work),
		statement("an account without vault", parsec3check.Accounts, "account ", account),
		{"a vault that does not count", func(f *fixture) {
			f.sql(account)
			f.sql("INSERT INTO parsec3.account_vault VALUES ('00000000-0000-0000-0000-0000000000aa', 1, 1, 1, 1)")
			f.sql(`INSERT INTO parsec3.account_method (method_id, account_id, vault, created_on, created_by_ip, created_by_user_agent, mac_key, vault_key_access)
VALUES ('00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-0000000000aa', 1, 1, '', '', '', '')`)
		}, parsec3check.Accounts, "account "},
	}
}

// TestMarkedDatabases has the kit of tests look at a database that is marked as unsound.
func TestMarkedDatabases(t *testing.T) {
	dsn := testkit.NewPostgres(t, testkit.Unsound)
	testkit.Execute(t, testkit.Connect(t, dsn), "INSERT INTO parsec3.account VALUES ('00000000-0000-0000-0000-0000000000aa', 'a@example.com', 'a', 1)")
	if faults := testkit.Faults(t, dsn); len(faults) != 1 || faults[0].Rule != parsec3check.Accounts {
		t.Errorf("%s", describe(faults))
	}
}
