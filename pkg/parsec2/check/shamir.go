package check

import (
	"context"
	"maps"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

type setupRow struct {
	key, owner, threshold int64
	brief                 []byte
}

func (r *setupRow) targets() []any { return []any{&r.key, &r.owner, &r.threshold, &r.brief} }

type shareRow struct {
	setup, recipient, shares int64
	certificate              []byte
}

func (r *shareRow) targets() []any { return []any{&r.setup, &r.recipient, &r.shares, &r.certificate} }

// checkShamir verifies the Shamir recoveries, which name their owner alone: it may have
// signed with any of its devices.
func (c *checker) checkShamir(ctx context.Context) error {
	type setup struct {
		subject string
		brief   certificate.ShamirBrief
		left    map[parsec.UserID]uint64
	}
	setups := map[int64]*setup{}
	err := rows(ctx, c, "SELECT s.id, s.owner, s.threshold, s.brief_certificate FROM shamir_recovery s WHERE s.organization = $1::bigint ORDER BY s.id",
		(*setupRow).targets, func(row *setupRow) {
			owner := c.users[row.owner]
			if owner == nil {
				c.fault(Orphans, "organization", "a Shamir recovery is of a user of another organization")
				return
			}
			one := &setup{subject: owner.String() + " Shamir recovery"}
			claim, err := certificate.Read[certificate.ShamirBrief](row.brief)
			if err != nil {
				c.fault(Format, one.subject, err.Error())
				return
			}
			one.brief, one.left = claim, maps.Clone(claim.PerRecipientShares)
			setups[row.key] = one
			c.checkOwned(one.subject+" brief", owner, row.brief, claim.Author, claim.Timestamp, func(key parsec.VerifyKey) error {
				_, err := certificate.LoadShamirBrief(row.brief, key, claim.Author)
				return err
			})
			if _, own := claim.PerRecipientShares[claim.Author.User()]; own || int64(claim.Threshold) != row.threshold {
				c.faultf(Shamir, one.subject, "its threshold is %d, by its brief %d, for its owner: %t", row.threshold, claim.Threshold, own)
			}
		})
	if err != nil {
		return err
	}
	err = rows(ctx, c, `
SELECT h.setup, h.recipient, h.shares, h.certificate FROM shamir_recovery_share h JOIN shamir_recovery s ON s.id = h.setup
WHERE s.organization = $1::bigint`,
		(*shareRow).targets, func(row *shareRow) {
			one, recipient := setups[row.setup], c.users[row.recipient]
			if one == nil || recipient == nil {
				return // which is told of the setup
			}
			share, err := certificate.Read[certificate.ShamirShare](row.certificate)
			if err != nil {
				c.fault(Format, one.subject, err.Error())
				return
			}
			c.checkOwned(one.subject+" share", c.byID[one.brief.Author.User().String()], row.certificate, share.Author, share.Timestamp, func(key parsec.VerifyKey) error {
				_, err := certificate.LoadShamirShare(row.certificate, key, share.Author)
				return err
			})
			if count, found := one.left[share.Recipient]; !found || int64(count) != row.shares || share.Recipient.String() != recipient.id {
				c.faultf(Shamir, one.subject, "%s has %d shares, which is not what the brief says", recipient, row.shares)
			}
			delete(one.left, share.Recipient)
		})
	for _, one := range setups {
		if len(one.left) > 0 {
			c.faultf(Shamir, one.subject, "the shares of %d recipients are missing", len(one.left))
		}
	}
	return err
}

// checkOwned verifies a certificate that a device of its owner has signed.
func (c *checker) checkOwned(subject string, owner *user, signed []byte, author parsec.DeviceID, date parsec.DateTime, load func(parsec.VerifyKey) error) {
	by := c.signerOf(subject, author.String())
	if by.device == nil {
		return
	}
	if by.device.user != owner {
		c.faultf(Author, subject, "%s has signed it", author)
	}
	if err := load(by.key); err != nil {
		c.faultf(ruleOf(err), subject, "its certificate of %d bytes: %s", len(signed), err)
	}
	c.signed(subject, by, date)
}
