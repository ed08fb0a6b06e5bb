package parsec2

import (
	"errors"
	"fmt"
	"os"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// DeviceFileType is the Type of every DeviceFile.
const DeviceFileType = "device_keys"

// DeviceFile is a Device on disk, in msgpack.
type DeviceFile struct {
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

// Save writes the device, secrets in clear, to a new file that only its owner
// may read. It never overwrites a file: lost keys cannot be made again.
func (d *Device) Save(path string) (err error) {
	content, err := wire.Marshal(d.File())
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

// File returns what Save writes.
func (d *Device) File() *DeviceFile {
	return &DeviceFile{
		Type:          DeviceFileType,
		Organization:  d.Organization,
		ID:            d.ID,
		Label:         d.Label,
		HumanHandle:   d.HumanHandle,
		Profile:       d.Profile,
		SigningKey:    d.SigningKey.Seed(),
		PrivateKey:    d.PrivateKey.Bytes(),
		RootVerifyKey: d.RootVerifyKey,
	}
}
