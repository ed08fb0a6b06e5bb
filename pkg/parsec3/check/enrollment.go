package check

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
)

type enrollmentRow struct {
	id      database.UUID
	status  string
	payload []byte
}

func (r *enrollmentRow) targets() []any { return []any{&r.id, &r.status, &r.payload} }

// checkEnrollments wants what waits to be readable, and what is accepted to have its user.
func (c *checker) checkEnrollments(ctx context.Context) error {
	return rows(ctx, c, "SELECT e.enrollment_id, e.status, e.payload FROM parsec3.enrollment e WHERE e.organization = $1 AND e.payload IS NOT NULL",
		(*enrollmentRow).targets, func(row *enrollmentRow) {
			subject := "enrollment " + parsec.UUID(row.id).String()
			if row.status == "SUBMITTED" {
				if _, err := certificate.LoadEnrollmentSubmit(row.payload); err != nil {
					c.fault(Enrollments, subject, err.Error())
				}
				return
			}
			accepted, err := certificate.LoadEnrollmentAccept(row.payload)
			if err != nil {
				c.fault(Enrollments, subject, err.Error())
				return
			}
			if device, known := c.of.Devices[accepted.DeviceID]; !known || device.User != accepted.UserID {
				c.faultf(Enrollments, subject, "its user %s with device %s is missing", accepted.UserID, accepted.DeviceID)
			}
		})
}
