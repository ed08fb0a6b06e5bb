package postgres

import (
	"fmt"
	"reflect"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
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

// outboxRow is the events of one transaction, in columns.
type outboxRow struct {
	id                            int64
	organizations, authors, kinds []string
	bodies                        [][]byte
}

// outboxInsert writes events as one row, and nothing for none.
func outboxInsert(events []event.Event) ([]statement, error) {
	if len(events) == 0 {
		return nil, nil
	}
	var row outboxRow
	for _, e := range events {
		kind, found := kindsByBody[reflect.TypeOf(e.Body)]
		if !found {
			return nil, fmt.Errorf("no event of the outbox is a %T", e.Body)
		}
		body, err := wire.Marshal(e.Body)
		if err != nil {
			return nil, fmt.Errorf("write an event: %w", err)
		}
		row.organizations = append(row.organizations, e.Organization.String())
		row.authors = append(row.authors, e.Author.String())
		row.kinds = append(row.kinds, kind.name)
		row.bodies = append(row.bodies, body)
	}
	return []statement{{
		sql:  "INSERT INTO event_outbox (organizations, authors, kinds, bodies) VALUES ($1, $2, $3, $4)",
		args: []any{row.organizations, row.authors, row.kinds, row.bodies},
	}}, nil
}

// events are those of the row. The errors are of those that this server does
// not know, as a later one may write; they are left out.
func (r *outboxRow) events() (events []event.Event, problems []error) {
	for i, name := range r.kinds {
		e, err := readEvent(r.organizations[i], r.authors[i], name, r.bodies[i])
		if err != nil {
			problems = append(problems, fmt.Errorf("read the event %q of row %d: %w", name, r.id, err))
			continue
		}
		events = append(events, e)
	}
	return events, problems
}

func readEvent(organization, author, name string, body []byte) (e event.Event, err error) {
	kind, found := kindsByName[name]
	if !found {
		return e, fmt.Errorf("unknown kind")
	}
	if e.Organization, err = parsec.ParseOrganizationID(organization); err != nil {
		return e, err
	}
	if author != "" {
		if e.Author, err = parsec.ParseDeviceID(author); err != nil {
			return e, err
		}
	}
	e.Body, err = kind.read(body)
	return e, err
}
