package testclient

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/wire"
)

// maxDeviceFile bounds a file of keys, in bytes; it has a few hundred.
const maxDeviceFile = 64 << 10

// LoadDevice reads what Device.Save of the client wrote.
func LoadDevice(path string) (*parsec2.Device, error) {
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

func decodeDevice(content []byte) (*parsec2.Device, error) {
	if err := wire.Scan(content); err != nil {
		return nil, err
	}
	var file parsec2.DeviceFile
	if err := wire.Unmarshal(content, &file); err != nil {
		return nil, err
	}
	if file.Type != parsec2.DeviceFileType {
		return nil, errors.New("not the keys of a device")
	}
	if len(file.SigningKey) != ed25519.SeedSize {
		return nil, fmt.Errorf("signing key of %d bytes", len(file.SigningKey))
	}
	privateKey, err := ecdh.X25519().NewPrivateKey(file.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return &parsec2.Device{
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
