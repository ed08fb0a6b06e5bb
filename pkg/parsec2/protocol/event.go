package protocol

import "parsec-server/pkg/parsec"

// EventsSubscribeRequest starts the delivery of events.
type EventsSubscribeRequest struct{}

// EventsSubscribeReply has no field.
type EventsSubscribeReply struct{}

// EventsListenRequest takes the oldest event, waiting for it if asked to.
type EventsListenRequest struct {
	Wait bool `wire:"wait,optional"`
}

// Event is one event for clients; its fields are flat in the events_listen
// reply, after its name (docs/protocol/events.md §2).
type Event interface {
	// EventName is the value of "event".
	EventName() string
	// KnownTo tells whether a client of this version can read the event.
	KnownTo(api parsec.APIVersion) bool
}

type everyVersion struct{}

func (everyVersion) KnownTo(parsec.APIVersion) bool { return true }

// PingedEvent tells of a ping by another device of the organization.
type PingedEvent struct {
	Ping string `wire:"ping"`
}

// MessageReceivedEvent carries the count of the new message.
type MessageReceivedEvent struct {
	everyVersion
	Index uint64 `wire:"index"`
}

// RealmRolesUpdatedEvent tells a user of its own role.
type RealmRolesUpdatedEvent struct {
	everyVersion
	RealmID parsec.RealmID   `wire:"realm_id"`
	Role    parsec.RealmRole `wire:"role,nullable"`
}

// RealmVlobsUpdatedEvent tells of one entry of the realm's change log.
type RealmVlobsUpdatedEvent struct {
	everyVersion
	RealmID       parsec.RealmID `wire:"realm_id"`
	Checkpoint    uint64         `wire:"checkpoint"`
	SourceID      parsec.VlobID  `wire:"src_id"`
	SourceVersion uint32         `wire:"src_version"`
}

// RealmMaintenanceStartedEvent carries the new revision.
type RealmMaintenanceStartedEvent struct {
	everyVersion
	RealmID            parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

// RealmMaintenanceFinishedEvent carries the current revision.
type RealmMaintenanceFinishedEvent struct {
	everyVersion
	RealmID            parsec.RealmID `wire:"realm_id"`
	EncryptionRevision uint64         `wire:"encryption_revision"`
}

// RealmArchivingUpdatedEvent exists since API 2.10 and 3.4.
type RealmArchivingUpdatedEvent struct {
	RealmID       parsec.RealmID         `wire:"realm_id"`
	Configuration ArchivingConfiguration `wire:"configuration"`
}

// InviteStatusChangedEvent exists since API 2.0.
type InviteStatusChangedEvent struct {
	Token  parsec.InvitationToken  `wire:"token"`
	Status parsec.InvitationStatus `wire:"invitation_status"`
}

// PKIEnrollmentUpdatedEvent exists since API 2.6.
type PKIEnrollmentUpdatedEvent struct{}

// EventName is "pinged".
func (*PingedEvent) EventName() string { return "pinged" }

// EventName is "message.received".
func (*MessageReceivedEvent) EventName() string { return "message.received" }

// EventName is "realm.roles_updated".
func (*RealmRolesUpdatedEvent) EventName() string { return "realm.roles_updated" }

// EventName is "realm.vlobs_updated".
func (*RealmVlobsUpdatedEvent) EventName() string { return "realm.vlobs_updated" }

// EventName is "realm.maintenance_started".
func (*RealmMaintenanceStartedEvent) EventName() string { return "realm.maintenance_started" }

// EventName is "realm.maintenance_finished".
func (*RealmMaintenanceFinishedEvent) EventName() string { return "realm.maintenance_finished" }

// EventName is "realm.archiving_updated".
func (*RealmArchivingUpdatedEvent) EventName() string { return "realm.archiving_updated" }

// EventName is "invite.status_changed".
func (*InviteStatusChangedEvent) EventName() string { return "invite.status_changed" }

// EventName is "pki_enrollment.updated".
func (*PKIEnrollmentUpdatedEvent) EventName() string { return "pki_enrollment.updated" }

// maxPingedLength is the longest pinged text that clients up to 2.12 read.
const maxPingedLength = 64

// KnownTo refuses the texts that old clients cannot read.
func (e *PingedEvent) KnownTo(parsec.APIVersion) bool { return len([]rune(e.Ping)) <= maxPingedLength }

// KnownTo reports whether the client knows archiving.
func (*RealmArchivingUpdatedEvent) KnownTo(api parsec.APIVersion) bool {
	return parsec.Archiving.In(api)
}

// KnownTo reports whether the client knows invitations by token.
func (*InviteStatusChangedEvent) KnownTo(api parsec.APIVersion) bool {
	return parsec.Invitations.In(api)
}

// KnownTo reports whether the client knows PKI enrollments.
func (*PKIEnrollmentUpdatedEvent) KnownTo(api parsec.APIVersion) bool {
	return parsec.PKIEnrollment.In(api)
}

// NewEvent allocates the event called name, nil for an unknown one.
func NewEvent(name string) Event {
	for _, event := range []Event{
		&PingedEvent{}, &MessageReceivedEvent{}, &RealmRolesUpdatedEvent{}, &RealmVlobsUpdatedEvent{},
		&RealmMaintenanceStartedEvent{}, &RealmMaintenanceFinishedEvent{}, &RealmArchivingUpdatedEvent{},
		&InviteStatusChangedEvent{}, &PKIEnrollmentUpdatedEvent{},
	} {
		if event.EventName() == name {
			return event
		}
	}
	return nil
}
