// Package notice has the events of API 1 to 3: what they carry, and the table
// that says who is told of them and how (docs/protocol/events.md §2 and §6).
package notice

import (
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// ForClients is the body of an event that clients are told of.
type ForClients interface {
	event.Body
	// Kind returns the line of the table for events with such a body.
	Kind() *Kind
}

// Pinged reaches every other device of the organization.
type Pinged struct {
	Ping string `wire:"ping"`
}

// Topics returns the organization.
func (Pinged) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{event.OrganizationTopic(o)}
}

// MessageReceived reaches the recipient.
type MessageReceived struct {
	Recipient parsec.UserID `wire:"recipient"`
	Index     uint64        `wire:"index"`
}

// Topics returns the recipient.
func (b MessageReceived) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.Recipient)}
}

// RealmRolesUpdated reaches the user whose role changes.
type RealmRolesUpdated struct {
	Realm parsec.RealmID   `wire:"realm_id"`
	User  parsec.UserID    `wire:"user"`
	Role  parsec.RealmRole `wire:"role,nullable"`
}

// Topics returns the user.
func (b RealmRolesUpdated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.User)}
}

// RealmVlobsUpdated reaches the members of the realm.
type RealmVlobsUpdated struct {
	Realm         parsec.RealmID `wire:"realm_id"`
	Checkpoint    uint64         `wire:"checkpoint"`
	Source        parsec.VlobID  `wire:"src_id"`
	SourceVersion uint32         `wire:"src_version"`
}

// Topics returns the realm.
func (b RealmVlobsUpdated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{RealmTopic(o, b.Realm)}
}

// RealmMaintenanceStarted reaches the members of the realm.
type RealmMaintenanceStarted struct {
	Realm              parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

// Topics returns the realm.
func (b RealmMaintenanceStarted) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{RealmTopic(o, b.Realm)}
}

// RealmMaintenanceFinished reaches the members of the realm.
type RealmMaintenanceFinished struct {
	Realm              parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

// Topics returns the realm.
func (b RealmMaintenanceFinished) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{RealmTopic(o, b.Realm)}
}

// RealmArchivingUpdated reaches the members of the realm.
type RealmArchivingUpdated struct {
	Realm         parsec.RealmID                  `wire:"realm_id"`
	Configuration protocol.ArchivingConfiguration `wire:"configuration"`
}

// Topics returns the realm.
func (b RealmArchivingUpdated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{RealmTopic(o, b.Realm)}
}

// InviteStatusChanged reaches the greeters and the invited connections.
type InviteStatusChanged struct {
	Greeters []parsec.UserID         `wire:"greeters"`
	Token    parsec.InvitationToken  `wire:"token"`
	Status   parsec.InvitationStatus `wire:"status"`
	// Owed is true if the claimer may still hear what was said before the
	// deletion.
	Owed bool `wire:"owed,optional"`
}

// Topics returns the invitation and the greeters.
func (b InviteStatusChanged) Topics(o parsec.OrganizationID) []event.Topic {
	topics := make([]event.Topic, 0, 1+len(b.Greeters))
	topics = append(topics, InvitationTopic(o, b.Token))
	for _, greeter := range b.Greeters {
		topics = append(topics, UserTopic(o, greeter))
	}
	return topics
}

// PKIEnrollmentUpdated reaches the ADMINs.
type PKIEnrollmentUpdated struct{}

// Topics returns the ADMINs.
func (PKIEnrollmentUpdated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{AdministratorsTopic(o)}
}

// InviteConduitUpdated wakes who waits in a conduit.
type InviteConduitUpdated struct {
	Token   parsec.InvitationToken `wire:"token"`
	Greeter parsec.UserID          `wire:"greeter"`
}

// Topics returns the invitation.
func (b InviteConduitUpdated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{InvitationTopic(o, b.Token)}
}

// UserRevoked closes the connections of the user.
type UserRevoked struct {
	User parsec.UserID `wire:"user_id"`
}

// Topics returns the user.
func (b UserRevoked) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.User)}
}

// UserFrozen closes the connections of the user.
type UserFrozen struct {
	User parsec.UserID `wire:"user_id"`
}

// Topics returns the user.
func (b UserFrozen) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.User)}
}

// UserCreated ends the wait of a user_claim. It and what follows is for the
// invitation commands of API 1 (docs/protocol/commands.md §9).
type UserCreated struct {
	User              parsec.UserID `wire:"user_id"`
	UserCertificate   []byte        `wire:"user_certificate"`
	DeviceCertificate []byte        `wire:"first_device_certificate"`
}

// Topics returns the invitation of the user.
func (b UserCreated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserInviteTopic(o, b.User)}
}

// DeviceCreated ends the wait of a device_claim.
type DeviceCreated struct {
	Device            parsec.DeviceID `wire:"device_id"`
	DeviceCertificate []byte          `wire:"device_certificate"`
	EncryptedAnswer   []byte          `wire:"encrypted_answer"`
}

// Topics returns the invitation of the device.
func (b DeviceCreated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{DeviceInviteTopic(o, b.Device)}
}

// UserClaimed ends the wait of a user_invite.
type UserClaimed struct {
	User           parsec.UserID `wire:"user_id"`
	EncryptedClaim []byte        `wire:"encrypted_claim"`
}

// Topics returns the invitation of the user.
func (b UserClaimed) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserInviteTopic(o, b.User)}
}

// DeviceClaimed ends the wait of a device_invite.
type DeviceClaimed struct {
	Device         parsec.DeviceID `wire:"device_id"`
	EncryptedClaim []byte          `wire:"encrypted_claim"`
}

// Topics returns the invitation of the device.
func (b DeviceClaimed) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{DeviceInviteTopic(o, b.Device)}
}

// UserInvitationCancelled denies a user_claim.
type UserInvitationCancelled struct {
	User parsec.UserID `wire:"user_id"`
}

// Topics returns the invitation of the user.
func (b UserInvitationCancelled) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserInviteTopic(o, b.User)}
}

// DeviceInvitationCancelled denies a device_claim.
type DeviceInvitationCancelled struct {
	Device parsec.DeviceID `wire:"device_id"`
}

// Topics returns the invitation of the device.
func (b DeviceInvitationCancelled) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{DeviceInviteTopic(o, b.Device)}
}
