// Package event carries what happens in an organization from the transaction
// that causes it to the connections and commands that wait for it.
//
// A store publishes the events of a transaction once, after its commit, in
// commit order; the Bus hands them in that order, from one goroutine, to the
// subscriptions of the topics that each event names. Subscriptions must not
// block. docs/protocol/events.md §3 and §6 give the events and their order.
package event

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// Event is something that happened in an organization.
type Event struct {
	Organization parsec.OrganizationID
	// Author is the device whose command caused the event. Events with
	// ExcludeAuthor do not reach its connections.
	Author parsec.DeviceID
	// Body is one of the types of this file.
	Body Body
}

// Body is the content of an event. Its topics select who gets it.
type Body interface {
	topics(organization parsec.OrganizationID) []Topic
}

// ClientBody is a body that clients are told of.
type ClientBody interface {
	Body
	// Client is what they are told.
	Client() protocol.Event
}

// The events for clients.
type (
	// Pinged reaches every other device of the organization.
	Pinged struct {
		Ping string `wire:"ping"`
	}
	// MessageReceived reaches the recipient.
	MessageReceived struct {
		Recipient parsec.UserID `wire:"recipient"`
		Index     uint64        `wire:"index"`
	}
	// RealmRolesUpdated reaches the user whose role changes.
	RealmRolesUpdated struct {
		Realm parsec.RealmID   `wire:"realm_id"`
		User  parsec.UserID    `wire:"user"`
		Role  parsec.RealmRole `wire:"role,nullable"`
	}
	// RealmVlobsUpdated reaches the members of the realm.
	RealmVlobsUpdated struct {
		Realm         parsec.RealmID `wire:"realm_id"`
		Checkpoint    uint64         `wire:"checkpoint"`
		Source        parsec.VlobID  `wire:"src_id"`
		SourceVersion uint32         `wire:"src_version"`
	}
	// RealmMaintenanceStarted reaches the members of the realm.
	RealmMaintenanceStarted struct {
		Realm              parsec.RealmID `wire:"realm_id"`
		EncryptionRevision uint64         `wire:"encryption_revision"`
	}
	// RealmMaintenanceFinished reaches the members of the realm.
	RealmMaintenanceFinished struct {
		Realm              parsec.RealmID `wire:"realm_id"`
		EncryptionRevision uint64         `wire:"encryption_revision"`
	}
	// RealmArchivingUpdated reaches the members of the realm.
	RealmArchivingUpdated struct {
		Realm         parsec.RealmID                  `wire:"realm_id"`
		Configuration protocol.ArchivingConfiguration `wire:"configuration"`
	}
	// PKIEnrollmentUpdated reaches the ADMINs.
	PKIEnrollmentUpdated struct{}
	// InviteStatusChanged reaches the greeters and the invited connections.
	InviteStatusChanged struct {
		Greeters []parsec.UserID         `wire:"greeters"`
		Token    parsec.InvitationToken  `wire:"token"`
		Status   parsec.InvitationStatus `wire:"status"`
		// Owed tells that the claimer may still hear what was said before the
		// deletion.
		Owed bool `wire:"owed,optional"`
	}
)

// InviteConduitUpdated wakes who waits in a conduit.
type InviteConduitUpdated struct {
	Token   parsec.InvitationToken `wire:"token"`
	Greeter parsec.UserID          `wire:"greeter"`
}

// The events that close connections.
type (
	// Lost reaches every subscription: events may have been missed.
	Lost struct{}
	// UserRevoked closes the connections of the user.
	UserRevoked struct {
		User parsec.UserID `wire:"user_id"`
	}
	// UserFrozen closes the connections of the user.
	UserFrozen struct {
		User parsec.UserID `wire:"user_id"`
	}
	// OrganizationExpiration tells when the organization expires; its
	// connections close at that date, at once if it is past.
	OrganizationExpiration struct {
		Date *parsec.DateTime `wire:"date,nullable"`
	}
)

// The events that waiting API 1 invitation commands consume
// (docs/protocol/commands.md §9).
type (
	// UserCreated ends the wait of a user_claim.
	UserCreated struct {
		User              parsec.UserID `wire:"user_id"`
		UserCertificate   []byte        `wire:"user_certificate"`
		DeviceCertificate []byte        `wire:"first_device_certificate"`
	}
	// DeviceCreated ends the wait of a device_claim.
	DeviceCreated struct {
		Device            parsec.DeviceID `wire:"device_id"`
		DeviceCertificate []byte          `wire:"device_certificate"`
		EncryptedAnswer   []byte          `wire:"encrypted_answer"`
	}
	// UserClaimed ends the wait of a user_invite.
	UserClaimed struct {
		User           parsec.UserID `wire:"user_id"`
		EncryptedClaim []byte        `wire:"encrypted_claim"`
	}
	// DeviceClaimed ends the wait of a device_invite.
	DeviceClaimed struct {
		Device         parsec.DeviceID `wire:"device_id"`
		EncryptedClaim []byte          `wire:"encrypted_claim"`
	}
	// UserInvitationCancelled denies a user_claim.
	UserInvitationCancelled struct {
		User parsec.UserID `wire:"user_id"`
	}
	// DeviceInvitationCancelled denies a device_claim.
	DeviceInvitationCancelled struct {
		Device parsec.DeviceID `wire:"device_id"`
	}
)

// ExcludeAuthor tells that the event is not for the device that caused it
// (docs/protocol/events.md §2, last column).
func (e Event) ExcludeAuthor() bool {
	switch e.Body.(type) {
	case Pinged, RealmVlobsUpdated, RealmMaintenanceStarted, RealmMaintenanceFinished, RealmArchivingUpdated:
		return true
	default:
		return false
	}
}

// Client gives the client's form.
func (b Pinged) Client() protocol.Event { return &protocol.PingedEvent{Ping: b.Ping} }

// Client gives the client's form.
func (b MessageReceived) Client() protocol.Event {
	return &protocol.MessageReceivedEvent{Index: b.Index}
}

// Client gives the client's form.
func (b RealmRolesUpdated) Client() protocol.Event {
	return &protocol.RealmRolesUpdatedEvent{RealmID: b.Realm, Role: b.Role}
}

// Client gives the client's form.
func (b RealmVlobsUpdated) Client() protocol.Event {
	return &protocol.RealmVlobsUpdatedEvent{
		RealmID: b.Realm, Checkpoint: b.Checkpoint, SourceID: b.Source, SourceVersion: b.SourceVersion,
	}
}

// Client gives the client's form.
func (b RealmMaintenanceStarted) Client() protocol.Event {
	return &protocol.RealmMaintenanceStartedEvent{RealmID: b.Realm, EncryptionRevision: b.EncryptionRevision}
}

// Client gives the client's form.
func (b RealmMaintenanceFinished) Client() protocol.Event {
	return &protocol.RealmMaintenanceFinishedEvent{RealmID: b.Realm, EncryptionRevision: b.EncryptionRevision}
}

// Client gives the client's form.
func (b RealmArchivingUpdated) Client() protocol.Event {
	return &protocol.RealmArchivingUpdatedEvent{RealmID: b.Realm, Configuration: b.Configuration}
}

// Client gives the client's form.
func (b InviteStatusChanged) Client() protocol.Event {
	return &protocol.InviteStatusChangedEvent{Token: b.Token, Status: b.Status}
}

// Client gives the client's form.
func (PKIEnrollmentUpdated) Client() protocol.Event { return &protocol.PKIEnrollmentUpdatedEvent{} }
