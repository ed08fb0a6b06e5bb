package imports

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

var (
	setupTable = &imports.Table{
		Name:    "shamir_recovery",
		Columns: []string{"id", "organization", "owner", "current", "reveal_token", "ciphered_data", "brief_certificate", "threshold", "created_on"},
		Key:     []string{"id"},
	}
	shareTable = &imports.Table{
		Name: "shamir_recovery_share", Columns: []string{"setup", "recipient", "shares", "certificate"}, Key: []string{"setup", "recipient"},
	}
)

type setupRow struct {
	key, owner int64
	ownerID    string
	current    bool
	token      database.UUID
	data       []byte
	brief      []byte
	threshold  int64
}

func (r *setupRow) targets() []any {
	return []any{&r.key, &r.owner, &r.ownerID, &r.current, &r.token, &r.data, &r.brief, &r.threshold}
}

func (c *converter) setups(ctx context.Context) error {
	if c.from.Step < 13 {
		return nil
	}
	// A setup that is not current any more comes before one that is: there is one of an
	// owner.
	return each(ctx, c, `
SELECT s._id::bigint, s.user_::bigint, u.user_id::text, u.shamir_recovery IS NOT DISTINCT FROM s._id, s.reveal_token, s.ciphered_data, s.brief_certificate, s.threshold::bigint
FROM shamir_recovery_setup s JOIN user_ u ON u._id = s.user_ WHERE s.organization = $1::bigint ORDER BY 4, s._id`,
		(*setupRow).targets, func(row *setupRow) error {
			subject := "user " + row.ownerID + " Shamir recovery"
			if row.data == nil {
				c.one.Repair("recovery_without_data", subject, "it cannot recover anything, so it is left out")
				return nil
			}
			brief, known := c.brief(subject, row.brief)
			if !known {
				return nil
			}
			if brief.Author.User().String() != row.ownerID || int64(brief.Threshold) != row.threshold {
				c.one.Stop("certificate", subject, "its row is not what its certificate says")
			}
			return c.into.Put(ctx, setupTable, c.into.Number(row.key), int32(c.number), c.into.Number(row.owner), row.current, [16]byte(row.token), row.data,
				row.brief, row.threshold, int64(brief.Timestamp))
		})
}

// brief reads a brief, which names its author alone: any device of its owner.
func (c *converter) brief(subject string, signed []byte) (brief certificate.ShamirBrief, known bool) {
	claim, err := certificate.Read[certificate.ShamirBrief](signed)
	if err != nil {
		c.one.Stop("certificate", subject, "its brief: %s", err)
		return brief, false
	}
	brief, known = verify(c, subject+" brief", signed, claim.Author.String(), certificate.LoadShamirBrief)
	if known {
		c.checkSigned(subject, claim.Author.String(), int64(claim.Timestamp))
	}
	return brief, known
}

type shareRow struct {
	setup, recipient     int64
	ownerID, recipientID string
	shares               int64
	certificate          []byte
	hasData              bool
}

func (r *shareRow) targets() []any {
	return []any{&r.setup, &r.recipient, &r.ownerID, &r.recipientID, &r.shares, &r.certificate, &r.hasData}
}

func (c *converter) shares(ctx context.Context) error {
	if c.from.Step < 13 {
		return nil
	}
	return each(ctx, c, `
SELECT h.shamir_recovery::bigint, h.recipient::bigint, o.user_id::text, u.user_id::text, h.shares::bigint, h.share_certificate, s.ciphered_data IS NOT NULL
FROM shamir_recovery_share h JOIN shamir_recovery_setup s ON s._id = h.shamir_recovery JOIN user_ o ON o._id = s.user_ JOIN user_ u ON u._id = h.recipient
WHERE h.organization = $1::bigint ORDER BY h._id`,
		(*shareRow).targets, func(row *shareRow) error {
			if !row.hasData {
				return nil
			}
			subject := "user " + row.ownerID + " Shamir share of " + row.recipientID
			claim, err := certificate.Read[certificate.ShamirShare](row.certificate)
			if err != nil {
				c.one.Stop("certificate", subject, "%s", err)
				return nil
			}
			loaded, known := verify(c, subject, row.certificate, claim.Author.String(), certificate.LoadShamirShare)
			if known && (loaded.Recipient.String() != row.recipientID || loaded.Author.User().String() != row.ownerID) {
				c.one.Stop("certificate", subject, "its row is not what its certificate says")
			}
			return c.into.Put(ctx, shareTable, c.into.Number(row.setup), c.into.Number(row.recipient), row.shares, row.certificate)
		})
}

var enrollmentTable = &imports.Table{
	Name: "pki_enrollment",
	Columns: []string{
		"id", "organization", "enrollment_id", "submitter_certificate", "submit_payload", "submit_payload_signature", "submitted_on", "status", "decided_on",
		"accepter", "accepted_device", "accepter_certificate", "accept_payload", "accept_payload_signature",
	},
	Key: []string{"id"},
}

type enrollmentRow struct {
	key                             int64
	id                              database.UUID
	submitter, payload, signature   []byte
	submittedOn                     int64
	status                          string
	decidedOn                       *int64
	accepter, device                *string
	certificate, answer, answerSign []byte
}

func (r *enrollmentRow) targets() []any {
	return []any{
		&r.key, &r.id, &r.submitter, &r.payload, &r.signature, &r.submittedOn, &r.status, &r.decidedOn, &r.accepter, &r.device,
		&r.certificate, &r.answer, &r.answerSign,
	}
}

// enrollments come without what strangers have sent that was not accepted, which is of no
// use.
func (c *converter) enrollments(ctx context.Context) error {
	if c.from.Step < 10 {
		return nil
	}
	ended := "CASE WHEN e.enrollment_state IN ('REJECTED', 'CANCELLED') THEN ''::bytea ELSE "
	return each(ctx, c, `
SELECT e._id::bigint, e.enrollment_id, `+ended+`e.submitter_der_x509_certificate END, `+ended+`e.submit_payload END, `+ended+`e.submit_payload_signature END,
    `+micro("e.submitted_on")+`, e.enrollment_state::text, CASE e.enrollment_state WHEN 'ACCEPTED' THEN `+micro("(e.info_accepted).accepted_on")+`
        WHEN 'REJECTED' THEN `+micro("(e.info_rejected).rejected_on")+` WHEN 'CANCELLED' THEN `+micro("(e.info_cancelled).cancelled_on")+` END,
    a.device_id::text, d.device_id::text, (e.info_accepted).accepter_der_x509_certificate, (e.info_accepted).accept_payload, (e.info_accepted).accept_payload_signature
FROM pki_enrollment e LEFT JOIN device a ON a._id = e.accepter LEFT JOIN device d ON d._id = e.submitter_accepted_device
WHERE e.organization = $1::bigint ORDER BY e._id`,
		(*enrollmentRow).targets, func(row *enrollmentRow) error {
			subject := "enrollment " + parsec.UUID(row.id).String()
			accepted := row.status == "ACCEPTED"
			if accepted && (row.accepter == nil || row.device == nil || row.certificate == nil || row.answer == nil || row.answerSign == nil) ||
				row.status != "SUBMITTED" && row.decidedOn == nil {
				c.one.Stop("missing_row", subject, "it is %s, and how is missing", row.status)
				return nil
			}
			if !accepted {
				row.accepter, row.device, row.certificate, row.answer, row.answerSign = nil, nil, nil, nil, nil
			}
			return c.into.Put(ctx, enrollmentTable, c.into.Number(row.key), int32(c.number), [16]byte(row.id), row.submitter, row.payload, row.signature,
				row.submittedOn, row.status, row.decidedOn, row.accepter, row.device, row.certificate, row.answer, row.answerSign)
		})
}
