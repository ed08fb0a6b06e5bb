package server

import (
	"context"
	"errors"

	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// handlers binds each form of each command to its rule.
var handlers map[*protocol.Command]handler

func init() {
	handlers = map[*protocol.Command]handler{
		protocol.Ping: ping,

		protocol.EventsSubscribe: inSession((*rules.Rules).EventsSubscribe),
		protocol.EventsListen:    listen,
		protocol.MessageGet:      byAuthor((*rules.Rules).MessageGet),

		protocol.UserGet:        byAuthor((*rules.Rules).UserGet),
		protocol.UserCreate:     byAuthor((*rules.Rules).UserCreate),
		protocol.UserCreateV1:   byAuthor((*rules.Rules).UserCreateV1),
		protocol.UserRevoke:     byAuthor((*rules.Rules).UserRevoke),
		protocol.UserFind:       byAuthor((*rules.Rules).UserFind),
		protocol.HumanFind:      byAuthor((*rules.Rules).HumanFind),
		protocol.DeviceCreate:   byAuthor((*rules.Rules).DeviceCreate),
		protocol.DeviceCreateV1: byAuthor((*rules.Rules).DeviceCreateV1),

		protocol.UserInvite:                 byAuthor((*rules.Rules).UserInvite),
		protocol.UserCancelInvitation:       byAuthor((*rules.Rules).UserCancelInvitation),
		protocol.UserGetInvitationCreator:   byAnonymous((*rules.Rules).UserGetInvitationCreator),
		protocol.UserClaim:                  byAnonymous((*rules.Rules).UserClaim),
		protocol.DeviceInvite:               byAuthor((*rules.Rules).DeviceInvite),
		protocol.DeviceCancelInvitation:     byAuthor((*rules.Rules).DeviceCancelInvitation),
		protocol.DeviceGetInvitationCreator: byAnonymous((*rules.Rules).DeviceGetInvitationCreator),
		protocol.DeviceClaim:                byAnonymous((*rules.Rules).DeviceClaim),

		protocol.InviteNew:                      byAuthor((*rules.Rules).InviteNew),
		protocol.InviteDelete:                   byAuthor((*rules.Rules).InviteDelete),
		protocol.InviteList:                     byAuthor((*rules.Rules).InviteList),
		protocol.InviteInfo:                     byInvitee((*rules.Rules).InviteInfo),
		protocol.Invite1GreeterWaitPeer:         byAuthor((*rules.Rules).Invite1GreeterWaitPeer),
		protocol.Invite2aGreeterGetHashedNonce:  byAuthor((*rules.Rules).Invite2aGreeterGetHashedNonce),
		protocol.Invite2bGreeterSendNonce:       byAuthor((*rules.Rules).Invite2bGreeterSendNonce),
		protocol.Invite3aGreeterWaitPeerTrust:   byAuthor((*rules.Rules).Invite3aGreeterWaitPeerTrust),
		protocol.Invite3bGreeterSignifyTrust:    byAuthor((*rules.Rules).Invite3bGreeterSignifyTrust),
		protocol.Invite4GreeterCommunicate:      byAuthor((*rules.Rules).Invite4GreeterCommunicate),
		protocol.Invite1ClaimerWaitPeer:         byInvitee((*rules.Rules).Invite1ClaimerWaitPeer),
		protocol.Invite2aClaimerSendHashedNonce: byInvitee((*rules.Rules).Invite2aClaimerSendHashedNonce),
		protocol.Invite2bClaimerSendNonce:       byInvitee((*rules.Rules).Invite2bClaimerSendNonce),
		protocol.Invite3aClaimerSignifyTrust:    byInvitee((*rules.Rules).Invite3aClaimerSignifyTrust),
		protocol.Invite3bClaimerWaitPeerTrust:   byInvitee((*rules.Rules).Invite3bClaimerWaitPeerTrust),
		protocol.Invite4ClaimerCommunicate:      byInvitee((*rules.Rules).Invite4ClaimerCommunicate),

		protocol.InviteShamirRecoveryReveal: byInvitee((*rules.Rules).InviteShamirRecoveryReveal),

		protocol.PKIEnrollmentSubmit: byAnonymous((*rules.Rules).PKIEnrollmentSubmit),
		protocol.PKIEnrollmentInfo:   byAnonymous((*rules.Rules).PKIEnrollmentInfo),
		protocol.PKIEnrollmentList:   byAuthor((*rules.Rules).PKIEnrollmentList),
		protocol.PKIEnrollmentReject: byAuthor((*rules.Rules).PKIEnrollmentReject),
		protocol.PKIEnrollmentAccept: byAuthor((*rules.Rules).PKIEnrollmentAccept),

		protocol.ShamirRecoverySetup:      byAuthor((*rules.Rules).ShamirRecoverySetup),
		protocol.ShamirRecoverySelfInfo:   byAuthor((*rules.Rules).ShamirRecoverySelfInfo),
		protocol.ShamirRecoveryOthersList: byAuthor((*rules.Rules).ShamirRecoveryOthersList),

		protocol.OrganizationBootstrap:   byAnonymous((*rules.Rules).OrganizationBootstrap),
		protocol.OrganizationBootstrapV1: byAnonymous((*rules.Rules).OrganizationBootstrapV1),
		protocol.OrganizationStats:       byAuthor((*rules.Rules).OrganizationStats),
		protocol.OrganizationConfig:      byAuthor((*rules.Rules).OrganizationConfig),
		protocol.ArchivingConfig:         byAuthor((*rules.Rules).ArchivingConfig),
		protocol.AdministrationCreate:    byAdministrator((*rules.Rules).AdministrationCreate),
		protocol.AdministrationStatus:    byAdministrator((*rules.Rules).AdministrationStatus),
		protocol.AdministrationStats:     byAdministrator((*rules.Rules).AdministrationStats),
		protocol.AdministrationUpdate:    byAdministrator((*rules.Rules).AdministrationUpdate),

		protocol.RealmCreate:               byAuthor((*rules.Rules).RealmCreate),
		protocol.RealmStatus:               byAuthor((*rules.Rules).RealmStatus),
		protocol.RealmStats:                byAuthor((*rules.Rules).RealmStats),
		protocol.RealmGetRoleCertificates:  byAuthor((*rules.Rules).RealmGetRoleCertificates),
		protocol.RealmUpdateRoles:          byAuthor((*rules.Rules).RealmUpdateRoles),
		protocol.RealmUpdateArchiving:      byAuthor((*rules.Rules).RealmUpdateArchiving),
		protocol.RealmStartReencryption:    byAuthor((*rules.Rules).RealmStartReencryption),
		protocol.RealmFinishReencryption:   byAuthor((*rules.Rules).RealmFinishReencryption),
		protocol.VlobGetReencryptionBatch:  getReencryptionBatch,
		protocol.VlobSaveReencryptionBatch: byAuthor((*rules.Rules).VlobSaveReencryptionBatch),

		protocol.VlobCreate:       byAuthor((*rules.Rules).VlobCreate),
		protocol.VlobUpdate:       byAuthor((*rules.Rules).VlobUpdate),
		protocol.VlobRead:         byAuthor((*rules.Rules).VlobRead),
		protocol.VlobListVersions: byAuthor((*rules.Rules).VlobListVersions),
		protocol.VlobPollChanges:  byAuthor((*rules.Rules).VlobPollChanges),
		protocol.BlockCreate:      byAuthor((*rules.Rules).BlockCreate),
		protocol.BlockRead:        readBlock,
	}
}

func byAuthor[Request, Reply any](rule func(*rules.Rules, context.Context, *rules.Author, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
		return rule(b, ctx, &c.author, request.(*Request))
	}
}

func inSession[Request, Reply any](rule func(*rules.Rules, context.Context, *rules.Session, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
		return rule(b, ctx, c.session, request.(*Request))
	}
}

func byAnonymous[Request, Reply any](rule func(*rules.Rules, context.Context, *rules.Anonymous, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
		return rule(b, ctx, &c.anonymous, request.(*Request))
	}
}

func byInvitee[Request, Reply any](rule func(*rules.Rules, context.Context, *rules.Invitee, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
		return rule(b, ctx, &c.invitee, request.(*Request))
	}
}

func byAdministrator[Request, Reply any](rule func(*rules.Rules, context.Context, rules.Administrator, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
		return rule(b, ctx, c.administrator, request.(*Request))
	}
}

// reencryptionBytes bounds what saves a batch over WebSocket, in bytes: some
// messages of this length may come and go at a time.
const reencryptionBytes = 4 << 20

// getReencryptionBatch gives a batch whose save fits in one message of the
// caller's transport.
func getReencryptionBatch(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
	saveBytes := uint64(reencryptionBytes)
	if c.session == nil { // HTTP
		saveBytes = maxBodyBytes
	}
	return b.VlobGetReencryptionBatch(ctx, &c.author, request.(*protocol.VlobGetReencryptionBatchRequest), saveBytes)
}

// encodedReply is an ok reply in a pooled buffer.
type encodedReply *[]byte

// readBlock has the block read to where it is in the reply.
func readBlock(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
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

func listen(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
	told, err := b.EventsListen(ctx, c.session, &protocol.EventsListenRequest{})
	var refusal *protocol.Refusal
	if request.(*protocol.EventsListenRequest).Wait && errors.As(err, &refusal) {
		return nil, errNoEventYet
	}
	return told, err
}

// ping is told to others only when an authenticated device sends it.
func ping(ctx context.Context, b *rules.Rules, c *caller, request any) (any, error) {
	ping := request.(*protocol.PingRequest)
	if c.kind == protocol.Authenticated {
		return b.Ping(ctx, &c.author, ping)
	}
	return &protocol.PingReply{Pong: ping.Ping}, nil
}
