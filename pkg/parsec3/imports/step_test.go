//go:build !without_postgresql

package imports_test

import (
	"strconv"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/pkg/imports"
)

// older makes what earlier steps have, from step 24 on.
var older = map[string]string{
	"organization.minimum_archiving_period": "ALTER TABLE organization ADD COLUMN minimum_archiving_period integer NOT NULL DEFAULT 2592000",
	"cryptpad_session":                      "CREATE TABLE cryptpad_session (_id SERIAL PRIMARY KEY); INSERT INTO cryptpad_session DEFAULT VALUES",
	// What is dropped with a column could not be there before it.
	"realm.status": `
CREATE TEMP TABLE gone AS SELECT _id FROM realm WHERE status = 'DELETED';
DELETE FROM realm_topic WHERE realm IN (SELECT _id FROM gone);
DELETE FROM realm_archiving WHERE realm IN (SELECT _id FROM gone);
DELETE FROM realm_name WHERE realm IN (SELECT _id FROM gone);
DELETE FROM realm_keys_bundle WHERE realm IN (SELECT _id FROM gone);
DELETE FROM realm_user_role WHERE realm IN (SELECT _id FROM gone);
DELETE FROM realm WHERE _id IN (SELECT _id FROM gone)`,
	"realm_keys_bundle_access.from_sharing": `
DELETE FROM realm_keys_bundle_access a USING realm_keys_bundle_access b
WHERE a.user_ = b.user_ AND a.realm_keys_bundle = b.realm_keys_bundle AND a._id < b._id`,
	"shamir_recovery_setup.deleted_on": `
DELETE FROM greeting_step WHERE greeting_attempt IN (SELECT a._id FROM greeting_attempt a JOIN greeting_session s ON s._id = a.greeting_session
    JOIN invitation i ON i._id = s.invitation WHERE i.type = 'SHAMIR_RECOVERY');
DELETE FROM greeting_attempt WHERE greeting_session IN (SELECT s._id FROM greeting_session s JOIN invitation i ON i._id = s.invitation WHERE i.type = 'SHAMIR_RECOVERY');
DELETE FROM greeting_session WHERE invitation IN (SELECT _id FROM invitation WHERE type = 'SHAMIR_RECOVERY');
DELETE FROM invitation WHERE type = 'SHAMIR_RECOVERY';
DELETE FROM shamir_recovery_share WHERE shamir_recovery IN (SELECT _id FROM shamir_recovery_setup WHERE deleted_on IS NOT NULL);
DELETE FROM shamir_recovery_setup WHERE deleted_on IS NOT NULL`,
}

// TestEverySchema imports a database of each step that a release had, twice.
func TestEverySchema(t *testing.T) {
	t.Parallel()
	official := testkit.LoadOfficial(t, "3.9.3")
	for _, step := range []int{5, 6, 10, 11, 14, 15, 18, 21, 25, 26} {
		t.Run(strconv.Itoa(step), func(t *testing.T) {
			t.Parallel()
			from, owner := testkit.NewOfficial(t, official)
			connection := testkit.Connect(t, owner)
			for later := 25; later <= step; later++ {
				testkit.Execute(t, connection, "INSERT INTO migration (_id, name, applied) VALUES ("+strconv.Itoa(later)+", 'step "+strconv.Itoa(later)+"', now())")
			}
			moving.Downgrade(t, connection, wing, 24, step, older)
			testkit.Execute(t, connection, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO "+strings.Fields(from[strings.LastIndex(from, "user=")+len("user="):])[0])
			to := testkit.NewPostgres(t)
			report := moving.Move(t, wing, from, to, imports.Choices{})
			if stops := moving.Stops(report); report.Step != step || len(stops) > 0 {
				t.Errorf("step %d:\n%s", report.Step, strings.Join(stops, "\n"))
			}
			if told := strings.Contains(strings.Join(moving.Findings(report), "\n"), "Alpha note cryptpad: "); told != (step >= 26) {
				t.Errorf("it tells of sessions that do not come: %v", told)
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
