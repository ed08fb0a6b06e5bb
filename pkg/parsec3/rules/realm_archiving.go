package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// RealmUpdateArchiving archives a realm, plans its deletion, or makes it available
// again (docs/protocol/v5/commands.md §9.8). Any transition is fine.
func (r *Rules) RealmUpdateArchiving(ctx context.Context, author *Author, request *protocol.RealmUpdateArchivingRequest) (*protocol.RealmUpdateArchivingReply, error) {
	now := r.now()
	archiving, err := certificate.LoadRealmArchiving(request.ArchivingCertificate, author.VerifyKey, author.Device)
	invalid := checkCertificate(now, archiving.Timestamp, err)
	err = r.update(ctx, author, now, realmScope(archiving.RealmID, archiving.Timestamp, invalid), func(tx Tx, _ *User) error {
		if invalid != nil {
			return invalid
		}
		realm, err := ownedRealm(tx)
		if err != nil {
			return err
		}
		organization, _ := tx.Organization()
		if tooShort(&archiving, organization.MinimumArchivingPeriod) {
			return protocol.Refuse(protocol.StatusArchivingPeriodTooShort)
		}
		if err := checkGreater(archiving.Timestamp, tx.Topics().Common, realm.Timestamp); err != nil {
			return err
		}
		tx.ArchiveRealm(archiving.Type, archiving.DeletionDate, signedBy(author, archiving.Timestamp, request.ArchivingCertificate))
		emitRealmCertificate(tx, author, realm.ID, archiving.Timestamp)
		return nil
	})
	return &protocol.RealmUpdateArchivingReply{}, err
}

// tooShort reports whether a planned deletion leaves less than minimum seconds from
// the date of its certificate on.
func tooShort(archiving *certificate.RealmArchiving, minimum uint64) bool {
	if archiving.Type != parsec.ArchivingDeletionPlanned {
		return false
	}
	const second = 1_000_000
	period := int64(*archiving.DeletionDate) - int64(archiving.Timestamp)
	return period < 0 || uint64(period)/second < minimum
}
