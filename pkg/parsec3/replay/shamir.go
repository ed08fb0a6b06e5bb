package replay

import (
	"maps"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// Setup is what the certificates say of a Shamir recovery.
type Setup struct {
	CreatedOn parsec.DateTime
	Threshold uint8
	Shares    map[parsec3.UserID]uint8
	// Ciphered are the shares of the reader; nil for the owner, and without reader.
	Ciphered []byte
	Deleted  bool
	// DeletedOn is the date of the deletion, zero before.
	DeletedOn parsec.DateTime
}

// tell has a step be about the setup of an owner, which all of its users see.
func (s *Setup) tell(step *Step, owner parsec3.UserID) {
	step.Owner, step.Setup, step.Audience = owner, s, append([]parsec3.UserID{owner}, slices.Collect(maps.Keys(s.Shares))...)
}

// openShares is a brief whose shares come next.
type openShares struct {
	author parsec3.DeviceID
	owner  parsec3.UserID
	setup  *Setup
	// awaited are the recipients whose shares have not come yet.
	awaited map[parsec3.UserID]bool
}

// FollowShamir follows the next certificate of the topic of Shamir recovery. A share
// follows its brief: all of them, or that of the reader.
func (o *Organization) FollowShamir(signed []byte) Step {
	claim, step, readable := begin("a certificate of Shamir recovery", signed)
	if !readable {
		return step
	}
	const share = "shamir_recovery_share_certificate"
	if claim.Type != share {
		o.endShares(&step)
		if claim.Timestamp <= o.Shamir {
			step.object(Dates, "%s at %s after one at %s", claim.Type, claim.Timestamp, o.Shamir)
		}
	}
	if claim.Author == nil {
		step.object(Author, "%s at %s by the root key", claim.Type, claim.Timestamp)
		return step
	}
	by := o.signerOf(&step, &claim, false)
	switch claim.Type {
	case "shamir_recovery_brief_certificate":
		o.followBrief(&step, signed, by)
	case share:
		o.followShare(&step, signed, by)
	case "shamir_recovery_deletion_certificate":
		o.followShamirDeletion(&step, signed, by)
	default:
		step.object(Topic, "%s in the topic of Shamir recovery", claim.Type)
	}
	o.Shamir = max(o.Shamir, claim.Timestamp)
	return step
}

// EndShamir ends the list of the topic of Shamir recovery, as far as it is known.
func (o *Organization) EndShamir() (step Step) {
	o.endShares(&step)
	return step
}

func (o *Organization) endShares(step *Step) {
	if o.shares != nil && len(o.shares.awaited) > 0 {
		step.object(ShamirShares, "a setup of %s with %d shares missing", o.shares.owner, len(o.shares.awaited))
	}
	o.shares = nil
}

func (o *Organization) followBrief(step *Step, signed []byte, by signer) {
	brief, readable := read(step, "a brief", signed, by, certificate.LoadShamirBrief, certificate.Read[certificate.ShamirBrief])
	if !readable {
		return
	}
	owner := brief.UserID
	_, own := brief.PerRecipientShares[owner]
	if own || by.user != nil && by.user.ID != owner {
		step.object(ShamirOwner, "a setup of %s by %s, for itself: %t", owner, by.device, own)
	}
	if before := o.Setups[owner]; before != nil && !before.Deleted {
		step.object(ShamirOwner, "a second setup of %s", owner)
	}
	awaited := map[parsec3.UserID]bool{}
	for recipient := range brief.PerRecipientShares {
		if user := o.Users[recipient]; user == nil || !user.ActiveAt(brief.Timestamp) {
			step.object(ShamirRecipients, "a setup for %s, who is unknown or revoked", recipient)
		}
		if o.reader == nil || recipient == *o.reader {
			awaited[recipient] = true
		}
	}
	if o.reader != nil && owner == *o.reader {
		clear(awaited)
	} else if len(awaited) == 0 {
		step.object(ShamirShares, "a setup of %s for others", owner)
	}
	setup := &Setup{CreatedOn: brief.Timestamp, Threshold: brief.Threshold, Shares: brief.PerRecipientShares}
	o.Setups[owner] = setup
	setup.tell(step, owner)
	o.shares = &openShares{by.device, owner, setup, awaited}
}

func (o *Organization) followShare(step *Step, signed []byte, by signer) {
	share, readable := read(step, "a share", signed, by, certificate.LoadShamirShare, certificate.Read[certificate.ShamirShare])
	if !readable {
		return
	}
	of := o.shares
	if of == nil || share.Timestamp != of.setup.CreatedOn || share.UserID != of.owner || share.Author != of.author || !of.awaited[share.Recipient] {
		step.object(ShamirShares, "a share of %s for %s", share.UserID, share.Recipient)
		return
	}
	delete(of.awaited, share.Recipient)
	step.Owner, step.Setup, step.Audience = of.owner, of.setup, []parsec3.UserID{share.Recipient}
	if o.reader != nil {
		of.setup.Ciphered = share.CipheredShare
	}
}

func (o *Organization) followShamirDeletion(step *Step, signed []byte, by signer) {
	deletion, readable := read(step, "a deletion", signed, by, certificate.LoadShamirDeletion, certificate.Read[certificate.ShamirDeletion])
	if !readable {
		return
	}
	owner := deletion.SetupToDeleteUserID
	setup := o.Setups[owner]
	if by.user != nil && by.user.ID != owner || setup == nil || setup.Deleted || setup.CreatedOn != deletion.SetupToDeleteTimestamp {
		step.object(ShamirDeletion, "the deletion of the setup of %s at %s", owner, deletion.SetupToDeleteTimestamp)
	}
	if setup == nil {
		return
	}
	for _, recipient := range deletion.ShareRecipients {
		if _, found := setup.Shares[recipient]; !found || len(deletion.ShareRecipients) != len(setup.Shares) {
			step.object(ShamirDeletion, "a deletion for %d recipients of %d", len(deletion.ShareRecipients), len(setup.Shares))
			break
		}
	}
	setup.Deleted, setup.DeletedOn = true, deletion.Timestamp
	setup.tell(step, owner)
}
