package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// Archiving is the latest archiving certificate of a realm; the zero value
// stands for none.
type Archiving struct {
	Type         parsec.ArchivingType
	DeletionDate *parsec.DateTime
	ConfiguredOn parsec.DateTime
	ConfiguredBy parsec.DeviceID
}

// RealmUpdateArchiving archives a realm, plans its deletion, or makes it
// available again (docs/protocol/commands.md §6).
func (r *Rules) RealmUpdateArchiving(ctx context.Context, author *Author, request *protocol.RealmUpdateArchivingRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	id, archiving, err := checkRealmUpdateArchiving(author, now, request)
	if err != nil {
		return nil, err
	}
	err = r.updateAt(ctx, author, now, Scope{Realm: id, By: RealmExclusive}, func(tx Tx) error {
		realm, found := tx.Realm()
		if !found {
			return errRealmNotFound
		}
		organization, _ := tx.Organization()
		if err := cmp.Or(
			realm.checkNotDeleted(now),
			realm.Member.checkOwner(),
			archiving.checkArchivingPeriod(organization.MinimumArchivingPeriod),
			checkAfter(archiving.ConfiguredOn, realm.Member.RoleCertifiedOn), // C7
			checkAfter(archiving.ConfiguredOn, realm.Archiving.ConfiguredOn), // C8
		); err != nil {
			return err
		}
		tx.AddArchiving(archiving, request.ArchivingCertificate)
		tx.TouchArchivingChange(author.User(), archiving.ConfiguredOn)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.RealmArchivingUpdated{
			Realm: id, Configuration: archiving.configuration(),
		}})
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// ArchivingConfig returns the archiving of the realms where the author has a
// role, even deleted (docs/protocol/commands.md §5).
func (r *Rules) ArchivingConfig(ctx context.Context, author *Author, _ *protocol.ArchivingConfigRequest) (*protocol.ArchivingConfigReply, error) {
	realms, err := r.store.RealmsOf(ctx, author.Organization, author.User())
	if err != nil {
		return nil, err
	}
	reply := &protocol.ArchivingConfigReply{ArchivingConfig: make([]protocol.RealmArchiving, 0, len(realms))}
	for i := range realms {
		archiving := &realms[i].Archiving
		item := protocol.RealmArchiving{RealmID: realms[i].ID, Configuration: archiving.configuration()}
		if archiving.Type != "" {
			item.ConfiguredOn = &archiving.ConfiguredOn
			item.ConfiguredBy = archiving.ConfiguredBy
		}
		reply.ArchivingConfig = append(reply.ArchivingConfig, item)
	}
	return reply, nil
}

// configuration returns the wire form; a realm without certificate is
// available.
func (a *Archiving) configuration() protocol.ArchivingConfiguration {
	return protocol.ArchivingConfiguration{
		Type:         cmp.Or(a.Type, parsec.ArchivingAvailable),
		DeletionDate: a.DeletionDate,
	}
}

// checkNotDeleted refuses a realm whose deletion date is reached, by this clock or by
// that of who deleted it for good.
func (r *Realm) checkNotDeleted(now parsec.DateTime) error {
	if r.Deleted || r.Archiving.Type == parsec.ArchivingDeletionPlanned && *r.Archiving.DeletionDate <= now {
		return errRealmDeleted
	}
	return nil
}

// checkNotArchived refuses data writes to a realm that is archived, or waits
// for its deletion.
func (r *Realm) checkNotArchived() error {
	switch r.Archiving.Type {
	case parsec.ArchivingArchived, parsec.ArchivingDeletionPlanned:
		return errRealmArchived
	default:
		return nil
	}
}

// checkArchivingPeriod wants a planned deletion to leave minimum seconds from
// the certificate on.
func (a *Archiving) checkArchivingPeriod(minimum uint64) error {
	if a.Type != parsec.ArchivingDeletionPlanned {
		return nil
	}
	const second = 1_000_000
	period := int64(*a.DeletionDate) - int64(a.ConfiguredOn)
	if period < 0 || uint64(period)/second < minimum {
		return protocol.Refuse(protocol.StatusArchivingPeriodTooShort, "The deletion date is too early.")
	}
	return nil
}
