package protocol

// ServerConfigRequest has no field.
type ServerConfigRequest struct{}

// ServerConfigReply is what the server offers (docs/protocol/v5/account.md §4).
type ServerConfigReply struct {
	Account               AccountConfig               `wire:"account"`
	OrganizationBootstrap OrganizationBootstrapConfig `wire:"organization_bootstrap"`
	OpenBao               FeatureConfig               `wire:"openbao"`
	Cryptpad              FeatureConfig               `wire:"cryptpad"`
	// AdvisoryDeviceFileProtection is empty for no advice.
	AdvisoryDeviceFileProtection []string `wire:"advisory_device_file_protection"`
}

// AccountConfig says whether the server has accounts.
type AccountConfig string

// AccountDisabled is for a server without accounts.
const AccountDisabled AccountConfig = "DISABLED"

// OrganizationBootstrapConfig says who may bootstrap an organization.
type OrganizationBootstrapConfig string

// Whoever has the token of an organization that was created before, or anybody.
const (
	BootstrapWithToken   OrganizationBootstrapConfig = "WITH_BOOTSTRAP_TOKEN"
	BootstrapSpontaneous OrganizationBootstrapConfig = "SPONTANEOUS"
)

// FeatureConfig says that the server has no such feature.
type FeatureConfig struct {
	Type FeatureType `wire:"type"`
}

// FeatureType is the discriminant of a FeatureConfig.
type FeatureType string

// FeatureDisabled is for what the server does not have.
const FeatureDisabled FeatureType = "DISABLED"
