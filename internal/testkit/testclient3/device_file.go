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
	var file parsec3.DeviceFile
	if err := errors.Join(wire.Microseconds.Scan(content), wire.Microseconds.Unmarshal(content, &file)); err != nil {
		return nil, fmt.Errorf("load device: %s: %w", path, err)
	}
	if file.Type != parsec3.DeviceFileType || len(file.SigningKey) != ed25519.SeedSize {
		return nil, fmt.Errorf("load device: %s: not the keys of a device", path)
	}
	privateKey, err := ecdh.X25519().NewPrivateKey(file.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("load device: %s: private key: %w", path, err)
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
