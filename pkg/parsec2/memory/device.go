package memory

import (
	"bytes"
	"context"

	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// Device implements rules.DeviceTx.
func (t *tx) Device(_ context.Context, id parsec.DeviceID) (*rules.Device, bool, error) {
	device, found := t.organization.devices[id]
	return organizationstore.CopyOf(device), found, nil
}

// CreateDevice implements rules.DeviceTx.
func (t *tx) CreateDevice(device rules.Device) {
	device.Certificate = bytes.Clone(device.Certificate)
	device.RedactedCertificate = bytes.Clone(device.RedactedCertificate)
	_, exists := t.organization.devices[device.ID]
	t.Queue("CreateDevice", t.scope.LockOrganization && !exists, func() {
		owner := device.ID.User()
		t.organization.devices[device.ID] = &device
		t.organization.deviceNumbers = append(t.organization.deviceNumbers, device.ID)
		t.organization.devicesOf[owner] = append(t.organization.devicesOf[owner], &device)
	})
}
