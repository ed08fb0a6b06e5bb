//go:build !without_postgresql

package postgres_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/database"
)

// Enrollments that were cancelled or rejected before keep nothing that their
// submitters sent either.
func TestMigrationOfEndedEnrollments(t *testing.T) {
	dsn := testkit.NewBlankPostgres(t)
	migrateTo(t, dsn, 9)
	connection := testkit.Connect(t, dsn)
	testkit.Execute(t, connection, `
INSERT INTO organization (organization_id, bootstrap_token, user_profile_outsider_allowed, minimum_archiving_period, created_on)
    VALUES ('Acme', '', true, 0, 0);
INSERT INTO pki_enrollment (organization, enrollment_id, submitter_certificate, submit_payload, submit_payload_signature,
        submitted_on, status, decided_on, accepter, accepted_device, accepter_certificate, accept_payload, accept_payload_signature)
    VALUES (1, gen_random_uuid(), '12', '123', '1234', 0, 'SUBMITTED', NULL, NULL, NULL, NULL, NULL, NULL),
        (1, gen_random_uuid(), '12', '123', '1234', 0, 'REJECTED', 0, NULL, NULL, NULL, NULL, NULL),
        (1, gen_random_uuid(), '12', '123', '1234', 0, 'CANCELLED', 0, NULL, NULL, NULL, NULL, NULL),
        (1, gen_random_uuid(), '12', '123', '1234', 0, 'ACCEPTED', 0, 'a@a', 'b@b', '', '', '')`)
	if _, err := database.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	for status, want := range map[string]int64{"SUBMITTED": 9, "ACCEPTED": 9, "REJECTED": 0, "CANCELLED": 0} {
		got := testkit.Number(t, connection, `
SELECT sum(length(submitter_certificate) + length(submit_payload) + length(submit_payload_signature)) FROM pki_enrollment WHERE status = $1`, status)
		if got != want {
			t.Errorf("%s: %d bytes, want %d", status, got, want)
		}
	}
}
