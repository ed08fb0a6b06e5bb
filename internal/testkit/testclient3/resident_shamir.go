package testclient3

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/box"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/wire"
)

// What an owner shares, and what each recipient holds of it
// (docs/protocol/v5/invite.md §7). No server reads it.
const (
	shamirSecretType = "shamir_recovery_secret"
	shamirSharesType = "shamir_recovery_share_data"
)

// shamirSecret is what the shares give.
type shamirSecret struct {
	// DataKey is what the recovery device is encrypted with.
	DataKey     [32]byte            `wire:"data_key"`
	RevealToken parsec3.AccessToken `wire:"reveal_token"`
}

// shamirShares are those of a recipient, signed by the owner.
type shamirShares struct {
	Author        parsec3.DeviceID `wire:"author"`
	Timestamp     parsec.DateTime  `wire:"timestamp"`
	WeightedShare [][]byte         `wire:"weighted_share"`
}

// SetUpShamir has other users hold shares of a device that is made for it: who brings a
// threshold of them together has that device.
func (r *Resident) SetUpShamir(ctx context.Context, threshold uint8, shares map[parsec3.UserID]uint8) error {
	recovery, err := r.addDeviceFor(ctx, parsec3.PurposeShamirRecovery)
	if err != nil {
		return err
	}
	setup := &ShamirSetup{Threshold: threshold, Shares: shares, RevealToken: parsec3.NewAccessToken()}
	secret := shamirSecret{RevealToken: setup.RevealToken}
	rand.Read(secret.DataKey[:]) // never fails
	file, err := wire.Microseconds.Append(nil, recovery.File())
	if err != nil {
		return err
	}
	setup.Data = seal(file, &secret.DataKey)
	packed, err := packPayload(shamirSecretType, &secret)
	if err != nil {
		return err
	}
	err = certify(ctx, r, protocol.ShamirRecoverySetup, aheadCommon, func(now parsec.DateTime) (*protocol.ShamirRecoverySetupRequest, error) {
		if setup.Ciphered, err = r.cipherShares(packed, threshold, shares, now); err != nil {
			return nil, err
		}
		return setup.Request(r.Device, now)
	})
	return r.polledAfter(ctx, err)
}

// cipherShares shares a secret, and encrypts its shares for each recipient.
func (r *Resident) cipherShares(secret []byte, threshold uint8, weights map[parsec3.UserID]uint8, now parsec.DateTime) (map[parsec3.UserID][]byte, error) {
	total := 0
	for _, weight := range weights {
		total += int(weight)
	}
	shares, err := splitSecret(secret, int(threshold), total)
	if err != nil {
		return nil, err
	}
	ciphered := map[parsec3.UserID][]byte{}
	for recipient, weight := range weights {
		user := r.Knowledge().User(recipient)
		if user == nil {
			return nil, fmt.Errorf("recipient %s is unknown", recipient)
		}
		signed, err := signPayload(shamirSharesType, &shamirShares{
			Author: r.Device.ID, Timestamp: now, WeightedShare: shares[:weight],
		}, r.Device.SigningKey)
		if err != nil {
			return nil, err
		}
		shares = shares[weight:]
		if ciphered[recipient], err = box.SealAnonymous(nil, signed, (*[32]byte)(&user.PublicKey), rand.Reader); err != nil {
			return nil, err
		}
	}
	return ciphered, nil
}

// SharesOf returns the shares that the user of r holds of the recovery of another one.
func (r *Resident) SharesOf(owner parsec3.UserID) ([][]byte, error) {
	known := r.Knowledge()
	setup := known.Setup(owner)
	if setup == nil || setup.Deleted {
		return nil, fmt.Errorf("%s has no Shamir recovery", owner)
	}
	public, private := [32]byte(r.Device.PublicKey()), [32]byte(r.Device.PrivateKey.Bytes())
	signed, ok := box.OpenAnonymous(nil, setup.Ciphered, &public, &private)
	if !ok {
		return nil, errors.New("the shares are not for this user")
	}
	claim, err := certificate.ReadClaim(signed)
	if err != nil {
		return nil, err
	}
	if claim.Author == nil {
		return nil, certificate.FailureAuthor
	}
	author, found := known.of.Devices[*claim.Author]
	if !found {
		return nil, certificate.FailureAuthor
	}
	var shares shamirShares
	if err := openPayload(signed, shamirSharesType, author.Key, &shares); err != nil {
		return nil, err
	}
	if author.User != owner || !known.User(owner).ActiveAt(claim.Timestamp) || shares.Timestamp != setup.CreatedOn || len(shares.WeightedShare) != int(setup.Shares[r.Device.User]) {
		return nil, errors.New("the shares are not those of the setup")
	}
	return shares.WeightedShare, nil
}
