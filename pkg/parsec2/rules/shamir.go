package rules

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// ShamirSetup is a Shamir recovery as stored (docs/protocol/invite.md §8).
type ShamirSetup struct {
	Owner parsec.UserID
	// RevealToken is unique in the organization, among all setups ever made.
	RevealToken      parsec.UUID
	CipheredData     []byte
	BriefCertificate []byte
	// Threshold is how many shares recover, at most the sum of those given.
	Threshold uint64
	// Shares are in order of their recipients' ids, one for each.
	Shares    []ShamirShare
	CreatedOn parsec.DateTime
}

// ShamirShare is what a recipient has of a setup.
type ShamirShare struct {
	Recipient   parsec.UserID
	Shares      uint64
	Certificate []byte
}

// ShamirHeld is a setup as one of its recipients sees it.
type ShamirHeld struct {
	BriefCertificate []byte
	ShareCertificate []byte
}

// ShamirRecoverySetup replaces or removes the author's setup
// (docs/protocol/invite.md §8), which ends the invitation to recover by the
// one before. It locks the organization, so that no recipient is revoked
// meanwhile.
func (r *Rules) ShamirRecoverySetup(ctx context.Context, author *Author, request *protocol.ShamirRecoverySetupRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	var setup *ShamirSetup
	if request.Setup != nil {
		var err error
		if setup, err = checkShamirSetup(author, now, request.Setup); err != nil {
			return nil, err
		}
	}
	err := r.updateAt(ctx, author, now, Scope{LockOrganization: true}, func(tx Tx) error {
		facts, err := tx.Recovery(ctx, author.User())
		if err != nil {
			return err
		}
		if setup != nil {
			if facts.Setup != nil && facts.Setup.sameSetup(setup) {
				return nil // sent again
			}
			if err := checkShamirFacts(ctx, tx, setup); err != nil {
				return err
			}
		}
		if facts.Invitation != nil {
			endInvitation(tx, author.Organization, facts.Invitation, protocol.InvitationCancelled, now)
		}
		tx.EndShamirSetup(author.User())
		if setup != nil {
			tx.CreateShamirSetup(*setup)
		}
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// checkShamirFacts makes the checks that need state.
func checkShamirFacts(ctx context.Context, tx Tx, setup *ShamirSetup) error {
	recipients := make([]parsec.UserID, 0, len(setup.Shares))
	for _, share := range setup.Shares {
		recipients = append(recipients, share.Recipient)
	}
	if active, err := tx.ActiveAmong(ctx, recipients); err != nil {
		return err
	} else if active != len(recipients) {
		return refuseShamir("A recipient does not exist or is revoked.")
	}
	if used, err := tx.ShamirRevealTokenUsed(ctx, setup.RevealToken); err != nil {
		return err
	} else if used {
		return refuseShamir("The reveal token is already used.")
	}
	return nil
}

// ShamirRecoverySelfInfo returns the author's brief certificate
// (docs/protocol/invite.md §8).
func (r *Rules) ShamirRecoverySelfInfo(ctx context.Context, author *Author, _ *protocol.ShamirRecoverySelfInfoRequest) (*protocol.ShamirRecoverySelfInfoReply, error) {
	setup, found, err := r.store.ShamirSetup(ctx, author.Organization, author.User())
	if err != nil || !found {
		return &protocol.ShamirRecoverySelfInfoReply{}, err
	}
	return &protocol.ShamirRecoverySelfInfoReply{SelfInfo: setup.BriefCertificate}, nil
}

// ShamirRecoveryOthersList returns the setups that the author is a recipient of
// (docs/protocol/invite.md §8).
func (r *Rules) ShamirRecoveryOthersList(ctx context.Context, author *Author, _ *protocol.ShamirRecoveryOthersListRequest) (*protocol.ShamirRecoveryOthersListReply, error) {
	held, err := r.store.ShamirSetupsHeld(ctx, author.Organization, author.User())
	if err != nil {
		return nil, err
	}
	reply := &protocol.ShamirRecoveryOthersListReply{BriefCertificates: [][]byte{}, ShareCertificates: [][]byte{}}
	for _, setup := range held {
		reply.BriefCertificates = append(reply.BriefCertificates, setup.BriefCertificate)
		reply.ShareCertificates = append(reply.ShareCertificates, setup.ShareCertificate)
	}
	return reply, nil
}

// checkShamirSetup makes the checks that need no state, in the order of
// docs/protocol/certificates.md §6, and returns what to store.
func checkShamirSetup(author *Author, now parsec.DateTime, data *protocol.ShamirRecoverySetupData) (*ShamirSetup, error) {
	brief, err := certificate.LoadShamirBrief(data.Brief, author.VerifyKey, author.Device)
	if err != nil {
		return nil, refuseLoading(protocol.StatusInvalidData, err)
	}
	dates := []parsec.DateTime{brief.Timestamp}
	certificates := make(map[parsec.UserID][]byte, len(data.Shares))
	for _, signed := range data.Shares {
		share, err := certificate.LoadShamirShare(signed, author.VerifyKey, author.Device)
		if err != nil {
			return nil, refuseLoading(protocol.StatusInvalidData, err)
		}
		if _, named := brief.PerRecipientShares[share.Recipient]; !named {
			return nil, refuseShamir("A share is for somebody whom the brief does not name.")
		}
		if _, twice := certificates[share.Recipient]; twice {
			return nil, refuseShamir("A recipient has two shares certificates.")
		}
		certificates[share.Recipient] = signed
		dates = append(dates, share.Timestamp)
	}
	if _, self := brief.PerRecipientShares[author.User()]; self {
		return nil, refuseShamir("The author cannot be a recipient.")
	}
	if len(certificates) != len(brief.PerRecipientShares) {
		return nil, refuseShamir("A recipient has no shares certificate.")
	}
	if !reachesThreshold(brief) {
		return nil, refuseShamir("The threshold is greater than the number of shares.")
	}
	for _, date := range dates {
		if err := checkCertificateDate(now, date); err != nil {
			return nil, err
		}
	}
	setup := &ShamirSetup{
		Owner: author.User(), RevealToken: data.RevealToken, CipheredData: data.CipheredData,
		BriefCertificate: data.Brief, Threshold: brief.Threshold, CreatedOn: now,
	}
	for recipient, signed := range certificates {
		setup.Shares = append(setup.Shares, ShamirShare{recipient, brief.PerRecipientShares[recipient], signed})
	}
	slices.SortFunc(setup.Shares, func(a, b ShamirShare) int { return strings.Compare(a.Recipient.String(), b.Recipient.String()) })
	return setup, nil
}

// reachesThreshold adds no counts, whose sum may not fit.
func reachesThreshold(brief certificate.ShamirBrief) bool {
	missing := brief.Threshold
	for _, count := range brief.PerRecipientShares {
		if count >= missing {
			return true
		}
		missing -= count
	}
	return false
}

func refuseShamir(reason string) error { return protocol.Refuse(protocol.StatusInvalidData, reason) }

// ShamirReader reads Shamir recoveries.
type ShamirReader interface {
	// ShamirSetup returns the current setup of its owner.
	ShamirSetup(ctx context.Context, organization parsec.OrganizationID, owner parsec.UserID) (*ShamirSetup, bool, error)
	// ShamirSetupsHeld lists the current setups that give shares to recipient,
	// in creation order.
	ShamirSetupsHeld(ctx context.Context, organization parsec.OrganizationID, recipient parsec.UserID) ([]ShamirHeld, error)
}

// ShamirTx is for Shamir recoveries; its effects need LockOrganization.
type ShamirTx interface {
	// Recovery reads what a SHAMIR_RECOVERY invitation of the claimer depends
	// on. LockOrganization keeps it from changing.
	Recovery(ctx context.Context, claimer parsec.UserID) (RecoveryFacts, error)
	// ActiveAmong counts the distinct users that exist and are not revoked.
	ActiveAmong(ctx context.Context, users []parsec.UserID) (int, error)
	// ShamirRevealTokenUsed reports whether any setup has the token, current or
	// not.
	ShamirRevealTokenUsed(ctx context.Context, token parsec.UUID) (bool, error)
	// EndShamirSetup leaves the owner without current setup; it is kept.
	EndShamirSetup(owner parsec.UserID)
	// CreateShamirSetup makes the current setup of its owner, who has none, if
	// only by an earlier effect.
	CreateShamirSetup(setup ShamirSetup)
}

// sameSetup compares all that the owner sent.
func (s *ShamirSetup) sameSetup(setup *ShamirSetup) bool {
	sameShare := func(a, b ShamirShare) bool {
		return a.Recipient == b.Recipient && a.Shares == b.Shares && bytes.Equal(a.Certificate, b.Certificate)
	}
	return s.Owner == setup.Owner && s.RevealToken == setup.RevealToken && s.Threshold == setup.Threshold &&
		bytes.Equal(s.CipheredData, setup.CipheredData) && bytes.Equal(s.BriefCertificate, setup.BriefCertificate) &&
		slices.EqualFunc(s.Shares, setup.Shares, sameShare)
}
