package rules

import (
	"cmp"
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// KeyRotation is a new key of a realm.
type KeyRotation struct {
	KeyIndex   uint64
	KeysBundle []byte
	// Participants and Services have the access to the bundle of each.
	Participants map[parsec3.UserID][]byte
	Services     map[parsec.SequesterServiceID][]byte
}

// KeysBundle is a keys bundle and one access to it.
type KeysBundle struct{ Bundle, Access []byte }

// RealmRotateKey adds a key to a realm, for those who are members of it now
// (docs/protocol/v5/commands.md §9.7).
func (r *Rules) RealmRotateKey(ctx context.Context, author *Author, request *protocol.RealmRotateKeyRequest) (*protocol.RealmRotateKeyReply, error) {
	now := r.now()
	rotation, err := certificate.LoadRealmKeyRotation(request.RealmKeyRotationCertificate, author.VerifyKey, author.Device)
	invalid := checkCertificate(now, rotation.Timestamp, err)
	scope := realmScope(rotation.RealmID, rotation.Timestamp, invalid)
	scope.Size = rotationSize(request)
	scope.Sequester = Shared
	hold := r.holder.Begin() // for webhooks alone
	defer hold.End()
	err = r.updateWithConsent(ctx, &hold, &consentedUpdate{author: author, now: now, scope: scope, ask: func(ctx context.Context, service SequesterService) error {
		return r.webhooks.AskKeyRotation(ctx, service, &KeyRotationQuestion{
			Organization: author.Organization, Rotation: rotation,
			KeysBundle: request.KeysBundle, Access: request.PerSequesterServiceKeysBundleAccess[service.ID],
		})
	}, rule: func(ctx context.Context, tx Tx, given consent) error {
		if invalid != nil {
			return invalid
		}
		realm, err := ownedRealm(tx)
		if err != nil {
			return err
		}
		if rotation.KeyIndex != realm.KeyIndex+1 {
			return realm.refuse(protocol.StatusBadKeyIndex)
		}
		if err := realm.checkParticipants(ctx, tx, request.PerParticipantKeysBundleAccess); err != nil {
			return err
		}
		if err := checkServices(ctx, tx, request.PerSequesterServiceKeysBundleAccess); err != nil {
			return err
		}
		if err := checkGreater(rotation.Timestamp, tx.Topics().Common, realm.Timestamp); err != nil {
			return err
		}
		if err := given.check(ctx, tx); err != nil {
			return err
		}
		tx.RotateKey(KeyRotation{
			KeyIndex:     rotation.KeyIndex,
			KeysBundle:   request.KeysBundle,
			Participants: request.PerParticipantKeysBundleAccess,
			Services:     request.PerSequesterServiceKeysBundleAccess,
		}, signedBy(author, rotation.Timestamp, request.RealmKeyRotationCertificate))
		emitRealmCertificate(tx, author, realm.ID, rotation.Timestamp)
		return nil
	}})
	return &protocol.RealmRotateKeyReply{}, err
}

// rotationSize returns how many bytes a rotation has, but for its certificate.
func rotationSize(request *protocol.RealmRotateKeyRequest) int {
	size := len(request.KeysBundle)
	for _, access := range request.PerParticipantKeysBundleAccess {
		size += len(access)
	}
	for _, access := range request.PerSequesterServiceKeysBundleAccess {
		size += len(access)
	}
	return size
}

// checkParticipants wants an access for each user that has a role, revoked or not, and
// for no other.
func (r *Realm) checkParticipants(ctx context.Context, tx Tx, accesses map[parsec3.UserID][]byte) error {
	members, err := tx.Members(ctx)
	if err != nil {
		return err
	}
	missing := slices.ContainsFunc(members, func(member Member) bool {
		_, found := accesses[member.User]
		return !found
	})
	if missing || len(members) != len(accesses) {
		return r.refuse(protocol.StatusParticipantMismatch)
	}
	return nil
}

// checkServices wants an access for each active sequester service, and for no other; no
// accesses at all, nil, where there is no sequester.
func checkServices(ctx context.Context, tx Tx, accesses map[parsec.SequesterServiceID][]byte) error {
	organization, _ := tx.Organization()
	if !organization.Sequestered() {
		if accesses != nil {
			return protocol.Refuse(protocol.StatusOrganizationNotSequestered)
		}
		return nil
	}
	services, err := activeServices(ctx, tx)
	if err != nil {
		return err
	}
	missing := slices.ContainsFunc(services, func(service SequesterService) bool {
		_, found := accesses[service.ID]
		return !found
	})
	if accesses == nil || missing || len(services) != len(accesses) {
		return protocol.RefuseAsOfSequester(protocol.StatusSequesterServiceMismatch, tx.Topics().Sequester)
	}
	return nil
}

// RealmGetKeysBundle returns the keys of a realm up to a rotation, and the latest
// access of the author's user to them (docs/protocol/v5/commands.md §9.9).
func (r *Rules) RealmGetKeysBundle(ctx context.Context, author *Author, request *protocol.RealmGetKeysBundleRequest) (*protocol.RealmGetKeysBundleReply, error) {
	standing, realm, found, err := r.store.KeysBundle(ctx, author.Organization, author.Device, request.RealmID, request.KeyIndex)
	if err != nil {
		return nil, err
	}
	if err := checkStanding(standing.Organization, standing.User, r.now()); err != nil {
		return nil, err
	}
	if realm == nil {
		return nil, errAuthorNotAllowed
	}
	if err := cmp.Or(realm.checkNotDeleted(), realm.checkMember()); err != nil {
		return nil, err
	}
	switch {
	case found.Bundle == nil:
		return nil, protocol.Refuse(protocol.StatusBadKeyIndex)
	case found.Access == nil:
		return nil, protocol.Refuse(protocol.StatusAccessNotAvailableForAuthor)
	}
	return &protocol.RealmGetKeysBundleReply{KeysBundleAccess: found.Access, KeysBundle: found.Bundle}, nil
}
