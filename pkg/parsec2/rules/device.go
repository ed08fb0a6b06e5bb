package rules

import (
	"bytes"
	"cmp"
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

// Device is a device as stored; its owner is in its id.
type Device struct {
	ID                  parsec.DeviceID
	Label               parsec.DeviceLabel
	VerifyKey           parsec.VerifyKey
	Certificate         []byte
	RedactedCertificate []byte
	// Certifier is zero for the first device, signed by the root key.
	Certifier parsec.DeviceID
	CreatedOn parsec.DateTime
}

// DeviceCreate adds a device to the author's user
// (docs/protocol/commands.md §4).
func (r *Rules) DeviceCreate(ctx context.Context, author *Author, request *protocol.DeviceCreateRequest) (*protocol.EmptyReply, error) {
	now := r.now()
	device, err := checkDeviceCreate(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createDevice(ctx, author, now, device, nil)
}

// DeviceCreateV1 is DeviceCreate in the form of API 1: the answer goes to who
// claims the device.
func (r *Rules) DeviceCreateV1(ctx context.Context, author *Author, request *protocol.DeviceCreateV1Request) (*protocol.EmptyReply, error) {
	now := r.now()
	device, err := checkDeviceCreateV1(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createDevice(ctx, author, now, device, request.EncryptedAnswer)
}

func (r *Rules) createDevice(ctx context.Context, author *Author, now parsec.DateTime, device Device, encryptedAnswer []byte) (*protocol.EmptyReply, error) {
	err := r.updateAt(ctx, author, now, Scope{LockOrganization: true}, func(tx Tx) error {
		if stored, exists, err := tx.Device(ctx, device.ID); err != nil {
			return err
		} else if exists && sameDevice(stored, device) {
			return nil // sent again
		} else if exists {
			return protocol.Refuse(protocol.StatusAlreadyExists, "This device already exists.")
		}
		tx.CreateDevice(device)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: notice.DeviceCreated{
			Device: device.ID, DeviceCertificate: device.Certificate, EncryptedAnswer: encryptedAnswer,
		}})
		return nil
	})
	return &protocol.EmptyReply{}, err
}

// DeviceTx is for devices; its effects need LockOrganization.
type DeviceTx interface {
	Device(ctx context.Context, id parsec.DeviceID) (*Device, bool, error)
	CreateDevice(device Device)
}

// sameDevice reports whether the device is stored already: its certificate, which
// names its author and its date, was sent again by who did not get the reply
// (docs/retries.md). So do sameUser, sameBootstrap, sameSubmission, acceptedAs
// and sameSetup.
func sameDevice(stored *Device, device Device) bool {
	return bytes.Equal(stored.Certificate, device.Certificate) && bytes.Equal(stored.RedactedCertificate, device.RedactedCertificate)
}

// checkDeviceCreate returns what to store for the form of API 2 and 3.
func checkDeviceCreate(author *Author, now parsec.DateTime, request *protocol.DeviceCreateRequest) (Device, error) {
	device, err := certificate.LoadDevice(request.DeviceCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return Device{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	redacted, err := certificate.LoadDevice(request.RedactedDeviceCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return Device{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	if err := cmp.Or(checkCertificateDate(now, device.Timestamp), checkOwnDevice(author, device)); err != nil {
		return Device{}, err
	}
	if redacted != device.Redacted() {
		return Device{}, refuseRedactedDevice()
	}
	return storedDevice(device, request.DeviceCertificate, request.RedactedDeviceCertificate), nil
}

// checkDeviceCreateV1 returns what to store for the form of API 1, whose
// certificate has no label and also serves as redacted one.
func checkDeviceCreateV1(author *Author, now parsec.DateTime, request *protocol.DeviceCreateV1Request) (Device, error) {
	device, err := certificate.LoadDevice(request.DeviceCertificate, author.VerifyKey, author.Device)
	if err != nil {
		return Device{}, refuseLoading(protocol.StatusInvalidCertification, err)
	}
	if err := checkCertificateDate(now, device.Timestamp); err != nil {
		return Device{}, err
	}
	if device.DeviceLabel != (parsec.DeviceLabel{}) {
		return Device{}, protocol.Refuse(protocol.StatusInvalidData, "The device certificate must not have a label.")
	}
	if err := checkOwnDevice(author, device); err != nil {
		return Device{}, err
	}
	return storedDevice(device, request.DeviceCertificate, request.DeviceCertificate), nil
}

func storedDevice(device certificate.Device, full, redacted []byte) Device {
	return Device{
		ID:                  device.DeviceID,
		Label:               device.DeviceLabel,
		VerifyKey:           device.VerifyKey,
		Certificate:         full,
		RedactedCertificate: redacted,
		Certifier:           device.Author,
		CreatedOn:           device.Timestamp,
	}
}

func checkOwnDevice(author *Author, device certificate.Device) error {
	if device.DeviceID.User() != author.User() {
		return protocol.Refuse(protocol.StatusBadUserID, "The device must be of the author's user.")
	}
	return nil
}

func refuseRedactedDevice() error {
	return protocol.Refuse(protocol.StatusInvalidData, "The redacted device certificate must be the device certificate without label.")
}
