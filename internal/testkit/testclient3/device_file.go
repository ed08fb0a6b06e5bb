package testclient3

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"

	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/wire"
)

// LoadDevice reads what Device.Save of the client wrote.
func LoadDevice(path string) (*parsec3.Device, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load device: %w", err)
	}
	device, err := parseDevice(content)
	if err != nil {
		return nil, fmt.Errorf("load device: %s: %w", path, err)
	}
	return device, nil
}

// parseDevice reads what a DeviceFile holds.
func parseDevice(content []byte) (*parsec3.Device, error) {
	var file parsec3.DeviceFile
	if err := errors.Join(wire.Microseconds.Scan(content), wire.Microseconds.Unmarshal(content, &file)); err != nil {
		return nil, err
	}
	if file.Type != parsec3.DeviceFileType || len(file.SigningKey) != ed25519.SeedSize {
		return nil, errors.New("not the keys of a device")
	}
	privateKey, err := ecdh.X25519().NewPrivateKey(file.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return &parsec3.Device{
		Organization:  file.Organization,
		User:          file.User,
		ID:            file.ID,
		Label:         file.Label,
		HumanHandle:   file.HumanHandle,
		Profile:       file.Profile,
		SigningKey:    ed25519.NewKeyFromSeed(file.SigningKey),
		PrivateKey:    privateKey,
		RootVerifyKey: file.RootVerifyKey,
	}, nil
}
