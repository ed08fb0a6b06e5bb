package rules

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// DeviceCreate adds a device to the author's user
// (docs/protocol/commands.md §4).
func (r *Rules) DeviceCreate(ctx context.Context, author *Author, request *protocol.DeviceCreateRequest) (*protocol.DeviceCreateReply, error) {
	now := r.now()
	device, err := checkDeviceCreate(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createDevice(ctx, author, now, device, nil)
}

// DeviceCreateV1 is DeviceCreate in the form of API 1: the answer goes to who
// claims the device.
func (r *Rules) DeviceCreateV1(ctx context.Context, author *Author, request *protocol.DeviceCreateV1Request) (*protocol.DeviceCreateReply, error) {
	now := r.now()
	device, err := checkDeviceCreateV1(author, now, request)
	if err != nil {
		return nil, err
	}
	return r.createDevice(ctx, author, now, device, request.EncryptedAnswer)
}

func (r *Rules) createDevice(ctx context.Context, author *Author, now parsec.DateTime, device Device, encryptedAnswer []byte) (*protocol.DeviceCreateReply, error) {
	err := r.updateAt(ctx, author, now, Scope{LockOrganization: true}, func(tx Tx) error {
		if stored, exists, err := tx.Device(ctx, device.ID); err != nil {
			return err
		} else if exists && sameDevice(stored, device) {
			return nil // sent again
		} else if exists {
			return protocol.Refuse(protocol.StatusAlreadyExists, "This device already exists.")
		}
		tx.CreateDevice(device)
		tx.Emit(event.Event{Organization: author.Organization, Author: author.Device, Body: event.DeviceCreated{
			Device: device.ID, DeviceCertificate: device.Certificate, EncryptedAnswer: encryptedAnswer,
		}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &protocol.DeviceCreateReply{}, nil
}
