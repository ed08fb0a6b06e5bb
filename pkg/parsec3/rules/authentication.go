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

// checkStanding applies the checks that begin every command of a device
// (docs/protocol/v5/commands.md §4). Whether the user is frozen, and has accepted
// the terms of service, is checked once, before the command.
func checkStanding(o *organization.Organization, user *User, now parsec.DateTime) error {
	switch {
	case o == nil || o.Bound() != organization.Parsec3:
		return OrganizationNotFound
	case o.Expired(now):
		return OrganizationExpired
	case user == nil:
		return UnknownDevice
	case user.RevokedOn != nil:
		return UserRevoked
	default:
		return nil
	}
}

// checkAccess applies the checks of a device that begins something
// (docs/protocol/v5/commands.md §3, 6 to 11).
func checkAccess(standing Standing, now parsec.DateTime) error {
	if err := checkStanding(standing.Organization, standing.User, now); err != nil {
		return err
	}
	if standing.User.Frozen {
		return UserFrozen
	}
	return checkTOS(standing)
}

// checkTOS wants the terms of service accepted at or after their date.
func checkTOS(standing Standing) error {
	tos, accepted := standing.Organization.TOS, standing.User.TOSAcceptedOn
	if tos != nil && (accepted == nil || *accepted < tos.UpdatedOn) {
		return MustAcceptTOS
	}
	return nil
}

// AuthenticationReader reads who sends a request.
type AuthenticationReader interface {
	// Authentication reads what the checks of docs/protocol/v5/commands.md §3 need.
	Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, error)
}
