package notice

import (
	"reflect"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// Kind is one line of the table: what is known of all events with one type of
// body. The body itself has their topics.
type Kind struct {
	// Name is that of the outbox, and what clients see. Servers of two versions
	// may share a database: a name never changes its meaning.
	Name string
	body reflect.Type
	read func(data []byte) (event.Body, error)

	// The fields below are for events that clients are told of.

	// in reports whether clients of a version know the event. It is nil for the
	// events that no client is told of.
	in func(parsec.APIVersion) bool
	// ForAuthor has the event reach the device that caused it as well.
	ForAuthor bool
	// Excess says when the event is left out because others wait already.
	Excess Excess
	told   func(event.Body) protocol.Event
	fresh  func() protocol.Event
	// Equal reports whether waiting, of any kind, says the same as told, which is
	// of this kind.
	Equal func(waiting, told protocol.Event) bool
}

// Excess says when an event may be left out for a client. Strangers and users
// without any right cause such events, and must not end its session by them.
type Excess uint8

const (
	// NoExcess is for events that are never left out.
	NoExcess Excess = iota
	// Crowded events mean nothing, and are left out where many others wait.
	Crowded
	// Repeated events only make the client look: of equal ones, one is enough.
	Repeated
)

// The events for clients, by docs/protocol/events.md §2.
var (
	pinged = forClients(Kind{Name: "pinged", in: everyVersion, Excess: Crowded}, func(b Pinged) *protocol.PingedEvent {
		if len([]rune(b.Ping)) > maxPingLength {
			return nil
		}
		return &protocol.PingedEvent{Ping: b.Ping}
	})
	messageReceived = forClients(Kind{Name: "message.received", in: everyVersion, ForAuthor: true, Excess: Repeated},
		func(b MessageReceived) *protocol.MessageReceivedEvent {
			return &protocol.MessageReceivedEvent{Index: b.Index}
		})
	realmRolesUpdated = forClients(Kind{Name: "realm.roles_updated", in: everyVersion, ForAuthor: true},
		func(b RealmRolesUpdated) *protocol.RealmRolesUpdatedEvent {
			return &protocol.RealmRolesUpdatedEvent{RealmID: b.Realm, Role: b.Role}
		})
	realmVlobsUpdated = forClients(Kind{Name: "realm.vlobs_updated", in: everyVersion},
		func(b RealmVlobsUpdated) *protocol.RealmVlobsUpdatedEvent {
			return &protocol.RealmVlobsUpdatedEvent{
				RealmID: b.Realm, Checkpoint: b.Checkpoint, SourceID: b.Source, SourceVersion: b.SourceVersion,
			}
		})
	realmMaintenanceStarted = forClients(Kind{Name: "realm.maintenance_started", in: everyVersion},
		func(b RealmMaintenanceStarted) *protocol.RealmMaintenanceStartedEvent {
			return &protocol.RealmMaintenanceStartedEvent{RealmID: b.Realm, EncryptionRevision: b.EncryptionRevision}
		})
	realmMaintenanceFinished = forClients(Kind{Name: "realm.maintenance_finished", in: everyVersion},
		func(b RealmMaintenanceFinished) *protocol.RealmMaintenanceFinishedEvent {
			return &protocol.RealmMaintenanceFinishedEvent{RealmID: b.Realm, EncryptionRevision: b.EncryptionRevision}
		})
	realmArchivingUpdated = forClients(Kind{Name: "realm.archiving_updated", in: parsec.Archiving.In},
		func(b RealmArchivingUpdated) *protocol.RealmArchivingUpdatedEvent {
			return &protocol.RealmArchivingUpdatedEvent{RealmID: b.Realm, Configuration: b.Configuration}
		})
	inviteStatusChanged = forClients(Kind{Name: "invite.status_changed", in: parsec.Invitations.In, ForAuthor: true},
		func(b InviteStatusChanged) *protocol.InviteStatusChangedEvent {
			return &protocol.InviteStatusChangedEvent{Token: b.Token, Status: b.Status}
		})
	pkiEnrollmentUpdated = forClients(Kind{Name: "pki_enrollment.updated", in: parsec.PKIEnrollment.In, ForAuthor: true, Excess: Repeated},
		func(PKIEnrollmentUpdated) *protocol.PKIEnrollmentUpdatedEvent {
			return &protocol.PKIEnrollmentUpdatedEvent{}
		})
)

// table has every event of the outbox, by docs/protocol/events.md §6.
var table = []*Kind{
	pinged, messageReceived, realmRolesUpdated, realmVlobsUpdated, realmMaintenanceStarted, realmMaintenanceFinished,
	realmArchivingUpdated, inviteStatusChanged,
	within[InviteConduitUpdated]("invite.conduit_updated"),
	pkiEnrollmentUpdated,
	within[UserRevoked]("user.revoked"),
	within[UserFrozen]("user.frozen"),
	within[event.OrganizationExpiration]("organization.expiration"),
	within[UserCreated]("user.created"),
	within[DeviceCreated]("device.created"),
	within[UserClaimed]("user.claimed"),
	within[DeviceClaimed]("device.claimed"),
	within[UserInvitationCancelled]("user.invitation.cancelled"),
	within[DeviceInvitationCancelled]("device.invitation.cancelled"),
}

var (
	byName = map[string]*Kind{}
	byBody = map[reflect.Type]*Kind{}
)

func init() {
	for _, kind := range table {
		byName[kind.Name], byBody[kind.body] = kind, kind
	}
}

// maxPingLength is the longest text that clients up to 2.12 read; nobody hears
// of longer pings.
const maxPingLength = 64

func everyVersion(parsec.APIVersion) bool { return true }

// within returns the line of an event that no client is told of.
func within[B event.Body](name string) *Kind { return withBody[B](Kind{Name: name}) }

func withBody[B event.Body](k Kind) *Kind {
	k.body = reflect.TypeFor[B]()
	k.read = func(data []byte) (event.Body, error) {
		var body B
		err := wire.Unmarshal(data, &body)
		return body, err
	}
	return &k
}

// forClients returns the line of an event that clients are told of, as told
// says, unless it says nil.
func forClients[B ForClients, F comparable, P interface {
	*F
	protocol.Event
}](k Kind, told func(B) P) *Kind {
	k.told = func(body event.Body) protocol.Event {
		if e := told(body.(B)); e != nil {
			return e
		}
		return nil
	}
	k.fresh = func() protocol.Event { return P(new(F)) }
	k.Equal = func(waiting, told protocol.Event) bool {
		first, ok := waiting.(P)
		return ok && *first == *told.(P)
	}
	return withBody[B](k)
}

// New allocates the form for clients of the event called name, nil for an
// unknown one.
func New(name string) protocol.Event {
	if of, found := byName[name]; found && of.fresh != nil {
		return of.fresh()
	}
	return nil
}

// Told returns what a client of version api is told of an event of this kind,
// nil if it is not told.
func (k *Kind) Told(api parsec.APIVersion, body ForClients) protocol.Event {
	if !k.in(api) {
		return nil
	}
	return k.told(body)
}

// Kind returns the line of "pinged".
func (Pinged) Kind() *Kind { return pinged }

// Kind returns the line of "message.received".
func (MessageReceived) Kind() *Kind { return messageReceived }

// Kind returns the line of "realm.roles_updated".
func (RealmRolesUpdated) Kind() *Kind { return realmRolesUpdated }

// Kind returns the line of "realm.vlobs_updated".
func (RealmVlobsUpdated) Kind() *Kind { return realmVlobsUpdated }

// Kind returns the line of "realm.maintenance_started".
func (RealmMaintenanceStarted) Kind() *Kind { return realmMaintenanceStarted }

// Kind returns the line of "realm.maintenance_finished".
func (RealmMaintenanceFinished) Kind() *Kind { return realmMaintenanceFinished }

// Kind returns the line of "realm.archiving_updated".
func (RealmArchivingUpdated) Kind() *Kind { return realmArchivingUpdated }

// Kind returns the line of "invite.status_changed".
func (InviteStatusChanged) Kind() *Kind { return inviteStatusChanged }

// Kind returns the line of "pki_enrollment.updated".
func (PKIEnrollmentUpdated) Kind() *Kind { return pkiEnrollmentUpdated }
