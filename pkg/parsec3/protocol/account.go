package protocol

import (
	"errors"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// MACKey is what the tokens of an authentication method are made with
// (docs/protocol/v5/transport.md §4.3).
type MACKey [32]byte

// PasswordAlgorithmType is the discriminant of a PasswordAlgorithm.
type PasswordAlgorithmType string

// Argon2ID is the only one.
const Argon2ID PasswordAlgorithmType = "ARGON2ID"

// UnmarshalText refuses any other text.
func (p *PasswordAlgorithmType) UnmarshalText(text []byte) error {
	if PasswordAlgorithmType(text) != Argon2ID {
		return errPasswordAlgorithm
	}
	*p = Argon2ID
	return nil
}

var errPasswordAlgorithm = errors.New("must be an algorithm of passwords that clients take")

// PasswordAlgorithm is how clients derive secrets from a password
// (docs/protocol/v5/account.md §2).
type PasswordAlgorithm struct {
	Type        PasswordAlgorithmType `wire:"type"`
	MemlimitKB  uint32                `wire:"memlimit_kb"`
	Opslimit    uint32                `wire:"opslimit"`
	Parallelism uint32                `wire:"parallelism"`
}

// WeakestAlgorithm is the weakest one that clients take, and the one that they choose.
var WeakestAlgorithm = PasswordAlgorithm{Type: Argon2ID, MemlimitKB: 131072, Opslimit: 3, Parallelism: 1}

// strongestAlgorithm is the strongest one that does not harm a client.
var strongestAlgorithm = PasswordAlgorithm{Type: Argon2ID, MemlimitKB: 4 << 20, Opslimit: 100, Parallelism: 16}

// check refuses what no client could use; nil is no password.
func (p *PasswordAlgorithm) check() error {
	if p == nil {
		return nil
	}
	isOutside := func(least, value, most uint32) bool { return value < least || value > most }
	least, most := &WeakestAlgorithm, &strongestAlgorithm
	if isOutside(least.MemlimitKB, p.MemlimitKB, most.MemlimitKB) || isOutside(least.Opslimit, p.Opslimit, most.Opslimit) ||
		isOutside(least.Parallelism, p.Parallelism, most.Parallelism) {
		return errPasswordAlgorithm
	}
	return nil
}

// maxKeyAccessBytes is many times the length of what clients have give access to a vault.
// It is read with its method, before it is known who asks.
const maxKeyAccessBytes = 4 << 10

var errKeyAccess = errors.New("gives access to no vault")

// checkMethod refuses an authentication method that no client could use, nil being no
// password.
func checkMethod(password *PasswordAlgorithm, vaultKeyAccess []byte) error {
	if len(vaultKeyAccess) > maxKeyAccessBytes {
		return errKeyAccess
	}
	return password.check()
}

// AuthMethodPasswordGetAlgorithmRequest asks how the password of an account is used.
type AuthMethodPasswordGetAlgorithmRequest struct {
	Email parsec3.EmailAddress `wire:"email"`
}

// AuthMethodPasswordGetAlgorithmReply is the same whether there is an account or not.
type AuthMethodPasswordGetAlgorithmReply struct {
	PasswordAlgorithm PasswordAlgorithm `wire:"password_algorithm"`
}

// AccountCreateSendValidationEmailRequest asks for the code by which an account is
// created.
type AccountCreateSendValidationEmailRequest struct {
	Email parsec3.EmailAddress `wire:"email"`
}

// AccountCreateSendValidationEmailReply has no field.
type AccountCreateSendValidationEmailReply struct{}

// AccountCreateStepName is the discriminant of an AccountCreateStep.
type AccountCreateStepName string

// The steps: the second one creates the account.
const (
	AccountCheckCode AccountCreateStepName = "NUMBER_0_CHECK_CODE"
	AccountCreate    AccountCreateStepName = "NUMBER_1_CREATE"
)

// AccountCreateStep has an e-mail address in its first step, and all else in its
// second.
type AccountCreateStep struct {
	Step                        AccountCreateStepName  `wire:"step"`
	ValidationCode              parsec3.ValidationCode `wire:"validation_code"`
	Email                       parsec3.EmailAddress   `wire:"email,if=NUMBER_0_CHECK_CODE"`
	HumanHandle                 parsec.HumanHandle     `wire:"human_handle,if=NUMBER_1_CREATE"`
	AuthMethodPasswordAlgorithm *PasswordAlgorithm     `wire:"auth_method_password_algorithm,if=NUMBER_1_CREATE"`
	AuthMethodMACKey            MACKey                 `wire:"auth_method_mac_key,if=NUMBER_1_CREATE"`
	AuthMethodID                parsec3.AuthMethodID   `wire:"auth_method_id,if=NUMBER_1_CREATE"`
	VaultKeyAccess              []byte                 `wire:"vault_key_access,if=NUMBER_1_CREATE"`
}

// AccountCreateProceedRequest proves who owns a mailbox, and creates an account.
type AccountCreateProceedRequest struct {
	AccountCreateStep AccountCreateStep `wire:"account_create_step"`
}

// Validate implements rpc.Validator. An account is of an address that every release
// reads.
func (r *AccountCreateProceedRequest) Validate() error {
	step := &r.AccountCreateStep
	if step.Step != AccountCreate {
		return nil
	}
	if _, err := parsec3.ParseEmailAddress(step.HumanHandle.Email()); err != nil {
		return err
	}
	return checkMethod(step.AuthMethodPasswordAlgorithm, step.VaultKeyAccess)
}

// AccountCreateProceedReply has no field.
type AccountCreateProceedReply struct{}

// AccountRecoverSendValidationEmailRequest asks for the code by which an account is
// recovered.
type AccountRecoverSendValidationEmailRequest struct {
	Email parsec3.EmailAddress `wire:"email"`
}

// AccountRecoverSendValidationEmailReply has no field.
type AccountRecoverSendValidationEmailReply struct{}

// AccountRecoverProceedRequest begins a new vault, without what was in the former one.
type AccountRecoverProceedRequest struct {
	Email                          parsec3.EmailAddress   `wire:"email"`
	ValidationCode                 parsec3.ValidationCode `wire:"validation_code"`
	NewVaultKeyAccess              []byte                 `wire:"new_vault_key_access"`
	NewAuthMethodPasswordAlgorithm *PasswordAlgorithm     `wire:"new_auth_method_password_algorithm"`
	NewAuthMethodMACKey            MACKey                 `wire:"new_auth_method_mac_key"`
	NewAuthMethodID                parsec3.AuthMethodID   `wire:"new_auth_method_id"`
}

// Validate implements rpc.Validator.
func (r *AccountRecoverProceedRequest) Validate() error {
	return checkMethod(r.NewAuthMethodPasswordAlgorithm, r.NewVaultKeyAccess)
}

// AccountRecoverProceedReply has no field.
type AccountRecoverProceedReply struct{}

// AccountInfoRequest has no field.
type AccountInfoRequest struct{}

// AccountInfoReply says whose account it is.
type AccountInfoReply struct {
	HumanHandle parsec.HumanHandle `wire:"human_handle"`
}

// AccountDeleteSendValidationEmailRequest asks for the code by which the account is
// deleted.
type AccountDeleteSendValidationEmailRequest struct{}

// AccountDeleteSendValidationEmailReply has no field.
type AccountDeleteSendValidationEmailReply struct{}

// AccountDeleteProceedRequest deletes the account.
type AccountDeleteProceedRequest struct {
	ValidationCode parsec3.ValidationCode `wire:"validation_code"`
}

// AccountDeleteProceedReply has no field.
type AccountDeleteProceedReply struct{}

// AuthMethodListRequest has no field.
type AuthMethodListRequest struct{}

// AuthMethodListReply has the active methods, oldest first.
type AuthMethodListReply struct {
	Items []AuthMethod `wire:"items"`
}

// AuthMethod is a way to authenticate, as its owner sees it.
type AuthMethod struct {
	AuthMethodID       parsec3.AuthMethodID `wire:"auth_method_id"`
	CreatedOn          parsec.DateTime      `wire:"created_on"`
	CreatedByIP        string               `wire:"created_by_ip"`
	CreatedByUserAgent string               `wire:"created_by_user_agent"`
	VaultKeyAccess     []byte               `wire:"vault_key_access"`
	PasswordAlgorithm  *PasswordAlgorithm   `wire:"password_algorithm"`
}

// size is at least the length in a message, in bytes.
func (a *AuthMethod) size() int {
	const others = 256
	return others + len(a.CreatedByIP) + len(a.CreatedByUserAgent) + len(a.VaultKeyAccess)
}

// Size implements rpc.Sized.
func (r *AuthMethodListReply) Size() (size int) {
	for i := range r.Items {
		size += r.Items[i].size()
	}
	return size
}

// AuthMethodCreateRequest adds a way to authenticate. One by password replaces the
// former one.
type AuthMethodCreateRequest struct {
	AuthMethodID                parsec3.AuthMethodID `wire:"auth_method_id"`
	AuthMethodMACKey            MACKey               `wire:"auth_method_mac_key"`
	AuthMethodPasswordAlgorithm *PasswordAlgorithm   `wire:"auth_method_password_algorithm"`
	VaultKeyAccess              []byte               `wire:"vault_key_access"`
}

// Validate implements rpc.Validator.
func (r *AuthMethodCreateRequest) Validate() error {
	return checkMethod(r.AuthMethodPasswordAlgorithm, r.VaultKeyAccess)
}

// AuthMethodCreateReply has no field.
type AuthMethodCreateReply struct{}

// AuthMethodDisableRequest disables another way to authenticate.
type AuthMethodDisableRequest struct {
	AuthMethodID parsec3.AuthMethodID `wire:"auth_method_id"`
}

// AuthMethodDisableReply has no field.
type AuthMethodDisableReply struct{}

// OrganizationSelfListRequest has no field.
type OrganizationSelfListRequest struct{}

// OrganizationSelfListReply has the users with the e-mail address of the account, by
// organization.
type OrganizationSelfListReply struct {
	Active  []ActiveSelf  `wire:"active"`
	Revoked []RevokedSelf `wire:"revoked"`
}

// ActiveSelf is a user of the account's owner who is not revoked.
type ActiveSelf struct {
	OrganizationID     parsec.OrganizationID  `wire:"organization_id"`
	UserID             parsec3.UserID         `wire:"user_id"`
	CreatedOn          parsec.DateTime        `wire:"created_on"`
	IsFrozen           bool                   `wire:"is_frozen"`
	CurrentProfile     parsec.UserProfile     `wire:"current_profile"`
	OrganizationConfig SelfOrganizationConfig `wire:"organization_config"`
}

// SelfOrganizationConfig is what the owner of an account learns of an organization.
type SelfOrganizationConfig struct {
	IsExpired                  bool    `wire:"is_expired"`
	UserProfileOutsiderAllowed bool    `wire:"user_profile_outsider_allowed"`
	ActiveUsersLimit           *uint64 `wire:"active_users_limit"`
	// AllowedClientAgent and AccountVaultStrategy are for clients 3.5 and 3.6, which
	// cannot do without.
	AllowedClientAgent   string `wire:"allowed_client_agent,optional,omitnil"`
	AccountVaultStrategy string `wire:"account_vault_strategy,optional,omitnil"`
}

// InviteSelfListRequest has no field.
type InviteSelfListRequest struct{}

// InviteSelfListReply has what the owner of the account is invited to, by organization.
type InviteSelfListReply struct {
	Invitations []SelfInvitation `wire:"invitations"`
}

// SelfInvitation is one that is pending.
type SelfInvitation struct {
	_              struct{} `wire:",array"`
	OrganizationID parsec.OrganizationID
	Token          parsec3.AccessToken
	Type           parsec.InvitationType
}

// RevokedSelf is a user of the account's owner who is revoked.
type RevokedSelf struct {
	OrganizationID parsec.OrganizationID `wire:"organization_id"`
	UserID         parsec3.UserID        `wire:"user_id"`
	CreatedOn      parsec.DateTime       `wire:"created_on"`
	RevokedOn      parsec.DateTime       `wire:"revoked_on"`
	CurrentProfile parsec.UserProfile    `wire:"current_profile"`
}
