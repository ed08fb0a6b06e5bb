package certificate

import (
	"crypto/ed25519"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// RealmRole is a realm_role_certificate.
type RealmRole struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	RealmID   parsec.RealmID   `wire:"realm_id"`
	UserID    parsec3.UserID   `wire:"user_id"`
	// Role is parsec.RoleNone when access is removed.
	Role parsec.RealmRole `wire:"role,nullable"`
}

// RealmKeyRotation is a realm_key_rotation_certificate.
type RealmKeyRotation struct {
	Author    parsec3.DeviceID
	Timestamp parsec.DateTime
	RealmID   parsec.RealmID
	KeyIndex  uint64
	// KeyCanary is the empty message encrypted with the new key; it is opaque
	// here.
	KeyCanary []byte
}

// RealmName is a realm_name_certificate.
type RealmName struct {
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	RealmID   parsec.RealmID   `wire:"realm_id"`
	KeyIndex  uint64           `wire:"key_index"`
	// EncryptedName is opaque here.
	EncryptedName []byte `wire:"encrypted_name"`
}

// RealmArchiving is a realm_archiving_certificate.
type RealmArchiving struct {
	Author    parsec3.DeviceID
	Timestamp parsec.DateTime
	RealmID   parsec.RealmID
	Type      parsec.ArchivingType
	// DeletionDate goes with a planned deletion, which needs it; otherwise it is
	// nil once loaded, and not signed.
	DeletionDate *parsec.DateTime
}

// LoadRealmRole reads a certificate that author signed with key. Errors wrap a
// Failure.
func LoadRealmRole(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (RealmRole, error) {
	return load[RealmRole](signed, key, author)
}

// LoadRealmKeyRotation reads a certificate that author signed with key. Errors
// wrap a Failure.
func LoadRealmKeyRotation(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (RealmKeyRotation, error) {
	return load[RealmKeyRotation](signed, key, author)
}

// LoadRealmName reads a certificate that author signed with key. Errors wrap a
// Failure.
func LoadRealmName(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (RealmName, error) {
	return load[RealmName](signed, key, author)
}

// LoadRealmArchiving reads a certificate that author signed with key. Errors wrap
// a Failure.
func LoadRealmArchiving(signed []byte, key parsec.VerifyKey, author parsec3.DeviceID) (RealmArchiving, error) {
	return load[RealmArchiving](signed, key, author)
}

// Sign makes the certificate with the key of r.Author. It fails on fields that are
// not valid.
func (r RealmRole) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&r, key) }

// Sign makes the certificate with the key of r.Author. It fails on fields that are
// not valid.
func (r RealmKeyRotation) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&r, key) }

// Sign makes the certificate with the key of r.Author. It fails on fields that are
// not valid.
func (r RealmName) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&r, key) }

// Sign makes the certificate with the key of r.Author. It fails on fields that are
// not valid.
func (r RealmArchiving) Sign(key ed25519.PrivateKey) ([]byte, error) { return sign(&r, key) }

func (*RealmRole) name() string                  { return "realm_role_certificate" }
func (r *RealmRole) author() parsec3.DeviceID    { return r.Author }
func (r *RealmRole) fields() any                 { return r }
func (r *RealmRole) decode(encoded []byte) error { return unmarshal(encoded, r) }

// realmKeyRotationFields is a RealmKeyRotation on the wire.
type realmKeyRotationFields struct {
	Author              parsec3.DeviceID   `wire:"author"`
	Timestamp           parsec.DateTime    `wire:"timestamp"`
	RealmID             parsec.RealmID     `wire:"realm_id"`
	KeyIndex            uint64             `wire:"key_index"`
	EncryptionAlgorithm secretKeyAlgorithm `wire:"encryption_algorithm"`
	HashAlgorithm       hashAlgorithm      `wire:"hash_algorithm"`
	KeyCanary           []byte             `wire:"key_canary"`
}

func (*RealmKeyRotation) name() string               { return "realm_key_rotation_certificate" }
func (r *RealmKeyRotation) author() parsec3.DeviceID { return r.Author }

func (r *RealmKeyRotation) fields() any {
	return &realmKeyRotationFields{
		Author: r.Author, Timestamp: r.Timestamp, RealmID: r.RealmID, KeyIndex: r.KeyIndex, KeyCanary: r.KeyCanary,
	}
}

func (r *RealmKeyRotation) decode(encoded []byte) error {
	var fields realmKeyRotationFields
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	*r = RealmKeyRotation{
		Author: fields.Author, Timestamp: fields.Timestamp, RealmID: fields.RealmID,
		KeyIndex: fields.KeyIndex, KeyCanary: fields.KeyCanary,
	}
	return nil
}

func (*RealmName) name() string                  { return "realm_name_certificate" }
func (r *RealmName) author() parsec3.DeviceID    { return r.Author }
func (r *RealmName) fields() any                 { return r }
func (r *RealmName) decode(encoded []byte) error { return unmarshal(encoded, r) }

// realmArchivingFields is a RealmArchiving on the wire. Configuration has the
// fields of its type; other keys of its map are ignored, whatever they hold.
type realmArchivingFields[Configuration any] struct {
	Author        parsec3.DeviceID `wire:"author"`
	Timestamp     parsec.DateTime  `wire:"timestamp"`
	RealmID       parsec.RealmID   `wire:"realm_id"`
	Configuration Configuration    `wire:"configuration"`
}

type archivingConfiguration struct {
	Type parsec.ArchivingType `wire:"type"`
}

type deletionConfiguration struct {
	Type         parsec.ArchivingType `wire:"type"`
	DeletionDate parsec.DateTime      `wire:"deletion_date"`
}

func (*RealmArchiving) name() string               { return "realm_archiving_certificate" }
func (r *RealmArchiving) author() parsec3.DeviceID { return r.Author }

func (r *RealmArchiving) fields() any {
	if r.Type == parsec.ArchivingDeletionPlanned && r.DeletionDate != nil {
		return &realmArchivingFields[deletionConfiguration]{
			r.Author, r.Timestamp, r.RealmID, deletionConfiguration{r.Type, *r.DeletionDate},
		}
	}
	return &realmArchivingFields[archivingConfiguration]{
		r.Author, r.Timestamp, r.RealmID, archivingConfiguration{r.Type},
	}
}

func (r *RealmArchiving) decode(encoded []byte) error {
	var fields realmArchivingFields[archivingConfiguration]
	if err := unmarshal(encoded, &fields); err != nil {
		return err
	}
	*r = RealmArchiving{
		Author: fields.Author, Timestamp: fields.Timestamp, RealmID: fields.RealmID, Type: fields.Configuration.Type,
	}
	if r.Type != parsec.ArchivingDeletionPlanned {
		return nil
	}
	var planned realmArchivingFields[deletionConfiguration]
	if err := unmarshal(encoded, &planned); err != nil {
		return err
	}
	r.DeletionDate = &planned.Configuration.DeletionDate
	return nil
}
