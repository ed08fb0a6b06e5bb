package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

func deviceTargets(d *rules.Device) []any {
	return []any{
		database.Parsed(&d.ID), database.Parsed(&d.Label), (*database.VerifyKey)(&d.VerifyKey), &d.Certificate, &d.RedactedCertificate,
		database.Parsed(&d.Certifier), (*database.Integer)(&d.CreatedOn),
	}
}

// Device implements rules.DeviceTx.
func (t *tx) Device(_ context.Context, id parsec.DeviceID) (*rules.Device, bool, error) {
	var found bool
	var device rules.Device
	err := t.Ask(database.Row(&found, "SELECT "+deviceColumns+`
FROM organization o JOIN user_ u ON u.organization = o.id JOIN device d ON d.user_ = u.id
WHERE o.organization_id = $1 AND u.user_id = $2 AND d.name = $3`,
		[]any{t.organizationName(), id.User().String(), id.Name().String()}, deviceTargets(&device)...))
	if err != nil || !found {
		return nil, false, err
	}
	return &device, true, nil
}

// CreateDevice implements rules.DeviceTx.
func (t *tx) CreateDevice(device rules.Device) {
	var label []byte
	if device.Label != (parsec.DeviceLabel{}) {
		label = []byte(device.Label.String())
	}
	t.QueueOne(`
INSERT INTO device (user_, name, label, verify_key, certificate, redacted_certificate, certifier, created_on)
SELECT u.id, $3, $4, $5, $6, $7, $8, $9 FROM organization o JOIN user_ u ON u.organization = o.id
WHERE o.organization_id = $1 AND u.user_id = $2`,
		t.organizationName(), device.ID.User().String(), device.ID.Name().String(), label, device.VerifyKey[:],
		database.NotNull(device.Certificate), database.NotNull(device.RedactedCertificate), device.Certifier.String(), int64(device.CreatedOn))
}
