// Package notice says how the events of API 1 to 3 are written down.
package notice

import (
	"fmt"
	"reflect"

	"parsec-server/pkg/event"
	"parsec-server/pkg/wire"
)

// kind is a type of body, under the name that the outbox has for it. Servers of
// two versions may share a database: a name never changes its meaning.
type kind struct {
	name string
	body reflect.Type
	read func(data []byte) (event.Body, error)
}

func kindOf[B event.Body](name string) kind {
	return kind{name, reflect.TypeFor[B](), func(data []byte) (event.Body, error) {
		var body B
		err := wire.Unmarshal(data, &body)
		return body, err
	}}
}

// kinds are the names of docs/protocol/events.md §6.
var kinds = []kind{
	kindOf[event.Pinged]("pinged"),
	kindOf[event.MessageReceived]("message.received"),
	kindOf[event.RealmRolesUpdated]("realm.roles_updated"),
	kindOf[event.RealmVlobsUpdated]("realm.vlobs_updated"),
	kindOf[event.RealmMaintenanceStarted]("realm.maintenance_started"),
	kindOf[event.RealmMaintenanceFinished]("realm.maintenance_finished"),
	kindOf[event.RealmArchivingUpdated]("realm.archiving_updated"),
	kindOf[event.InviteStatusChanged]("invite.status_changed"),
	kindOf[event.InviteConduitUpdated]("invite.conduit_updated"),
	kindOf[event.PKIEnrollmentUpdated]("pki_enrollment.updated"),
	kindOf[event.UserRevoked]("user.revoked"),
	kindOf[event.UserFrozen]("user.frozen"),
	kindOf[event.OrganizationExpiration]("organization.expiration"),
	kindOf[event.UserCreated]("user.created"),
	kindOf[event.DeviceCreated]("device.created"),
	kindOf[event.UserClaimed]("user.claimed"),
	kindOf[event.DeviceClaimed]("device.claimed"),
	kindOf[event.UserInvitationCancelled]("user.invitation.cancelled"),
	kindOf[event.DeviceInvitationCancelled]("device.invitation.cancelled"),
}

var (
	kindsByName = map[string]*kind{}
	kindsByBody = map[reflect.Type]*kind{}
)

func init() {
	for i := range kinds {
		kindsByName[kinds[i].name] = &kinds[i]
		kindsByBody[kinds[i].body] = &kinds[i]
	}
}

// Codec writes the bodies of events to an outbox, and reads them.
type Codec struct{}

// Encode returns the name of the kind of body, and its bytes.
func (Codec) Encode(body event.Body) (kind string, data []byte, err error) {
	of, found := kindsByBody[reflect.TypeOf(body)]
	if !found {
		return "", nil, fmt.Errorf("no event of the outbox is a %T", body)
	}
	data, err = wire.Marshal(body)
	return of.name, data, err
}

// Decode returns the body of an event, nil for a kind that only a later server
// knows.
func (Codec) Decode(kind string, data []byte) (event.Body, error) {
	of, found := kindsByName[kind]
	if !found {
		return nil, nil
	}
	return of.read(data)
}
