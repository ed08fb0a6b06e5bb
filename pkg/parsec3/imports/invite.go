package imports

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

var invitationTable = &imports.Table{
	Name: "parsec3.invitation",
	Columns: []string{
		"organization", "token", "type", "created_by", "created_on", "claimer_email", "claimer_user", "setup_date", "ended_on", "ended_as",
	},
	Key: []string{"organization", "token"},
}

type invitationRow struct {
	token, kind string
	creator     *database.UUID
	createdOn   int64
	email       string
	claimer     *database.UUID
	setup       *int64
	endedOn     *int64
	endedAs     string
}

func (r *invitationRow) targets() []any {
	return []any{&r.token, &r.kind, &r.creator, &r.createdOn, &r.email, &r.claimer, &r.setup, &r.endedOn, &r.endedAs}
}

// claimer is whom an invitation is for.
type claimer struct {
	kind, email string
	user        parsec3.UserID
	setup       parsec.DateTime
}

// invitations puts them without their greetings, which begin again.
func (c *converter) invitations(ctx context.Context) error {
	pending := map[claimer]string{}
	claimers := c.from.Since(9, "coalesce(xu.user_id, cu.user_id)", "cu.user_id")
	joined := c.from.Since(9, " LEFT JOIN user_ xu ON xu._id = i.device_invitation_claimer", "")
	return each(ctx, c, `
SELECT replace(i.token::text, '-', ''), i.type::text, cu.user_id, `+micro("i.created_on")+`, coalesce(i.user_invitation_claimer_email, '')::text,
    `+claimers+`, i.shamir_recovery::bigint, `+micro("i.deleted_on")+`, coalesce(i.deleted_reason::text, '')
FROM invitation i LEFT JOIN device cd ON cd._id = i.created_by_device LEFT JOIN user_ cu ON cu._id = cd.user_`+joined+`
WHERE i.organization = $1::bigint ORDER BY i._id`, (*invitationRow).targets, func(row *invitationRow) error {
		return c.putInvitation(ctx, row, pending)
	})
}

func (c *converter) putInvitation(ctx context.Context, row *invitationRow, pending map[claimer]string) error {
	subject := "invitation " + row.token
	token, ok := c.token(subject, row.token)
	if !ok {
		return nil
	}
	of, ok := c.claimerOf(subject, row)
	if !ok {
		return nil
	}
	creator := c.creator(subject, row, of.user)
	switch {
	case row.endedOn != nil && row.endedAs != "FINISHED":
		row.endedAs = "CANCELLED"
	case row.endedOn != nil:
	case pending[of] != "":
		c.one.Repair("pending_invitations", subject, "it is cancelled: invitation %s is pending for the same person", pending[of])
		row.endedOn, row.endedAs = new(int64(c.choices.At)), "CANCELLED"
	default:
		pending[of] = row.token
	}
	var email, endedAs *string
	var user *[16]byte
	var setupDate *int64
	if row.kind == string(parsec.InvitationUser) {
		email = &row.email
	} else {
		user = new([16]byte(of.user))
	}
	if row.kind == string(parsec.InvitationShamirRecovery) {
		setupDate = new(int64(of.setup))
	}
	if row.endedOn != nil {
		endedAs = &row.endedAs
	}
	return c.into.Put(ctx, invitationTable, c.name, token, row.kind, [16]byte(creator), row.createdOn, email, user, setupDate, row.endedOn, endedAs)
}

// claimerOf returns whom an invitation is for. One to a Shamir recovery ends with it.
func (c *converter) claimerOf(subject string, row *invitationRow) (of claimer, ok bool) {
	of.kind = row.kind
	switch row.kind {
	case string(parsec.InvitationUser):
		of.email = parsec3.Mailbox(row.email)
	case string(parsec.InvitationShamirRecovery):
		if row.setup == nil || c.setups[*row.setup] == nil {
			c.one.Stop("missing_row", subject, "its Shamir recovery is missing")
			return of, false
		}
		setup := c.setups[*row.setup]
		of.user, of.setup = setup.owner, setup.createdDate
		if row.endedOn == nil && setup.deletedOn != nil {
			row.endedOn = setup.deletedOn
		}
	default:
		if row.claimer == nil {
			c.one.Stop("missing_row", subject, "nobody says whose device it is for")
			return of, false
		}
		of.user = parsec3.UserID(*row.claimer)
	}
	return of, true
}

// creator returns who has made an invitation: of those by other services, whom it is
// for, or the first user.
func (c *converter) creator(subject string, row *invitationRow, claimer parsec3.UserID) parsec3.UserID {
	switch {
	case row.creator != nil:
		return parsec3.UserID(*row.creator)
	case claimer != (parsec3.UserID{}):
		c.one.Note("invitation_by_service", subject, "another service has made it, which is told no more")
		return claimer
	default:
		c.one.Note("invitation_by_service", subject, "another service has made it: it counts as one by the first user")
		return c.first
	}
}

var enrollmentTable = &imports.Table{
	Name: "parsec3.enrollment",
	Columns: []string{
		"organization", "enrollment_id", "status", "email", "submitted_on", "ended_on", "payload", "signature", "chain", "entity", "size",
	},
	Key: []string{"organization", "enrollment_id"},
}

// proof is by whom a payload is signed.
type proof struct {
	payload            []byte
	kind               *string
	signature          []byte
	openBao, entityBao *string
}

func (p *proof) targets() []any {
	return []any{&p.payload, &p.kind, &p.signature, &p.openBao, &p.entityBao}
}

type enrollmentRow struct {
	id             database.UUID
	status, email  string
	submittedOn    int64
	endedOn        *int64
	submit, accept proof
	// chain is that of who has submitted it or, once it is accepted, of who has accepted
	// it: the reference is replaced then.
	chain [][]byte
}

func (r *enrollmentRow) targets() []any {
	targets := append([]any{&r.id, &r.status, &r.email, &r.submittedOn, &r.endedOn}, r.submit.targets()...)
	return append(append(targets, r.accept.targets()...), &r.chain)
}

// chainLength bounds the certificates of a chain.
const chainLength = "101"

// enrollments puts them. Those of before step 20 were never in use.
func (c *converter) enrollments(ctx context.Context) error {
	if c.from.Step < 20 {
		return nil
	}
	waiting := map[string]bool{}
	return each(ctx, c, `
SELECT e.enrollment_id, e.state::text, e.submit_payload_requested_human_handle_email::text, `+micro("e.submitted_on")+`,
    `+micro("coalesce(e.accepted_on, e.rejected_on, e.cancelled_on)")+`,
    e.submit_payload, e.submit_payload_signature_type::text, e.submit_payload_signature_pki_signature, e.submit_payload_signature_openbao_signature::text,
    e.submit_payload_signature_openbao_author_entity_id::text,
    e.accept_payload, e.accept_payload_signature_type::text, e.accept_payload_signature_pki_signature, e.accept_payload_signature_openbao_signature::text,
    e.accept_payload_signature_openbao_author_entity_id::text,
    (WITH RECURSIVE chain (fingerprint, parent, der, place) AS (
        SELECT p.sha256_fingerprint, p.parent, p.der_content, 1 FROM pki_x509_certificate p
        WHERE p.sha256_fingerprint = coalesce(e.accept_payload_signature_pki_author_x509_certificate, e.submit_payload_signature_pki_author_x509_certificate)
        UNION ALL
        SELECT p.sha256_fingerprint, p.parent, p.der_content, c.place + 1 FROM chain c JOIN pki_x509_certificate p ON p.sha256_fingerprint = c.parent
        WHERE c.place < `+chainLength+` AND p.sha256_fingerprint <> c.fingerprint
    ) SELECT array_agg(c.der ORDER BY c.place) FROM chain c)
FROM async_enrollment e WHERE e.organization = $1::bigint ORDER BY e._id`, (*enrollmentRow).targets, func(row *enrollmentRow) error {
		return c.putEnrollment(ctx, row, waiting)
	})
}

func (c *converter) putEnrollment(ctx context.Context, row *enrollmentRow, waiting map[string]bool) error {
	subject := "enrollment " + parsec.UUID(row.id).String()
	var email *string
	kept := proof{}
	switch row.status {
	case "SUBMITTED":
		email, kept = new(parsec3.Mailbox(row.email)), row.submit
		if waiting[*email] {
			c.one.Repair("enrollments", subject, "it is cancelled: another one waits for %s", row.email)
			row.status, row.endedOn, email, kept = "CANCELLED", new(int64(c.choices.At)), nil, proof{}
			break
		}
		waiting[*email] = true
		if _, err := certificate.LoadEnrollmentSubmit(row.submit.payload); err != nil {
			c.one.Stop("enrollment", subject, "%s", err)
		}
	case "ACCEPTED":
		kept = row.accept
		accepted, err := certificate.LoadEnrollmentAccept(row.accept.payload)
		if err != nil {
			c.one.Stop("enrollment", subject, "%s", err)
		} else if device, known := c.of.Devices[accepted.DeviceID]; !known || device.User != accepted.UserID {
			c.one.Stop("missing_row", subject, "its user %s is missing", accepted.UserID)
		}
	}
	content, ok := c.content(subject, &kept, row.chain)
	if !ok {
		return nil
	}
	return c.into.Put(ctx, enrollmentTable, append([]any{c.name, [16]byte(row.id), row.status, email, row.submittedOn, row.endedOn}, content...)...)
}

// content returns payload, signature, chain, entity and size of what is kept of an
// enrollment.
func (c *converter) content(subject string, kept *proof, chain [][]byte) (values []any, ok bool) {
	if kept.payload == nil {
		return []any{[]byte(nil), []byte(nil), [][]byte(nil), (*string)(nil), int64(0)}, true
	}
	size := len(kept.payload)
	if kept.kind != nil && *kept.kind == "PKI" {
		if len(chain) == 0 {
			c.one.Stop("missing_row", subject, "the X.509 certificate that it is signed by is missing")
			return nil, false
		}
		size += len(kept.signature)
		for _, one := range chain {
			size += len(one)
		}
		return []any{kept.payload, database.NotNull(kept.signature), chain, (*string)(nil), int64(size)}, true
	}
	if kept.openBao == nil || kept.entityBao == nil {
		c.one.Stop("missing_row", subject, "it is not signed")
		return nil, false
	}
	size += len(*kept.openBao) + len(*kept.entityBao)
	return []any{kept.payload, []byte(*kept.openBao), [][]byte(nil), kept.entityBao, int64(size)}, true
}
