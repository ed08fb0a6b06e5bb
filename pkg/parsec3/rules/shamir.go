package rules

import (
	"context"
	"maps"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// ShamirRecoverySetup has recipients hold the shares of a secret by which the author's
// user recovers (docs/protocol/v5/commands.md §10.2).
func (r *Rules) ShamirRecoverySetup(ctx context.Context, author *Author, request *protocol.ShamirRecoverySetupRequest) (*protocol.ShamirRecoverySetupReply, error) {
	now := r.now()
	created, invalid := loadShamirSetup(author, now, request)
	scope := shamirScope(created.brief.Timestamp, invalid)
	scope.Size = created.size()
	err := r.update(ctx, author, now, scope, func(tx Tx, _ *User) error {
		if invalid != nil {
			return invalid
		}
		facts, err := tx.ShamirFacts(ctx, author.User, created.recipients(), created.setup.RevealToken)
		if err != nil {
			return err
		}
		if err := checkRecipients(tx, created.shares, facts.Recipients); err != nil {
			return err
		}
		if facts.Exists {
			return refuseAsOfShamir(ctx, tx, author, protocol.StatusShamirRecoveryAlreadyExists)
		}
		if err := checkGreater(created.setup.CreatedOn, tx.Topics().Common, tx.Topics().Shamir); err != nil {
			return err
		}
		if facts.TokenTaken {
			return TokenTaken
		}
		tx.CreateShamirSetup(created.setup, created.brief, created.shares)
		emitShamir(tx, author, created.setup.CreatedOn, created.recipients())
		return nil
	})
	return &protocol.ShamirRecoverySetupReply{}, err
}

// shamirScope is for what may grow the topic of Shamir recovery at a date. Invalid is why
// its certificates are refused, nil if they are good: nothing is locked for bad ones.
func shamirScope(date parsec.DateTime, invalid error) Scope {
	if invalid != nil {
		return Scope{}
	}
	return Scope{Common: Shared, Shamir: Exclusive, Date: date}
}

// newShamirSetup is a setup with its certificates, as stored.
type newShamirSetup struct {
	setup  ShamirSetup
	brief  Certificate
	shares []ShamirShare
}

// recipients returns who has shares, in the order of the request.
func (s *newShamirSetup) recipients() []parsec3.UserID {
	recipients := make([]parsec3.UserID, len(s.shares))
	for i := range s.shares {
		recipients[i] = s.shares[i].Recipient
	}
	return recipients
}

// size returns how many bytes the setup has.
func (s *newShamirSetup) size() int {
	size := len(s.setup.CipheredData) + len(s.brief.Bytes)
	for i := range s.shares {
		size += len(s.shares[i].Certificate)
	}
	return size
}

// loadShamirSetup makes the checks 1 to 5 of shamir_recovery_setup.
func loadShamirSetup(author *Author, now parsec.DateTime, request *protocol.ShamirRecoverySetupRequest) (newShamirSetup, error) {
	brief, err := certificate.LoadShamirBrief(request.BriefCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return newShamirSetup{}, protocol.Refuse(protocol.StatusInvalidCertificateBriefCorrupted)
	}
	if err := checkBallpark(now, brief.Timestamp); err != nil {
		return newShamirSetup{}, err
	}
	if brief.UserID != author.User {
		return newShamirSetup{}, protocol.Refuse(protocol.StatusInvalidCertificateUserIDMustBeSelf)
	}
	if len(request.ShareCertificates) != len(brief.PerRecipientShares) {
		return newShamirSetup{}, protocol.Refuse(protocol.StatusInvalidCertificateMissingShareForRecipient)
	}
	created := newShamirSetup{
		setup: ShamirSetup{
			User: author.User, CreatedOn: brief.Timestamp, Threshold: brief.Threshold, Shares: brief.PerRecipientShares,
			RevealToken: request.RevealToken, CipheredData: request.CipheredData,
		},
		brief: signedBy(author, brief.Timestamp, request.BriefCertificate),
	}
	for _, signed := range request.ShareCertificates {
		share, err := certificate.LoadShamirShare(signed, author.VerifyKey, author.Device)
		if err != nil {
			return newShamirSetup{}, protocol.Refuse(protocol.StatusInvalidCertificateShareCorrupted)
		}
		if err := checkShare(author, &brief, &share, created.shares); err != nil {
			return newShamirSetup{}, err
		}
		created.shares = append(created.shares, ShamirShare{Recipient: share.Recipient, Certificate: signed})
	}
	return created, nil
}

// checkShare makes the checks of one share, after others, beside that it loads.
func checkShare(author *Author, brief *certificate.ShamirBrief, share *certificate.ShamirShare, before []ShamirShare) error {
	_, inBrief := brief.PerRecipientShares[share.Recipient]
	switch {
	case share.UserID != author.User:
		return protocol.Refuse(protocol.StatusInvalidCertificateShareCorrupted)
	case share.Timestamp != brief.Timestamp:
		return protocol.Refuse(protocol.StatusInvalidCertificateShareInconsistentTimestamp)
	case !inBrief:
		return protocol.Refuse(protocol.StatusInvalidCertificateShareRecipientNotInBrief)
	case slices.ContainsFunc(before, func(other ShamirShare) bool { return other.Recipient == share.Recipient }):
		return protocol.Refuse(protocol.StatusInvalidCertificateDuplicateShareForRecipient)
	case share.Recipient == author.User:
		return protocol.Refuse(protocol.StatusInvalidCertificateAuthorIncludedAsRecipient)
	default:
		return nil
	}
}

// checkRecipients wants the recipients of shares to be among the users that were found,
// and active.
func checkRecipients(tx Tx, shares []ShamirShare, found map[parsec3.UserID]User) error {
	for i := range shares {
		recipient, exists := found[shares[i].Recipient]
		switch {
		case !exists:
			return protocol.Refuse(protocol.StatusRecipientNotFound)
		case recipient.RevokedOn != nil:
			return protocol.RefuseAsOfCommon(protocol.StatusRevokedRecipient, tx.Topics().Common)
		}
	}
	return nil
}

// refuseAsOfShamir names the last certificate of the topic that the author sees: it need
// not learn of others (docs/protocol/v5/commands.md §10.1).
func refuseAsOfShamir(ctx context.Context, tx Tx, author *Author, status protocol.Status) error {
	last, err := tx.LastShamirSeen(ctx, author.User)
	if err != nil {
		return err
	}
	return protocol.RefuseAsOfShamir(status, last)
}

// emitShamir tells the author and recipients of a certificate of the topic.
func emitShamir(tx Tx, author *Author, timestamp parsec.DateTime, recipients []parsec3.UserID) {
	tx.Emit(event.Event{Organization: author.Organization, Body: notice.ShamirCertificate{
		ID: notice.NewID(), Timestamp: timestamp, Users: append([]parsec3.UserID{author.User}, recipients...),
	}})
}

// ShamirRecoveryDelete ends a setup of the author's user
// (docs/protocol/v5/commands.md §10.3).
func (r *Rules) ShamirRecoveryDelete(ctx context.Context, author *Author, request *protocol.ShamirRecoveryDeleteRequest) (*protocol.ShamirRecoveryDeleteReply, error) {
	now := r.now()
	deletion, invalid := loadShamirDeletion(author, now, request)
	err := r.update(ctx, author, now, shamirScope(deletion.Timestamp, invalid), func(tx Tx, _ *User) error {
		if invalid != nil {
			return invalid
		}
		setup, found, err := tx.ShamirSetup(ctx, author.User, deletion.SetupToDeleteTimestamp)
		switch {
		case err != nil:
			return err
		case !found:
			return protocol.Refuse(protocol.StatusShamirRecoveryNotFound)
		case !setup.isFor(deletion.ShareRecipients):
			return protocol.Refuse(protocol.StatusRecipientsMismatch)
		case setup.DeletedOn != nil:
			return refuseAsOfShamir(ctx, tx, author, protocol.StatusShamirRecoveryAlreadyDeleted)
		}
		if err := checkGreater(deletion.Timestamp, tx.Topics().Common, tx.Topics().Shamir); err != nil {
			return err
		}
		tx.DeleteShamirSetup(setup, signedBy(author, deletion.Timestamp, request.DeletionCertificate))
		if err := cancelRecoveries(ctx, tx, author, setup, now); err != nil {
			return err
		}
		emitShamir(tx, author, deletion.Timestamp, deletion.ShareRecipients)
		return nil
	})
	return &protocol.ShamirRecoveryDeleteReply{}, err
}

// cancelRecoveries ends the invitations to recover a setup that is deleted: whoever meets
// there is told. One that is made meanwhile is cancelled with the setup.
func cancelRecoveries(ctx context.Context, tx Tx, author *Author, setup *ShamirSetup, now parsec.DateTime) error {
	claimer := Claimer{Type: parsec.InvitationShamirRecovery, User: setup.User, Setup: setup.CreatedOn}
	pending, err := tx.PendingInvitations(ctx, claimer)
	for i := range pending {
		if err == nil {
			_, err = cancelInvitation(ctx, tx, author.Organization, &pending[i], now)
		}
	}
	return err
}

// loadShamirDeletion makes the checks 1 to 3 of shamir_recovery_delete.
func loadShamirDeletion(author *Author, now parsec.DateTime, request *protocol.ShamirRecoveryDeleteRequest) (certificate.ShamirDeletion, error) {
	deletion, err := certificate.LoadShamirDeletion(request.DeletionCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return deletion, protocol.Refuse(protocol.StatusInvalidCertificateCorrupted)
	}
	if err := checkBallpark(now, deletion.Timestamp); err != nil {
		return deletion, err
	}
	if deletion.SetupToDeleteUserID != author.User {
		return deletion, protocol.Refuse(protocol.StatusInvalidCertificateUserIDMustBeSelf)
	}
	return deletion, nil
}

// ShamirSetup is a Shamir recovery of a user. One at most of a user is not deleted.
type ShamirSetup struct {
	User parsec3.UserID
	// CreatedOn is the date of its brief, which is that of no other setup.
	CreatedOn parsec.DateTime
	// Threshold is how many of the shares recover. Shares has those of each recipient.
	Threshold uint8
	Shares    map[parsec3.UserID]uint8
	// RevealToken is that of no other setup. CipheredData is nil once it is deleted.
	RevealToken  parsec3.AccessToken
	CipheredData []byte
	// DeletedOn is nil for the current setup.
	DeletedOn *parsec.DateTime
}

// isFor reports whether the recipients are those, each given once.
func (s *ShamirSetup) isFor(recipients []parsec3.UserID) bool {
	return len(recipients) == len(s.Shares) && !slices.ContainsFunc(recipients, func(recipient parsec3.UserID) bool {
		_, found := s.Shares[recipient]
		return !found
	})
}

// Audience returns who sees the certificates of the setup: its owner, then the
// recipients.
func (s *ShamirSetup) Audience() []parsec3.UserID {
	return append([]parsec3.UserID{s.User}, slices.Collect(maps.Keys(s.Shares))...)
}

// ShamirShare is the certificate of the shares of one recipient.
type ShamirShare struct {
	Recipient   parsec3.UserID
	Certificate []byte
}

// ShamirFacts are what a setup depends on.
type ShamirFacts struct {
	// Recipients are those of its recipients that exist.
	Recipients map[parsec3.UserID]User
	// Exists says that its owner has a setup that is not deleted, and TokenTaken that
	// a setup, deleted or not, has its token.
	Exists, TokenTaken bool
}

// ShamirTx is for Shamir recovery. What grows the topic locks it exclusively, and the
// common topic at least shared.
type ShamirTx interface {
	// ShamirFacts returns what a setup of a user, for recipients and with a token,
	// depends on.
	ShamirFacts(ctx context.Context, user parsec3.UserID, recipients []parsec3.UserID, token parsec3.AccessToken) (ShamirFacts, error)
	// CurrentShamirSetup returns the setup of a user that is not deleted, false if there
	// is none.
	CurrentShamirSetup(ctx context.Context, user parsec3.UserID) (*ShamirSetup, bool, error)
	// ShamirSetup returns the setup of a user of a date, false if there is none.
	ShamirSetup(ctx context.Context, user parsec3.UserID, createdOn parsec.DateTime) (*ShamirSetup, bool, error)
	// RevealedSetup returns what the setup of the invitation of the scope reveals, nil for
	// an invitation of another type, and the dates of the last wrong tokens that were
	// given for it.
	RevealedSetup(ctx context.Context) (*ShamirSetup, []parsec.DateTime, error)
	// LastShamirSeen returns the date of the last certificate of the topic that a user
	// sees, zero for none.
	LastShamirSeen(ctx context.Context, user parsec3.UserID) (parsec.DateTime, error)

	// CreateShamirSetup adds a setup. Its owner and the recipients see its brief, and
	// each recipient its share, which has the date and the author of the brief.
	CreateShamirSetup(setup ShamirSetup, brief Certificate, shares []ShamirShare)
	// DeleteShamirSetup deletes a setup, with what it reveals, as of the certificate's
	// date. Its owner and the recipients see the certificate.
	DeleteShamirSetup(setup *ShamirSetup, certificate Certificate)
	// PutWrongReveals replaces the dates of the last wrong tokens of an invitation whose
	// row is locked.
	PutWrongReveals(token parsec3.AccessToken, dates []parsec.DateTime)
}
