package protocol

import "parsec-server/pkg/parsec"

// PingRequest exists on every kind of connection.
type PingRequest struct {
	Ping string `wire:"ping"`
}

// PingReply echoes the request.
type PingReply struct {
	Pong string `wire:"pong"`
}

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

// OrganizationBootstrapReply has no field.
type OrganizationBootstrapReply struct{}

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

// ArchivingConfigRequest has no field.
type ArchivingConfigRequest struct{}

// ArchivingConfigReply has one item per realm where the author has a role.
type ArchivingConfigReply struct {
	ArchivingConfig []RealmArchiving `wire:"archiving_config"`
}

// RealmArchiving is the archiving of one realm; date and author are absent
// when it was never configured.
type RealmArchiving struct {
	RealmID       parsec.RealmID         `wire:"realm_id"`
	ConfiguredOn  *parsec.DateTime       `wire:"configured_on,nullable"`
	ConfiguredBy  parsec.DeviceID        `wire:"configured_by,nullable"`
	Configuration ArchivingConfiguration `wire:"configuration"`
}

// AdministrationCreateRequest creates or resets an organization that is not
// bootstrapped (docs/protocol/administration.md §2).
type AdministrationCreateRequest struct {
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
	ExpirationDate *parsec.DateTime      `wire:"expiration_date,nullable,optional"`
}

// AdministrationCreateReply gives the new token.
type AdministrationCreateReply struct {
	BootstrapToken string           `wire:"bootstrap_token"`
	ExpirationDate *parsec.DateTime `wire:"expiration_date,optional,omitnil"`
}

// AdministrationStatusRequest names an organization.
type AdministrationStatusRequest struct {
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
}

// AdministrationStatusReply is the state of an organization.
type AdministrationStatusReply struct {
	IsBootstrapped             bool             `wire:"is_bootstrapped"`
	ExpirationDate             *parsec.DateTime `wire:"expiration_date,nullable"`
	UserProfileOutsiderAllowed bool             `wire:"user_profile_outsider_allowed"`
}

// AdministrationStatsRequest names an organization.
type AdministrationStatsRequest struct {
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
}

// AdministrationStatsReply is in bytes and numbers of objects.
type AdministrationStatsReply struct {
	Users        uint64 `wire:"users"`
	DataSize     uint64 `wire:"data_size"`
	MetadataSize uint64 `wire:"metadata_size"`
	Workspaces   uint64 `wire:"workspaces"`
}

// Unchanged is the expiration date of an AdministrationUpdateRequest whose
// message has none; no date of the wire equals it.
const Unchanged parsec.DateTime = parsec.MinDateTime - 1

// AdministrationUpdateRequest changes what is given; a nil expiration date
// removes it, Unchanged leaves it.
type AdministrationUpdateRequest struct {
	OrganizationID             parsec.OrganizationID `wire:"organization_id"`
	ExpirationDate             *parsec.DateTime      `wire:"expiration_date,nullable,optional"`
	UserProfileOutsiderAllowed *bool                 `wire:"user_profile_outsider_allowed,optional"`
}

// AdministrationUpdateReply has no field.
type AdministrationUpdateReply struct{}
