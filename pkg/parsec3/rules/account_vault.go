package rules

import (
	"context"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// What bounds the vaults of an account (docs/protocol/v5/account.md §5).
const (
	maxVaultItems   = 1000
	maxVaultMethods = 1000
	// maxVaultBytes is what a rotation can bring in one body.
	maxVaultBytes = 15 << 20
	// maxPreviousVaults are kept, of maxVaultBytes in all.
	maxPreviousVaults = 20
)

// checkRoom refuses so many bytes more than a vault may have.
func (v *Vault) checkRoom(more int) error {
	if v.Size+uint64(more) > maxVaultBytes {
		return VaultFull
	}
	return nil
}

// VaultItemList returns the current vault (docs/protocol/v5/account.md §5).
func (r *Rules) VaultItemList(ctx context.Context, author *AccountAuthor, _ *protocol.VaultItemListRequest) (*protocol.VaultItemListReply, error) {
	standing, items, err := r.store.VaultItems(ctx, author.Method)
	if err != nil {
		return nil, err
	}
	if err := standing.check(); err != nil {
		return nil, err
	}
	return &protocol.VaultItemListReply{KeyAccess: standing.Method.VaultKeyAccess, Items: shownItems(items)}, nil
}

func shownItems(items []VaultItem) protocol.VaultItems {
	shown := make(protocol.VaultItems, len(items))
	for i := range items {
		shown[items[i].Fingerprint] = items[i].Data
	}
	return shown
}

// VaultItemUpload adds an item to the current vault (docs/protocol/v5/account.md §5).
func (r *Rules) VaultItemUpload(ctx context.Context, author *AccountAuthor, request *protocol.VaultItemUploadRequest) (*protocol.VaultItemUploadReply, error) {
	scope := AccountScope{Item: &request.ItemFingerprint}
	err := r.updateAccount(ctx, author, scope, func(tx AccountTx, account *Account) error {
		if tx.HasItem() {
			return protocol.Refuse(protocol.StatusFingerprintAlreadyExists)
		}
		if account.Vault.Items >= maxVaultItems {
			return VaultFull
		}
		if err := account.Vault.checkRoom(len(request.Item)); err != nil {
			return err
		}
		tx.AddItem(VaultItem{request.ItemFingerprint, request.Item})
		return nil
	})
	return &protocol.VaultItemUploadReply{}, err
}

// VaultKeyRotation replaces the vault and every method
// (docs/protocol/v5/account.md §5).
func (r *Rules) VaultKeyRotation(ctx context.Context, author *AccountAuthor, request *protocol.VaultKeyRotationRequest) (*protocol.VaultKeyRotationReply, error) {
	scope := AccountScope{Methods: []parsec3.AuthMethodID{request.NewAuthMethodID}}
	err := r.updateAccount(ctx, author, scope, func(tx AccountTx, _ *Account) error {
		fingerprints, err := tx.Fingerprints(ctx)
		if err != nil {
			return err
		}
		if !areOf(fingerprints, request.Items) {
			return protocol.Refuse(protocol.StatusItemsMismatch)
		}
		if tx.AuthMethod(request.NewAuthMethodID) != nil {
			return protocol.Refuse(protocol.StatusNewAuthMethodIDAlreadyExists)
		}
		items, size := make([]VaultItem, len(fingerprints)), len(request.NewVaultKeyAccess)
		for i, fingerprint := range fingerprints {
			items[i] = VaultItem{fingerprint, request.Items[fingerprint]}
			size += len(items[i].Data)
		}
		if err := new(Vault).checkRoom(size); err != nil {
			return err
		}
		return addVault(ctx, tx, r.newAuthMethod(author.Peer, methodFields{
			request.NewAuthMethodID, request.NewAuthMethodMACKey, request.NewAuthMethodPasswordAlgorithm, request.NewVaultKeyAccess,
		}), items)
	})
	return &protocol.VaultKeyRotationReply{}, err
}

// areOf reports whether items have these fingerprints, and no other.
func areOf(fingerprints []protocol.Fingerprint, items protocol.VaultItems) bool {
	for _, fingerprint := range fingerprints {
		if _, found := items[fingerprint]; !found {
			return false
		}
	}
	return len(fingerprints) == len(items)
}

// addVault adds a vault, and erases those that are too old to be kept.
func addVault(ctx context.Context, tx AccountTx, method AuthMethod, items []VaultItem) error {
	vaults, err := tx.AllVaults(ctx)
	if err != nil {
		return err
	}
	if erased := tooOld(vaults); erased > 0 {
		tx.EraseVaults(erased)
	}
	tx.AddVault(method, items)
	return nil
}

// tooOld returns the number of the last vault that is not kept once there is another
// one, 0 for none. The latest is always kept.
func tooOld(vaults []Vault) uint64 {
	var size uint64
	for i := len(vaults) - 1; i >= 0; i-- {
		size += vaults[i].Size
		if later := len(vaults) - 1 - i; later > 0 && (size > maxVaultBytes || later >= maxPreviousVaults) {
			return vaults[i].Number
		}
	}
	return 0
}

// VaultItemRecoveryList returns every vault with its methods
// (docs/protocol/v5/account.md §5).
func (r *Rules) VaultItemRecoveryList(ctx context.Context, author *AccountAuthor, _ *protocol.VaultItemRecoveryListRequest) (*protocol.VaultItemRecoveryListReply, error) {
	standing, vaults, err := r.store.Vaults(ctx, author.Method)
	if err != nil {
		return nil, err
	}
	if err := standing.check(); err != nil {
		return nil, err
	}
	shown := make([]protocol.Vault, len(vaults))
	for i := range vaults {
		shown[i] = shownVault(&vaults[i])
	}
	last := len(shown) - 1
	return &protocol.VaultItemRecoveryListReply{CurrentVault: shown[last], PreviousVaults: shown[:last]}, nil
}

func shownVault(vault *VaultContent) protocol.Vault {
	shown := protocol.Vault{AuthMethods: make([]protocol.RecoveryAuthMethod, len(vault.Methods)), VaultItems: shownItems(vault.Items)}
	for i := range vault.Methods {
		method := &vault.Methods[i]
		shown.AuthMethods[i] = protocol.RecoveryAuthMethod{AuthMethod: shownMethod(method), DisabledOn: method.DisabledOn}
	}
	return shown
}
