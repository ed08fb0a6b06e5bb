// Package check finds what a database should not hold of the organizations of Parsec 3:
// certificates that clients refuse, and tables that contradict them, or one another
// (docs/protocol/v5/commands.md §13, docs/database.md). It reads the tables in their
// order, so that what it keeps in memory grows with the users and devices of one
// organization, and with one realm, not with the data.
package check

import (
	"bytes"
	"context"
	"fmt"

	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/replay"
)

// Organization checks what the database holds of an organization that is bound to this
// generation. Advance is told of certificates and versions of vlobs that are done.
func Organization(ctx context.Context, on *database.Inspection, stored *organization.Organization, report check.Report, advance func(rows int64)) error {
	c := &checker{
		on: on, stored: stored, name: stored.ID.String(), fault: report.OfOrganization(stored.ID), advance: advance,
		of: replay.New(*stored.RootVerifyKey, nil), signed: map[parsec3.UserID]parsec.DateTime{},
	}
	for _, part := range []func(context.Context) error{
		c.checkSequester, c.checkCommon, c.checkUsers, c.checkShamir, c.checkSigned, c.checkRealms, c.checkEnrollments, c.checkTables,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Rows counts the certificates and the versions of vlobs of an organization, which are
// what takes time.
func Rows(ctx context.Context, on *database.Inspection, id parsec.OrganizationID) (rows int64, err error) {
	err = on.Ask(ctx, database.Only(`
SELECT (SELECT count(*) FROM parsec3.certificate c WHERE c.organization = $1)
    + (SELECT count(*) FROM parsec3.vlob_atom a WHERE a.organization = $1)`, []any{id.String()}, &rows))
	return rows, err
}

type checker struct {
	on      *database.Inspection
	stored  *organization.Organization
	name    string
	fault   func(rule *check.Rule, subject, detail string)
	advance func(rows int64)

	of *replay.Organization
	// signed is when each user has last signed something outside of realms.
	signed map[parsec3.UserID]parsec.DateTime
	// authority is the first certificate of the sequester topic.
	authority []byte
}

func (c *checker) faultf(rule *check.Rule, subject, format string, args ...any) {
	c.fault(rule, subject, fmt.Sprintf(format, args...))
}

// follow reports what is wrong with a certificate of a row.
func (c *checker) follow(row *certificateRow, topic string, step replay.Step) {
	subject := topic + " certificate of " + parsec.DateTime(row.dated).String()
	if step.Type != "" {
		subject += " (" + step.Type + ")"
	}
	for _, objection := range step.Objections {
		c.fault(objection.Rule, subject, objection.Detail)
	}
	if step.Date != 0 && int64(step.Date) != row.dated {
		c.faultf(CertificateRow, subject, "it says %s", step.Date)
	}
	c.advance(1)
}

// end reports what is missing at the end of a topic.
func (c *checker) end(topic string, step replay.Step) {
	for _, objection := range step.Objections {
		c.fault(objection.Rule, topic, objection.Detail)
	}
}

// sign follows when a user has last signed something outside of realms.
func (c *checker) sign(step *replay.Step) {
	if step.User != (parsec3.UserID{}) {
		c.signed[step.User] = max(c.signed[step.User], step.Date)
	}
}

// certificateRow is a row of the table certificate.
type certificateRow struct {
	realm                 database.UUID
	dated                 int64
	sequence              int16
	certificate, redacted []byte
}

func (r *certificateRow) targets() []any {
	return []any{&r.realm, &r.dated, &r.sequence, &r.certificate, &r.redacted}
}

// certificates goes through the certificates of a kind of topic.
func (c *checker) certificates(ctx context.Context, topic string) (*database.Cursor[certificateRow], error) {
	return database.NewCursor(ctx, c.on, `
SELECT c.realm_id, c.dated, c.sequence, c.certificate, c.redacted FROM parsec3.certificate c
WHERE c.organization = $1 AND c.topic = $2 ORDER BY c.realm_id, c.dated, c.sequence`, []any{c.name, topic}, (*certificateRow).targets)
}

// rows visits the rows of a statement.
func rows[T any](ctx context.Context, c *checker, sql string, targets func(*T) []any, visit func(*T)) error {
	cursor, err := database.NewCursor(ctx, c.on, sql, []any{c.name}, targets)
	if err != nil {
		return err
	}
	return cursor.Each(ctx, nil, func(row *T) error {
		visit(row)
		return nil
	})
}

// topicEnds compares the date of a topic with that of its last certificate.
func (c *checker) topicEnds(ctx context.Context, topic string, last parsec.DateTime, wanted bool) error {
	var found bool
	var stored int64
	err := c.on.Ask(ctx, database.Row(&found, "SELECT t.last_date FROM parsec3.topic t WHERE t.organization = $1 AND t.topic = $2",
		[]any{c.name, topic}, &stored))
	switch {
	case err != nil:
		return err
	case found != wanted:
		c.faultf(TopicRow, "topic "+topic, "there is one: %t", found)
	case found && stored != int64(last):
		c.faultf(TopicRow, "topic "+topic, "its date is %s, that of its last certificate %s", parsec.DateTime(stored), last)
	}
	return nil
}

func (c *checker) checkSequester(ctx context.Context) error {
	certificates, err := c.certificates(ctx, "sequester")
	if err != nil {
		return err
	}
	err = certificates.Each(ctx, nil, func(row *certificateRow) error {
		if c.authority == nil {
			c.authority = row.certificate
		}
		c.follow(row, "sequester", c.of.FollowSequester(row.certificate))
		return nil
	})
	if err != nil {
		return err
	}
	if !bytes.Equal(c.authority, c.stored.SequesterAuthorityCertificate) {
		c.fault(OrganizationRow, "organization", "its sequester authority is not the first one of the topic")
	} else if authority := c.of.Authority; authority != nil {
		if key, err := parsec.ParseRSAPublicKey(c.stored.SequesterVerifyKeyDER); err != nil || !key.Equal(authority) {
			c.fault(OrganizationRow, "organization", "the key of its sequester authority is not that of the certificate")
		}
	}
	if err := c.topicEnds(ctx, "sequester", c.of.Sequester, c.authority != nil); err != nil {
		return err
	}
	return c.checkServices(ctx)
}

type serviceRow struct {
	id        database.UUID
	label     []byte
	createdOn int64
	revokedOn *int64
}

func (r *serviceRow) targets() []any { return []any{&r.id, &r.label, &r.createdOn, &r.revokedOn} }

func (c *checker) checkServices(ctx context.Context) error {
	found := 0
	err := rows(ctx, c, "SELECT s.service_id, s.label, s.created_on, s.revoked_on FROM parsec3.sequester_service s WHERE s.organization = $1",
		(*serviceRow).targets, func(row *serviceRow) {
			id := parsec.SequesterServiceID(row.id)
			subject := "sequester service " + id.String()
			service := c.of.Services[id]
			if service == nil {
				c.fault(ServiceRow, subject, "it has no certificate")
				return
			}
			found++
			if service.Label != string(row.label) || int64(service.CreatedOn) != row.createdOn || !parsec.Same((*int64)(service.RevokedOn), row.revokedOn) {
				c.fault(ServiceRow, subject, "its label or dates are not those of its certificates")
			}
		})
	if missing := len(c.of.Services) - found; err == nil && missing > 0 {
		c.faultf(ServiceRow, "sequester services", "%d with a certificate are missing", missing)
	}
	return err
}
