package memory

import (
	"bytes"
	"slices"

	"parsec-server/pkg/event"
)

// ownEvent copies what the body of e shares with its producer.
func ownEvent(e event.Event) event.Event {
	switch body := e.Body.(type) {
	case event.RealmArchivingUpdated:
		body.Configuration.DeletionDate = copyOf(body.Configuration.DeletionDate)
		e.Body = body
	case event.InviteStatusChanged:
		body.Greeters = slices.Clone(body.Greeters)
		e.Body = body
	case event.OrganizationExpiration:
		body.Date = copyOf(body.Date)
		e.Body = body
	case event.UserCreated:
		body.UserCertificate = bytes.Clone(body.UserCertificate)
		body.DeviceCertificate = bytes.Clone(body.DeviceCertificate)
		e.Body = body
	case event.DeviceCreated:
		body.DeviceCertificate = bytes.Clone(body.DeviceCertificate)
		body.EncryptedAnswer = bytes.Clone(body.EncryptedAnswer)
		e.Body = body
	case event.UserClaimed:
		body.EncryptedClaim = bytes.Clone(body.EncryptedClaim)
		e.Body = body
	case event.DeviceClaimed:
		body.EncryptedClaim = bytes.Clone(body.EncryptedClaim)
		e.Body = body
	}
	return e
}
