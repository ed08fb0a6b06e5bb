package server

import (
	"context"
	"errors"

	"parsec-server/pkg/backend"
	"parsec-server/pkg/protocol"
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
		protocol.VlobGetReencryptionBatch:  byAuthor((*backend.Backend).VlobGetReencryptionBatch),
		protocol.VlobSaveReencryptionBatch: byAuthor((*backend.Backend).VlobSaveReencryptionBatch),

		protocol.VlobCreate:       byAuthor((*backend.Backend).VlobCreate),
		protocol.VlobUpdate:       byAuthor((*backend.Backend).VlobUpdate),
		protocol.VlobRead:         byAuthor((*backend.Backend).VlobRead),
		protocol.VlobListVersions: byAuthor((*backend.Backend).VlobListVersions),
		protocol.VlobPollChanges:  byAuthor((*backend.Backend).VlobPollChanges),
		protocol.BlockCreate:      byAuthor((*backend.Backend).BlockCreate),
		protocol.BlockRead:        byAuthor((*backend.Backend).BlockRead),
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

func byAdministrator[Request, Reply any](rule func(*backend.Backend, context.Context, *Request) (*Reply, error)) handler {
	return func(ctx context.Context, b *backend.Backend, _ *caller, request any) (any, error) {
		return rule(b, ctx, request.(*Request))
	}
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
