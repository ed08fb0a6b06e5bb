package protocol

import "parsec-server/pkg/parsec"

// EventsSubscribeRequest starts the delivery of events.
type EventsSubscribeRequest struct{}

// EventsListenRequest takes the oldest event, waiting for it if asked to.
type EventsListenRequest struct {
	Wait bool `wire:"wait,optional"`
}

// Event is one event for clients; its fields are flat in the events_listen
// reply, after its name (docs/protocol/events.md §2).
type Event interface {
	// EventName returns the value of "event".
	EventName() string
}

// PingedEvent reports a ping by another device of the organization.
type PingedEvent struct {
	Ping string `wire:"ping"`
}

// MessageReceivedEvent carries the count of the new message.
type MessageReceivedEvent struct {
	Index uint64 `wire:"index"`
}

// RealmRolesUpdatedEvent tells a user its own role.
type RealmRolesUpdatedEvent struct {
	RealmID parsec.RealmID   `wire:"realm_id"`
	Role    parsec.RealmRole `wire:"role,nullable"`
}

// RealmVlobsUpdatedEvent reports one entry of the realm's change log.
type RealmVlobsUpdatedEvent struct {
	RealmID       parsec.RealmID `wire:"realm_id"`
	Checkpoint    uint64         `wire:"checkpoint"`
	SourceID      parsec.VlobID  `wire:"src_id"`
	SourceVersion uint32         `wire:"src_version"`
}

// RealmMaintenanceStartedEvent carries the new revision.
type RealmMaintenanceStartedEvent struct {
	RealmID            parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

// RealmMaintenanceFinishedEvent carries the current revision.
type RealmMaintenanceFinishedEvent struct {
	RealmID            parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

// RealmArchivingUpdatedEvent reports a realm that is archived, planned to be
// deleted, or neither.
type RealmArchivingUpdatedEvent struct {
	RealmID       parsec.RealmID         `wire:"realm_id"`
	Configuration ArchivingConfiguration `wire:"configuration"`
}

// InviteStatusChangedEvent tells a greeter the status of its invitation.
type InviteStatusChangedEvent struct {
	Token  parsec.InvitationToken  `wire:"token"`
	Status parsec.InvitationStatus `wire:"invitation_status"`
}

// PKIEnrollmentUpdatedEvent asks the ADMINs to look at the enrollments.
type PKIEnrollmentUpdatedEvent struct{}

// EventName returns "pinged".
func (*PingedEvent) EventName() string { return "pinged" }

// EventName returns "message.received".
func (*MessageReceivedEvent) EventName() string { return "message.received" }

// EventName returns "realm.roles_updated".
func (*RealmRolesUpdatedEvent) EventName() string { return "realm.roles_updated" }

// EventName returns "realm.vlobs_updated".
func (*RealmVlobsUpdatedEvent) EventName() string { return "realm.vlobs_updated" }

// EventName returns "realm.maintenance_started".
func (*RealmMaintenanceStartedEvent) EventName() string { return "realm.maintenance_started" }

// EventName returns "realm.maintenance_finished".
func (*RealmMaintenanceFinishedEvent) EventName() string { return "realm.maintenance_finished" }

// EventName returns "realm.archiving_updated".
func (*RealmArchivingUpdatedEvent) EventName() string { return "realm.archiving_updated" }

// EventName returns "invite.status_changed".
func (*InviteStatusChangedEvent) EventName() string { return "invite.status_changed" }

// EventName returns "pki_enrollment.updated".
func (*PKIEnrollmentUpdatedEvent) EventName() string { return "pki_enrollment.updated" }
