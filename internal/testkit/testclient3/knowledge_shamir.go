package testclient3

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// KnownSetup is a Shamir recovery whose certificates are verified.
type KnownSetup struct {
	CreatedOn parsec.DateTime
	Threshold uint8
	Shares    map[parsec3.UserID]uint8
	// Ciphered are the shares of the reader; nil for the owner.
	Ciphered []byte
	Deleted  bool
}

// Setup returns the last Shamir recovery of a user that concerns the reader, nil if
// there was none.
func (k *Knowledge) Setup(user parsec3.UserID) *KnownSetup { return k.setups[user] }

// learnShamir verifies what is new of the topic of Shamir recovery.
func (k *Knowledge) learnShamir(list [][]byte) error {
	for len(list) > 0 {
		claim, err := claims(list[0])
		if err != nil {
			return incoherent("a certificate of Shamir recovery: %w", err)
		}
		if claim.Timestamp <= k.shamir {
			return incoherent("%s at %s after one at %s", claim.Type, claim.Timestamp, k.shamir)
		}
		author, key, err := k.signerOf(claim, false)
		if err != nil {
			return err
		}
		taken := 1
		switch claim.Type {
		case "shamir_recovery_brief_certificate":
			taken, err = k.learnSetup(list, author, key)
		case "shamir_recovery_deletion_certificate":
			err = k.learnSetupDeletion(list[0], author, key)
		default:
			err = incoherent("%s in the topic of Shamir recovery", claim.Type)
		}
		if err != nil {
			return err
		}
		k.shamir, list = claim.Timestamp, list[taken:]
	}
	return nil
}

// learnSetup takes a brief, and the share that follows it unless the reader is the
// owner. It returns how many these are.
func (k *Knowledge) learnSetup(list [][]byte, author parsec3.DeviceID, key parsec.VerifyKey) (taken int, err error) {
	brief, err := certificate.LoadShamirBrief(list[0], key, author)
	if err != nil {
		return 0, incoherent("a brief: %w", err)
	}
	owner := k.devices[author].user
	if _, own := brief.PerRecipientShares[owner]; own || brief.UserID != owner {
		return 0, incoherent("a setup of %s by %s, for itself: %t", brief.UserID, owner, own)
	}
	if before := k.setups[owner]; before != nil && !before.Deleted {
		return 0, incoherent("a second setup of %s", owner)
	}
	for recipient := range brief.PerRecipientShares {
		if user := k.users[recipient]; user == nil || !user.activeAt(brief.Timestamp) {
			return 0, incoherent("a setup for %s, who is unknown or revoked", recipient)
		}
	}
	setup := &KnownSetup{CreatedOn: brief.Timestamp, Threshold: brief.Threshold, Shares: brief.PerRecipientShares}
	k.setups[owner] = setup
	if owner == k.self {
		return 1, nil
	}
	if _, concerned := setup.Shares[k.self]; !concerned || len(list) < 2 {
		return 0, incoherent("a setup of %s for others, or without share", owner)
	}
	share, err := certificate.LoadShamirShare(list[1], key, author)
	if err != nil || share.Timestamp != brief.Timestamp || share.UserID != owner || share.Recipient != k.self {
		return 0, incoherent("a share of %s for %s: %w", share.UserID, share.Recipient, err)
	}
	setup.Ciphered = share.CipheredShare
	return 2, nil
}

func (k *Knowledge) learnSetupDeletion(signed []byte, author parsec3.DeviceID, key parsec.VerifyKey) error {
	deletion, err := certificate.LoadShamirDeletion(signed, key, author)
	if err != nil {
		return incoherent("a deletion: %w", err)
	}
	owner := k.devices[author].user
	setup := k.setups[owner]
	if deletion.SetupToDeleteUserID != owner || setup == nil || setup.Deleted || setup.CreatedOn != deletion.SetupToDeleteTimestamp {
		return incoherent("the deletion of the setup of %s at %s", deletion.SetupToDeleteUserID, deletion.SetupToDeleteTimestamp)
	}
	for _, recipient := range deletion.ShareRecipients {
		if _, found := setup.Shares[recipient]; !found || len(deletion.ShareRecipients) != len(setup.Shares) {
			return incoherent("a deletion for %d recipients of %d", len(deletion.ShareRecipients), len(setup.Shares))
		}
	}
	setup.Deleted = true
	return nil
}
