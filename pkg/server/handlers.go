package server

import (
	"context"
	"errors"

	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// handlers binds each form of each command to its rule.
var handlers map[*rpc.Form]handler

func init() {
	handlers = map[*rpc.Form]handler{
		protocol.Ping.Form: ping,

		protocol.EventsSubscribe.Form: inSession((*rules.Rules).EventsSubscribe),
		protocol.EventsListen.Form:    listen,
		protocol.MessageGet.Form:      byAuthor((*rules.Rules).MessageGet),

		protocol.UserGet.Form:        byAuthor((*rules.Rules).UserGet),
		protocol.UserCreate.Form:     byAuthor((*rules.Rules).UserCreate),
		protocol.UserCreateV1.Form:   byAuthor((*rules.Rules).UserCreateV1),
		protocol.UserRevoke.Form:     byAuthor((*rules.Rules).UserRevoke),
		protocol.UserFind.Form:       byAuthor((*rules.Rules).UserFind),
		protocol.HumanFind.Form:      byAuthor((*rules.Rules).HumanFind),
		protocol.DeviceCreate.Form:   byAuthor((*rules.Rules).DeviceCreate),
		protocol.DeviceCreateV1.Form: byAuthor((*rules.Rules).DeviceCreateV1),

		protocol.UserInvite.Form:                 byAuthor((*rules.Rules).UserInvite),
		protocol.UserCancelInvitation.Form:       byAuthor((*rules.Rules).UserCancelInvitation),
		protocol.UserGetInvitationCreator.Form:   byAnonymous((*rules.Rules).UserGetInvitationCreator),
		protocol.UserClaim.Form:                  byAnonymous((*rules.Rules).UserClaim),
		protocol.DeviceInvite.Form:               byAuthor((*rules.Rules).DeviceInvite),
		protocol.DeviceCancelInvitation.Form:     byAuthor((*rules.Rules).DeviceCancelInvitation),
		protocol.DeviceGetInvitationCreator.Form: byAnonymous((*rules.Rules).DeviceGetInvitationCreator),
		protocol.DeviceClaim.Form:                byAnonymous((*rules.Rules).DeviceClaim),

		protocol.InviteNew.Form:                      byAuthor((*rules.Rules).InviteNew),
		protocol.InviteDelete.Form:                   byAuthor((*rules.Rules).InviteDelete),
		protocol.InviteList.Form:                     byAuthor((*rules.Rules).InviteList),
		protocol.InviteInfo.Form:                     byInvitee((*rules.Rules).InviteInfo),
		protocol.Invite1GreeterWaitPeer.Form:         byAuthor((*rules.Rules).Invite1GreeterWaitPeer),
		protocol.Invite2aGreeterGetHashedNonce.Form:  byAuthor((*rules.Rules).Invite2aGreeterGetHashedNonce),
		protocol.Invite2bGreeterSendNonce.Form:       byAuthor((*rules.Rules).Invite2bGreeterSendNonce),
		protocol.Invite3aGreeterWaitPeerTrust.Form:   byAuthor((*rules.Rules).Invite3aGreeterWaitPeerTrust),
		protocol.Invite3bGreeterSignifyTrust.Form:    byAuthor((*rules.Rules).Invite3bGreeterSignifyTrust),
		protocol.Invite4GreeterCommunicate.Form:      byAuthor((*rules.Rules).Invite4GreeterCommunicate),
		protocol.Invite1ClaimerWaitPeer.Form:         byInvitee((*rules.Rules).Invite1ClaimerWaitPeer),
		protocol.Invite2aClaimerSendHashedNonce.Form: byInvitee((*rules.Rules).Invite2aClaimerSendHashedNonce),
		protocol.Invite2bClaimerSendNonce.Form:       byInvitee((*rules.Rules).Invite2bClaimerSendNonce),
		protocol.Invite3aClaimerSignifyTrust.Form:    byInvitee((*rules.Rules).Invite3aClaimerSignifyTrust),
		protocol.Invite3bClaimerWaitPeerTrust.Form:   byInvitee((*rules.Rules).Invite3bClaimerWaitPeerTrust),
		protocol.Invite4ClaimerCommunicate.Form:      byInvitee((*rules.Rules).Invite4ClaimerCommunicate),

		protocol.InviteShamirRecoveryReveal.Form: byInvitee((*rules.Rules).InviteShamirRecoveryReveal),

		protocol.PKIEnrollmentSubmit.Form: byAnonymous((*rules.Rules).PKIEnrollmentSubmit),
		protocol.PKIEnrollmentInfo.Form:   byAnonymous((*rules.Rules).PKIEnrollmentInfo),
		protocol.PKIEnrollmentList.Form:   byAuthor((*rules.Rules).PKIEnrollmentList),
		protocol.PKIEnrollmentReject.Form: byAuthor((*rules.Rules).PKIEnrollmentReject),
		protocol.PKIEnrollmentAccept.Form: byAuthor((*rules.Rules).PKIEnrollmentAccept),

		protocol.ShamirRecoverySetup.Form:      byAuthor((*rules.Rules).ShamirRecoverySetup),
		protocol.ShamirRecoverySelfInfo.Form:   byAuthor((*rules.Rules).ShamirRecoverySelfInfo),
		protocol.ShamirRecoveryOthersList.Form: byAuthor((*rules.Rules).ShamirRecoveryOthersList),

		protocol.OrganizationBootstrap.Form:   byAnonymous((*rules.Rules).OrganizationBootstrap),
		protocol.OrganizationBootstrapV1.Form: byAnonymous((*rules.Rules).OrganizationBootstrapV1),
		protocol.OrganizationStats.Form:       byAuthor((*rules.Rules).OrganizationStats),
		protocol.OrganizationConfig.Form:      byAuthor((*rules.Rules).OrganizationConfig),
		protocol.ArchivingConfig.Form:         byAuthor((*rules.Rules).ArchivingConfig),
		protocol.AdministrationCreate.Form:    byAdministrator((*rules.Rules).AdministrationCreate),
		protocol.AdministrationStatus.Form:    byAdministrator((*rules.Rules).AdministrationStatus),
		protocol.AdministrationStats.Form:     byAdministrator((*rules.Rules).AdministrationStats),
		protocol.AdministrationUpdate.Form:    byAdministrator((*rules.Rules).AdministrationUpdate),

		protocol.RealmCreate.Form:               byAuthor((*rules.Rules).RealmCreate),
		protocol.RealmStatus.Form:               byAuthor((*rules.Rules).RealmStatus),
		protocol.RealmStats.Form:                byAuthor((*rules.Rules).RealmStats),
		protocol.RealmGetRoleCertificates.Form:  byAuthor((*rules.Rules).RealmGetRoleCertificates),
		protocol.RealmUpdateRoles.Form:          byAuthor((*rules.Rules).RealmUpdateRoles),
		protocol.RealmUpdateArchiving.Form:      byAuthor((*rules.Rules).RealmUpdateArchiving),
		protocol.RealmStartReencryption.Form:    byAuthor((*rules.Rules).RealmStartReencryption),
		protocol.RealmFinishReencryption.Form:   byAuthor((*rules.Rules).RealmFinishReencryption),
		protocol.VlobGetReencryptionBatch.Form:  getReencryptionBatch,
		protocol.VlobSaveReencryptionBatch.Form: byAuthor((*rules.Rules).VlobSaveReencryptionBatch),

		protocol.VlobCreate.Form:       byAuthor((*rules.Rules).VlobCreate),
		protocol.VlobUpdate.Form:       byAuthor((*rules.Rules).VlobUpdate),
		protocol.VlobRead.Form:         byAuthor((*rules.Rules).VlobRead),
		protocol.VlobListVersions.Form: byAuthor((*rules.Rules).VlobListVersions),
		protocol.VlobPollChanges.Form:  byAuthor((*rules.Rules).VlobPollChanges),
		protocol.BlockCreate.Form:      byAuthor((*rules.Rules).BlockCreate),
		protocol.BlockRead.Form:        readBlock,
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
