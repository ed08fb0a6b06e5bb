package parsec2

import (
	"context"
	"errors"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// tables are the commands that the server answers, by the type of their callers.
type tables struct {
	// sessions are authenticated callers over WebSocket, and authors those over
	// HTTP.
	sessions       rpc.Table[*rules.Session]
	authors        rpc.Table[*rules.Author]
	invitees       rpc.Table[*rules.Invitee]
	anonymous      rpc.Table[*rules.Anonymous]
	administrators rpc.Table[organization.Administrator]
}

// bind has each form of each command answered by its rule.
func bind(r *rules.Rules, administration rules.Administration) tables {
	return tables{
		sessions: rpc.NewTable(wire.Seconds, append(
			rpc.Through(func(session *rules.Session) *rules.Author { return &session.Author }, ofAuthors(r, reencryptionBytes)),
			rpc.Bind(protocol.EventsSubscribe, r.EventsSubscribe),
			rpc.BindEncoded(protocol.EventsListen, listen(r)),
		)...),
		authors: rpc.NewTable(wire.Seconds, ofAuthors(r, server.MaxBodyBytes)...),
		invitees: rpc.NewTable(wire.Seconds,
			rpc.Bind(protocol.Ping, pong[*rules.Invitee]),
			rpc.Bind(protocol.InviteInfo, r.InviteInfo),
			rpc.Bind(protocol.Invite1ClaimerWaitPeer, r.Invite1ClaimerWaitPeer),
			rpc.Bind(protocol.Invite2aClaimerSendHashedNonce, r.Invite2aClaimerSendHashedNonce),
			rpc.Bind(protocol.Invite2bClaimerSendNonce, r.Invite2bClaimerSendNonce),
			rpc.Bind(protocol.Invite3aClaimerSignifyTrust, r.Invite3aClaimerSignifyTrust),
			rpc.Bind(protocol.Invite3bClaimerWaitPeerTrust, r.Invite3bClaimerWaitPeerTrust),
			rpc.Bind(protocol.Invite4ClaimerCommunicate, r.Invite4ClaimerCommunicate),
			rpc.Bind(protocol.InviteShamirRecoveryReveal, r.InviteShamirRecoveryReveal),
		),
		anonymous: rpc.NewTable(wire.Seconds,
			rpc.Bind(protocol.Ping, pong[*rules.Anonymous]),
			rpc.Bind(protocol.UserGetInvitationCreator, r.UserGetInvitationCreator),
			rpc.Bind(protocol.UserClaim, r.UserClaim),
			rpc.Bind(protocol.DeviceGetInvitationCreator, r.DeviceGetInvitationCreator),
			rpc.Bind(protocol.DeviceClaim, r.DeviceClaim),
			rpc.Bind(protocol.PKIEnrollmentSubmit, r.PKIEnrollmentSubmit),
			rpc.Bind(protocol.PKIEnrollmentInfo, r.PKIEnrollmentInfo),
			rpc.Bind(protocol.OrganizationBootstrap, r.OrganizationBootstrap),
			rpc.Bind(protocol.OrganizationBootstrapV1, r.OrganizationBootstrapV1),
		),
		administrators: rpc.NewTable(wire.Seconds,
			rpc.Bind(protocol.Ping, pong[organization.Administrator]),
			rpc.Bind(protocol.AdministrationCreate, administration.AdministrationCreate),
			rpc.Bind(protocol.AdministrationStatus, administration.AdministrationStatus),
			rpc.Bind(protocol.AdministrationStats, administration.AdministrationStats),
			rpc.Bind(protocol.AdministrationUpdate, administration.AdministrationUpdate),
		),
	}
}

// ofAuthors returns the commands of authenticated devices. A batch of a
// reencryption is given such that its save fits in saveBytes.
func ofAuthors(r *rules.Rules, saveBytes uint64) []rpc.Binding[*rules.Author] {
	return []rpc.Binding[*rules.Author]{
		rpc.Bind(protocol.Ping, r.Ping),
		rpc.Bind(protocol.MessageGet, r.MessageGet),
		rpc.Bind(protocol.UserGet, r.UserGet),
		rpc.Bind(protocol.UserCreate, r.UserCreate),
		rpc.Bind(protocol.UserCreateV1, r.UserCreateV1),
		rpc.Bind(protocol.UserRevoke, r.UserRevoke),
		rpc.Bind(protocol.UserFind, r.UserFind),
		rpc.Bind(protocol.HumanFind, r.HumanFind),
		rpc.Bind(protocol.DeviceCreate, r.DeviceCreate),
		rpc.Bind(protocol.DeviceCreateV1, r.DeviceCreateV1),
		rpc.Bind(protocol.UserInvite, r.UserInvite),
		rpc.Bind(protocol.UserCancelInvitation, r.UserCancelInvitation),
		rpc.Bind(protocol.DeviceInvite, r.DeviceInvite),
		rpc.Bind(protocol.DeviceCancelInvitation, r.DeviceCancelInvitation),
		rpc.Bind(protocol.InviteNew, r.InviteNew),
		rpc.Bind(protocol.InviteDelete, r.InviteDelete),
		rpc.Bind(protocol.InviteList, r.InviteList),
		rpc.Bind(protocol.Invite1GreeterWaitPeer, r.Invite1GreeterWaitPeer),
		rpc.Bind(protocol.Invite2aGreeterGetHashedNonce, r.Invite2aGreeterGetHashedNonce),
		rpc.Bind(protocol.Invite2bGreeterSendNonce, r.Invite2bGreeterSendNonce),
		rpc.Bind(protocol.Invite3aGreeterWaitPeerTrust, r.Invite3aGreeterWaitPeerTrust),
		rpc.Bind(protocol.Invite3bGreeterSignifyTrust, r.Invite3bGreeterSignifyTrust),
		rpc.Bind(protocol.Invite4GreeterCommunicate, r.Invite4GreeterCommunicate),
		rpc.Bind(protocol.PKIEnrollmentList, r.PKIEnrollmentList),
		rpc.Bind(protocol.PKIEnrollmentReject, r.PKIEnrollmentReject),
		rpc.Bind(protocol.PKIEnrollmentAccept, r.PKIEnrollmentAccept),
		rpc.Bind(protocol.ShamirRecoverySetup, r.ShamirRecoverySetup),
		rpc.Bind(protocol.ShamirRecoverySelfInfo, r.ShamirRecoverySelfInfo),
		rpc.Bind(protocol.ShamirRecoveryOthersList, r.ShamirRecoveryOthersList),
		rpc.Bind(protocol.OrganizationStats, r.OrganizationStats),
		rpc.Bind(protocol.OrganizationConfig, r.OrganizationConfig),
		rpc.Bind(protocol.ArchivingConfig, r.ArchivingConfig),
		rpc.Bind(protocol.RealmCreate, r.RealmCreate),
		rpc.Bind(protocol.RealmStatus, r.RealmStatus),
		rpc.Bind(protocol.RealmStats, r.RealmStats),
		rpc.Bind(protocol.RealmGetRoleCertificates, r.RealmGetRoleCertificates),
		rpc.Bind(protocol.RealmUpdateRoles, r.RealmUpdateRoles),
		rpc.Bind(protocol.RealmUpdateArchiving, r.RealmUpdateArchiving),
		rpc.Bind(protocol.RealmStartReencryption, r.RealmStartReencryption),
		rpc.Bind(protocol.RealmFinishReencryption, r.RealmFinishReencryption),
		rpc.Bind(protocol.VlobSaveReencryptionBatch, r.VlobSaveReencryptionBatch),
		rpc.Bind(protocol.VlobCreate, r.VlobCreate),
		rpc.Bind(protocol.VlobUpdate, r.VlobUpdate),
		rpc.Bind(protocol.VlobRead, r.VlobRead),
		rpc.Bind(protocol.VlobListVersions, r.VlobListVersions),
		rpc.Bind(protocol.VlobPollChanges, r.VlobPollChanges),
		rpc.Bind(protocol.BlockCreate, r.BlockCreate),
		rpc.Bind(protocol.VlobGetReencryptionBatch, getReencryptionBatch(r, saveBytes)),
		rpc.BindEncoded(protocol.BlockRead, readBlock(r)),
	}
}

// pong answers a caller that is no device: nobody hears of its ping.
func pong[Caller any](_ context.Context, _ Caller, request *protocol.PingRequest) (*protocol.PingReply, error) {
	return &protocol.PingReply{Pong: request.Ping}, nil
}

// reencryptionBytes bounds what saves a batch over WebSocket, in bytes: some
// messages of this length may come and go at a time.
const reencryptionBytes = 4 << 20

// getReencryptionBatch returns a batch whose save fits in one message of the
// caller's transport.
func getReencryptionBatch(r *rules.Rules, saveBytes uint64) func(context.Context, *rules.Author, *protocol.VlobGetReencryptionBatchRequest) (*protocol.VlobGetReencryptionBatchReply, error) {
	return func(ctx context.Context, author *rules.Author, request *protocol.VlobGetReencryptionBatchRequest) (*protocol.VlobGetReencryptionBatchReply, error) {
		return r.VlobGetReencryptionBatch(ctx, author, request, saveBytes)
	}
}

// readBlock has the block read to where it is in the reply.
func readBlock(r *rules.Rules) func(context.Context, *rules.Author, *protocol.BlockReadRequest) (*[]byte, error) {
	return func(ctx context.Context, author *rules.Author, request *protocol.BlockReadRequest) (*[]byte, error) {
		return server.EncodeBlock(wire.Seconds, func(room func(size uint64, head ...wire.Field) ([]byte, error)) error {
			return r.BlockRead(ctx, author, request, func(size uint64) ([]byte, error) { return room(size) })
		})
	}
}

// listen returns server.ErrNotYet for an events_listen that waits. The
// connection tries again when there is an event: thousands of them wait at any
// time, and none keeps a goroutine for it.
func listen(r *rules.Rules) func(context.Context, *rules.Session, *protocol.EventsListenRequest) (*[]byte, error) {
	return func(ctx context.Context, session *rules.Session, request *protocol.EventsListenRequest) (*[]byte, error) {
		told, err := r.EventsListen(ctx, session, &protocol.EventsListenRequest{})
		if _, refused := errors.AsType[*protocol.Refusal](err); refused && request.Wait {
			return nil, server.ErrNotYet
		}
		if err != nil {
			return nil, err
		}
		return encodeEvent(told)
	}
}
