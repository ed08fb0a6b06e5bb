// Package check finds what a database should not hold of the organizations of API 1 to 3:
// certificates that clients refuse, and tables that contradict them, or one another
// (docs/protocol/commands.md §10, docs/database.md). It reads the tables in their order,
// so that what it keeps in memory grows with the users and devices of one organization,
// and with one realm, not with the data.
package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// Organization checks what the database holds of an organization that is bound to this
// generation. Advance is told of certificates and versions of vlobs that are done.
func Organization(ctx context.Context, on *database.Inspection, stored *organization.Organization, report check.Report, advance func(rows int64)) error {
	c := &checker{
		on: on, stored: stored, fault: report.OfOrganization(stored.ID), advance: advance,
		users: map[int64]*user{}, byID: map[string]*user{}, devices: map[int64]*device{}, byName: map[string]*device{},
	}
	err := on.Ask(ctx, database.Only("SELECT o.id::bigint FROM organization o WHERE o.organization_id = $1", []any{stored.ID.String()}, &c.key))
	if err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		c.readUsers, c.readDevices, c.checkUsers, c.checkDevices, c.checkSequester, c.checkRealms, c.checkShamir, c.checkEnrollments, c.checkTables,
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
SELECT (SELECT count(*) FROM user_ u WHERE u.organization = o.id)
    + (SELECT count(*) FROM device d JOIN user_ u ON u.id = d.user_ WHERE u.organization = o.id)
    + (SELECT count(*) FROM realm_role_certificate c JOIN realm r ON r.id = c.realm WHERE r.organization = o.id)
    + (SELECT count(*) FROM vlob_atom a JOIN vlob v ON v.id = a.vlob WHERE v.organization = o.id)
FROM organization o WHERE o.organization_id = $1`, []any{id.String()}, &rows))
	return rows, err
}

type checker struct {
	on     *database.Inspection
	stored *organization.Organization
	// key is that of the organization in other tables.
	key     int64
	fault   func(rule *check.Rule, subject, detail string)
	advance func(rows int64)

	// founded is the date of the user that the root key has signed.
	founded parsec.DateTime
	// users and devices are by their keys, and by what clients call them.
	users   map[int64]*user
	byID    map[string]*user
	devices map[int64]*device
	byName  map[string]*device
}

func (c *checker) faultf(rule *check.Rule, subject, format string, args ...any) {
	c.fault(rule, subject, fmt.Sprintf(format, args...))
}

// rows visits the rows of a statement.
func rows[T any](ctx context.Context, c *checker, sql string, targets func(*T) []any, visit func(*T)) error {
	cursor, err := database.NewCursor(ctx, c.on, sql, []any{c.key}, targets)
	if err != nil {
		return err
	}
	return cursor.Each(ctx, nil, func(row *T) error {
		visit(row)
		return nil
	})
}

// signer is whom a row names as the author of a certificate.
type signer struct {
	id  parsec.DeviceID
	key parsec.VerifyKey
	// device is nil for the root key, and for nobody who is known.
	device *device
	known  bool
}

// signerOf finds the author that a row names, "" for the root key.
func (c *checker) signerOf(subject, name string) signer {
	if name == "" {
		return signer{key: *c.stored.RootVerifyKey, known: true}
	}
	device := c.byName[name]
	if device == nil {
		c.faultf(Author, subject, "its author %s is unknown", name)
		return signer{}
	}
	return signer{device.id, device.key, device, true}
}

// signed reports what is wrong with who has signed a certificate of a date.
func (c *checker) signed(subject string, by signer, date parsec.DateTime) {
	if by.device == nil {
		return
	}
	if revoked := by.device.user.revokedOn; isAfter(date, revoked) {
		c.faultf(AuthorRevoked, subject, "%s has signed it at %s, and was revoked at %s", by.id, date, parsec.DateTime(*revoked))
	}
}

// skew is how much later than a revocation something may be dated that came before it:
// by a clock that is as fast as is admitted, where that of who revoked was as slow.
const skew = (parsec.BallparkEarlyOffset + parsec.BallparkLateOffset) * time.Second

// isAfter reports whether what is of a date surely came after a revocation, nil for none.
func isAfter(date parsec.DateTime, revoked *int64) bool {
	return revoked != nil && date.Sub(parsec.DateTime(*revoked)) > skew
}

// read loads a certificate, or reads what it says all the same, false if nobody can.
func read[T any](c *checker, subject, what string, signed []byte, by signer,
	load func([]byte, parsec.VerifyKey, parsec.DeviceID) (T, error), unverified func([]byte) (T, error),
) (value T, readable bool) {
	if !by.known {
		value, err := unverified(signed)
		return value, err == nil
	}
	value, err := load(signed, by.key, by.id)
	if err == nil {
		return value, true
	}
	c.faultf(ruleOf(err), subject, "%s: %s", what, err)
	value, err = unverified(signed)
	return value, err == nil
}

// ruleOf returns the rule that a certificate which does not load breaks.
func ruleOf(err error) *check.Rule {
	switch {
	case errors.Is(err, certificate.FailureSignature):
		return Signature
	case errors.Is(err, certificate.FailureAuthor):
		return Author
	default:
		return Format
	}
}
