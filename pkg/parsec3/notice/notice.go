// Package notice has the events of Parsec 3: what they carry, and who hears of
// them (docs/protocol/v5/events.md §2 and §7).
package notice

import (
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// ID identifies an event on every instance: clients name the last one that they
// have seen. The zero value is no event.
type ID parsec.UUID

// NewID returns a random id.
func NewID() ID { return ID(parsec.NewUUID()) }

// Pinged reaches every stream of the organization.
type Pinged struct {
	ID   ID     `wire:"event_id"`
	Ping string `wire:"ping"`
}

// Topics returns the organization.
func (Pinged) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{event.OrganizationTopic(o)}
}

// CommonCertificate reaches every stream of the organization.
type CommonCertificate struct {
	ID        ID              `wire:"event_id"`
	Timestamp parsec.DateTime `wire:"timestamp"`
}

// Topics returns the organization.
func (CommonCertificate) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{event.OrganizationTopic(o)}
}

// SequesterCertificate reaches every stream of the organization.
type SequesterCertificate struct {
	ID        ID              `wire:"event_id"`
	Timestamp parsec.DateTime `wire:"timestamp"`
}

// Topics returns the organization.
func (SequesterCertificate) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{event.OrganizationTopic(o)}
}

// ShamirCertificate reaches whom a Shamir recovery concerns: its owner and its
// recipients.
type ShamirCertificate struct {
	ID        ID               `wire:"event_id"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	Users     []parsec3.UserID `wire:"user_ids"`
}

// Topics returns the users.
func (b ShamirCertificate) Topics(o parsec.OrganizationID) []event.Topic {
	topics := make([]event.Topic, len(b.Users))
	for i, user := range b.Users {
		topics[i] = UserTopic(o, user)
	}
	return topics
}

// AsyncEnrollment reaches whoever is ADMIN at the moment.
type AsyncEnrollment struct {
	ID ID `wire:"event_id"`
}

// Topics returns the administrators.
func (AsyncEnrollment) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{AdministratorsTopic(o)}
}

// RealmCertificate reaches the members of the realm, and the user that the
// certificate gives a role or takes it from.
type RealmCertificate struct {
	ID        ID              `wire:"event_id"`
	Timestamp parsec.DateTime `wire:"timestamp"`
	Realm     parsec.RealmID  `wire:"realm_id"`
	// User is the target of a role certificate, the author of another.
	User parsec3.UserID `wire:"user_id"`
	// RoleRemoved is of a certificate that takes the role of the user.
	RoleRemoved bool `wire:"role_removed"`
}

// Topics returns the realm and the user.
func (b RealmCertificate) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{RealmTopic(o, b.Realm), UserTopic(o, b.User)}
}

// Vlob reaches the members of the realm, but for the device that wrote.
type Vlob struct {
	ID        ID               `wire:"event_id"`
	Realm     parsec.RealmID   `wire:"realm_id"`
	Vlob      parsec.VlobID    `wire:"vlob_id"`
	Author    parsec3.DeviceID `wire:"author"`
	Timestamp parsec.DateTime  `wire:"timestamp"`
	Version   uint32           `wire:"version"`
	// Blob is nil if it has MaxBlob bytes or more.
	Blob            []byte          `wire:"blob,nullable"`
	LastCommon      parsec.DateTime `wire:"last_common_certificate_timestamp"`
	LastCertificate parsec.DateTime `wire:"last_realm_certificate_timestamp"`
}

// MaxBlob is the length, in bytes, from which the event leaves the blob of a vlob
// out (docs/protocol/v5/events.md §2.2).
const MaxBlob = 4096

// Topics returns the realm.
func (b Vlob) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{RealmTopic(o, b.Realm)}
}

// UserUpdated is for the streams of a user: it has another profile.
type UserUpdated struct {
	User    parsec3.UserID     `wire:"user_id"`
	Profile parsec.UserProfile `wire:"new_profile"`
}

// Topics returns the user.
func (b UserUpdated) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.User)}
}

// UserRevokedOrFrozen ends the streams of a user.
type UserRevokedOrFrozen struct {
	User parsec3.UserID `wire:"user_id"`
}

// Topics returns the user.
func (b UserRevokedOrFrozen) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.User)}
}

// UserUnfrozen lets a user in again.
type UserUnfrozen struct {
	User parsec3.UserID `wire:"user_id"`
}

// Topics returns the user.
func (b UserUnfrozen) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.User)}
}

// UploadFailed tells the other instances, and no client, of the upload of a new entry
// that failed in a way that clients do not survive (docs/protocol/v5/quirks.md §11).
type UploadFailed struct {
	Device parsec3.DeviceID `wire:"device_id"`
	On     parsec.DateTime  `wire:"failed_on"`
}

// Topics returns none: each instance takes note of it.
func (UploadFailed) Topics(parsec.OrganizationID) []event.Topic { return nil }

// Invitation reaches those who may greet its claimer.
type Invitation struct {
	ID     ID                        `wire:"event_id"`
	Token  parsec3.AccessToken       `wire:"token"`
	Status protocol.InvitationStatus `wire:"invitation_status"`
	// Administrators reports that all who are ADMIN may greet, and nobody else.
	Administrators bool             `wire:"administrators"`
	Greeters       []parsec3.UserID `wire:"greeters,nullable"`
}

// Topics returns the administrators, or each greeter.
func (b Invitation) Topics(o parsec.OrganizationID) []event.Topic {
	if b.Administrators {
		return []event.Topic{AdministratorsTopic(o)}
	}
	topics := make([]event.Topic, len(b.Greeters))
	for i, greeter := range b.Greeters {
		topics[i] = UserTopic(o, greeter)
	}
	return topics
}

// GreetingAttemptCancelled reaches the greeter.
type GreetingAttemptCancelled struct {
	ID      ID                        `wire:"event_id"`
	Token   parsec3.AccessToken       `wire:"token"`
	Greeter parsec3.UserID            `wire:"greeter"`
	Attempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
}

// Topics returns the greeter.
func (b GreetingAttemptCancelled) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.Greeter)}
}

// GreetingAttemptReady reaches the greeter: the claimer waits for it.
type GreetingAttemptReady struct {
	ID      ID                        `wire:"event_id"`
	Token   parsec3.AccessToken       `wire:"token"`
	Greeter parsec3.UserID            `wire:"greeter"`
	Attempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
}

// Topics returns the greeter.
func (b GreetingAttemptReady) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.Greeter)}
}

// GreetingAttemptJoined reaches the greeter: one of its devices has met the claimer.
type GreetingAttemptJoined struct {
	ID      ID                        `wire:"event_id"`
	Token   parsec3.AccessToken       `wire:"token"`
	Greeter parsec3.UserID            `wire:"greeter"`
	Attempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
}

// Topics returns the greeter.
func (b GreetingAttemptJoined) Topics(o parsec.OrganizationID) []event.Topic {
	return []event.Topic{UserTopic(o, b.Greeter)}
}

// GreetingAttemptChanged tells the other instances, and no client, that an attempt
// has another version.
type GreetingAttemptChanged struct {
	Attempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
	Version uint64                    `wire:"version"`
}

// Topics returns none: each instance takes note of it.
func (GreetingAttemptChanged) Topics(parsec.OrganizationID) []event.Topic { return nil }

// Known implements event.Known.
func (GreetingAttemptChanged) Known() {}

// GreetingStepSaid tells the other instances, and no client, what a side has said,
// which makes the version of the attempt.
type GreetingStepSaid struct {
	Attempt parsec3.GreetingAttemptID `wire:"greeting_attempt"`
	Version uint64                    `wire:"version"`
	Side    protocol.Side             `wire:"side"`
	Step    uint8                     `wire:"step"`
	// Said is nil if it has MaxBlob bytes or more.
	Said []byte `wire:"said,nullable"`
}

// Topics returns none: each instance takes note of it.
func (GreetingStepSaid) Topics(parsec.OrganizationID) []event.Topic { return nil }

// Known implements event.Known.
func (GreetingStepSaid) Known() {}

// UserTopic has the events that concern a user.
func UserTopic(organization parsec.OrganizationID, user parsec3.UserID) event.Topic {
	return event.Topic{Organization: organization, Kind: "parsec3 user", ID: parsec.UUID(user)}
}

// AdministratorsTopic has the events that concern whoever is ADMIN at the moment.
func AdministratorsTopic(organization parsec.OrganizationID) event.Topic {
	return event.Topic{Organization: organization, Kind: "parsec3 administrators"}
}

// RealmTopic has the events that concern the members of a realm.
func RealmTopic(organization parsec.OrganizationID, realm parsec.RealmID) event.Topic {
	return event.Topic{Organization: organization, Kind: "parsec3 realm", ID: parsec.UUID(realm)}
}

// ForClients is the body of an event that clients are told of. Streams resume
// after one by its id.
type ForClients interface {
	event.Body
	// EventID identifies the event.
	EventID() ID
}

// EventID implements ForClients.
func (b Pinged) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b Vlob) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b CommonCertificate) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b SequesterCertificate) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b ShamirCertificate) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b AsyncEnrollment) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b RealmCertificate) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b Invitation) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b GreetingAttemptCancelled) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b GreetingAttemptReady) EventID() ID { return b.ID }

// EventID implements ForClients.
func (b GreetingAttemptJoined) EventID() ID { return b.ID }
