package parsec2

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// OrganizationBootstrap calls organization_bootstrap.
func (c Commands) OrganizationBootstrap(ctx context.Context, request *protocol.OrganizationBootstrapRequest) (*protocol.OrganizationBootstrapReply, error) {
	return Call(ctx, c.transport, protocol.OrganizationBootstrap, request)
}

// OrganizationBootstrapV1 calls organization_bootstrap (the form of API 1).
func (c Commands) OrganizationBootstrapV1(ctx context.Context, request *protocol.OrganizationBootstrapV1Request) (*protocol.OrganizationBootstrapReply, error) {
	return Call(ctx, c.transport, protocol.OrganizationBootstrapV1, request)
}

// OrganizationStats calls organization_stats.
func (c Commands) OrganizationStats(ctx context.Context, request *protocol.OrganizationStatsRequest) (*protocol.OrganizationStatsReply, error) {
	return Call(ctx, c.transport, protocol.OrganizationStats, request)
}

// OrganizationConfig calls organization_config.
func (c Commands) OrganizationConfig(ctx context.Context, request *protocol.OrganizationConfigRequest) (*protocol.OrganizationConfigReply, error) {
	return Call(ctx, c.transport, protocol.OrganizationConfig, request)
}

// ArchivingConfig calls archiving_config.
func (c Commands) ArchivingConfig(ctx context.Context, request *protocol.ArchivingConfigRequest) (*protocol.ArchivingConfigReply, error) {
	return Call(ctx, c.transport, protocol.ArchivingConfig, request)
}

// AdministrationCreate calls organization_create.
func (c Commands) AdministrationCreate(ctx context.Context, request *protocol.AdministrationCreateRequest) (*protocol.AdministrationCreateReply, error) {
	return Call(ctx, c.transport, protocol.AdministrationCreate, request)
}

// AdministrationStatus calls organization_status.
func (c Commands) AdministrationStatus(ctx context.Context, request *protocol.AdministrationStatusRequest) (*protocol.AdministrationStatusReply, error) {
	return Call(ctx, c.transport, protocol.AdministrationStatus, request)
}

// AdministrationStats calls organization_stats.
func (c Commands) AdministrationStats(ctx context.Context, request *protocol.AdministrationStatsRequest) (*protocol.AdministrationStatsReply, error) {
	return Call(ctx, c.transport, protocol.AdministrationStats, request)
}

// AdministrationUpdate calls organization_update.
func (c Commands) AdministrationUpdate(ctx context.Context, request *protocol.AdministrationUpdateRequest) (*protocol.AdministrationUpdateReply, error) {
	var message any = request
	if request.ExpirationDate != nil && *request.ExpirationDate == protocol.Unchanged {
		// A nil date would remove it.
		message = &struct {
			OrganizationID             parsec.OrganizationID `wire:"organization_id"`
			UserProfileOutsiderAllowed *bool                 `wire:"user_profile_outsider_allowed,optional"`
		}{request.OrganizationID, request.UserProfileOutsiderAllowed}
	}
	return call[protocol.AdministrationUpdateReply](ctx, c.transport, protocol.AdministrationUpdate.Name, message)
}
