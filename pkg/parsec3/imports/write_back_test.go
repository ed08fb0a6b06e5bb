//go:build !without_postgresql

package imports_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// date is the expression of a date of this server as an official one has it.
func date(parameter string) string {
	return "'epoch'::timestamptz + " + parameter + "::bigint * interval '1 microsecond'"
}

// byDevice is the expression of the key of a device; NULL for the root key.
func byDevice(parameter string) string {
	return "(SELECT _id FROM device WHERE device_id = " + parameter + "::uuid)"
}

func ofUser(parameter string) string {
	return "(SELECT _id FROM user_ WHERE user_id = " + parameter + "::uuid)"
}

func ofRealm(parameter string) string {
	return "(SELECT _id FROM realm WHERE realm_id = " + parameter + "::uuid)"
}

// scribe writes what this server has as an official one would have it.
type scribe struct {
	t        *testing.T
	from, to *pgx.Conn
	// lookup is another one than from, which has a query open.
	lookup *pgx.Conn
	// What follows is of a certificate.
	topic            string
	realm            [16]byte
	dated            int64
	sequence         int16
	signed, redacted []byte
}

func writeBack(t *testing.T, lived, official string) {
	t.Helper()
	s := &scribe{t: t, from: testkit.Connect(t, lived), to: testkit.Connect(t, official), lookup: testkit.Connect(t, lived)}
	s.copy(`SELECT organization_id, bootstrap_token, root_verify_key, user_profile_outsider_allowed, minimum_archiving_period, created_on, bootstrapped_on FROM organization`, `
INSERT INTO organization (_id, organization_id, bootstrap_token, root_verify_key, user_profile_outsider_allowed, is_expired, realm_minimum_archiving_period_before_deletion,
    _created_on, _bootstrapped_on) VALUES (1, $1, $2, $3, $4, false, $5, `+date("$6")+`, `+date("$7")+`)`)
	s.copy("SELECT last_date FROM parsec3.topic WHERE topic = 'common'", "INSERT INTO common_topic (organization, last_timestamp) VALUES (1, "+date("$1")+")")
	rows, err := s.from.Query(t.Context(), `
SELECT c.topic, c.realm_id, c.dated, c.sequence, c.certificate, c.redacted FROM parsec3.certificate c ORDER BY c.topic <> 'common', c.dated, c.sequence`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = pgx.ForEachRow(rows, []any{&s.topic, &s.realm, &s.dated, &s.sequence, &s.signed, &s.redacted}, func() error {
		s.certificate()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.rest()
}

// copy writes each row of a statement by another one.
func (s *scribe) copy(query, statement string) {
	s.t.Helper()
	rows, err := s.from.Query(s.t.Context(), query)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		s.t.Fatal(err)
	}
	for _, values := range all {
		s.put(statement, values...)
	}
}

func (s *scribe) put(statement string, values ...any) {
	s.t.Helper()
	if _, err := s.to.Exec(s.t.Context(), statement, values...); err != nil {
		s.t.Fatalf("%s: %v", statement, err)
	}
}

// device is the author as a parameter.
func device(id parsec3.DeviceID) *[16]byte {
	if id == (parsec3.DeviceID{}) {
		return nil
	}
	return new([16]byte(id))
}

func role(of parsec.RealmRole) *string {
	if of == parsec.RoleNone {
		return nil
	}
	return new(string(of))
}

// certificate writes the row of a certificate.
func (s *scribe) certificate() {
	claim, err := certificate.ReadClaim(s.signed)
	if err != nil {
		s.t.Fatal(err)
	}
	switch claim.Type {
	case "user_certificate":
		user := must(certificate.Read[certificate.User](s.signed))
		s.put("INSERT INTO human (organization, email, label) VALUES (1, $1, $2) ON CONFLICT DO NOTHING", user.HumanHandle.Email(), user.HumanHandle.Label())
		s.put(`
INSERT INTO user_ (organization, user_id, user_certificate, redacted_user_certificate, user_certifier, created_on, human, initial_profile, current_profile, frozen, totp_setup_completed)
VALUES (1, $1, $2, $3, `+byDevice("$4")+`, `+date("$5")+`, (SELECT _id FROM human WHERE email = $6), $7::text::user_profile, $7::text::user_profile, false, false)`,
			[16]byte(user.UserID), s.signed, s.redacted, device(user.Author), s.dated, user.HumanHandle.Email(), string(user.Profile))
	case "device_certificate":
		one := must(certificate.Read[certificate.Device](s.signed))
		s.put(`
INSERT INTO device (organization, user_, device_id, device_label, verify_key, device_certificate, redacted_device_certificate, device_certifier, created_on)
VALUES (1, `+ofUser("$1")+`, $2, $3, $4, $5, $6, `+byDevice("$7")+`, `+date("$8")+`)`,
			[16]byte(one.UserID), [16]byte(one.DeviceID), one.DeviceLabel.String(), one.VerifyKey[:], s.signed, s.redacted, device(one.Author), s.dated)
	case "user_update_certificate":
		update := must(certificate.Read[certificate.UserUpdate](s.signed))
		s.put("INSERT INTO profile (user_, profile, profile_certificate, certified_by, certified_on) VALUES ("+ofUser("$1")+", $2::text::user_profile, $3, "+byDevice("$4")+", "+date("$5")+")",
			[16]byte(update.UserID), string(update.NewProfile), s.signed, device(update.Author), s.dated)
		s.put("UPDATE user_ SET current_profile = $2::text::user_profile WHERE user_id = $1::uuid", [16]byte(update.UserID), string(update.NewProfile))
	case "revoked_user_certificate":
		revoked := must(certificate.Read[certificate.RevokedUser](s.signed))
		s.put("UPDATE user_ SET revoked_on = "+date("$2")+", revoked_user_certificate = $3, revoked_user_certifier = "+byDevice("$4")+" WHERE user_id = $1::uuid",
			[16]byte(revoked.UserID), s.dated, s.signed, device(revoked.Author))
	default:
		s.ofRealm(claim.Type)
		s.ofShamir(claim.Type)
	}
}

func (s *scribe) ofRealm(kind string) {
	switch kind {
	case "realm_role_certificate":
		given := must(certificate.Read[certificate.RealmRole](s.signed))
		s.put("INSERT INTO realm (organization, realm_id, key_index, created_on, status) VALUES (1, $1, 0, "+date("$2")+", 'AVAILABLE') ON CONFLICT DO NOTHING", s.realm, s.dated)
		s.put("INSERT INTO realm_user_role (realm, user_, role, certificate, certified_by, certified_on) VALUES ("+ofRealm("$1")+", "+ofUser("$2")+", $3::text::realm_role, $4, "+
			byDevice("$5")+", "+date("$6")+")", s.realm, [16]byte(given.UserID), role(given.Role), s.signed, device(given.Author), s.dated)
	case "realm_key_rotation_certificate":
		rotation := must(certificate.Read[certificate.RealmKeyRotation](s.signed))
		var bundle []byte
		err := s.lookup.QueryRow(s.t.Context(), "SELECT b.bundle FROM parsec3.keys_bundle b WHERE b.realm_id = $1 AND b.key_index = $2",
			s.realm, int64(rotation.KeyIndex)).Scan(&bundle)
		if err != nil {
			s.t.Fatal(err)
		}
		s.put("INSERT INTO realm_keys_bundle (realm, key_index, realm_key_rotation_certificate, certified_by, certified_on, key_canary, keys_bundle) VALUES ("+
			ofRealm("$1")+", $2, $3, "+byDevice("$4")+", "+date("$5")+", $6, $7)",
			s.realm, int32(rotation.KeyIndex), s.signed, device(rotation.Author), s.dated, rotation.KeyCanary, bundle)
		s.put("UPDATE realm SET key_index = $2 WHERE realm_id = $1::uuid", s.realm, int32(rotation.KeyIndex))
	case "realm_name_certificate":
		name := must(certificate.Read[certificate.RealmName](s.signed))
		s.put("INSERT INTO realm_name (realm, realm_name_certificate, certified_by, certified_on) VALUES ("+ofRealm("$1")+", $2, "+byDevice("$3")+", "+date("$4")+")",
			s.realm, s.signed, device(name.Author), s.dated)
	case "realm_archiving_certificate":
		archiving := must(certificate.Read[certificate.RealmArchiving](s.signed))
		s.put("INSERT INTO realm_archiving (realm, configuration, certificate, certified_by, certified_on) VALUES ("+ofRealm("$1")+", $2::text::realm_archiving_configuration, $3, "+
			byDevice("$4")+", "+date("$5")+")", s.realm, string(archiving.Type), s.signed, device(archiving.Author), s.dated)
	}
}

func (s *scribe) ofShamir(kind string) {
	switch kind {
	case "shamir_recovery_brief_certificate":
		brief := must(certificate.Read[certificate.ShamirBrief](s.signed))
		var token string
		var ciphered []byte
		err := s.lookup.QueryRow(s.t.Context(), "SELECT encode(x.reveal_token, 'hex'), x.ciphered_data FROM parsec3.shamir_setup x WHERE x.user_id = $1 AND x.created_on = $2",
			[16]byte(brief.UserID), s.dated).Scan(&token, &ciphered)
		if err != nil {
			s.t.Fatal(err)
		}
		s.put("INSERT INTO shamir_recovery_setup (organization, user_, brief_certificate, reveal_token, threshold, shares, ciphered_data, created_on) VALUES (1, "+
			ofUser("$1")+", $2, $3, $4, 0, $5, "+date("$6")+")", [16]byte(brief.UserID), s.signed, token, int32(brief.Threshold), ciphered, s.dated)
	case "shamir_recovery_share_certificate":
		share := must(certificate.Read[certificate.ShamirShare](s.signed))
		s.put("INSERT INTO shamir_recovery_share (organization, shamir_recovery, recipient, share_certificate, shares) SELECT 1, x._id, "+ofUser("$1")+", $2, 0 FROM shamir_recovery_setup x WHERE x.user_ = "+
			ofUser("$3")+" AND x.created_on = "+date("$4"), [16]byte(share.Recipient), s.signed, [16]byte(share.UserID), s.dated)
	}
}

// rest writes what is not signed.
func (s *scribe) rest() {
	s.copy("SELECT realm_id, user_id, key_index, dated, access FROM parsec3.keys_bundle_access ORDER BY dated", `
INSERT INTO realm_keys_bundle_access (realm, user_, realm_keys_bundle, access, from_sharing)
SELECT `+ofRealm("$1")+`, `+ofUser("$2")+`, b._id, $5, (SELECT r._id FROM realm_user_role r WHERE r.realm = `+ofRealm("$1")+` AND r.user_ = `+ofUser("$2")+` AND r.certified_on = `+date("$4")+`)
FROM realm_keys_bundle b WHERE b.realm = `+ofRealm("$1")+` AND b.key_index = $3`)
	s.copy(`SELECT realm_id, vlob_id, version, key_index, author, written_on, blob, row_number() OVER (PARTITION BY realm_id ORDER BY written_on)
FROM parsec3.vlob_atom ORDER BY written_on`, `
WITH atom AS (
    INSERT INTO vlob_atom (realm, vlob_id, version, key_index, author, created_on, blob, size)
    VALUES (`+ofRealm("$1")+`, $2::uuid, $3, $4, `+byDevice("$5")+`, `+date("$6")+`, $7::bytea, length($7::bytea)) RETURNING realm, _id
) INSERT INTO realm_vlob_update (realm, index, vlob_atom) SELECT atom.realm, $8, atom._id FROM atom`)
	s.copy("SELECT realm_id, block_id, key_index, author, size, created_on FROM parsec3.block WHERE upload_token IS NULL ORDER BY created_on", `
INSERT INTO block (realm, block_id, key_index, author, size, created_on) VALUES (`+ofRealm("$1")+`, $2::uuid, $3, `+byDevice("$4")+`, $5, `+date("$6")+`)`)
	s.copy(`
SELECT replace(i.token::text, '-', ''), i.type, i.created_by, i.created_on, i.claimer_email FROM parsec3.invitation i WHERE i.type = 'USER' ORDER BY i.number`, `
INSERT INTO invitation (organization, token, type, created_by_device, created_on, user_invitation_claimer_email)
VALUES (1, $1, $2::text::invitation_type, (SELECT min(_id) FROM device WHERE user_ = `+ofUser("$3")+`), `+date("$4")+`, $5)`)
}
