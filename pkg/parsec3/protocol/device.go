package protocol

// DeviceCreateRequest adds a device to the author's user.
type DeviceCreateRequest struct {
	DeviceCertificate         []byte `wire:"device_certificate"`
	RedactedDeviceCertificate []byte `wire:"redacted_device_certificate"`
}

// DeviceCreateReply has no field.
type DeviceCreateReply struct{}
