package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// RealmCreate calls realm_create.
func (c Commands) RealmCreate(ctx context.Context, request *protocol.RealmCreateRequest) (*protocol.RealmCreateReply, error) {
	return Call(ctx, c.transport, protocol.RealmCreate, request)
}

// RealmStatus calls realm_status.
func (c Commands) RealmStatus(ctx context.Context, request *protocol.RealmStatusRequest) (*protocol.RealmStatusReply, error) {
	return Call(ctx, c.transport, protocol.RealmStatus, request)
}

// RealmStats calls realm_stats.
func (c Commands) RealmStats(ctx context.Context, request *protocol.RealmStatsRequest) (*protocol.RealmStatsReply, error) {
	return Call(ctx, c.transport, protocol.RealmStats, request)
}

// RealmGetRoleCertificates calls realm_get_role_certificates.
func (c Commands) RealmGetRoleCertificates(ctx context.Context, request *protocol.RealmGetRoleCertificatesRequest) (*protocol.RealmGetRoleCertificatesReply, error) {
	return Call(ctx, c.transport, protocol.RealmGetRoleCertificates, request)
}

// RealmUpdateRoles calls realm_update_roles.
func (c Commands) RealmUpdateRoles(ctx context.Context, request *protocol.RealmUpdateRolesRequest) (*protocol.RealmUpdateRolesReply, error) {
	return Call(ctx, c.transport, protocol.RealmUpdateRoles, request)
}

// RealmUpdateArchiving calls realm_update_archiving.
func (c Commands) RealmUpdateArchiving(ctx context.Context, request *protocol.RealmUpdateArchivingRequest) (*protocol.RealmUpdateArchivingReply, error) {
	return Call(ctx, c.transport, protocol.RealmUpdateArchiving, request)
}

// RealmStartReencryption calls realm_start_reencryption_maintenance.
func (c Commands) RealmStartReencryption(ctx context.Context, request *protocol.RealmStartReencryptionRequest) (*protocol.RealmStartReencryptionReply, error) {
	return Call(ctx, c.transport, protocol.RealmStartReencryption, request)
}

// RealmFinishReencryption calls realm_finish_reencryption_maintenance.
func (c Commands) RealmFinishReencryption(ctx context.Context, request *protocol.RealmFinishReencryptionRequest) (*protocol.RealmFinishReencryptionReply, error) {
	return Call(ctx, c.transport, protocol.RealmFinishReencryption, request)
}

// VlobGetReencryptionBatch calls vlob_maintenance_get_reencryption_batch.
func (c Commands) VlobGetReencryptionBatch(ctx context.Context, request *protocol.VlobGetReencryptionBatchRequest) (*protocol.VlobGetReencryptionBatchReply, error) {
	return Call(ctx, c.transport, protocol.VlobGetReencryptionBatch, request)
}

// VlobSaveReencryptionBatch calls vlob_maintenance_save_reencryption_batch.
func (c Commands) VlobSaveReencryptionBatch(ctx context.Context, request *protocol.VlobSaveReencryptionBatchRequest) (*protocol.VlobSaveReencryptionBatchReply, error) {
	return Call(ctx, c.transport, protocol.VlobSaveReencryptionBatch, request)
}
