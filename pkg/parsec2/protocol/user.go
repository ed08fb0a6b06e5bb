package protocol

import "parsec-server/pkg/parsec"

// UserGetRequest names a user.
type UserGetRequest struct {
	UserID parsec.UserID `wire:"user_id"`
}

// UserGetReply gives the certificates of a user and what verifies them.
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

// UserCreateReply has no field.
type UserCreateReply struct{}

// UserRevokeRequest revokes a user for ever.
type UserRevokeRequest struct {
	RevokedUserCertificate []byte `wire:"revoked_user_certificate"`
}

// UserRevokeReply has no field.
type UserRevokeReply struct{}

// UserFindRequest searches users by id (API 1).
type UserFindRequest struct {
	Query       string `wire:"query,nullable,optional"`
	OmitRevoked bool   `wire:"omit_revoked,optional"`
	Page        uint64 `wire:"page,optional"`
	PerPage     uint64 `wire:"per_page,optional"`
}

// Validate refuses what is outside of docs/protocol/types.md §5.
func (r *UserFindRequest) Validate() error { return validatePages(r.Page, r.PerPage) }

// UserFindReply is one page of results.
type UserFindReply struct {
	Results []parsec.UserID `wire:"results"`
	Page    uint64          `wire:"page"`
	PerPage uint64          `wire:"per_page"`
	Total   uint64          `wire:"total"`
}

// HumanFindRequest searches users by the people behind them.
type HumanFindRequest struct {
	Query        string `wire:"query,nullable,optional"`
	OmitRevoked  bool   `wire:"omit_revoked,optional"`
	OmitNonHuman bool   `wire:"omit_non_human,optional"`
	Page         uint64 `wire:"page,optional"`
	PerPage      uint64 `wire:"per_page,optional"`
}

// Validate refuses what is outside of docs/protocol/types.md §5.
func (r *HumanFindRequest) Validate() error { return validatePages(r.Page, r.PerPage) }

// HumanFindReply is one page of results.
type HumanFindReply struct {
	Results []HumanFindResult `wire:"results"`
	Page    uint64            `wire:"page"`
	PerPage uint64            `wire:"per_page"`
	Total   uint64            `wire:"total"`
}

// HumanFindResult is one user.
type HumanFindResult struct {
	UserID      parsec.UserID      `wire:"user_id"`
	HumanHandle parsec.HumanHandle `wire:"human_handle,nullable"`
	Revoked     bool               `wire:"revoked"`
}

// DeviceCreateRequest is the form of API 2 and 3.
type DeviceCreateRequest struct {
	DeviceCertificate         []byte `wire:"device_certificate"`
	RedactedDeviceCertificate []byte `wire:"redacted_device_certificate"`
}

// DeviceCreateV1Request is the form of API 1; the answer goes to the claimer.
type DeviceCreateV1Request struct {
	DeviceCertificate []byte `wire:"device_certificate"`
	EncryptedAnswer   []byte `wire:"encrypted_answer"`
}

// DeviceCreateReply has no field.
type DeviceCreateReply struct{}

// MessageGetRequest skips the messages up to Offset.
type MessageGetRequest struct {
	Offset uint64 `wire:"offset"`
}

// MessageGetReply holds the next messages, all unless they are too long.
type MessageGetReply struct {
	Messages []Message `wire:"messages"`
}

// Message is one message; Count is its position from 1 in its recipient's
// list.
type Message struct {
	Count     uint64          `wire:"count"`
	Sender    parsec.DeviceID `wire:"sender"`
	Timestamp parsec.DateTime `wire:"timestamp"`
	Body      []byte          `wire:"body"`
}

// MessageBytes is more than what a message takes in a reply beside its body, in
// bytes.
const MessageBytes = 128

// Size implements Sized.
func (r *MessageGetReply) Size() int {
	size := 0
	for i := range r.Messages {
		size += len(r.Messages[i].Body) + MessageBytes
	}
	return size
}
