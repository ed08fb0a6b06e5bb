package rules

import (
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Standing is who asks, as found in the snapshot of what is asked. It is nil for
// what does not exist.
type Standing struct {
	Organization *organization.Organization
	User         *User
	Device       *Device
}

// AuthenticationReader reads who sends a request.
type AuthenticationReader interface {
	// Authentication reads what the checks of docs/protocol/v5/commands.md §3 need.
	Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, error)
}
