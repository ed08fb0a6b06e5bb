// Package imports knows the tables of official servers of API 4 and 5, from 3.0 on, and
// puts what they hold into those of this server (docs/protocol/import.md §6). What follows
// from certificates is taken from them, as package replay follows them, and compared with
// the rows of the source.
package imports

import (
	"cmp"
	"context"
	"slices"

	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/replay"
)

var (
	_ imports.Wing       = Wing{}
	_ imports.ServerWing = Wing{}
)

// Wing implements imports.Wing and imports.ServerWing.
type Wing struct{}

// Generation implements imports.Wing.
func (Wing) Generation() organization.Generation { return organization.Parsec3 }

// Schema implements imports.Wing.
func (Wing) Schema() *imports.Schema { return schema }

// Numbered implements imports.Wing. The tables of this generation have the ids of
// clients.
func (Wing) Numbered() []string { return nil }

// Survey implements imports.Wing.
func (Wing) Survey(ctx context.Context, from *imports.Snapshot, one *imports.Organization, choices imports.Choices) error {
	c := newConverter(from, one, choices, nil)
	if err := imports.CountAll(ctx, from, one, counted); err != nil {
		return err
	}
	if err := c.convert(ctx); err != nil {
		return err
	}
	return imports.AskAll(ctx, from, one, questions)
}

// Convert implements imports.Wing.
func (Wing) Convert(ctx context.Context, from *imports.Snapshot, one *imports.Organization, choices imports.Choices, into *imports.Filling) error {
	// What is found is told by the survey alone.
	scratch := *one
	scratch.Findings = nil
	return newConverter(from, &scratch, choices, into).convert(ctx)
}

// Compare implements imports.Wing.
func (Wing) Compare(ctx context.Context, from *imports.Snapshot, one *imports.Organization, in *imports.Inspected) error {
	return imports.CompareAll(ctx, from, one, in, comparisons)
}

// converter reads what is small of an organization, verifies it, and puts it.
type converter struct {
	from    *imports.Snapshot
	one     *imports.Organization
	choices imports.Choices
	into    *imports.Filling
	name    string

	// of is what the certificates say; nil without root key.
	of        *replay.Organization
	authority []byte
	// signed is when each user has last signed something in each realm, of zero outside.
	signed map[signing]parsec.DateTime
	// setups are the Shamir recoveries by their key in the source.
	setups map[int64]*setup
	first  parsec3.UserID
}

// signing is what a user signs in a realm.
type signing struct {
	user  parsec3.UserID
	realm parsec.RealmID
}

func newConverter(from *imports.Snapshot, one *imports.Organization, choices imports.Choices, into *imports.Filling) *converter {
	return &converter{
		from: from, one: one, choices: choices, into: into, name: one.ID.String(),
		signed: map[signing]parsec.DateTime{}, setups: map[int64]*setup{},
	}
}

func (c *converter) convert(ctx context.Context) error {
	if err := c.organization(ctx); err != nil || c.of == nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		c.sequester, c.services, c.common, c.putUsers, c.putDevices, c.shamir, c.topics, c.realms,
		c.invitations, c.enrollments, c.totp, c.putSigned,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// differs stops what is not as its certificate says.
func (c *converter) differs(subject string) {
	c.one.Stop("certificate", subject, "its row is not what its certificates say")
}

// stopping are the rules of certificates that keep an organization from being imported
// where they are broken: what is broken by another rule is refused by clients already, and
// is imported as it is, so that nobody is told anything else than before.
var stopping = []*check.Rule{
	replay.Format, replay.Signature, replay.Author, replay.Dates, replay.Foundation, replay.FirstDevice, replay.IDs, replay.Redacted,
	replay.RealmFirst, replay.RealmKeys, replay.RealmTopic, replay.Topic, replay.Services, replay.ShamirShares,
}

func (c *converter) object(subject string, step *replay.Step) {
	for _, objection := range step.Objections {
		severity := imports.Note
		if slices.Contains(stopping, objection.Rule) {
			severity = imports.Stop
		}
		c.one.Found(severity, objection.Rule.Name, subject, objection.Detail)
	}
}

// has reports whether the source has a column that no step is known to add.
func (c *converter) has(ctx context.Context, table, column string) (found bool, err error) {
	err = c.from.Ask(ctx, database.Only(`
SELECT EXISTS (SELECT FROM information_schema.columns i WHERE i.table_schema = current_schema() AND i.table_name = $1 AND i.column_name = $2)`,
		[]any{table, column}, &found))
	return found, err
}

func micro(date string) string { return imports.Micro(date) }

// each visits the rows of a statement that takes the organization.
func each[T any](ctx context.Context, c *converter, sql string, targets func(*T) []any, visit func(*T) error) error {
	return imports.Each(ctx, c.from, c.one, sql, targets, visit)
}

var certificateTable = &imports.Table{
	Name:    "parsec3.certificate",
	Columns: []string{"organization", "topic", "realm_id", "dated", "sequence", "certificate", "redacted"},
	Key:     []string{"organization", "topic", "realm_id", "dated", "sequence"},
}

// certificateRow is a certificate in a topic, as the source has it.
type certificateRow struct {
	realm                 database.UUID
	dated, sequence       int64
	certificate, redacted []byte
}

func (r *certificateRow) targets() []any {
	return []any{&r.realm, &r.dated, &r.sequence, &r.certificate, &r.redacted}
}

// certify puts a certificate that was followed.
func (c *converter) certify(ctx context.Context, topic, subject string, row *certificateRow, step *replay.Step) error {
	subject += " certificate of " + parsec.DateTime(row.dated).String()
	if step.Type != "" {
		subject += " (" + step.Type + ")"
	}
	c.object(subject, step)
	if step.Date != 0 && int64(step.Date) != row.dated {
		c.one.Stop("certificate", subject, "it says %s", step.Date)
	}
	if step.User != (parsec3.UserID{}) {
		by := signing{step.User, parsec.RealmID(row.realm)}
		c.signed[by] = max(c.signed[by], step.Date)
	}
	return c.into.Put(ctx, certificateTable, c.name, topic, [16]byte(row.realm), row.dated, int16(row.sequence), row.certificate, row.redacted)
}

// end tells what is missing at the end of a topic.
func (c *converter) end(topic string, step replay.Step) { c.object(topic, &step) }

var topicTable = &imports.Table{
	Name: "parsec3.topic", Columns: []string{"organization", "topic", "last_date"}, Key: []string{"organization", "topic"},
}

// topics puts the rows that are locked.
func (c *converter) topics(ctx context.Context) error {
	all := map[string]parsec.DateTime{"common": c.of.Common, "shamir_recovery": c.of.Shamir, "enrollment": 0, "invitation": 0}
	if c.authority != nil {
		all["sequester"] = c.of.Sequester
	}
	for topic, last := range all {
		if err := c.into.Put(ctx, topicTable, c.name, topic, int64(last)); err != nil {
			return err
		}
	}
	return nil
}

// signedPage bounds the rows of a statement.
const signedPage = 1000

// putSigned puts when users have last signed certificates; what they have written may be
// later.
func (c *converter) putSigned(ctx context.Context) error {
	all := make([]signing, 0, len(c.signed))
	for by := range c.signed {
		all = append(all, by)
	}
	slices.SortFunc(all, func(a, b signing) int {
		return cmp.Or(slices.Compare(a.realm[:], b.realm[:]), slices.Compare(a.user[:], b.user[:]))
	})
	for some := range slices.Chunk(all, signedPage) {
		users, realms, dates := make([][16]byte, len(some)), make([][16]byte, len(some)), make([]int64, len(some))
		for i, by := range some {
			users[i], realms[i], dates[i] = by.user, by.realm, int64(c.signed[by])
		}
		err := c.into.Run(ctx, `
INSERT INTO parsec3.last_signed AS l (organization, user_id, realm_id, last_date)
SELECT $1, s.user_id, s.realm_id, s.last_date FROM unnest($2::uuid[], $3::uuid[], $4::bigint[]) s (user_id, realm_id, last_date)
ON CONFLICT (organization, user_id, realm_id) DO UPDATE SET last_date = excluded.last_date WHERE l.last_date < excluded.last_date`,
			c.name, users, realms, dates)
		if err != nil {
			return err
		}
	}
	return nil
}
