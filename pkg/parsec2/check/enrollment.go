package check

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

type enrollmentRow struct {
	id       database.UUID
	status   string
	payload  []byte
	accepted *string
	answer   []byte
}

func (r *enrollmentRow) targets() []any {
	return []any{&r.id, &r.status, &r.payload, &r.accepted, &r.answer}
}

// checkEnrollments wants what waits to be readable, and what is accepted to have its
// device.
func (c *checker) checkEnrollments(ctx context.Context) error {
	return rows(ctx, c, `
SELECT e.enrollment_id, e.status, e.submit_payload, e.accepted_device, e.accept_payload FROM pki_enrollment e WHERE e.organization = $1::bigint`,
		(*enrollmentRow).targets, func(row *enrollmentRow) {
			subject := "enrollment " + parsec.UUID(row.id).String()
			switch row.status {
			case "SUBMITTED":
				if _, err := certificate.LoadPKISubmit(row.payload); err != nil {
					c.fault(Enrollments, subject, err.Error())
				}
			case "ACCEPTED":
				if _, err := certificate.LoadPKIAnswer(row.answer); err != nil {
					c.fault(Enrollments, subject, err.Error())
				}
				if c.byName[text(row.accepted)] == nil {
					c.faultf(Enrollments, subject, "its device %s is missing", text(row.accepted))
				}
			case "REJECTED", "CANCELLED":
			default:
				c.faultf(Enrollments, subject, "it is %s", row.status)
			}
		})
}
