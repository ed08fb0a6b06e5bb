package memory

import (
	"context"

	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// DeviceExists implements rules.DeviceTx.
func (t *tx) DeviceExists(_ context.Context, id parsec3.DeviceID) (bool, error) {
	_, found := t.organization.devices[id]
	return found, nil
}

// CreateDevice implements rules.DeviceTx.
func (t *tx) CreateDevice(device rules.Device, certificate rules.Certificate) {
	_, exists := t.organization.devices[device.ID]
	_, owned := t.organization.users[device.User]
	t.queueCommon("CreateDevice", owned && !exists, certificate, func(rules.Certificate) {
		t.organization.devices[device.ID] = &device
	})
}
