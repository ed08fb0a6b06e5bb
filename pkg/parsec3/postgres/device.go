package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// DeviceExists implements rules.DeviceTx.
func (t *tx) DeviceExists(_ context.Context, id parsec3.DeviceID) (found bool, err error) {
	err = t.Ask(database.Row(&found, "SELECT 1 FROM parsec3.device d WHERE d.organization = $1 AND d.device_id = $2",
		[]any{t.organizationName(), database.Key(id)}, new(database.Integer)))
	return found, err
}

// CreateDevice implements rules.DeviceTx.
func (t *tx) CreateDevice(device rules.Device, certificate rules.Certificate) {
	t.insertDevice(device)
	t.certify(common, outside, ofDevice, certificate)
}

func (t *tx) insertDevice(device rules.Device) {
	t.QueueOne(`
INSERT INTO parsec3.device (organization, device_id, user_id, verify_key, created_on)
VALUES ($1, $2, $3, $4, $5)`,
		t.organizationName(), database.Key(device.ID), database.Key(device.User), device.VerifyKey[:], int64(device.CreatedOn))
}
