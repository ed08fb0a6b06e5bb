package protocol

import "parsec-server/pkg/parsec"

// AdministrationCreateRequest creates or resets an organization that is not
// bootstrapped (docs/protocol/administration.md §2).
type AdministrationCreateRequest struct {
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
	ExpirationDate *parsec.DateTime      `wire:"expiration_date,nullable,optional"`
}

// AdministrationCreateReply holds the new token.
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

// AdministrationUpdateRequest changes what is given; a nil expiration date
// removes it, Unchanged leaves it.
type AdministrationUpdateRequest struct {
	OrganizationID             parsec.OrganizationID `wire:"organization_id"`
	ExpirationDate             *parsec.DateTime      `wire:"expiration_date,nullable,optional"`
	UserProfileOutsiderAllowed *bool                 `wire:"user_profile_outsider_allowed,optional"`
}
