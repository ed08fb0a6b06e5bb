package testclient3

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"time"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/sleep"
)

// Claimer is a client that has the link of an invitation.
type Claimer struct {
	client       *client3.Client
	organization parsec.OrganizationID
	token        parsec3.AccessToken
	rpc          *client3.RPC
	person       Person
	pause        func(context.Context, time.Duration) error
}

// NewClaimer returns the client of a person with the link of an invitation.
func NewClaimer(c *client3.Client, organization parsec.OrganizationID, token parsec3.AccessToken, person Person) *Claimer {
	return &Claimer{
		client: c, organization: organization, token: token, rpc: c.Invited(organization, token), person: person, pause: sleep.For,
	}
}

// Info asks what the invitation is for.
func (c *Claimer) Info(ctx context.Context) (*protocol.InviteInfoReply, error) {
	return client3.Call(ctx, c.rpc, protocol.InviteInfo, &protocol.InviteInfoRequest{})
}

// errInconsistent is that of a confirmation of something else than was asked for.
var errInconsistent = errors.New("the greeter confirms something else")

// ClaimUser has a greeter make a user of a person, and returns its first device.
func (c *Claimer) ClaimUser(ctx context.Context, greeter parsec3.UserID, as client3.Person) (*client3.Device, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	device := &client3.Device{Organization: c.organization, SigningKey: newSigningKey(), PrivateKey: private}
	var confirmation inviteUserConfirmation
	err = c.claim(ctx, greeter, inviteUserDataType, &inviteUserData{
		RequestedDeviceLabel: as.Label, RequestedHumanHandle: as.HumanHandle,
		PublicKey: device.PublicKey(), VerifyKey: device.VerifyKey(),
	}, inviteUserConfirmationType, &confirmation, func() bool { return true })
	if err != nil {
		return nil, err
	}
	device.User, device.ID, device.Label = confirmation.UserID, confirmation.DeviceID, confirmation.DeviceLabel
	device.HumanHandle, device.Profile, device.RootVerifyKey = confirmation.HumanHandle, confirmation.Profile, confirmation.RootVerifyKey
	return device, nil
}

// ClaimDevice has another device of the user make one of this one.
func (c *Claimer) ClaimDevice(ctx context.Context, greeter parsec3.UserID, label parsec3.DeviceLabel) (*client3.Device, error) {
	device := &client3.Device{Organization: c.organization, SigningKey: newSigningKey()}
	var confirmation inviteDeviceConfirmation
	err := c.claim(ctx, greeter, inviteDeviceDataType, &inviteDeviceData{
		RequestedDeviceLabel: label, VerifyKey: device.VerifyKey(),
	}, inviteDeviceConfirmationType, &confirmation, func() (ok bool) {
		var err error
		device.PrivateKey, err = ecdh.X25519().NewPrivateKey(confirmation.PrivateKey[:])
		return err == nil && confirmation.UserRealmKey == UserKeys(device).own && confirmation.UserID == greeter
	})
	if err != nil {
		return nil, err
	}
	device.User, device.ID, device.Label = confirmation.UserID, confirmation.DeviceID, confirmation.DeviceLabel
	device.HumanHandle, device.Profile, device.RootVerifyKey = confirmation.HumanHandle, confirmation.Profile, confirmation.RootVerifyKey
	return device, nil
}

// ClaimShares has a recipient hand over its shares.
func (c *Claimer) ClaimShares(ctx context.Context, greeter parsec3.UserID) ([][]byte, error) {
	var confirmation inviteShamirConfirmation
	err := c.claim(ctx, greeter, inviteShamirDataType, &inviteShamirData{}, inviteShamirConfirmationType, &confirmation,
		func() bool { return len(confirmation.WeightedShare) > 0 })
	return confirmation.WeightedShare, err
}

// Recover returns another device of the user whose recovery enough shares give, and
// completes the invitation.
func (c *Claimer) Recover(ctx context.Context, shares [][]byte, label parsec3.DeviceLabel) (*client3.Device, error) {
	joined, err := joinShares(shares)
	if err != nil {
		return nil, err
	}
	var secret shamirSecret
	if err := unpackPayload(joined, shamirSecretType, &secret); err != nil {
		return nil, err
	}
	reply, err := client3.Call(ctx, c.rpc, protocol.InviteShamirRecoveryReveal, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: secret.RevealToken})
	if err != nil {
		return nil, err
	}
	file, err := unseal(reply.CipheredData, &secret.DataKey)
	if err != nil {
		return nil, err
	}
	recovery, err := parseDevice(file)
	if err != nil {
		return nil, err
	}
	device, err := NewResident(c.client, recovery).AddDevice(ctx, label)
	if err != nil {
		return nil, err
	}
	return device, NewResident(c.client, device).complete(ctx, c.token)
}

// claim is the claimer's side of an attempt. isConsistent judges the confirmation.
func (c *Claimer) claim(ctx context.Context, greeter parsec3.UserID, dataType string, data any, confirmationType string, confirmation any, isConsistent func() bool) error {
	x := &exchange{side: claimerSide{c.rpc, greeter}, person: c.person, pause: c.pause}
	if err := x.meet(ctx); err != nil {
		return err
	}
	if err := x.compare(ctx); err != nil {
		return err
	}
	sealed, err := x.key.sealPayload(dataType, data)
	if err != nil {
		return err
	}
	if _, err := x.say(ctx, 6, sealed); err != nil {
		return err
	}
	if sealed, err = x.say(ctx, 7, nothing); err != nil {
		return err
	}
	if err := x.read(ctx, sealed, confirmationType, confirmation); err != nil {
		return err
	}
	if !isConsistent() {
		return x.abandon(ctx, protocol.InconsistentPayload, errInconsistent)
	}
	// Once: the greeter may complete the invitation as soon as this is said.
	if _, err := x.step(ctx, x.attempt, 8, nothing); err != nil && !isRefused(err, protocol.StatusNotReady) {
		return err
	}
	return nil
}

func newSigningKey() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed) // never fails
	return ed25519.NewKeyFromSeed(seed)
}
