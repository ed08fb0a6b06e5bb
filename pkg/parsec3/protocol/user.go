package protocol

import "parsec-server/pkg/parsec3"

// UserCreateRequest adds a user with its first device.
type UserCreateRequest struct {
	UserCertificate           []byte `wire:"user_certificate"`
	DeviceCertificate         []byte `wire:"device_certificate"`
	RedactedUserCertificate   []byte `wire:"redacted_user_certificate"`
	RedactedDeviceCertificate []byte `wire:"redacted_device_certificate"`
}

// UserCreateReply has no field.
type UserCreateReply struct{}

// UserUpdateRequest changes the profile of another user.
type UserUpdateRequest struct {
	UserUpdateCertificate []byte `wire:"user_update_certificate"`
}

// UserUpdateReply has no field.
type UserUpdateReply struct{}

// UserRevokeRequest revokes another user.
type UserRevokeRequest struct {
	RevokedUserCertificate []byte `wire:"revoked_user_certificate"`
}

// UserRevokeReply has no field.
type UserRevokeReply struct{}

// ListFrozenUsersRequest has no field.
type ListFrozenUsersRequest struct{}

// ListFrozenUsersReply is in the order of creation.
type ListFrozenUsersReply struct {
	FrozenUsers []parsec3.UserID `wire:"frozen_users"`
}

// Size implements rpc.Sized.
func (r *ListFrozenUsersReply) Size() int { return len(r.FrozenUsers) * uuidBytes }
