package rules

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// bootstrap is what an organization begins with.
type bootstrap struct {
	User          User
	Device        Device
	RootVerifyKey parsec.VerifyKey
	// SequesterAuthorityCertificate is nil when not sequestered, and
	// SequesterVerifyKeyDER the RSA key inside it.
	SequesterAuthorityCertificate []byte
	SequesterVerifyKeyDER         []byte
}

// checkBootstrap returns what to store for the form of API 2 and 3.
func checkBootstrap(now parsec.DateTime, request *protocol.OrganizationBootstrapRequest) (bootstrap, error) {
	root := request.RootVerifyKey
	full := signedPair{request.UserCertificate, request.DeviceCertificate}
	redacted := signedPair{request.RedactedUserCertificate, request.RedactedDeviceCertificate}
	result, err := checkFirstUser(now, root, full, &redacted)
	if err != nil {
		return bootstrap{}, err
	}
	if request.SequesterAuthorityCertificate == nil {
		return result, nil
	}
	authority, err := certificate.LoadSequesterAuthority(request.SequesterAuthorityCertificate, root)
	if err != nil {
		return bootstrap{}, refuseLoading(protocol.StatusInvalidData, err)
	}
	if !parsec.InBallpark(now, authority.Timestamp) {
		return bootstrap{}, protocol.RefuseBadTimestamp(now, authority.Timestamp)
	}
	if authority.Timestamp != result.User.CreatedOn {
		return bootstrap{}, protocol.Refuse(protocol.StatusInvalidData, "The sequester authority and user certificates must have the same date.")
	}
	result.SequesterAuthorityCertificate = request.SequesterAuthorityCertificate
	result.SequesterVerifyKeyDER = authority.VerifyKeyDER
	return result, nil
}

// checkBootstrapV1 returns what to store for the form of API 1. Without
// redacted certificates the full ones serve as such.
func checkBootstrapV1(now parsec.DateTime, request *protocol.OrganizationBootstrapV1Request) (bootstrap, error) {
	full := signedPair{request.UserCertificate, request.DeviceCertificate}
	redacted := signedPair{request.RedactedUserCertificate, request.RedactedDeviceCertificate}
	switch {
	case redacted.user == nil && redacted.device == nil:
		return checkFirstUser(now, request.RootVerifyKey, full, nil)
	case redacted.user == nil || redacted.device == nil:
		return bootstrap{}, protocol.Refuse(protocol.StatusInvalidData, "Redacted certificates must come both or not at all.")
	default:
		return checkFirstUser(now, request.RootVerifyKey, full, &redacted)
	}
}

// checkFirstUser makes the checks 1 to 6 of organization_bootstrap, without 6
// when redacted is nil.
func checkFirstUser(now parsec.DateTime, root parsec.VerifyKey, full signedPair, redacted *signedPair) (bootstrap, error) {
	n, err := loadNewUser(root, parsec.DeviceID{}, full, redacted)
	if err != nil {
		return bootstrap{}, err
	}
	if n.loaded.user.Profile != parsec.ProfileAdmin {
		return bootstrap{}, protocol.Refuse(protocol.StatusInvalidData, "The first user must be an administrator.")
	}
	if err := n.checkSameDate(); err != nil {
		return bootstrap{}, err
	}
	if err := n.checkOwner(); err != nil {
		return bootstrap{}, err
	}
	if date := n.loaded.user.Timestamp; !parsec.InBallpark(now, date) {
		return bootstrap{}, protocol.RefuseBadTimestamp(now, date)
	}
	if err := n.checkRedacted(); err != nil {
		return bootstrap{}, err
	}
	user, device := n.stored()
	return bootstrap{User: user, Device: device, RootVerifyKey: root}, nil
}
