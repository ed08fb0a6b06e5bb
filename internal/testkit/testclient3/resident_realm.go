package testclient3

import (
	"context"
	"fmt"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// NewWorkspace creates a workspace with a first key and a name, as official clients
// do: each step may be done already.
func (r *Resident) NewWorkspace(ctx context.Context, name string) (parsec.RealmID, error) {
	realm, err := r.NewUserRealm(ctx)
	if err != nil {
		return realm, err
	}
	if err := r.RotateKey(ctx, realm); err != nil {
		return realm, err
	}
	return realm, r.Rename(ctx, realm, name, true)
}

// NewUserRealm creates a realm without key rotation, as that of the user is for ever.
func (r *Resident) NewUserRealm(ctx context.Context) (parsec.RealmID, error) {
	realm := parsec.RealmID(parsec.NewUUID())
	err := certify(ctx, r, protocol.RealmCreate, aheadRealm, func(now parsec.DateTime) (*protocol.RealmCreateRequest, error) {
		return r.Device.NewRealm(realm, now)
	})
	if isRefused(err, protocol.StatusRealmAlreadyExists) {
		err = nil
	}
	return realm, r.polledAfter(ctx, err)
}

// RotateKey adds a key to a realm. It tries again as long as others are faster, and
// is content when they have rotated for the same participants.
func (r *Resident) RotateKey(ctx context.Context, realm parsec.RealmID) error {
	for {
		keys, _, err := r.Keys(ctx, realm)
		if err != nil {
			return err
		}
		known := r.Knowledge()
		err = certify(ctx, r, protocol.RealmRotateKey, aheadRealm, func(now parsec.DateTime) (*protocol.RealmRotateKeyRequest, error) {
			_, request, err := RotateKey(r.Device, realm, keys, known.Participants(realm), now)
			return request, err
		})
		if !isRefused(err, protocol.StatusBadKeyIndex, protocol.StatusParticipantMismatch, protocol.StatusSequesterServiceMismatch) {
			return r.polledAfter(ctx, err)
		}
		if err := r.catchUp(ctx, realm, err); err != nil {
			return err
		}
	}
}

// Keys returns the keys of a realm up to the last one that is known, with the access
// to their bundle.
func (r *Resident) Keys(ctx context.Context, realm parsec.RealmID) (*Keys, Access, error) {
	known := r.Knowledge()
	of := known.Realm(realm)
	if of == nil || of.KeyIndex == 0 {
		return UserKeys(r.Device), Access{}, nil
	}
	r.mu.Lock()
	keys, access := r.keys[realm], r.access[realm]
	r.mu.Unlock()
	if keys != nil && keys.Index() == of.KeyIndex {
		return keys, access, nil
	}
	reply, err := client3.Call(ctx, r.rpc, protocol.RealmGetKeysBundle, &protocol.RealmGetKeysBundleRequest{RealmID: realm, KeyIndex: of.KeyIndex})
	if err != nil {
		return nil, Access{}, err
	}
	author := of.Rotated[of.KeyIndex-1].Value
	key, found := known.KeyOf(author)
	if !found {
		return nil, Access{}, r.stop(incoherent("a key rotation by %s, who is unknown", author))
	}
	keys, access, err = OpenKeysBundle(r.Device, reply, realm, of.KeyIndex, author, key)
	if err != nil {
		return nil, Access{}, r.stop(fmt.Errorf("keys bundle %d of realm %s: %w", of.KeyIndex, realm, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[realm], r.access[realm] = keys, access
	return keys, access, nil
}

// Rename names a realm; initial is for one that should have no name yet, and a name
// that it has got meanwhile is fine then.
func (r *Resident) Rename(ctx context.Context, realm parsec.RealmID, name string, initial bool) error {
	for {
		keys, _, err := r.Keys(ctx, realm)
		if err != nil {
			return err
		}
		err = certify(ctx, r, protocol.RealmRename, aheadRealm, func(now parsec.DateTime) (*protocol.RealmRenameRequest, error) {
			return NameRealm(r.Device, realm, name, keys, initial, now)
		})
		if !isRefused(err, protocol.StatusBadKeyIndex) {
			if isRefused(err, protocol.StatusInitialNameAlreadyExists) {
				err = nil
			}
			return r.polledAfter(ctx, err)
		}
		if err := r.catchUp(ctx, realm, err); err != nil {
			return err
		}
	}
}

// Share gives a user a role in a realm, or another one. One that it has already is
// fine.
func (r *Resident) Share(ctx context.Context, realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole) error {
	for {
		keys, access, err := r.Keys(ctx, realm)
		if err != nil {
			return err
		}
		target := r.Knowledge().User(user)
		if target == nil {
			return fmt.Errorf("share with %s, who is unknown", user)
		}
		sealed, err := access.For(target.PublicKey)
		if err != nil {
			return err
		}
		err = certify(ctx, r, protocol.RealmShare, aheadRealm, func(now parsec.DateTime) (*protocol.RealmShareRequest, error) {
			signed, err := CertifyRole(r.Device, realm, user, role, now)
			return &protocol.RealmShareRequest{RealmRoleCertificate: signed, RecipientKeysBundleAccess: sealed, KeyIndex: keys.Index()}, err
		})
		if !isRefused(err, protocol.StatusBadKeyIndex) {
			if isRefused(err, protocol.StatusRoleAlreadyGranted) {
				err = nil
			}
			return r.polledAfter(ctx, err)
		}
		if err := r.catchUp(ctx, realm, err); err != nil {
			return err
		}
	}
}

// Unshare takes the role of a user in a realm. It does not rotate the key: that an
// official client does when it meets the certificate.
func (r *Resident) Unshare(ctx context.Context, realm parsec.RealmID, user parsec3.UserID) error {
	err := certify(ctx, r, protocol.RealmUnshare, aheadRealm, func(now parsec.DateTime) (*protocol.RealmUnshareRequest, error) {
		signed, err := CertifyRole(r.Device, realm, user, parsec.RoleNone, now)
		return &protocol.RealmUnshareRequest{RealmRoleCertificate: signed}, err
	})
	if isRefused(err, protocol.StatusRecipientAlreadyUnshared) {
		err = nil
	}
	return r.polledAfter(ctx, err)
}

// SelfPromote makes the user OWNER of a realm that has no active one.
func (r *Resident) SelfPromote(ctx context.Context, realm parsec.RealmID) error {
	err := certify(ctx, r, protocol.RealmSelfPromoteToOwner, aheadRealm, func(now parsec.DateTime) (*protocol.RealmSelfPromoteToOwnerRequest, error) {
		signed, err := CertifyRole(r.Device, realm, r.Device.User, parsec.RoleOwner, now)
		return &protocol.RealmSelfPromoteToOwnerRequest{RealmRoleCertificate: signed}, err
	})
	return r.polledAfter(ctx, err)
}

// Archive changes the archiving of a realm. The date is of a deletion that is
// planned, nil for none.
func (r *Resident) Archive(ctx context.Context, realm parsec.RealmID, archiving parsec.ArchivingType, deletion *parsec.DateTime) error {
	err := certify(ctx, r, protocol.RealmUpdateArchiving, aheadArchiving, func(now parsec.DateTime) (*protocol.RealmUpdateArchivingRequest, error) {
		return ArchiveRealm(r.Device, realm, archiving, deletion, now)
	})
	return r.polledAfter(ctx, err)
}
