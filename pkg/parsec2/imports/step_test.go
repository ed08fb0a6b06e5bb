//go:build !without_postgresql

package imports_test

import (
	"fmt"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/pkg/imports"
)

// older makes what earlier steps have and later ones have replaced.
var older = map[string]string{
	"invitation.shamir_recovery":   "DELETE FROM shamir_recovery_conduit; DELETE FROM invitation WHERE type = 'SHAMIR_RECOVERY'",
	"organization.expiration_date": "ALTER TABLE organization ADD COLUMN expiration_date timestamptz",
	"user_.is_admin":               "ALTER TABLE user_ ADD COLUMN is_admin boolean NOT NULL DEFAULT false",
	"user_invitation": "CREATE TABLE user_invitation (_id SERIAL PRIMARY KEY, organization integer NOT NULL, user_id varchar(32) NOT NULL, " +
		"creator integer NOT NULL, created_on timestamptz NOT NULL)",
	"device_invitation": "CREATE TABLE device_invitation (_id SERIAL PRIMARY KEY, organization integer NOT NULL, device_id varchar(65) NOT NULL, " +
		"creator integer NOT NULL, created_on timestamptz NOT NULL)",
}

// TestEverySchema imports a database of each step that a release had.
func TestEverySchema(t *testing.T) {
	t.Parallel()
	for _, of := range []struct {
		release string
		from    int
		steps   []int
	}{
		{"1.13", 3, []int{1, 3}},
		{"2.17", 15, []int{5, 6, 8, 9, 10, 11, 12, 14}},
	} {
		official := testkit.LoadOfficial(t, of.release)
		for _, step := range of.steps {
			t.Run(fmt.Sprint(step), func(t *testing.T) {
				t.Parallel()
				from, owner := testkit.NewOfficial(t, official)
				connection := testkit.Connect(t, owner)
				moving.Downgrade(t, connection, wing, of.from, step, older)
				if step == 1 {
					testkit.Execute(t, connection, "DROP TABLE migration")
				}
				to := testkit.NewPostgres(t)
				report := moving.Move(t, wing, from, to, imports.Choices{})
				if report.Step != step || report.Stopped() {
					t.Errorf("step %d: %+v", report.Step, moving.Findings(report))
				}
				first := moving.Dump(t, to)
				if err := moving.Run(t.Context(), t, wing, from, to, imports.Choices{}, nil); err != nil {
					t.Fatal(err)
				}
				if second := moving.Dump(t, to); second != first {
					t.Errorf("a second run changes something:\n%s", moving.Difference(first, second))
				}
			})
		}
	}
}

// TestAnomalies has each of what races and hand edits leave, and wants its finding.
func TestAnomalies(t *testing.T) {
	t.Parallel()
	official := testkit.LoadOfficial(t, "2.17")
	const reencrypted = "(SELECT r._id FROM realm r WHERE r.encryption_revision = 2 AND r.maintenance_type IS NULL LIMIT 1)"
	const missed = `
WITH atom AS (
    INSERT INTO vlob_atom (organization, vlob_encryption_revision, vlob_id, version, blob, size, author, created_on)
    SELECT x.organization, v._id, x.vlob_id, 1 + (SELECT max(y.version) FROM vlob_atom y WHERE y.vlob_id = x.vlob_id), 'x', 1, x.author, now()
    FROM vlob_encryption_revision v JOIN vlob_atom x ON x.vlob_encryption_revision = v._id WHERE v.realm = ` + reencrypted + ` AND v.encryption_revision = 1 LIMIT 1 RETURNING _id
)
INSERT INTO realm_vlob_update (realm, index, vlob_atom)
SELECT ` + reencrypted + `, (SELECT max(u.index) + 1 FROM realm_vlob_update u WHERE u.realm = ` + reencrypted + `), atom._id FROM atom`
	for name, test := range map[string]struct {
		breaks, want string
		// choices have the organization come all the same.
		choices imports.Choices
	}{
		"two active users of one e-mail": {
			"UPDATE user_ SET revoked_on = NULL, revoked_user_certificate = NULL, revoked_user_certifier = NULL WHERE revoked_on IS NOT NULL",
			"Alpha stop same_human: user ", imports.Choices{KeepFirstHuman: true},
		},
		"messages of one index": {"UPDATE message SET index = 1", "Alpha repair message_index: user ", imports.Choices{}},
		"a vlob in two realms": {
			`WITH atom AS (
    INSERT INTO vlob_atom (organization, vlob_encryption_revision, vlob_id, version, blob, size, author, created_on)
    SELECT x.organization, v._id, x.vlob_id, 1, 'x', 1, x.author, x.created_on FROM vlob_atom x JOIN vlob_encryption_revision w ON w._id = x.vlob_encryption_revision
    JOIN realm r ON r.organization = x.organization AND r._id <> w.realm AND r.maintenance_type IS NULL
    JOIN vlob_encryption_revision v ON v.realm = r._id AND v.encryption_revision = r.encryption_revision
    WHERE x.version = 1 LIMIT 1 RETURNING _id, vlob_encryption_revision
)
INSERT INTO realm_vlob_update (realm, index, vlob_atom)
SELECT v.realm, 1 + coalesce((SELECT max(u.index) FROM realm_vlob_update u WHERE u.realm = v.realm), 0), atom._id
FROM atom JOIN vlob_encryption_revision v ON v._id = atom.vlob_encryption_revision`,
			"stop vlob_in_two_realms: vlob ", imports.Choices{KeepFirstVlob: true},
		},
		"a version that a reencryption has missed": {
			missed, "Alpha repair version_in_old_revision: realm ", imports.Choices{},
		},
		"fewer versions than changes": {missed, "Alpha note versions_below_checkpoint: realm ", imports.Choices{}},
		"a certificate that somebody has changed": {
			"UPDATE user_ SET user_certificate = set_byte(user_certificate, 5, 255 - get_byte(user_certificate, 5)) WHERE _id = 2", "stop certificate: user ",
			imports.Choices{},
		},
		"a row that is not its certificate": {"UPDATE realm_user_role SET role = 'READER' WHERE _id = 1", "stop certificate: realm ", imports.Choices{}},
		"a realm without roles":             {"DELETE FROM realm_user_role WHERE realm = 1", "stop realm_incomplete: realm ", imports.Choices{}},
		"a gap in the change log":           {"DELETE FROM realm_vlob_update WHERE index = 2", "stop change_log: realm ", imports.Choices{}},
		"too many users":                    {"UPDATE organization SET active_users_limit = 1", "Alpha note users_limit: organization", imports.Choices{}},
		"an expiration that step 8 made":    {"UPDATE organization SET is_expired = true, _expired_on = '2100-01-01'", "Alpha note expired_by_migration: organization", imports.Choices{}},
		"two roles of one date": {
			`INSERT INTO realm_user_role (realm, user_, role, certificate, certified_by, certified_on)
SELECT x.realm, x.user_, x.role, x.certificate, x.certified_by, x.certified_on FROM realm_user_role x WHERE x._id = (SELECT max(y._id) FROM realm_user_role y)`,
			" note role_order: realm ", imports.Choices{},
		},
		"data of somebody who is revoked": {
			`UPDATE vlob_atom x SET created_on = '2100-01-01' FROM device d, user_ u WHERE d._id = x.author AND u._id = d.user_ AND u.revoked_on IS NOT NULL`,
			"Alpha note data_after_revocation: realm ", imports.Choices{},
		},
		"data of somebody who may only read": {
			`UPDATE vlob_atom x SET created_on = '2100-01-01', author = (SELECT min(d._id) FROM device d WHERE d.user_ = g.user_)
FROM vlob_encryption_revision v, realm r, realm_user_role g
WHERE v._id = x.vlob_encryption_revision AND r._id = v.realm AND g.realm = r._id AND v.encryption_revision = r.encryption_revision AND r.maintenance_type IS NULL
    AND g._id IN (SELECT max(h._id) FROM realm_user_role h GROUP BY h.realm, h.user_) AND (g.role IS NULL OR g.role = 'READER')`,
			"Alpha note data_after_role: realm ", imports.Choices{},
		},
		"two pending invitations of one claimer": {
			`INSERT INTO invitation (organization, token, type, greeter, claimer_email, created_on, conduit_state)
SELECT i.organization, gen_random_uuid(), 'USER', i.greeter, 'zack@example.com', i.created_on, i.conduit_state
FROM generate_series(1, 2), (SELECT * FROM invitation LIMIT 1) i`,
			"", imports.Choices{}, // both come
		},
		"a block of another size": {"UPDATE block SET size = size + 1 WHERE _id = 1", " note block_size: block ", imports.Choices{}},
		"two pending recoveries of one claimer": {
			`INSERT INTO invitation (organization, token, type, greeter, created_on, conduit_state, shamir_recovery)
SELECT i.organization, gen_random_uuid(), i.type, i.greeter, i.created_on, i.conduit_state, i.shamir_recovery FROM invitation i
WHERE i.type = 'SHAMIR_RECOVERY' AND i.deleted_on IS NULL LIMIT 1`,
			"Alpha repair recovery_invited_twice: invitation ", imports.Choices{},
		},
		"nobody who administers":                  {"UPDATE user_ SET profile = 'STANDARD'", "Alpha note no_admin: organization", imports.Choices{}},
		"a user without device":                   {"DELETE FROM device WHERE user_ = 2", "Alpha stop missing_row: user ", imports.Choices{}},
		"a realm without its revision":            {"DELETE FROM vlob_encryption_revision WHERE realm = 1", "stop realm_incomplete: realm ", imports.Choices{}},
		"a version that is not in the change log": {"DELETE FROM realm_vlob_update WHERE _id = (SELECT max(_id) FROM realm_vlob_update)", "stop change_log: realm ", imports.Choices{}},
		"a user id that is refused today":         {"UPDATE user_ SET user_id = 'not valid' WHERE _id = 2", "Alpha stop identifier: user not valid", imports.Choices{}},
		"a name that is refused today":            {"UPDATE organization SET organization_id = 'not valid' WHERE _id = 2", "stop organization_id: organization not valid", imports.Choices{}},
		"a device without its user's":             {"UPDATE device SET user_ = (SELECT max(_id) FROM user_) WHERE _id = 1", "stop missing_row: device ", imports.Choices{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, owner := testkit.NewOfficial(t, official)
			connection := testkit.Connect(t, owner)
			testkit.Execute(t, connection, "SET session_replication_role = replica")
			testkit.Execute(t, connection, test.breaks)
			var report *imports.Report
			if strings.Contains(test.want, "stop ") {
				report = moving.Survey(t, wing, from, imports.Choices{})
				report.LeaveStopped()
			} else {
				report = moving.Move(t, wing, from, testkit.NewPostgres(t, testkit.Unsound), imports.Choices{})
			}
			if all := strings.Join(moving.Findings(report), "\n"); !strings.Contains(all, test.want) {
				t.Errorf("%q is not in\n%s", test.want, all)
			}
			for _, one := range report.Organizations {
				if one.Stopped() != (one.Left != "") {
					t.Errorf("%s is left out: %q, and has %q", one.ID, one.Left, moving.Findings(report))
				}
			}
			if test.choices == (imports.Choices{}) {
				return
			}
			if report := moving.Move(t, wing, from, testkit.NewPostgres(t, testkit.Unsound), test.choices); report.Stopped() {
				t.Errorf("with the choice: %q", moving.Findings(report))
			}
		})
	}
}
