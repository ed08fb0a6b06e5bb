package server

import (
	"context"
	"errors"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/protocol"
	"parsec-server/pkg/wire"
)

// handlers binds each form of each command to its rule.
var handlers map[*protocol.Command]handler

func init() {
	handlers = map[*protocol.Command]handler{
		protocol.Ping: ping,

		protocol.EventsSubscribe: inSession((*backend.Backend).EventsSubscribe),
		protocol.EventsListen:    listen,
		protocol.MessageGet:      byAuthor((*backend.Backend).MessageGet),

		protocol.UserGet:        byAuthor((*backend.Backend).UserGet),
		protocol.UserCreate:     byAuthor((*backend.Backend).UserCreate),
		protocol.UserCreateV1:   byAuthor((*backend.Backend).UserCreateV1),
		protocol.UserRevoke:     byAuthor((*backend.Backend).UserRevoke),
		protocol.UserFind:       byAuthor((*backend.Backend).UserFind),
		protocol.HumanFind:      byAuthor((*backend.Backend).HumanFind),
		protocol.DeviceCreate:   byAuthor((*backend.Backend).DeviceCreate),
		protocol.DeviceCreateV1: byAuthor((*backend.Backend).DeviceCreateV1),

		protocol.UserInvite:                 byAuthor((*backend.Backend).UserInvite),
		protocol.UserCancelInvitation:       byAuthor((*backend.Backend).UserCancelInvitation),
		protocol.UserGetInvitationCreator:   byAnonymous((*backend.Backend).UserGetInvitationCreator),
		protocol.UserClaim:                  byAnonymous((*backend.Backend).UserClaim),
		protocol.DeviceInvite:               byAuthor((*backend.Backend).DeviceInvite),
		protocol.DeviceCancelInvitation:     byAuthor((*backend.Backend).DeviceCancelInvitation),
		protocol.DeviceGetInvitationCreator: byAnonymous((*backend.Backend).DeviceGetInvitationCreator),
		protocol.DeviceClaim:                byAnonymous((*backend.Backend).DeviceClaim),

		protocol.InviteNew:                      byAuthor((*backend.Backend).InviteNew),
		protocol.InviteDelete:                   byAuthor((*backend.Backend).InviteDelete),
		protocol.InviteList:                     byAuthor((*backend.Backend).InviteList),
		protocol.InviteInfo:                     byInvitee((*backend.Backend).InviteInfo),
		protocol.Invite1GreeterWaitPeer:         byAuthor((*backend.Backend).Invite1GreeterWaitPeer),
		protocol.Invite2aGreeterGetHashedNonce:  byAuthor((*backend.Backend).Invite2aGreeterGetHashedNonce),
		protocol.Invite2bGreeterSendNonce:       byAuthor((*backend.Backend).Invite2bGreeterSendNonce),
		protocol.Invite3aGreeterWaitPeerTrust:   byAuthor((*backend.Backend).Invite3aGreeterWaitPeerTrust),
		protocol.Invite3bGreeterSignifyTrust:    byAuthor((*backend.Backend).Invite3bGreeterSignifyTrust),
		protocol.Invite4GreeterCommunicate:      byAuthor((*backend.Backend).Invite4GreeterCommunicate),
		protocol.Invite1ClaimerWaitPeer:         byInvitee((*backend.Backend).Invite1ClaimerWaitPeer),
		protocol.Invite2aClaimerSendHashedNonce: byInvitee((*backend.Backend).Invite2aClaimerSendHashedNonce),
		protocol.Invite2bClaimerSendNonce:       byInvitee((*backend.Backend).Invite2bClaimerSendNonce),
		protocol.Invite3aClaimerSignifyTrust:    byInvitee((*backend.Backend).Invite3aClaimerSignifyTrust),
		protocol.Invite3bClaimerWaitPeerTrust:   byInvitee((*backend.Backend).Invite3bClaimerWaitPeerTrust),
		protocol.Invite4ClaimerCommunicate:      byInvitee((*backend.Backend).Invite4ClaimerCommunicate),

		protocol.InviteShamirRecoveryReveal: byInvitee((*backend.Backend).InviteShamirRecoveryReveal),

		protocol.PKIEnrollmentSubmit: byAnonymous((*backend.Backend).PKIEnrollmentSubmit),
		protocol.PKIEnrollmentInfo:   byAnonymous((*backend.Backend).PKIEnrollmentInfo),
		protocol.PKIEnrollmentList:   byAuthor((*backend.Backend).PKIEnrollmentList),
		protocol.PKIEnrollmentReject: byAuthor((*backend.Backend).PKIEnrollmentReject),
		protocol.PKIEnrollmentAccept: byAuthor((*backend.Backend).PKIEnrollmentAccept),

		protocol.ShamirRecoverySetup:      byAuthor((*backend.Backend).ShamirRecoverySetup),
		protocol.ShamirRecoverySelfInfo:   byAuthor((*backend.Backend).ShamirRecoverySelfInfo),
		protocol.ShamirRecoveryOthersList: byAuthor((*backend.Backend).ShamirRecoveryOthersList),

		protocol.OrganizationBootstrap:   byAnonymous((*backend.Backend).OrganizationBootstrap),
		protocol.OrganizationBootstrapV1: byAnonymous((*backend.Backend).OrganizationBootstrapV1),
		protocol.OrganizationStats:       byAuthor((*backend.Backend).OrganizationStats),
		protocol.OrganizationConfig:      byAuthor((*backend.Backend).OrganizationConfig),
		protocol.ArchivingConfig:         byAuthor((*backend.Backend).ArchivingConfig),
		protocol.AdministrationCreate:    byAdministrator((*backend.Backend).AdministrationCreate),
		protocol.AdministrationStatus:    byAdministrator((*backend.Backend).AdministrationStatus),
		protocol.AdministrationStats:     byAdministrator((*backend.Backend).AdministrationStats),
		protocol.AdministrationUpdate:    byAdministrator((*backend.Backend).AdministrationUpdate),

		protocol.RealmCreate:               byAuthor((*backend.Backend).RealmCreate),
		protocol.RealmStatus:               byAuthor((*backend.Backend).RealmStatus),
		protocol.RealmStats:                byAuthor((*backend.Backend).RealmStats),
		protocol.RealmGetRoleCertificates:  byAuthor((*backend.Backend).RealmGetRoleCertificates),
		protocol.RealmUpdateRoles:          byAuthor((*backend.Backend).RealmUpdateRoles),
		protocol.RealmUpdateArchiving:      byAuthor((*backend.Backend).RealmUpdateArchiving),
		protocol.RealmStartReencryption:    byAuthor((*backend.Backend).RealmStartReencryption),
		protocol.RealmFinishReencryption:   byAuthor((*backend.Backend).RealmFinishReencryption),
		protocol.VlobGetReencryptionBatch:  getReencryptionBatch,
		protocol.VlobSaveReencryptionBatch: byAuthor((*backend.Backend).VlobSaveReencryptionBatch),

		protocol.VlobCreate:       byAuthor((*backend.Backend).VlobCreate),
		protocol.VlobUpdate:       byAuthor((*backend.Backend).VlobUpdate),
		protocol.VlobRead:         byAuthor((*backend.Backend).VlobRead),
		protocol.VlobListVersions: byAuthor((*backend.Backend).VlobListVersions),
		protocol.VlobPollChanges:  byAuthor((*backend.Backend).VlobPollChanges),
		protocol.BlockCreate:      byAuthor((*backend.Backend).BlockCreate),
		protocol.BlockRead:        readBlock,
	}
}

func byAuthor[Request, Reply any](rule func(*backend.Backend, context.Context, *backend.Author, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
		return rule(b, ctx, &c.author, request.(*Request))
	}
}

func inSession[Request, Reply any](rule func(*backend.Backend, context.Context, *backend.Session, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
		return rule(b, ctx, c.session, request.(*Request))
	}
}

func byAnonymous[Request, Reply any](rule func(*backend.Backend, context.Context, *backend.Anonymous, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
		return rule(b, ctx, &c.anonymous, request.(*Request))
	}
}

func byInvitee[Request, Reply any](rule func(*backend.Backend, context.Context, *backend.Invitee, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
		return rule(b, ctx, &c.invitee, request.(*Request))
	}
}

func byAdministrator[Request, Reply any](rule func(*backend.Backend, context.Context, backend.Administrator, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
		return rule(b, ctx, c.administrator, request.(*Request))
	}
}

// reencryptionBytes bounds what saves a batch over WebSocket, in bytes: some
// messages of this length may come and go at a time.
const reencryptionBytes = 4 << 20

// getReencryptionBatch gives a batch whose save fits in one message of the
// caller's transport.
func getReencryptionBatch(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
	saveBytes := uint64(reencryptionBytes)
	if c.session == nil { // HTTP
		saveBytes = maxBodyBytes
	}
	return b.VlobGetReencryptionBatch(ctx, &c.author, request.(*protocol.VlobGetReencryptionBatchRequest), saveBytes)
}

// encodedReply is an ok reply in a pooled buffer.
type encodedReply *[]byte

// readBlock has the block read to where it is in the reply.
func readBlock(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
	var reply *[]byte
	err := b.BlockRead(ctx, &c.author, request.(*protocol.BlockReadRequest), func(size uint64) (block []byte, err error) {
		reply, err = encode(int(size)+otherFields, func(buffer []byte) ([]byte, error) {
			return wire.AppendMap(buffer, []wire.Field{statusOK, {Key: "block", Value: wire.Room(size)}}, nil)
		})
		if err != nil {
			return nil, err
		}
		return (*reply)[len(*reply)-int(size):], nil
	})
	if err != nil {
		if reply != nil {
			putBuffer(reply)
		}
		return nil, err
	}
	return encodedReply(reply), nil
}

// errNoEventYet is that of an events_listen that waits. The connection tries
// again when there is an event: thousands of them wait at any time, and none
// keeps a goroutine for it.
var errNoEventYet = errors.New("no event yet")

func listen(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
	told, err := b.EventsListen(ctx, c.session, &protocol.EventsListenRequest{})
	var refusal *protocol.Refusal
	if request.(*protocol.EventsListenRequest).Wait && errors.As(err, &refusal) {
		return nil, errNoEventYet
	}
	return told, err
}

// ping is told to others only when an authenticated device sends it.
func ping(ctx context.Context, b *backend.Backend, c *caller, request any) (any, error) {
	ping := request.(*protocol.PingRequest)
	if c.kind == protocol.Authenticated {
		return b.Ping(ctx, &c.author, ping)
	}
	return &protocol.PingReply{Pong: ping.Ping}, nil
}
