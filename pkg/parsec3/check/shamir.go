package check

import (
	"context"
	"maps"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/replay"
)

// setupKey names a Shamir recovery.
type setupKey struct {
	owner     parsec3.UserID
	createdOn parsec.DateTime
}

func (k setupKey) String() string {
	return "user " + k.owner.String() + " Shamir recovery of " + k.createdOn.String()
}

type seenRow struct {
	user     database.UUID
	dated    int64
	sequence int16
}

func (r *seenRow) targets() []any { return []any{&r.user, &r.dated, &r.sequence} }

// checkShamir follows the topic of Shamir recovery, together with who sees what of it.
func (c *checker) checkShamir(ctx context.Context) error {
	certificates, err := c.certificates(ctx, "shamir_recovery")
	if err != nil {
		return err
	}
	seen, err := database.NewCursor(ctx, c.on, `
SELECT s.user_id, s.dated, s.sequence FROM parsec3.shamir_seen s WHERE s.organization = $1 ORDER BY s.dated, s.sequence`,
		[]any{c.name}, (*seenRow).targets)
	if err != nil {
		return err
	}
	setups := map[setupKey]*replay.Setup{}
	err = certificates.Each(ctx, nil, func(row *certificateRow) error {
		step := c.of.FollowShamir(row.certificate)
		c.follow(row, "Shamir recovery", step)
		c.sign(&step)
		if step.Setup != nil {
			setups[setupKey{step.Owner, step.Setup.CreatedOn}] = step.Setup
		}
		return c.checkSeen(ctx, seen, row, &step)
	})
	if err != nil {
		return err
	}
	if err := seen.Each(ctx, nil, func(row *seenRow) error {
		c.faultf(ShamirSeen, "user "+parsec3.UserID(row.user).String(), "it should see a certificate of %s that is missing", parsec.DateTime(row.dated))
		return nil
	}); err != nil {
		return err
	}
	c.end("topic of Shamir recovery", c.of.EndShamir())
	if err := c.topicEnds(ctx, "shamir_recovery", c.of.Shamir, true); err != nil {
		return err
	}
	return c.checkSetups(ctx, setups)
}

// checkSeen compares who sees a certificate with who should.
func (c *checker) checkSeen(ctx context.Context, seen *database.Cursor[seenRow], row *certificateRow, step *replay.Step) error {
	audience := map[parsec3.UserID]bool{}
	for _, user := range step.Audience {
		audience[user] = true
	}
	subject := "Shamir recovery certificate of " + parsec.DateTime(row.dated).String() + " user "
	err := seen.Each(ctx, func(entry *seenRow) bool {
		return entry.dated < row.dated || entry.dated == row.dated && entry.sequence <= row.sequence
	}, func(entry *seenRow) error {
		user := parsec3.UserID(entry.user)
		if entry.dated != row.dated || entry.sequence != row.sequence || step.Setup != nil && !audience[user] {
			c.fault(ShamirSeen, subject+user.String(), "it sees what it should not, or what is missing")
		}
		delete(audience, user)
		return nil
	})
	for user := range audience {
		c.fault(ShamirSeen, subject+user.String(), "it does not see it")
	}
	return err
}

type setupRow struct {
	user                 database.UUID
	createdOn, threshold int64
	deletedOn            *int64
}

func (r *setupRow) targets() []any { return []any{&r.user, &r.createdOn, &r.threshold, &r.deletedOn} }

type shareRow struct {
	user, recipient   database.UUID
	createdOn, shares int64
}

func (r *shareRow) targets() []any { return []any{&r.user, &r.createdOn, &r.recipient, &r.shares} }

// checkSetups compares setups and shares with the certificates.
func (c *checker) checkSetups(ctx context.Context, setups map[setupKey]*replay.Setup) error {
	shares := map[setupKey]map[parsec3.UserID]uint8{}
	for key, setup := range setups {
		shares[key] = maps.Clone(setup.Shares)
	}
	err := rows(ctx, c, `
SELECT h.user_id, h.created_on, h.recipient, h.shares::bigint FROM parsec3.shamir_share h WHERE h.organization = $1`,
		(*shareRow).targets, func(row *shareRow) {
			key := setupKey{parsec3.UserID(row.user), parsec.DateTime(row.createdOn)}
			recipient := parsec3.UserID(row.recipient)
			if count, found := shares[key][recipient]; !found || int64(count) != row.shares {
				c.faultf(ShamirRow, key.String(), "%s has %d shares, which is not what the brief says", recipient, row.shares)
			}
			delete(shares[key], recipient)
		})
	if err != nil {
		return err
	}
	err = rows(ctx, c, `
SELECT s.user_id, s.created_on, s.threshold::bigint, s.deleted_on FROM parsec3.shamir_setup s WHERE s.organization = $1`,
		(*setupRow).targets, func(row *setupRow) {
			key := setupKey{parsec3.UserID(row.user), parsec.DateTime(row.createdOn)}
			setup := setups[key]
			delete(setups, key)
			switch {
			case setup == nil:
				c.fault(ShamirRow, key.String(), "it has no certificate")
			case int64(setup.Threshold) != row.threshold || setup.Deleted != (row.deletedOn != nil) ||
				setup.Deleted && int64(setup.DeletedOn) != *row.deletedOn:
				c.fault(ShamirRow, key.String(), "its threshold or its end is not that of its certificates")
			}
		})
	for key, left := range shares {
		if len(left) > 0 {
			c.faultf(ShamirRow, key.String(), "the shares of %d recipients are missing", len(left))
		}
	}
	for key := range setups {
		c.fault(ShamirRow, key.String(), "it is missing")
	}
	return err
}
