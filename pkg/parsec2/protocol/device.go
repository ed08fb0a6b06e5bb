package protocol

// DeviceCreateRequest is the form of API 2 and 3.
type DeviceCreateRequest struct {
	DeviceCertificate         []byte `wire:"device_certificate"`
	RedactedDeviceCertificate []byte `wire:"redacted_device_certificate"`
}

// DeviceCreateV1Request is the form of API 1; the answer goes to the claimer.
type DeviceCreateV1Request struct {
	DeviceCertificate []byte `wire:"device_certificate"`
	EncryptedAnswer   []byte `wire:"encrypted_answer"`
}
