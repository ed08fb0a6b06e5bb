package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

type deviceRow struct {
	value            rules.Device
	label, verifyKey []byte
}

func (r *deviceRow) targets() []any {
	d := &r.value
	return []any{
		database.Parsed(&d.ID), &r.label, &r.verifyKey, &d.Certificate, &d.RedactedCertificate,
		database.Parsed(&d.Certifier), (*database.Integer)(&d.CreatedOn),
	}
}

func (r *deviceRow) facts() (device rules.Device, err error) {
	device = r.value
	device.VerifyKey = parsec.VerifyKey(r.verifyKey)
	if r.label != nil {
		device.Label, err = parsec.ParseDeviceLabel(string(r.label))
	}
	return device, err
}

func scanDevice(row pgx.CollectableRow) (rules.Device, error) {
	var device deviceRow
	if err := row.Scan(device.targets()...); err != nil {
		return rules.Device{}, err
	}
	return device.facts()
}

// Device implements rules.DeviceTx.
func (t *tx) Device(_ context.Context, id parsec.DeviceID) (*rules.Device, bool, error) {
	var devices []rules.Device
	err := t.Ask(database.List(&devices, "SELECT "+deviceColumns+`
FROM organization o JOIN user_ u ON u.organization = o.id JOIN device d ON d.user_ = u.id
WHERE o.organization_id = $1 AND u.user_id = $2 AND d.name = $3`,
		[]any{t.organizationName(), id.User().String(), id.Name().String()}, scanDevice))
	if err != nil || len(devices) == 0 {
		return nil, false, err
	}
	return &devices[0], true, nil
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
		notNull(device.Certificate), notNull(device.RedactedCertificate), device.Certifier.String(), int64(device.CreatedOn))
}
