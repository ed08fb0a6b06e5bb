package protocol

import "parsec-server/pkg/rpc"

// Kind is a set of families of commands, each of which has a route of its own
// (docs/protocol/v5/transport.md §2).
type Kind uint8

// The families.
const (
	Authenticated Kind = 1 << iota
	TOS
	Anonymous
	AnonymousServer
	Invited
	AuthenticatedAccount
)

func (k Kind) String() string {
	switch k {
	case Authenticated:
		return "authenticated"
	case TOS:
		return "tos"
	case Anonymous:
		return "anonymous"
	case AnonymousServer:
		return "anonymous server"
	case Invited:
		return "invited"
	case AuthenticatedAccount:
		return "authenticated account"
	default:
		return "several"
	}
}

// V5 is the one API major of these commands.
const V5 rpc.Majors = 1 << 5

// The commands, by family of docs/protocol/v5/commands.md.
var (
	Ping = rpc.Define[PingRequest, PingReply]("ping", V5, Authenticated|Anonymous|AnonymousServer|Invited|AuthenticatedAccount)

	// Events come by a stream; sent as a command it is refused.
	EventsListen = rpc.Define[EventsListenRequest, EventsListenReply]("events_listen", V5, Authenticated)

	CertificateGet = rpc.Define[CertificateGetRequest, CertificateGetReply]("certificate_get", V5, Authenticated)

	UserCreate      = rpc.Define[UserCreateRequest, UserCreateReply]("user_create", V5, Authenticated)
	UserUpdate      = rpc.Define[UserUpdateRequest, UserUpdateReply]("user_update", V5, Authenticated)
	UserRevoke      = rpc.Define[UserRevokeRequest, UserRevokeReply]("user_revoke", V5, Authenticated)
	ListFrozenUsers = rpc.Define[ListFrozenUsersRequest, ListFrozenUsersReply]("list_frozen_users", V5, Authenticated)
	DeviceCreate    = rpc.Define[DeviceCreateRequest, DeviceCreateReply]("device_create", V5, Authenticated)

	TOSGet    = rpc.Define[TOSGetRequest, TOSGetReply]("tos_get", V5, TOS)
	TOSAccept = rpc.Define[TOSAcceptRequest, TOSAcceptReply]("tos_accept", V5, TOS)

	InviteNewUser   = rpc.Define[InviteNewUserRequest, InviteNewUserReply]("invite_new_user", V5, Authenticated)
	InviteNewDevice = rpc.Define[InviteNewDeviceRequest, InviteNewDeviceReply]("invite_new_device", V5, Authenticated)
	InviteList      = rpc.Define[InviteListRequest, InviteListReply]("invite_list", V5, Authenticated)
	InviteCancel    = rpc.Define[InviteCancelRequest, InviteCancelReply]("invite_cancel", V5, Authenticated)
	InviteComplete  = rpc.Define[InviteCompleteRequest, InviteCompleteReply]("invite_complete", V5, Authenticated)
	InviteInfo      = rpc.Define[InviteInfoRequest, InviteInfoReply]("invite_info", V5, Invited)

	InviteGreeterStartGreetingAttempt  = rpc.Define[InviteGreeterStartGreetingAttemptRequest, InviteGreeterStartGreetingAttemptReply]("invite_greeter_start_greeting_attempt", V5, Authenticated)
	InviteClaimerStartGreetingAttempt  = rpc.Define[InviteClaimerStartGreetingAttemptRequest, InviteClaimerStartGreetingAttemptReply]("invite_claimer_start_greeting_attempt", V5, Invited)
	InviteGreeterCancelGreetingAttempt = rpc.Define[InviteGreeterCancelGreetingAttemptRequest, InviteGreeterCancelGreetingAttemptReply]("invite_greeter_cancel_greeting_attempt", V5, Authenticated)
	InviteClaimerCancelGreetingAttempt = rpc.Define[InviteClaimerCancelGreetingAttemptRequest, InviteClaimerCancelGreetingAttemptReply]("invite_claimer_cancel_greeting_attempt", V5, Invited)
	InviteGreeterStep                  = rpc.Define[InviteGreeterStepRequest, InviteGreeterStepReply]("invite_greeter_step", V5, Authenticated)
	InviteClaimerStep                  = rpc.Define[InviteClaimerStepRequest, InviteClaimerStepReply]("invite_claimer_step", V5, Invited)

	OrganizationBootstrap = rpc.Define[OrganizationBootstrapRequest, OrganizationBootstrapReply]("organization_bootstrap", V5, Anonymous, rpc.LimitedIfSpontaneous)
	OrganizationInfo      = rpc.Define[OrganizationInfoRequest, OrganizationInfoReply]("organization_info", V5, Authenticated)
	ServerConfig          = rpc.Define[ServerConfigRequest, ServerConfigReply]("server_config", V5, AnonymousServer)

	RealmCreate             = rpc.Define[RealmCreateRequest, RealmCreateReply]("realm_create", V5, Authenticated)
	RealmShare              = rpc.Define[RealmShareRequest, RealmShareReply]("realm_share", V5, Authenticated)
	RealmUnshare            = rpc.Define[RealmUnshareRequest, RealmUnshareReply]("realm_unshare", V5, Authenticated)
	RealmSelfPromoteToOwner = rpc.Define[RealmSelfPromoteToOwnerRequest, RealmSelfPromoteToOwnerReply]("realm_self_promote_to_owner", V5, Authenticated)
	RealmRename             = rpc.Define[RealmRenameRequest, RealmRenameReply]("realm_rename", V5, Authenticated)
	RealmRotateKey          = rpc.Define[RealmRotateKeyRequest, RealmRotateKeyReply]("realm_rotate_key", V5, Authenticated)
	RealmUpdateArchiving    = rpc.Define[RealmUpdateArchivingRequest, RealmUpdateArchivingReply]("realm_update_archiving", V5, Authenticated)
	RealmGetKeysBundle      = rpc.Define[RealmGetKeysBundleRequest, RealmGetKeysBundleReply]("realm_get_keys_bundle", V5, Authenticated)

	ShamirRecoverySetup        = rpc.Define[ShamirRecoverySetupRequest, ShamirRecoverySetupReply]("shamir_recovery_setup", V5, Authenticated)
	InviteNewShamirRecovery    = rpc.Define[InviteNewShamirRecoveryRequest, InviteNewShamirRecoveryReply]("invite_new_shamir_recovery", V5, Authenticated)
	InviteShamirRecoveryReveal = rpc.Define[InviteShamirRecoveryRevealRequest, InviteShamirRecoveryRevealReply]("invite_shamir_recovery_reveal", V5, Invited)
	ShamirRecoveryDelete       = rpc.Define[ShamirRecoveryDeleteRequest, ShamirRecoveryDeleteReply]("shamir_recovery_delete", V5, Authenticated)

	CryptpadRegisterSession = rpc.Define[CryptpadRegisterSessionRequest, CryptpadRegisterSessionReply]("cryptpad_register_session", V5, Authenticated)

	SCWSServiceMutualChallenges = rpc.Define[SCWSServiceMutualChallengesRequest, SCWSServiceMutualChallengesReply]("scws_service_mutual_challenges", V5, AnonymousServer, rpc.Limited)

	VlobCreate       = rpc.Define[VlobCreateRequest, VlobCreateReply]("vlob_create", V5, Authenticated)
	VlobUpdate       = rpc.Define[VlobUpdateRequest, VlobUpdateReply]("vlob_update", V5, Authenticated)
	VlobReadBatch    = rpc.Define[VlobReadBatchRequest, VlobReadBatchReply]("vlob_read_batch", V5, Authenticated)
	VlobReadVersions = rpc.Define[VlobReadVersionsRequest, VlobReadVersionsReply]("vlob_read_versions", V5, Authenticated)
	VlobPollChanges  = rpc.Define[VlobPollChangesRequest, VlobPollChangesReply]("vlob_poll_changes", V5, Authenticated)

	BlockCreate = rpc.Define[BlockCreateRequest, BlockCreateReply]("block_create", V5, Authenticated)
	BlockRead   = rpc.Define[BlockReadRequest, BlockReadReply]("block_read", V5, Authenticated)

	// Strangers may write by the first one, and guess by the confirmations.
	AsyncEnrollmentSubmit = rpc.Define[AsyncEnrollmentSubmitRequest, AsyncEnrollmentSubmitReply]("async_enrollment_submit", V5, Anonymous, rpc.Limited)
	AsyncEnrollmentInfo   = rpc.Define[AsyncEnrollmentInfoRequest, AsyncEnrollmentInfoReply]("async_enrollment_info", V5, Anonymous)
	AsyncEnrollmentCancel = rpc.Define[AsyncEnrollmentCancelRequest, AsyncEnrollmentCancelReply]("async_enrollment_cancel", V5, Anonymous)
	AsyncEnrollmentList   = rpc.Define[AsyncEnrollmentListRequest, AsyncEnrollmentListReply]("async_enrollment_list", V5, Authenticated)
	AsyncEnrollmentReject = rpc.Define[AsyncEnrollmentRejectRequest, AsyncEnrollmentRejectReply]("async_enrollment_reject", V5, Authenticated)
	AsyncEnrollmentAccept = rpc.Define[AsyncEnrollmentAcceptRequest, AsyncEnrollmentAcceptReply]("async_enrollment_accept", V5, Authenticated)

	TOTPSetupGetSecret                = rpc.Define[TOTPSetupGetSecretRequest, TOTPSetupGetSecretReply]("totp_setup_get_secret", V5, Authenticated)
	TOTPSetupGetSecretAnonymous       = rpc.Define[TOTPSetupGetSecretAnonymousRequest, TOTPSetupGetSecretReply]("totp_setup_get_secret", V5, Anonymous)
	TOTPSetupConfirm                  = rpc.Define[TOTPSetupConfirmRequest, TOTPSetupConfirmReply]("totp_setup_confirm", V5, Authenticated, rpc.Limited)
	TOTPSetupConfirmAnonymous         = rpc.Define[TOTPSetupConfirmAnonymousRequest, TOTPSetupConfirmReply]("totp_setup_confirm", V5, Anonymous, rpc.Limited)
	TOTPCreateOpaqueKey               = rpc.Define[TOTPCreateOpaqueKeyRequest, TOTPCreateOpaqueKeyReply]("totp_create_opaque_key", V5, Authenticated)
	TOTPFetchOpaqueKey                = rpc.Define[TOTPFetchOpaqueKeyRequest, TOTPFetchOpaqueKeyReply]("totp_fetch_opaque_key", V5, Anonymous)
	AccountCreateSendValidationEmail  = rpc.Define[AccountCreateSendValidationEmailRequest, AccountCreateSendValidationEmailReply]("account_create_send_validation_email", V5, AnonymousServer, rpc.Limited)
	AccountCreateProceed              = rpc.Define[AccountCreateProceedRequest, AccountCreateProceedReply]("account_create_proceed", V5, AnonymousServer, rpc.Limited)
	AccountRecoverSendValidationEmail = rpc.Define[AccountRecoverSendValidationEmailRequest, AccountRecoverSendValidationEmailReply]("account_recover_send_validation_email", V5, AnonymousServer, rpc.Limited)
	AccountRecoverProceed             = rpc.Define[AccountRecoverProceedRequest, AccountRecoverProceedReply]("account_recover_proceed", V5, AnonymousServer, rpc.Limited)
	AuthMethodPasswordGetAlgorithm    = rpc.Define[AuthMethodPasswordGetAlgorithmRequest, AuthMethodPasswordGetAlgorithmReply]("auth_method_password_get_algorithm", V5, AnonymousServer, rpc.Limited)
	AccountInfo                       = rpc.Define[AccountInfoRequest, AccountInfoReply]("account_info", V5, AuthenticatedAccount)
	AccountDeleteSendValidationEmail  = rpc.Define[AccountDeleteSendValidationEmailRequest, AccountDeleteSendValidationEmailReply]("account_delete_send_validation_email", V5, AuthenticatedAccount)
	AccountDeleteProceed              = rpc.Define[AccountDeleteProceedRequest, AccountDeleteProceedReply]("account_delete_proceed", V5, AuthenticatedAccount)
	AuthMethodList                    = rpc.Define[AuthMethodListRequest, AuthMethodListReply]("auth_method_list", V5, AuthenticatedAccount)
	AuthMethodCreate                  = rpc.Define[AuthMethodCreateRequest, AuthMethodCreateReply]("auth_method_create", V5, AuthenticatedAccount)
	AuthMethodDisable                 = rpc.Define[AuthMethodDisableRequest, AuthMethodDisableReply]("auth_method_disable", V5, AuthenticatedAccount)
	OrganizationSelfList              = rpc.Define[OrganizationSelfListRequest, OrganizationSelfListReply]("organization_self_list", V5, AuthenticatedAccount)
	InviteSelfList                    = rpc.Define[InviteSelfListRequest, InviteSelfListReply]("invite_self_list", V5, AuthenticatedAccount)
	VaultItemList                     = rpc.Define[VaultItemListRequest, VaultItemListReply]("vault_item_list", V5, AuthenticatedAccount)
	VaultItemUpload                   = rpc.Define[VaultItemUploadRequest, VaultItemUploadReply]("vault_item_upload", V5, AuthenticatedAccount)
	VaultKeyRotation                  = rpc.Define[VaultKeyRotationRequest, VaultKeyRotationReply]("vault_key_rotation", V5, AuthenticatedAccount)
	VaultItemRecoveryList             = rpc.Define[VaultItemRecoveryListRequest, VaultItemRecoveryListReply]("vault_item_recovery_list", V5, AuthenticatedAccount)
)
