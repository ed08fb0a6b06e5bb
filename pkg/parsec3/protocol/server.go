package protocol

// ServerConfigRequest has no field.
type ServerConfigRequest struct{}

// ServerConfigReply is what the server offers (docs/protocol/v5/account.md §4).
type ServerConfigReply struct {
	Account               AccountConfig               `wire:"account"`
	OrganizationBootstrap OrganizationBootstrapConfig `wire:"organization_bootstrap"`
	OpenBao               OpenBaoConfig               `wire:"openbao"`
	Cryptpad              CryptpadConfig              `wire:"cryptpad"`
	// AdvisoryDeviceFileProtection is empty for no advice.
	AdvisoryDeviceFileProtection []string `wire:"advisory_device_file_protection"`
}

// AccountConfig says whether the server has accounts.
type AccountConfig string

// The configurations. What the last two differ in is for clients to respect.
const (
	AccountDisabled            AccountConfig = "DISABLED"
	AccountEnabledWithVault    AccountConfig = "ENABLED_WITH_VAULT"
	AccountEnabledWithoutVault AccountConfig = "ENABLED_WITHOUT_VAULT"
)

// OrganizationBootstrapConfig says who may bootstrap an organization.
type OrganizationBootstrapConfig string

// Whoever has the token of an organization that was created before, or anybody.
const (
	BootstrapWithToken   OrganizationBootstrapConfig = "WITH_BOOTSTRAP_TOKEN"
	BootstrapSpontaneous OrganizationBootstrapConfig = "SPONTANEOUS"
)

// FeatureType says whether clients use a service beside the server.
type FeatureType string

// Of a service that is disabled there is nothing else to say.
const (
	FeatureDisabled FeatureType = "DISABLED"
	FeatureEnabled  FeatureType = "ENABLED"
)

// CryptpadConfig says where documents are edited together.
type CryptpadConfig struct {
	Type      FeatureType `wire:"type"`
	ServerURL *string     `wire:"server_url,optional,omitnil"`
}

// OpenBaoConfig says where clients keep the keys of devices, behind single sign-on.
type OpenBaoConfig struct {
	Type             FeatureType    `wire:"type"`
	ServerURL        *string        `wire:"server_url,optional,omitnil"`
	Secret           *OpenBaoSecret `wire:"secret,optional,omitnil"`
	TransitMountPath *string        `wire:"transit_mount_path,optional,omitnil"`
	Auths            []OpenBaoAuth  `wire:"auths,nullable,optional,omitnil"`
}

// OpenBaoSecret is where OpenBao keeps secrets.
type OpenBaoSecret struct {
	Type      string `wire:"type"`
	MountPath string `wire:"mount_path"`
}

// OpenBaoKV2 is the one kind of OpenBaoSecret.
const OpenBaoKV2 = "KV2"

// OpenBaoAuth is a way in which OpenBao lets people in.
type OpenBaoAuth struct {
	ID        OpenBaoAuthID `wire:"id"`
	MountPath string        `wire:"mount_path"`
}

// OpenBaoAuthID is one that clients know.
type OpenBaoAuthID string

// The ways, in the order in which clients get them.
const (
	OpenBaoHexagone   OpenBaoAuthID = "HEXAGONE"
	OpenBaoProConnect OpenBaoAuthID = "PRO_CONNECT"
)
