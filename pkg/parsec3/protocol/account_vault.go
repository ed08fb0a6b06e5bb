package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Fingerprint names an item of a vault; clients choose it.
type Fingerprint [32]byte

// VaultItems are those of a vault: opaque bytes.
type VaultItems map[Fingerprint][]byte

// size is at least the length in a message, in bytes.
func (v VaultItems) size() (size int) {
	const heads = 2 + 5
	for _, item := range v {
		size += len(Fingerprint{}) + heads + len(item)
	}
	return size
}

// VaultItemListRequest has no field.
type VaultItemListRequest struct{}

// VaultItemListReply has the items of the current vault.
type VaultItemListReply struct {
	KeyAccess []byte     `wire:"key_access"`
	Items     VaultItems `wire:"items"`
}

// Size implements rpc.Sized.
func (r *VaultItemListReply) Size() int { return len(r.KeyAccess) + r.Items.size() }

// VaultItemUploadRequest adds an item, for as long as the vault is the current one.
type VaultItemUploadRequest struct {
	ItemFingerprint Fingerprint `wire:"item_fingerprint"`
	Item            []byte      `wire:"item"`
}

// VaultItemUploadReply has no field.
type VaultItemUploadReply struct{}

// VaultKeyRotationRequest replaces the vault, whose items it has in another form, and
// every authentication method.
type VaultKeyRotationRequest struct {
	NewAuthMethodID                parsec3.AuthMethodID `wire:"new_auth_method_id"`
	NewAuthMethodMACKey            MACKey               `wire:"new_auth_method_mac_key"`
	NewAuthMethodPasswordAlgorithm *PasswordAlgorithm   `wire:"new_auth_method_password_algorithm"`
	NewVaultKeyAccess              []byte               `wire:"new_vault_key_access"`
	Items                          VaultItems           `wire:"items"`
}

// Validate implements rpc.Validator.
func (r *VaultKeyRotationRequest) Validate() error {
	return checkMethod(r.NewAuthMethodPasswordAlgorithm, r.NewVaultKeyAccess)
}

// VaultKeyRotationReply has no field.
type VaultKeyRotationReply struct{}

// VaultItemRecoveryListRequest has no field.
type VaultItemRecoveryListRequest struct{}

// VaultItemRecoveryListReply has every vault that is kept; the previous ones oldest
// first.
type VaultItemRecoveryListReply struct {
	CurrentVault   Vault   `wire:"current_vault"`
	PreviousVaults []Vault `wire:"previous_vaults"`
}

// Vault is one of an account, with its authentication methods, oldest first.
type Vault struct {
	AuthMethods []RecoveryAuthMethod `wire:"auth_methods"`
	VaultItems  VaultItems           `wire:"vault_items"`
}

// RecoveryAuthMethod is an authentication method that may be disabled.
type RecoveryAuthMethod struct {
	AuthMethod
	DisabledOn *parsec.DateTime `wire:"disabled_on"`
}

// Size implements rpc.Sized.
func (r *VaultItemRecoveryListReply) Size() int {
	size := r.CurrentVault.size()
	for i := range r.PreviousVaults {
		size += r.PreviousVaults[i].size()
	}
	return size
}

func (v *Vault) size() int {
	const heads = 64
	size := heads + v.VaultItems.size()
	for i := range v.AuthMethods {
		size += v.AuthMethods[i].size()
	}
	return size
}
