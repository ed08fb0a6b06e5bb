package memory

import (
	"bytes"
	"slices"

	"parsec-server/pkg/event"
	organizationstore "parsec-server/pkg/organization/memory"
	"parsec-server/pkg/parsec2/notice"
)

// ownEvent copies what the body of e shares with its producer.
func ownEvent(e event.Event) event.Event {
	switch body := e.Body.(type) {
	case notice.RealmArchivingUpdated:
		body.Configuration.DeletionDate = organizationstore.CopyOf(body.Configuration.DeletionDate)
		e.Body = body
	case notice.InviteStatusChanged:
		body.Greeters = slices.Clone(body.Greeters)
		e.Body = body
	case notice.UserCreated:
		body.UserCertificate = bytes.Clone(body.UserCertificate)
		body.DeviceCertificate = bytes.Clone(body.DeviceCertificate)
		e.Body = body
	case notice.DeviceCreated:
		body.DeviceCertificate = bytes.Clone(body.DeviceCertificate)
		body.EncryptedAnswer = bytes.Clone(body.EncryptedAnswer)
		e.Body = body
	case notice.UserClaimed:
		body.EncryptedClaim = bytes.Clone(body.EncryptedClaim)
		e.Body = body
	case notice.DeviceClaimed:
		body.EncryptedClaim = bytes.Clone(body.EncryptedClaim)
		e.Body = body
	}
	return e
}
