package parsec2

import (
	"fmt"

	"parsec-server/pkg/client"
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

// Save writes the device, secrets in clear, to a new file that only its owner may read.
func (d *Device) Save(path string) error {
	content, err := wire.Marshal(d.File())
	if err == nil {
		err = client.SaveSecrets(path, content)
	}
	if err != nil {
		return fmt.Errorf("save device: %w", err)
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
