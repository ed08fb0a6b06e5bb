package imports

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/replay"
)

var (
	setupTable = &imports.Table{
		Name:    "parsec3.shamir_setup",
		Columns: []string{"organization", "user_id", "created_on", "threshold", "reveal_token", "ciphered_data", "deleted_on"},
		Key:     []string{"organization", "user_id", "created_on"},
	}
	shareTable = &imports.Table{
		Name:    "parsec3.shamir_share",
		Columns: []string{"organization", "user_id", "created_on", "recipient", "shares"},
		Key:     []string{"organization", "user_id", "created_on", "recipient"},
	}
	seenTable = &imports.Table{
		Name: "parsec3.shamir_seen", Columns: []string{"organization", "user_id", "dated", "sequence"}, Key: []string{"organization", "user_id", "dated", "sequence"},
	}
)

// setup is a Shamir recovery of the source.
type setup struct {
	key                    int64
	owner                  parsec3.UserID
	brief                  []byte
	token                  string
	threshold              int64
	ciphered               []byte
	createdOn, deletedOn   *int64
	deletion               []byte
	shares                 [][]byte
	of                     *replay.Setup
	createdDate, endedDate parsec.DateTime
}

type shareRow struct {
	setup       int64
	certificate []byte
}

func (r *shareRow) targets() []any { return []any{&r.setup, &r.certificate} }

// event is a certificate of the topic, with the shares that follow it.
type event struct {
	date     parsec.DateTime
	deletes  bool
	of       *setup
	sequence int64
}

// shamir follows the topic of Shamir recovery, in the order of its dates.
func (c *converter) shamir(ctx context.Context) error {
	all, err := c.readSetups(ctx)
	if err != nil {
		return err
	}
	var events []event
	for _, one := range all {
		brief, err := certificate.Read[certificate.ShamirBrief](one.brief)
		if err != nil {
			c.one.Stop(replay.Format.Name, "Shamir recovery of user "+one.owner.String(), "a brief: %s", err)
			continue
		}
		one.createdDate = brief.Timestamp
		events = append(events, event{date: brief.Timestamp, of: one})
		if one.deletedOn != nil {
			one.endedDate = parsec.DateTime(*one.deletedOn)
			events = append(events, event{date: one.endedDate, deletes: true, of: one})
		}
	}
	c.checkOrder(events)
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.date, b.date) })
	for i := range events {
		if err := c.followSetup(ctx, &events[i]); err != nil {
			return err
		}
	}
	c.end("topic of Shamir recovery", c.of.EndShamir())
	for _, one := range all {
		if err := c.putSetup(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) readSetups(ctx context.Context) (all []*setup, err error) {
	err = each(ctx, c, `
SELECT s._id::bigint, u.user_id, s.brief_certificate, replace(s.reveal_token::text, '-', ''), s.threshold::bigint, s.ciphered_data,
    `+c.from.Since(7, micro("s.created_on")+", "+micro("s.deleted_on")+", s.deletion_certificate", "NULL::bigint, NULL::bigint, NULL::bytea")+`
FROM shamir_recovery_setup s JOIN user_ u ON u._id = s.user_ WHERE s.organization = $1::bigint ORDER BY s._id`, func(s *setup) []any {
		return []any{&s.key, (*database.UUID)(&s.owner), &s.brief, &s.token, &s.threshold, &s.ciphered, &s.createdOn, &s.deletedOn, &s.deletion}
	}, func(row *setup) error {
		one := *row
		all, c.setups[one.key] = append(all, &one), &one
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, each(ctx, c, `
SELECT h.shamir_recovery::bigint, h.share_certificate FROM shamir_recovery_share h JOIN shamir_recovery_setup s ON s._id = h.shamir_recovery
WHERE s.organization = $1::bigint ORDER BY h._id`, (*shareRow).targets, func(row *shareRow) error {
		of := c.setups[row.setup]
		if of != nil {
			of.shares = append(of.shares, row.certificate)
		}
		return nil
	})
}

// checkOrder notes briefs whose dates do not grow in the order in which they came.
func (c *converter) checkOrder(events []event) {
	last := parsec.DateTime(0)
	for _, one := range events {
		if one.deletes {
			continue
		}
		if one.date < last {
			c.one.Note("shamir_order", "user "+one.of.owner.String(), "its Shamir recovery of %s came after one of %s: clients that have that one refuse it", one.date, last)
		}
		last = max(last, one.date)
	}
}

// followSetup follows a brief with its shares, or a deletion.
func (c *converter) followSetup(ctx context.Context, one *event) error {
	signed, rowDate := one.of.brief, one.of.createdOn
	if one.deletes {
		signed, rowDate = one.of.deletion, one.of.deletedOn
	}
	if rowDate != nil && int64(one.date) != *rowDate {
		c.differs("user " + one.of.owner.String() + " Shamir recovery of " + one.date.String())
	}
	step := c.of.FollowShamir(signed)
	if err := c.certifyShamir(ctx, one, signed, &step); err != nil {
		return err
	}
	if one.deletes || step.Setup == nil {
		return nil
	}
	one.of.of = step.Setup
	if step.Owner != one.of.owner || int64(step.Setup.Threshold) != one.of.threshold {
		c.differs("user " + one.of.owner.String() + " Shamir recovery of " + one.date.String())
	}
	for _, share := range one.of.shares {
		one.sequence++
		step := c.of.FollowShamir(share)
		if err := c.certifyShamir(ctx, one, share, &step); err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) certifyShamir(ctx context.Context, one *event, signed []byte, step *replay.Step) error {
	row := &certificateRow{dated: int64(one.date), sequence: one.sequence, certificate: signed}
	if err := c.certify(ctx, "shamir_recovery", "Shamir recovery", row, step); err != nil {
		return err
	}
	for _, user := range step.Audience {
		if err := c.into.Put(ctx, seenTable, c.name, [16]byte(user), int64(one.date), int16(one.sequence)); err != nil {
			return err
		}
	}
	return nil
}

func (c *converter) putSetup(ctx context.Context, one *setup) error {
	subject := "user " + one.owner.String() + " Shamir recovery of " + one.createdDate.String()
	token, ok := c.token(subject, one.token)
	if one.of == nil || !ok {
		return nil // It is told.
	}
	if one.of.Deleted != (one.deletedOn != nil) {
		c.differs(subject)
	}
	switch {
	case one.deletedOn != nil:
		one.ciphered = nil
	case one.ciphered == nil:
		c.one.Note("shamir_without_data", subject, "it reveals nothing")
		one.ciphered = []byte{}
	}
	err := c.into.Put(ctx, setupTable, c.name, [16]byte(one.owner), int64(one.createdDate), int16(one.of.Threshold), token[:], one.ciphered, one.deletedOn)
	if err != nil {
		return err
	}
	for _, recipient := range slices.SortedFunc(maps.Keys(one.of.Shares), func(a, b parsec3.UserID) int { return slices.Compare(a[:], b[:]) }) {
		err := c.into.Put(ctx, shareTable, c.name, [16]byte(one.owner), int64(one.createdDate), [16]byte(recipient), int16(one.of.Shares[recipient]))
		if err != nil {
			return err
		}
	}
	return nil
}
