package protocol

import "parsec-server/pkg/parsec"

// OrganizationBootstrapRequest creates the first user and binds the root key
// (docs/protocol/administration.md §3).
type OrganizationBootstrapRequest struct {
	BootstrapToken                string           `wire:"bootstrap_token"`
	RootVerifyKey                 parsec.VerifyKey `wire:"root_verify_key"`
	UserCertificate               []byte           `wire:"user_certificate"`
	DeviceCertificate             []byte           `wire:"device_certificate"`
	RedactedUserCertificate       []byte           `wire:"redacted_user_certificate"`
	RedactedDeviceCertificate     []byte           `wire:"redacted_device_certificate"`
	SequesterAuthorityCertificate []byte           `wire:"sequester_authority_certificate,nullable,optional"`
}

// OrganizationBootstrapV1Request is the form of API 1: redacted certificates
// come both or not at all.
type OrganizationBootstrapV1Request struct {
	BootstrapToken            string           `wire:"bootstrap_token"`
	RootVerifyKey             parsec.VerifyKey `wire:"root_verify_key"`
	UserCertificate           []byte           `wire:"user_certificate"`
	DeviceCertificate         []byte           `wire:"device_certificate"`
	RedactedUserCertificate   []byte           `wire:"redacted_user_certificate,nullable,optional"`
	RedactedDeviceCertificate []byte           `wire:"redacted_device_certificate,nullable,optional"`
}

// OrganizationStatsRequest has no field.
type OrganizationStatsRequest struct{}

// OrganizationStatsReply is in bytes and numbers of objects.
type OrganizationStatsReply struct {
	DataSize              uint64          `wire:"data_size"`
	MetadataSize          uint64          `wire:"metadata_size"`
	Realms                uint64          `wire:"realms"`
	Users                 uint64          `wire:"users"`
	ActiveUsers           uint64          `wire:"active_users"`
	UsersPerProfileDetail []ProfileDetail `wire:"users_per_profile_detail"`
}

// ProfileDetail counts the users of one profile.
type ProfileDetail struct {
	Profile parsec.UserProfile `wire:"profile"`
	Active  uint64             `wire:"active"`
	Revoked uint64             `wire:"revoked"`
}

// OrganizationConfigRequest has no field.
type OrganizationConfigRequest struct{}

// OrganizationConfigReply is the union of what every release sends.
type OrganizationConfigReply struct {
	UserProfileOutsiderAllowed    bool             `wire:"user_profile_outsider_allowed"`
	ActiveUsersLimit              *uint64          `wire:"active_users_limit,nullable"`
	ExpirationDate                *parsec.DateTime `wire:"expiration_date,nullable,optional"`
	SequesterAuthorityCertificate []byte           `wire:"sequester_authority_certificate,nullable,optional"`
	// SequesterServicesCertificates is nil when the organization is not
	// sequestered, else those of the enabled services in creation order.
	SequesterServicesCertificates [][]byte `wire:"sequester_services_certificates,nullable,optional"`
	// MinimumArchivingPeriod is in seconds.
	MinimumArchivingPeriod uint64 `wire:"minimum_archiving_period"`
}

// Unchanged is the expiration date of an AdministrationUpdateRequest whose
// message has none; no date of the wire equals it.
const Unchanged parsec.DateTime = parsec.MinDateTime - 1
