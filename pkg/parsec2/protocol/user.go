package protocol

import "parsec-server/pkg/parsec"

// UserGetRequest names a user.
type UserGetRequest struct {
	UserID parsec.UserID `wire:"user_id"`
}

// UserGetReply holds the certificates of a user and what verifies them.
type UserGetReply struct {
	UserCertificate        []byte     `wire:"user_certificate"`
	RevokedUserCertificate []byte     `wire:"revoked_user_certificate,nullable"`
	DeviceCertificates     [][]byte   `wire:"device_certificates"`
	Trustchain             Trustchain `wire:"trustchain"`
}

// Trustchain holds the certificates that lead to the root key, each once.
type Trustchain struct {
	Devices      [][]byte `wire:"devices"`
	Users        [][]byte `wire:"users"`
	RevokedUsers [][]byte `wire:"revoked_users"`
}

// UserCreateRequest is the form of API 2 and 3.
type UserCreateRequest struct {
	UserCertificate           []byte `wire:"user_certificate"`
	DeviceCertificate         []byte `wire:"device_certificate"`
	RedactedUserCertificate   []byte `wire:"redacted_user_certificate"`
	RedactedDeviceCertificate []byte `wire:"redacted_device_certificate"`
}

// UserCreateV1Request is the form of API 1.
type UserCreateV1Request struct {
	UserCertificate   []byte `wire:"user_certificate"`
	DeviceCertificate []byte `wire:"device_certificate"`
}

// UserRevokeRequest revokes a user for ever.
type UserRevokeRequest struct {
	RevokedUserCertificate []byte `wire:"revoked_user_certificate"`
}

// MessageBytes is more than what a message takes in a reply beside its body, in
// bytes.
const MessageBytes = 128
