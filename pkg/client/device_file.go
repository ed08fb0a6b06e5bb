package client

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// maxDeviceFile bounds a file of keys, in bytes; it has a few hundred.
const maxDeviceFile = 64 << 10

// deviceFile is a Device on disk, in msgpack.
type deviceFile struct {
	Type          string                `wire:"type"`
	Organization  parsec.OrganizationID `wire:"organization_id"`
	ID            parsec.DeviceID       `wire:"device_id"`
	Label         parsec.DeviceLabel    `wire:"device_label,nullable"`
	HumanHandle   parsec.HumanHandle    `wire:"human_handle,nullable"`
	Profile       parsec.UserProfile    `wire:"profile"`
	SigningKey    []byte                `wire:"signing_key"` // the seed
	PrivateKey    []byte                `wire:"private_key"`
	RootVerifyKey parsec.VerifyKey      `wire:"root_verify_key"`
}

const deviceFileType = "device_keys"

// Save writes the device, secrets in clear, to a new file that only its owner
// may read. It never overwrites a file: keys are not to be had again.
func (d *Device) Save(path string) (err error) {
	content, err := d.encode()
	if err != nil {
		return fmt.Errorf("save device: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save device: %w", err)
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("save device: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

// LoadDevice reads what Save wrote.
func LoadDevice(path string) (*Device, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load device: %w", err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxDeviceFile))
	if err != nil {
		return nil, fmt.Errorf("load device: %w", err)
	}
	device, err := decodeDevice(content)
	if err != nil {
		return nil, fmt.Errorf("load device: %s: %w", path, err)
	}
	return device, nil
}

func (d *Device) encode() ([]byte, error) {
	return wire.Marshal(&deviceFile{
		Type:          deviceFileType,
		Organization:  d.Organization,
		ID:            d.ID,
		Label:         d.Label,
		HumanHandle:   d.HumanHandle,
		Profile:       d.Profile,
		SigningKey:    d.SigningKey.Seed(),
		PrivateKey:    d.PrivateKey.Bytes(),
		RootVerifyKey: d.RootVerifyKey,
	})
}

func decodeDevice(content []byte) (*Device, error) {
	if err := wire.Scan(content); err != nil {
		return nil, err
	}
	var file deviceFile
	if err := wire.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	if file.Type != deviceFileType {
		return nil, errors.New("not the keys of a device")
	}
	if len(file.SigningKey) != ed25519.SeedSize {
		return nil, fmt.Errorf("signing key of %d bytes", len(file.SigningKey))
	}
	privateKey, err := ecdh.X25519().NewPrivateKey(file.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return &Device{
		Organization:  file.Organization,
		ID:            file.ID,
		Label:         file.Label,
		HumanHandle:   file.HumanHandle,
		Profile:       file.Profile,
		SigningKey:    ed25519.NewKeyFromSeed(file.SigningKey),
		PrivateKey:    privateKey,
		RootVerifyKey: file.RootVerifyKey,
	}, nil
}
