package notice

import (
	"fmt"
	"reflect"

	"parsec-server/pkg/event"
	"parsec-server/pkg/wire"
)

// kind is one line of the table: how all events with one type of body are kept in
// an outbox.
type kind struct {
	// name begins with that of the generation. Servers of two releases may share a
	// database: a name never changes its meaning.
	name string
	body reflect.Type
	read func(data []byte) (event.Body, error)
}

// table has every event of the outbox (docs/protocol/v5/events.md §7), but for the
// expiration of organizations, which both generations share.
var table = []kind{
	of[Pinged]("parsec3.pinged"),
	of[Vlob]("parsec3.vlob"),
	of[CommonCertificate]("parsec3.common_certificate"),
	of[SequesterCertificate]("parsec3.sequester_certificate"),
	of[ShamirCertificate]("parsec3.shamir_certificate"),
	of[RealmCertificate]("parsec3.realm_certificate"),
	of[AsyncEnrollment]("parsec3.async_enrollment"),
	of[UserUpdated]("parsec3.user_updated"),
	of[UserRevokedOrFrozen]("parsec3.user_revoked_or_frozen"),
	of[UserUnfrozen]("parsec3.user_unfrozen"),
	of[Invitation]("parsec3.invitation"),
	of[GreetingAttemptCancelled]("parsec3.greeting_attempt_cancelled"),
	of[GreetingAttemptReady]("parsec3.greeting_attempt_ready"),
	of[GreetingAttemptJoined]("parsec3.greeting_attempt_joined"),
	of[GreetingAttemptChanged]("parsec3.greeting_attempt_changed"),
	of[GreetingStepSaid]("parsec3.greeting_step_said"),
	of[UploadFailed]("parsec3.upload_failed"),
	of[event.OrganizationTOSUpdated]("organization.tos_updated"),
}

func of[B event.Body](name string) kind {
	return kind{name, reflect.TypeFor[B](), func(data []byte) (event.Body, error) {
		var body B
		err := wire.Microseconds.Unmarshal(data, &body)
		return body, err
	}}
}

// Codec writes the bodies of events to an outbox, and reads them.
type Codec struct{}

// Encode returns the name of the kind of body, and its bytes.
func (Codec) Encode(body event.Body) (name string, data []byte, err error) {
	for _, k := range table {
		if k.body == reflect.TypeOf(body) {
			data, err = wire.Microseconds.Append(nil, body)
			return k.name, data, err
		}
	}
	return "", nil, fmt.Errorf("no event of the outbox is a %T", body)
}

// Decode returns the body of an event, nil for a kind that is not in the table.
func (Codec) Decode(name string, data []byte) (event.Body, error) {
	for _, k := range table {
		if k.name == name {
			return k.read(data)
		}
	}
	return nil, nil
}
