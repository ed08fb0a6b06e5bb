package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// OrganizationBootstrapRequest creates the first user and binds the root key.
type OrganizationBootstrapRequest struct {
	// BootstrapToken is nil where anybody may bootstrap an organization.
	BootstrapToken            *parsec3.AccessToken `wire:"bootstrap_token"`
	RootVerifyKey             parsec.VerifyKey     `wire:"root_verify_key"`
	UserCertificate           []byte               `wire:"user_certificate"`
	DeviceCertificate         []byte               `wire:"device_certificate"`
	RedactedUserCertificate   []byte               `wire:"redacted_user_certificate"`
	RedactedDeviceCertificate []byte               `wire:"redacted_device_certificate"`
	// SequesterAuthorityCertificate is nil for an organization without sequester.
	SequesterAuthorityCertificate []byte `wire:"sequester_authority_certificate,nullable"`
}

// OrganizationBootstrapReply has no field.
type OrganizationBootstrapReply struct{}

// OrganizationInfoRequest has no field.
type OrganizationInfoRequest struct{}

// OrganizationInfoReply is in bytes.
type OrganizationInfoReply struct {
	TotalMetadataBytes uint64 `wire:"total_metadata_bytes"`
	TotalBlockBytes    uint64 `wire:"total_block_bytes"`
}
