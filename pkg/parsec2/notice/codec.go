package notice

import (
	"fmt"
	"reflect"

	"parsec-server/pkg/event"
	"parsec-server/pkg/wire"
)

// Codec writes the bodies of events to an outbox, and reads them.
type Codec struct{}

// Encode returns the name of the kind of body, and its bytes.
func (Codec) Encode(body event.Body) (kind string, data []byte, err error) {
	of, found := byBody[reflect.TypeOf(body)]
	if !found {
		return "", nil, fmt.Errorf("no event of the outbox is a %T", body)
	}
	data, err = wire.Marshal(body)
	return of.Name, data, err
}

// Decode returns the body of an event, nil for a kind that only a later server
// knows.
func (Codec) Decode(kind string, data []byte) (event.Body, error) {
	of, found := byName[kind]
	if !found {
		return nil, nil
	}
	return of.read(data)
}
