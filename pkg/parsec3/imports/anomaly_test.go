//go:build !without_postgresql

package imports_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/internal/testkit/vectors"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// The users of the sample, and a realm.
const (
	alice     = "09b93059ab8740b0854676f748c60759"
	otto      = "0f2817f9-2243-467f-9519-3593ea7aebea" // OUTSIDER
	workspace = "94d0b8f3-447b-407b-ac2c-a8678be3db4f"
)

// signers sign as the devices of the sample.
type signers map[parsec3.DeviceID]ed25519.PrivateKey

// official is what the sample knows beside its rows.
type official struct {
	Keys struct {
		Organizations map[string]organizationKeys
	}
	Expected struct {
		Organizations map[string]organizationSeen
	}
}

type organizationKeys struct {
	Users map[string]struct {
		PrivateKey []byte `json:"private_key"`
	}
	Devices map[string]struct {
		User       string
		SigningKey []byte `json:"signing_key"`
	}
	RootVerifyKey []byte `json:"root_verify_key"`
}

func loadSigners(t *testing.T) signers {
	t.Helper()
	loaded := vectors.Load[official](t, "import/official-3.9.3.json")
	all := signers{}
	for id, device := range loaded.Keys.Organizations["Alpha"].Devices {
		all[parsec3.DeviceID(must(parsec.ParseUUID(id)))] = ed25519.NewKeyFromSeed(device.SigningKey)
	}
	return all
}

// deviceOf returns the first device of a user, with its key in the source.
func deviceOf(t *testing.T, connection *pgx.Conn, user string) (id parsec3.DeviceID, key int) {
	t.Helper()
	var uuid [16]byte
	err := connection.QueryRow(t.Context(), `
SELECT d.device_id, d._id FROM device d JOIN user_ u ON u._id = d.user_ WHERE u.user_id = $1::uuid ORDER BY d._id LIMIT 1`, user).Scan(&uuid, &key)
	if err != nil {
		t.Fatal(err)
	}
	return uuid, key
}

// giveRole adds a role certificate of a realm.
func (s signers) giveRole(t *testing.T, connection *pgx.Conn, realm, author, target string, role parsec.RealmRole, at time.Time) {
	t.Helper()
	by, key := deviceOf(t, connection, author)
	signed := must(certificate.RealmRole{
		Author: by, Timestamp: parsec.DateTimeOf(at), RealmID: parsec.RealmID(must(parsec.ParseUUID(realm))),
		UserID: parsec3.UserID(must(parsec.ParseUUID(target))), Role: role,
	}.Sign(s[by]))
	if _, err := connection.Exec(t.Context(), `
INSERT INTO realm_user_role (realm, user_, role, certificate, certified_by, certified_on)
SELECT r._id, u._id, $3::realm_role, $4, $5, $6 FROM realm r, user_ u WHERE r.realm_id = $1::uuid AND u.user_id = $2::uuid`,
		realm, target, string(role), signed, key, at); err != nil {
		t.Fatal(err)
	}
}

// TestAnomalies has each of what races and hand edits leave, and wants its finding.
func TestAnomalies(t *testing.T) {
	t.Parallel()
	sample := testkit.LoadOfficial(t, "3.9.3")
	keys := loadSigners(t)
	later := time.Now().UTC().Truncate(time.Microsecond)
	for name, test := range map[string]struct {
		breaks string
		does   func(t *testing.T, connection *pgx.Conn)
		want   string
	}{
		"a vlob of a key that the realm has not":  {breaks: "UPDATE vlob_atom SET key_index = 9 WHERE _id = 7", want: "Alpha stop key_index: realm "},
		"a block of a key that the realm has not": {breaks: "UPDATE block SET key_index = 9 WHERE _id = 1", want: "Alpha stop key_index: realm "},
		"a block in two realms": {
			breaks: `INSERT INTO block (block_id, realm, author, size, created_on, key_index) SELECT b.block_id, 4, b.author, b.size, now(), 1 FROM block b WHERE b._id = 1`,
			want:   "Alpha note block_in_two_realms: block ",
		},
		"a topic older than its certificates": {
			breaks: "UPDATE common_topic SET last_timestamp = '2020-01-01'; UPDATE realm_topic SET last_timestamp = '2020-01-01'", want: "Alpha repair topic_date: common topic",
		},
		"two certificates of one date": {
			breaks: "INSERT INTO realm_name (realm, realm_name_certificate, certified_by, certified_on) SELECT n.realm, n.realm_name_certificate, n.certified_by, n.certified_on FROM realm_name n WHERE n._id = 1",
			want:   "Alpha stop v5_topic_dates: realm ",
		},
		"two bootstraps": {does: bootstrapAgain, want: "Alpha stop v5_certificate_signature: common certificate "},
		"a certificate of somebody who is revoked": {does: func(t *testing.T, connection *pgx.Conn) {
			keys.giveRole(t, connection, workspace, "386e5a5c-f947-41d3-897c-f1fba63552c2", otto, parsec.RoleReader, later)
		}, want: "Alpha note v5_author_revoked: realm "},
		"data of somebody who is revoked": {
			breaks: "UPDATE vlob_atom x SET created_on = '2100-01-01' FROM device d, user_ u WHERE d._id = x.author AND u._id = d.user_ AND u.revoked_on IS NOT NULL",
			want:   "Alpha note data_after_revocation: realm ",
		},
		"an OUTSIDER that manages": {does: func(t *testing.T, connection *pgx.Conn) {
			keys.giveRole(t, connection, workspace, alice, otto, parsec.RoleManager, later)
		}, want: "Alpha note v5_realm_outsider: realm "},
		"Shamir recoveries in another order": {
			breaks: "UPDATE shamir_recovery_setup SET _id = 100 WHERE _id = 2; UPDATE shamir_recovery_share SET shamir_recovery = 100 WHERE shamir_recovery = 2",
			want:   "Alpha note shamir_order: user ",
		},
		"a version of an older key": {
			breaks: "UPDATE vlob_atom SET created_on = '2100-01-01' WHERE _id = (SELECT max(_id) FROM vlob_atom WHERE realm = 3 AND key_index = 1)", want: "Alpha note older_key: realm ",
		},
		"two pending invitations": {
			breaks: `INSERT INTO invitation (organization, token, type, created_by_device, user_invitation_claimer_email, created_on)
SELECT organization, md5('another'), type, created_by_device, upper(user_invitation_claimer_email), now() FROM invitation WHERE _id = 2`,
			want: "Alpha repair pending_invitations: invitation ",
		},
		"two enrollments that wait": {
			breaks: `UPDATE async_enrollment SET submit_payload_requested_human_handle_email = 'SUB1@example.com' WHERE _id = 2`, want: "Alpha repair enrollments: enrollment ",
		},
		"an access that is missing": {
			breaks: "DELETE FROM realm_keys_bundle_access WHERE realm_keys_bundle = 3 AND user_ = 1", want: "Alpha note access_missing: realm ",
		},
		"several active passwords": {breaks: "UPDATE vault_authentication_method SET disabled_on = NULL WHERE _id = 3", want: "repair account_methods: account alice@example.com"},
		"a deleted account that is active": {
			breaks: "UPDATE vault_authentication_method SET disabled_on = NULL WHERE _id = 7", want: "repair account_methods: account gone@example.com",
		},
		"an e-mail address that is not ASCII": {does: func(t *testing.T, connection *pgx.Conn) { rename(t, connection, keys) }, want: "Alpha stop v5_certificate_format: common "},
		"a certificate that somebody has changed": {
			breaks: "UPDATE user_ SET user_certificate = set_byte(user_certificate, 5, 255 - get_byte(user_certificate, 5)) WHERE _id = 2",
			want:   "Alpha stop v5_certificate_signature: common certificate ",
		},
		"a row that is not its certificate":  {breaks: "UPDATE user_ SET current_profile = 'ADMIN' WHERE _id = 3", want: "Alpha stop certificate: user "},
		"a device of another key":            {breaks: "UPDATE device SET verify_key = set_byte(verify_key, 0, 255 - get_byte(verify_key, 0)) WHERE _id = 1", want: "Alpha stop certificate: device "},
		"a realm without roles":              {breaks: "DELETE FROM realm_user_role WHERE realm = 9", want: "Alpha stop realm_incomplete: realm "},
		"a missing rotation":                 {breaks: "DELETE FROM realm_keys_bundle WHERE _id = 2", want: "Alpha stop v5_realm_keys: realm "},
		"a missing share":                    {breaks: "DELETE FROM shamir_recovery_share WHERE shamir_recovery = 3", want: "Alpha stop v5_shamir_shares: "},
		"a gap in the change log":            {breaks: "DELETE FROM realm_vlob_update WHERE index = 2 AND realm = 3", want: "Alpha stop change_log: realm "},
		"a missing version":                  {breaks: "DELETE FROM vlob_atom WHERE _id = (SELECT min(_id) FROM vlob_atom WHERE version = 2 AND realm = 3)", want: "Alpha stop versions: realm "},
		"a user without device":              {breaks: "DELETE FROM device WHERE user_ = 2", want: "Alpha stop v5_first_device: common"},
		"too many users":                     {breaks: "UPDATE organization SET active_users_limit = 1", want: "Alpha note users_limit: organization"},
		"an invitation by another service":   {breaks: "UPDATE invitation SET created_by_device = NULL, created_by_service_label = 'Directory' WHERE _id = 2", want: "Alpha note invitation_by_service: invitation "},
		"a block of another size":            {breaks: "UPDATE block SET size = size + 1 WHERE _id = 1", want: "Alpha note block_size: realm "},
		"a chain that is missing":            {breaks: "DELETE FROM pki_x509_certificate", want: "Alpha stop missing_row: enrollment "},
		"a Shamir recovery that has no data": {breaks: "UPDATE shamir_recovery_setup SET ciphered_data = NULL WHERE _id = 3", want: "Alpha note shamir_without_data: user "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, owner := testkit.NewOfficial(t, sample)
			connection := testkit.Connect(t, owner)
			testkit.Execute(t, connection, "SET session_replication_role = replica")
			if test.breaks != "" {
				testkit.Execute(t, connection, test.breaks)
			} else {
				test.does(t, connection)
			}
			var report *imports.Report
			if strings.Contains(test.want, " stop ") {
				report = moving.Survey(t, wing, from, imports.Choices{})
				report.LeaveStopped()
			} else {
				report = moving.Move(t, wing, from, testkit.NewPostgres(t, testkit.Unsound), imports.Choices{})
			}
			if all := "\n" + strings.Join(moving.Findings(report), "\n"); !strings.Contains(all, "\n"+test.want) {
				t.Errorf("%q is not in%s", test.want, all)
			}
			for _, one := range report.Importable() {
				if one.Stopped() {
					t.Errorf("%s differs:\n%s", one.ID, strings.Join(moving.Stops(report), "\n"))
				}
			}
		})
	}
}

// bootstrapAgain adds a user that another root key has signed.
func bootstrapAgain(t *testing.T, connection *pgx.Conn) {
	t.Helper()
	person := client3.Person{Label: must(parsec3.ParseDeviceLabel("laptop")), HumanHandle: must(parsec3.ParseHumanHandle("rival@example.com", "Rival"))}
	at := time.Now().UTC().Truncate(time.Microsecond)
	device, request, err := client3.NewOrganization(client3.Founding{Organization: must(parsec.ParseOrganizationID("Alpha"))}, person, parsec.DateTimeOf(at))
	if err != nil {
		t.Fatal(err)
	}
	key := device.VerifyKey()
	if _, err := connection.Exec(t.Context(), `
WITH someone AS (INSERT INTO human (organization, email, label) VALUES (1, 'rival@example.com', 'Rival') RETURNING _id),
rival AS (
    INSERT INTO user_ (organization, user_id, user_certificate, created_on, human, redacted_user_certificate, initial_profile, frozen, current_profile, totp_setup_completed)
    SELECT 1, $1, $2, $3, someone._id, $4, 'ADMIN', false, 'ADMIN', false FROM someone RETURNING _id
)
INSERT INTO device (organization, user_, device_id, device_label, verify_key, device_certificate, created_on, redacted_device_certificate)
SELECT 1, rival._id, $5, 'laptop', $6, $7, $3, $8 FROM rival`,
		[16]byte(device.User), request.UserCertificate, at, request.RedactedUserCertificate, [16]byte(device.ID), key[:], request.DeviceCertificate,
		request.RedactedDeviceCertificate); err != nil {
		t.Fatal(err)
	}
}

// rename has the last user of the sample have an e-mail address that clients do not read
// any more.
func rename(t *testing.T, connection *pgx.Conn, keys signers) {
	t.Helper()
	var signed []byte
	if err := connection.QueryRow(t.Context(), "SELECT user_certificate FROM user_ WHERE _id = 12").Scan(&signed); err != nil {
		t.Fatal(err)
	}
	user := must(certificate.Read[certificate.User](signed))
	packed := bytes.Replace(must(certificate.Unpack(signed[ed25519.SignatureSize:])), []byte("@example.com"), []byte("@exampl\u00e9.co"), 1)
	encoder := must(zstd.NewWriter(nil))
	packed = append([]byte{0}, encoder.EncodeAll(packed, nil)...)
	if _, err := connection.Exec(t.Context(), "UPDATE user_ SET user_certificate = $1 WHERE _id = 12", append(ed25519.Sign(keys[user.Author], packed), packed...)); err != nil {
		t.Fatal(err)
	}
}

// TestRealmOfOutsider leaves out what step 11 has removed.
func TestRealmOfOutsider(t *testing.T) {
	t.Parallel()
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "3.9.3"))
	connection := testkit.Connect(t, owner)
	moving.Downgrade(t, connection, wing, 24, 10, older)
	const realm = "11111111-1111-4111-8111-111111111111"
	testkit.Execute(t, connection, "INSERT INTO realm (organization, realm_id, key_index, created_on) VALUES (1, '"+realm+"', 0, now())")
	loadSigners(t).giveRole(t, connection, realm, otto, otto, parsec.RoleOwner, time.Now().UTC().Truncate(time.Microsecond))
	testkit.Execute(t, connection, `
WITH atom AS (
    INSERT INTO vlob_atom (realm, key_index, vlob_id, version, blob, size, author, created_on)
    SELECT r._id, 0, '22222222-2222-4222-8222-222222222222', 1, 'x', 1, d._id, now() FROM realm r, device d JOIN user_ u ON u._id = d.user_
    WHERE r.realm_id = '`+realm+`' AND u.user_id = '`+otto+`' ORDER BY d._id LIMIT 1 RETURNING _id, realm
) INSERT INTO realm_vlob_update (realm, index, vlob_atom) SELECT atom.realm, 1, atom._id FROM atom`)
	to := testkit.NewPostgres(t)
	report := moving.Move(t, wing, from, to, imports.Choices{})
	all := strings.Join(moving.Findings(report), "\n")
	if !strings.Contains(all, "Alpha repair realm_of_outsider: realm "+realm) || len(moving.Stops(report)) > 0 {
		t.Errorf("it tells\n%s", all)
	}
	if strings.Contains(moving.Dump(t, to), realm) {
		t.Error("the realm has come")
	}
}

// TestUserWithoutHandle imports a user whose certificate has no human handle, as the first
// servers let them in.
func TestUserWithoutHandle(t *testing.T) {
	t.Parallel()
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "3.9.3"))
	testkit.Execute(t, testkit.Connect(t, owner), "UPDATE user_ SET user_certificate = redacted_user_certificate WHERE _id = 12")
	report := moving.Move(t, wing, from, testkit.NewPostgres(t), imports.Choices{})
	if all := strings.Join(moving.Findings(report), "\n"); !strings.Contains(all, "Alpha note no_handle: user ") || len(moving.Stops(report)) > 0 {
		t.Errorf("it tells\n%s", all)
	}
}
