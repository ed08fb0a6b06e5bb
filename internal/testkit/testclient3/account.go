package testclient3

import (
	"context"
	"errors"
	"fmt"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// Account is a client that is logged in as an account
// (docs/protocol/v5/account.md §3).
type Account struct {
	client *client3.Client
	rpc    *client3.RPC
	email  parsec3.EmailAddress
	secret MasterSecret
	vault  VaultKey
}

// AccountClient is the client of somebody who may have an account on the server.
type AccountClient struct {
	client *client3.Client
	email  parsec3.EmailAddress
}

// NewAccountClient returns that of the owner of an e-mail address.
func NewAccountClient(c *client3.Client, email parsec3.EmailAddress) *AccountClient {
	return &AccountClient{c, email}
}

// AskToCreate has the code for a new account sent.
func (a *AccountClient) AskToCreate(ctx context.Context) error {
	_, err := client3.Call(ctx, a.client.Server(), protocol.AccountCreateSendValidationEmail, &protocol.AccountCreateSendValidationEmailRequest{Email: a.email})
	return err
}

// AskToRecover has the code to recover the account sent.
func (a *AccountClient) AskToRecover(ctx context.Context) error {
	_, err := client3.Call(ctx, a.client.Server(), protocol.AccountRecoverSendValidationEmail, &protocol.AccountRecoverSendValidationEmailRequest{Email: a.email})
	return err
}

// CheckCode asks whether a code is right. A wrong one counts.
func (a *AccountClient) CheckCode(ctx context.Context, code parsec3.ValidationCode) error {
	_, err := client3.Call(ctx, a.client.Server(), protocol.AccountCreateProceed, &protocol.AccountCreateProceedRequest{
		AccountCreateStep: protocol.AccountCreateStep{Step: protocol.AccountCheckCode, ValidationCode: code, Email: a.email},
	})
	return err
}

// Create creates the account by the code of an e-mail, and logs in.
func (a *AccountClient) Create(ctx context.Context, code parsec3.ValidationCode, label, password string) (*Account, error) {
	handle, err := parsec3.ParseHumanHandle(a.email.String(), label)
	if err != nil {
		return nil, err
	}
	account, access, err := a.begin(password)
	if err != nil {
		return nil, err
	}
	_, err = client3.Call(ctx, a.client.Server(), protocol.AccountCreateProceed, &protocol.AccountCreateProceedRequest{
		AccountCreateStep: protocol.AccountCreateStep{
			Step: protocol.AccountCreate, ValidationCode: code, HumanHandle: handle,
			AuthMethodPasswordAlgorithm: new(protocol.WeakestAlgorithm),
			AuthMethodMACKey:            account.secret.MACKey(), AuthMethodID: parsec3.AuthMethodID(account.secret.MethodID()),
			VaultKeyAccess: access,
		},
	})
	return account, err
}

// Recover begins a new vault by the code of an e-mail, and logs in.
func (a *AccountClient) Recover(ctx context.Context, code parsec3.ValidationCode, password string) (*Account, error) {
	account, access, err := a.begin(password)
	if err != nil {
		return nil, err
	}
	_, err = client3.Call(ctx, a.client.Server(), protocol.AccountRecoverProceed, &protocol.AccountRecoverProceedRequest{
		Email: a.email, ValidationCode: code, NewVaultKeyAccess: access,
		NewAuthMethodPasswordAlgorithm: new(protocol.WeakestAlgorithm),
		NewAuthMethodMACKey:            account.secret.MACKey(), NewAuthMethodID: parsec3.AuthMethodID(account.secret.MethodID()),
	})
	return account, err
}

// begin returns an account with a new vault, and the access to that.
func (a *AccountClient) begin(password string) (*Account, []byte, error) {
	account := a.as(MasterSecretOf(password, a.email.String(), DefaultArgon2ID))
	account.vault = NewVaultKey()
	access, err := account.secret.SealVaultKey(account.vault)
	return account, access, err
}

func (a *AccountClient) as(secret MasterSecret) *Account {
	method := client3.AuthMethod{ID: secret.MethodID(), MACKey: secret.MACKey()}
	return &Account{client: a.client, rpc: a.client.AuthenticatedAccount(method), email: a.email, secret: secret}
}

// errWeak is that of a server that would have a password guessed.
var errWeak = errors.New("the server asks for a weaker algorithm than clients take")

// Login logs in with a password, in the way that the server says it was used.
func (a *AccountClient) Login(ctx context.Context, password string) (*Account, error) {
	reply, err := client3.Call(ctx, a.client.Server(), protocol.AuthMethodPasswordGetAlgorithm, &protocol.AuthMethodPasswordGetAlgorithmRequest{Email: a.email})
	if err != nil {
		return nil, err
	}
	algorithm := Argon2ID{reply.PasswordAlgorithm.MemlimitKB, reply.PasswordAlgorithm.Opslimit, reply.PasswordAlgorithm.Parallelism}
	least := DefaultArgon2ID
	if algorithm.Memory < least.Memory || algorithm.Operations < least.Operations || algorithm.Parallelism < least.Parallelism {
		return nil, errWeak
	}
	account := a.as(MasterSecretOf(password, a.email.String(), algorithm))
	if _, err := account.Info(ctx); err != nil {
		return nil, err
	}
	items, err := account.items(ctx)
	if err != nil {
		return nil, err
	}
	account.vault, err = account.secret.OpenVaultKey(items.KeyAccess)
	return account, err
}

// RPC returns what sends the commands of the account.
func (a *Account) RPC() *client3.RPC { return a.rpc }

// Info returns whose account it is.
func (a *Account) Info(ctx context.Context) (parsec.HumanHandle, error) {
	reply, err := client3.Call(ctx, a.rpc, protocol.AccountInfo, &protocol.AccountInfoRequest{})
	if err != nil {
		return parsec.HumanHandle{}, err
	}
	return reply.HumanHandle, nil
}

// ChangePassword replaces the password. The vault stays.
func (a *Account) ChangePassword(ctx context.Context, password string) (*Account, error) {
	if _, err := a.items(ctx); err != nil { // as official clients do first
		return nil, err
	}
	next := (&AccountClient{a.client, a.email}).as(MasterSecretOf(password, a.email.String(), DefaultArgon2ID))
	next.vault = a.vault
	access, err := next.secret.SealVaultKey(a.vault)
	if err != nil {
		return nil, err
	}
	_, err = client3.Call(ctx, a.rpc, protocol.AuthMethodCreate, &protocol.AuthMethodCreateRequest{
		AuthMethodID: parsec3.AuthMethodID(next.secret.MethodID()), AuthMethodMACKey: next.secret.MACKey(),
		AuthMethodPasswordAlgorithm: new(protocol.WeakestAlgorithm), VaultKeyAccess: access,
	})
	return next, err
}

// Rotate moves what the vault keeps to a new one, which a new password opens.
func (a *Account) Rotate(ctx context.Context, password string) (*Account, error) {
	kept, err := a.items(ctx)
	if err != nil {
		return nil, err
	}
	next := (&AccountClient{a.client, a.email}).as(MasterSecretOf(password, a.email.String(), DefaultArgon2ID))
	next.vault = a.vault // what the items keep is sealed with it
	access, err := next.secret.SealVaultKey(next.vault)
	if err != nil {
		return nil, err
	}
	_, err = client3.Call(ctx, a.rpc, protocol.VaultKeyRotation, &protocol.VaultKeyRotationRequest{
		NewAuthMethodID: parsec3.AuthMethodID(next.secret.MethodID()), NewAuthMethodMACKey: next.secret.MACKey(),
		NewAuthMethodPasswordAlgorithm: new(protocol.WeakestAlgorithm), NewVaultKeyAccess: access, Items: kept.Items,
	})
	return next, err
}

// AskToDelete has the code to delete the account sent.
func (a *Account) AskToDelete(ctx context.Context) error {
	_, err := client3.Call(ctx, a.rpc, protocol.AccountDeleteSendValidationEmail, &protocol.AccountDeleteSendValidationEmailRequest{})
	return err
}

// Delete deletes the account.
func (a *Account) Delete(ctx context.Context, code parsec3.ValidationCode) error {
	_, err := client3.Call(ctx, a.rpc, protocol.AccountDeleteProceed, &protocol.AccountDeleteProceedRequest{ValidationCode: code})
	return err
}

func (a *Account) items(ctx context.Context) (*protocol.VaultItemListReply, error) {
	return client3.Call(ctx, a.rpc, protocol.VaultItemList, &protocol.VaultItemListRequest{})
}

// Register has r create a device of its user that the vault keeps, from which the owner
// of the account makes others.
func (a *Account) Register(ctx context.Context, r *Resident) error {
	device, err := r.addDeviceFor(ctx, parsec3.PurposeRegistration)
	if err != nil {
		return err
	}
	file, err := wire.Microseconds.Append(nil, device.File())
	if err != nil {
		return err
	}
	item, err := packPayload(registrationDeviceType, &registrationDevice{
		OrganizationID: device.Organization, UserID: device.User, EncryptedData: seal(file, (*[32]byte)(&a.vault)),
	})
	if err != nil {
		return err
	}
	_, err = client3.Call(ctx, a.rpc, protocol.VaultItemUpload, &protocol.VaultItemUploadRequest{
		ItemFingerprint: registrationFingerprint(device.Organization, device.User), Item: item,
	})
	return err
}

// Registered returns the device of a user that the vault keeps.
func (a *Account) Registered(ctx context.Context, organization parsec.OrganizationID, user parsec3.UserID) (*client3.Device, error) {
	reply, err := a.items(ctx)
	if err != nil {
		return nil, err
	}
	item, found := reply.Items[registrationFingerprint(organization, user)]
	if !found {
		return nil, fmt.Errorf("the vault has no device of %s", user)
	}
	var registered registrationDevice
	if err := unpackPayload(item, registrationDeviceType, &registered); err != nil {
		return nil, err
	}
	if registered.OrganizationID != organization || registered.UserID != user {
		return nil, errors.New("the item is of somebody else")
	}
	file, err := unseal(registered.EncryptedData, (*[32]byte)(&a.vault))
	if err != nil {
		return nil, err
	}
	return parseDevice(file)
}
