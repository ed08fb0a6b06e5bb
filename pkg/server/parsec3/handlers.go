package parsec3

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// stranger is who asks for no organization.
type stranger = rules.Peer

// tables are the commands that the server answers, by family.
type tables struct {
	authenticated   rpc.Table[*rules.Author]
	atOnce          rpc.Table[*rules.Applicant]
	tos             rpc.Table[*rules.Author]
	anonymous       rpc.Table[*rules.Anonymous]
	anonymousServer rpc.Table[stranger]
	invited         rpc.Table[*rules.Invited]
	account         rpc.Table[*rules.AccountAuthor]
}

// bind has each command answered by its rule. Now is the clock of the server.
func bind(r *rules.Rules, now func() parsec.DateTime) tables {
	return tables{
		authenticated: rpc.NewTable(wire.Microseconds,
			rpc.Bind(protocol.Ping, r.Ping),
			rpc.Bind(protocol.EventsListen, refuseEventsListen),
			rpc.BindEncoded(protocol.CertificateGet, getCertificates(r)),
			rpc.Bind(protocol.UserCreate, late(commonStep, now, r.UserCreate)),
			rpc.Bind(protocol.UserUpdate, late(commonStep, now, r.UserUpdate)),
			rpc.Bind(protocol.UserRevoke, late(commonStep, now, r.UserRevoke)),
			rpc.Bind(protocol.ListFrozenUsers, r.ListFrozenUsers),
			rpc.Bind(protocol.DeviceCreate, late(commonStep, now, r.DeviceCreate)),
			rpc.Bind(protocol.InviteNewUser, r.InviteNewUser),
			rpc.Bind(protocol.InviteNewDevice, r.InviteNewDevice),
			rpc.Bind(protocol.InviteList, r.InviteList),
			rpc.Bind(protocol.InviteCancel, r.InviteCancel),
			rpc.Bind(protocol.InviteComplete, r.InviteComplete),
			rpc.Bind(protocol.InviteGreeterStartGreetingAttempt, r.InviteGreeterStartGreetingAttempt),
			rpc.Bind(protocol.InviteGreeterCancelGreetingAttempt, r.InviteGreeterCancelGreetingAttempt),
			rpc.Bind(protocol.InviteGreeterStep, r.InviteGreeterStep),
			rpc.Bind(protocol.OrganizationInfo, r.OrganizationInfo),
			rpc.Bind(protocol.RealmCreate, late(realmStep, now, r.RealmCreate)),
			rpc.Bind(protocol.RealmShare, late(realmStep, now, r.RealmShare)),
			rpc.Bind(protocol.RealmUnshare, late(realmStep, now, r.RealmUnshare)),
			rpc.Bind(protocol.RealmSelfPromoteToOwner, late(realmStep, now, r.RealmSelfPromoteToOwner)),
			rpc.Bind(protocol.RealmRename, late(realmStep, now, r.RealmRename)),
			rpc.Bind(protocol.RealmRotateKey, late(realmStep, now, r.RealmRotateKey)),
			rpc.Bind(protocol.RealmUpdateArchiving, late(realmStep, now, r.RealmUpdateArchiving)),
			rpc.Bind(protocol.RealmGetKeysBundle, r.RealmGetKeysBundle),
			rpc.Bind(protocol.CryptpadRegisterSession, r.CryptpadRegisterSession),
			rpc.Bind(protocol.InviteNewShamirRecovery, r.InviteNewShamirRecovery),
			rpc.Bind(protocol.ShamirRecoverySetup, late(commonStep, now, r.ShamirRecoverySetup)),
			rpc.Bind(protocol.ShamirRecoveryDelete, late(commonStep, now, r.ShamirRecoveryDelete)),
			rpc.Bind(protocol.VlobCreate, r.VlobCreate),
			rpc.Bind(protocol.VlobUpdate, r.VlobUpdate),
			rpc.Bind(protocol.VlobReadBatch, r.VlobReadBatch),
			rpc.Bind(protocol.VlobReadVersions, r.VlobReadVersions),
			rpc.Bind(protocol.VlobPollChanges, r.VlobPollChanges),
			rpc.Bind(protocol.BlockCreate, r.BlockCreate),
			rpc.BindEncoded(protocol.BlockRead, readBlock(r)),
			rpc.Bind(protocol.AsyncEnrollmentList, r.AsyncEnrollmentList),
			rpc.Bind(protocol.AsyncEnrollmentReject, r.AsyncEnrollmentReject),
			rpc.Bind(protocol.AsyncEnrollmentAccept, late(commonStep, now, r.AsyncEnrollmentAccept)),
			rpc.Bind(protocol.TOTPSetupGetSecret, r.TOTPSetupGetSecret),
			rpc.Bind(protocol.TOTPSetupConfirm, r.TOTPSetupConfirm),
			rpc.Bind(protocol.TOTPCreateOpaqueKey, r.TOTPCreateOpaqueKey),
		),
		atOnce: rpc.NewTable(wire.Microseconds,
			rpc.Bind(protocol.VlobReadBatch, r.VlobReadBatchAtOnce),
		),
		tos: rpc.NewTable(wire.Microseconds,
			rpc.Bind(protocol.TOSGet, r.TOSGet),
			rpc.Bind(protocol.TOSAccept, r.TOSAccept),
		),
		anonymous: rpc.NewTable(wire.Microseconds,
			rpc.Bind(protocol.Ping, r.PingAnonymous),
			rpc.Bind(protocol.OrganizationBootstrap, r.OrganizationBootstrap),
			rpc.Bind(protocol.AsyncEnrollmentSubmit, r.AsyncEnrollmentSubmit),
			rpc.Bind(protocol.AsyncEnrollmentInfo, r.AsyncEnrollmentInfo),
			rpc.Bind(protocol.AsyncEnrollmentCancel, r.AsyncEnrollmentCancel),
			rpc.Bind(protocol.TOTPSetupGetSecretAnonymous, r.TOTPSetupGetSecretAnonymous),
			rpc.Bind(protocol.TOTPSetupConfirmAnonymous, r.TOTPSetupConfirmAnonymous),
			rpc.Bind(protocol.TOTPFetchOpaqueKey, r.TOTPFetchOpaqueKey),
		),
		anonymousServer: rpc.NewTable(wire.Microseconds, append(ofStrangers(r),
			rpc.Bind(protocol.Ping, pong),
			rpc.Bind(protocol.ServerConfig, serverConfig(r)),
			rpc.Bind(protocol.SCWSServiceMutualChallenges, mutualChallenges(r)),
		)...),
		invited: rpc.NewTable(wire.Microseconds,
			rpc.Bind(protocol.Ping, r.PingInvited),
			rpc.Bind(protocol.InviteInfo, r.InviteInfo),
			rpc.Bind(protocol.InviteClaimerStartGreetingAttempt, r.InviteClaimerStartGreetingAttempt),
			rpc.Bind(protocol.InviteClaimerCancelGreetingAttempt, r.InviteClaimerCancelGreetingAttempt),
			rpc.Bind(protocol.InviteClaimerStep, r.InviteClaimerStep),
			rpc.Bind(protocol.InviteShamirRecoveryReveal, r.InviteShamirRecoveryReveal),
		),
		account: rpc.NewTable(wire.Microseconds, append(ofAccounts(r),
			rpc.Bind(protocol.Ping, r.PingAccount),
		)...),
	}
}

// ofStrangers are the commands of accounts that strangers send: unknown ones where there
// are no accounts (docs/protocol/v5/account.md §1).
func ofStrangers(r *rules.Rules) []rpc.Binding[stranger] {
	if r.AccountConfig() == protocol.AccountDisabled {
		return nil
	}
	return []rpc.Binding[stranger]{
		rpc.Bind(protocol.AccountCreateSendValidationEmail, r.AccountCreateSendValidationEmail),
		rpc.Bind(protocol.AccountCreateProceed, r.AccountCreateProceed),
		rpc.Bind(protocol.AccountRecoverSendValidationEmail, r.AccountRecoverSendValidationEmail),
		rpc.Bind(protocol.AccountRecoverProceed, r.AccountRecoverProceed),
		rpc.Bind(protocol.AuthMethodPasswordGetAlgorithm, r.AuthMethodPasswordGetAlgorithm),
	}
}

// ofAccounts are the commands of the owner of an account.
func ofAccounts(r *rules.Rules) []rpc.Binding[*rules.AccountAuthor] {
	if r.AccountConfig() == protocol.AccountDisabled {
		return nil
	}
	return []rpc.Binding[*rules.AccountAuthor]{
		rpc.Bind(protocol.AccountInfo, r.AccountInfo),
		rpc.Bind(protocol.AccountDeleteSendValidationEmail, r.AccountDeleteSendValidationEmail),
		rpc.Bind(protocol.AccountDeleteProceed, r.AccountDeleteProceed),
		rpc.Bind(protocol.AuthMethodList, r.AuthMethodList),
		rpc.Bind(protocol.AuthMethodCreate, r.AuthMethodCreate),
		rpc.Bind(protocol.AuthMethodDisable, r.AuthMethodDisable),
		rpc.Bind(protocol.OrganizationSelfList, r.OrganizationSelfList),
		rpc.Bind(protocol.InviteSelfList, r.InviteSelfList),
		rpc.Bind(protocol.VaultItemList, r.VaultItemList),
		rpc.Bind(protocol.VaultItemUpload, r.VaultItemUpload),
		rpc.Bind(protocol.VaultKeyRotation, r.VaultKeyRotation),
		rpc.Bind(protocol.VaultItemRecoveryList, r.VaultItemRecoveryList),
	}
}

// refuseEventsListen answers a client that does not open a stream
// (docs/protocol/v5/events.md §1).
func refuseEventsListen(context.Context, *rules.Author, *protocol.EventsListenRequest) (*protocol.EventsListenReply, error) {
	return nil, protocol.Refuse(protocol.StatusNotAvailable)
}

// pong answers who asks for no organization: nobody hears of its ping.
func pong(_ context.Context, _ stranger, request *protocol.PingRequest) (*protocol.PingReply, error) {
	return &protocol.PingReply{Pong: request.Ping}, nil
}

// mutualChallenges does not depend on who asks.
func mutualChallenges(r *rules.Rules) func(context.Context, stranger, *protocol.SCWSServiceMutualChallengesRequest) (*protocol.SCWSServiceMutualChallengesReply, error) {
	return func(ctx context.Context, _ stranger, request *protocol.SCWSServiceMutualChallengesRequest) (*protocol.SCWSServiceMutualChallengesReply, error) {
		return r.SCWSServiceMutualChallenges(ctx, request)
	}
}

// serverConfig says what the server offers (docs/protocol/v5/account.md §4).
func serverConfig(r *rules.Rules) func(context.Context, stranger, *protocol.ServerConfigRequest) (*protocol.ServerConfigReply, error) {
	reply := &protocol.ServerConfigReply{
		Account:               r.AccountConfig(),
		OrganizationBootstrap: protocol.BootstrapWithToken,
		OpenBao:               r.OpenBao(),
		Cryptpad:              r.Cryptpad(),

		AdvisoryDeviceFileProtection: r.DeviceFileProtection(),
	}
	if r.Founding().SpontaneousBootstrap {
		reply.OrganizationBootstrap = protocol.BootstrapSpontaneous
	}
	return func(context.Context, stranger, *protocol.ServerConfigRequest) (*protocol.ServerConfigReply, error) {
		return reply, nil
	}
}

// readBlock has the block read to where it is in the reply.
func readBlock(r *rules.Rules) func(context.Context, *rules.Author, *protocol.BlockReadRequest) (*[]byte, error) {
	return func(ctx context.Context, author *rules.Author, request *protocol.BlockReadRequest) (*[]byte, error) {
		return server.EncodeBlock(wire.Microseconds, func(room func(size uint64, head ...wire.Field) ([]byte, error)) error {
			return r.BlockRead(ctx, author, request, func(of *protocol.BlockReadReply, size uint64) ([]byte, error) {
				return room(size,
					wire.Field{Key: "key_index", Value: of.KeyIndex},
					wire.Field{Key: "needed_realm_certificate_timestamp", Value: of.NeededRealmCertificateTimestamp})
			})
		})
	}
}
