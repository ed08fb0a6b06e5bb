package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// SessionReader reads what a stream of events begins with.
type SessionReader interface {
	// Registration reads who opens a stream and the realms where its user has a
	// role now, deleted ones included (docs/protocol/v5/events.md §3).
	Registration(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, []parsec.RealmID, error)
}
