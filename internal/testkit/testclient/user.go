package testclient

import "parsec-server/pkg/parsec2/protocol"

// UserCreateV1 returns the form of API 1. Its user has no label, and should have
// no human handle (docs/protocol/certificates.md §6).
func UserCreateV1(request *protocol.UserCreateRequest) *protocol.UserCreateV1Request {
	return &protocol.UserCreateV1Request{
		UserCertificate: request.UserCertificate, DeviceCertificate: request.DeviceCertificate,
	}
}
