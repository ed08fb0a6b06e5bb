package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// RealmCreateRequest creates the realm of an OWNER certificate of the author.
type RealmCreateRequest struct {
	RealmRoleCertificate []byte `wire:"realm_role_certificate"`
}

// RealmCreateReply has no field.
type RealmCreateReply struct{}

// RealmShareRequest gives another user a role, or another one.
type RealmShareRequest struct {
	RealmRoleCertificate []byte `wire:"realm_role_certificate"`
	// RecipientKeysBundleAccess is to the keys bundle of KeyIndex.
	RecipientKeysBundleAccess []byte `wire:"recipient_keys_bundle_access"`
	KeyIndex                  uint64 `wire:"key_index"`
}

// RealmShareReply has no field.
type RealmShareReply struct{}

// RealmUnshareRequest takes the role of another user.
type RealmUnshareRequest struct {
	RealmRoleCertificate []byte `wire:"realm_role_certificate"`
}

// RealmUnshareReply has no field.
type RealmUnshareReply struct{}

// RealmSelfPromoteToOwnerRequest makes the author OWNER of a realm that has none
// any more.
type RealmSelfPromoteToOwnerRequest struct {
	RealmRoleCertificate []byte `wire:"realm_role_certificate"`
}

// RealmSelfPromoteToOwnerReply has no field.
type RealmSelfPromoteToOwnerReply struct{}

// RealmRenameRequest names a realm.
type RealmRenameRequest struct {
	RealmNameCertificate []byte `wire:"realm_name_certificate"`
	// InitialNameOrFail is for a realm that must not have a name.
	InitialNameOrFail bool `wire:"initial_name_or_fail"`
}

// RealmRenameReply has no field.
type RealmRenameReply struct{}

// RealmRotateKeyRequest adds a key to a realm.
type RealmRotateKeyRequest struct {
	RealmKeyRotationCertificate    []byte                    `wire:"realm_key_rotation_certificate"`
	PerParticipantKeysBundleAccess map[parsec3.UserID][]byte `wire:"per_participant_keys_bundle_access"`
	// PerSequesterServiceKeysBundleAccess is nil for an organization without
	// sequester; an empty one is not.
	PerSequesterServiceKeysBundleAccess map[parsec.SequesterServiceID][]byte `wire:"per_sequester_service_keys_bundle_access,nullable"`
	KeysBundle                          []byte                               `wire:"keys_bundle"`
}

// RealmRotateKeyReply has no field.
type RealmRotateKeyReply struct{}

// RealmUpdateArchivingRequest changes the archiving of a realm.
type RealmUpdateArchivingRequest struct {
	ArchivingCertificate []byte `wire:"archiving_certificate"`
}

// RealmUpdateArchivingReply has no field.
type RealmUpdateArchivingReply struct{}

// RealmGetKeysBundleRequest names a rotation of a realm.
type RealmGetKeysBundleRequest struct {
	RealmID  parsec.RealmID `wire:"realm_id"`
	KeyIndex uint64         `wire:"key_index"`
}

// RealmGetKeysBundleReply is a keys bundle and the access of the author's user to
// it.
type RealmGetKeysBundleReply struct {
	KeysBundleAccess []byte `wire:"keys_bundle_access"`
	KeysBundle       []byte `wire:"keys_bundle"`
}

// Size implements rpc.Sized.
func (r *RealmGetKeysBundleReply) Size() int { return len(r.KeysBundleAccess) + len(r.KeysBundle) }
