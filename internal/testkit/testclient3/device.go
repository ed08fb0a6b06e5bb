package testclient3

import (
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// UpdateProfile returns the request by which d, of an ADMIN, changes the profile of
// another user.
func UpdateProfile(d *client3.Device, user parsec3.UserID, profile parsec.UserProfile, now parsec.DateTime) (*protocol.UserUpdateRequest, error) {
	signed, err := certificate.UserUpdate{Author: d.ID, Timestamp: now, UserID: user, NewProfile: profile}.Sign(d.SigningKey)
	return &protocol.UserUpdateRequest{UserUpdateCertificate: signed}, err
}

// RevokeUser returns the request by which d, of an ADMIN, revokes another user.
func RevokeUser(d *client3.Device, user parsec3.UserID, now parsec.DateTime) (*protocol.UserRevokeRequest, error) {
	signed, err := certificate.RevokedUser{Author: d.ID, Timestamp: now, UserID: user}.Sign(d.SigningKey)
	return &protocol.UserRevokeRequest{RevokedUserCertificate: signed}, err
}

// CertifyRole signs the role of a user in a realm, parsec.RoleNone for none.
func CertifyRole(d *client3.Device, realm parsec.RealmID, user parsec3.UserID, role parsec.RealmRole, now parsec.DateTime) ([]byte, error) {
	return certificate.RealmRole{Author: d.ID, Timestamp: now, RealmID: realm, UserID: user, Role: role}.Sign(d.SigningKey)
}

// NameRealm returns the request by which d names a realm. The name is encrypted
// with the key of keys.
func NameRealm(d *client3.Device, realm parsec.RealmID, name string, keys *Keys, initial bool, now parsec.DateTime) (*protocol.RealmRenameRequest, error) {
	signed, err := certificate.RealmName{
		Author: d.ID, Timestamp: now, RealmID: realm, KeyIndex: keys.Index(), EncryptedName: keys.Encrypt([]byte(name)),
	}.Sign(d.SigningKey)
	return &protocol.RealmRenameRequest{RealmNameCertificate: signed, InitialNameOrFail: initial}, err
}

// ArchiveRealm returns the request by which d changes the archiving of a realm. The
// date is of a deletion that is planned, nil for none.
func ArchiveRealm(d *client3.Device, realm parsec.RealmID, archiving parsec.ArchivingType, deletion *parsec.DateTime, now parsec.DateTime) (*protocol.RealmUpdateArchivingRequest, error) {
	signed, err := certificate.RealmArchiving{
		Author: d.ID, Timestamp: now, RealmID: realm, Type: archiving, DeletionDate: deletion,
	}.Sign(d.SigningKey)
	return &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: signed}, err
}
