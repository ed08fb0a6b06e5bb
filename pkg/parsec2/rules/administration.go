package rules

import (
	"context"
	"errors"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec2/protocol"
)

// Administration is the commands of administrators over API 1.
type Administration struct{ *organization.Administration }

// AdministrationCreate creates an organization
// (docs/protocol/administration.md §2).
func (a Administration) AdministrationCreate(ctx context.Context, by organization.Administrator, request *protocol.AdministrationCreateRequest) (*protocol.AdministrationCreateReply, error) {
	expiration := &organization.Expiration{Date: request.ExpirationDate}
	token, err := a.Create(ctx, by, request.OrganizationID, organization.Change{Expiration: expiration})
	if err != nil {
		return nil, administrationRefusal(err)
	}
	return &protocol.AdministrationCreateReply{BootstrapToken: token, ExpirationDate: request.ExpirationDate}, nil
}

// AdministrationUpdate changes an organization
// (docs/protocol/administration.md §2).
func (a Administration) AdministrationUpdate(ctx context.Context, by organization.Administrator, request *protocol.AdministrationUpdateRequest) (*protocol.EmptyReply, error) {
	given := organization.Change{UserProfileOutsiderAllowed: request.UserProfileOutsiderAllowed}
	if date := request.ExpirationDate; date == nil || *date != protocol.Unchanged {
		given.Expiration = &organization.Expiration{Date: date}
	}
	if err := a.Update(ctx, by, request.OrganizationID, given); err != nil {
		return nil, administrationRefusal(err)
	}
	return &protocol.EmptyReply{}, nil
}

// AdministrationStatus returns the state of an organization
// (docs/protocol/administration.md §2).
func (a Administration) AdministrationStatus(ctx context.Context, _ organization.Administrator, request *protocol.AdministrationStatusRequest) (*protocol.AdministrationStatusReply, error) {
	found, err := a.Find(ctx, request.OrganizationID)
	if err != nil {
		return nil, administrationRefusal(err)
	}
	return &protocol.AdministrationStatusReply{
		IsBootstrapped:             found.Bootstrapped(),
		ExpirationDate:             found.ExpirationDate,
		UserProfileOutsiderAllowed: found.UserProfileOutsiderAllowed,
	}, nil
}

// AdministrationStats sums up an organization
// (docs/protocol/administration.md §2).
func (a Administration) AdministrationStats(ctx context.Context, _ organization.Administrator, request *protocol.AdministrationStatsRequest) (*protocol.AdministrationStatsReply, error) {
	statistics, err := a.Statistics(ctx, request.OrganizationID)
	if err != nil {
		return nil, administrationRefusal(err)
	}
	active, revoked := statistics.Users()
	return &protocol.AdministrationStatsReply{
		Users:        active + revoked,
		DataSize:     statistics.DataSize,
		MetadataSize: statistics.MetadataSize,
		Workspaces:   statistics.Realms,
	}, nil
}

// administrationRefusal returns what clients are told of an error.
func administrationRefusal(err error) error {
	switch {
	case errors.Is(err, organization.ErrNotFound):
		return errOrganizationNotFound
	case errors.Is(err, organization.ErrBeingDeleted):
		return protocol.Refuse(protocol.StatusAlreadyExists, "This organization is being deleted.")
	case errors.Is(err, organization.ErrAlreadyExists):
		return protocol.Refuse(protocol.StatusAlreadyExists, "This organization already exists.")
	default:
		return err
	}
}
