package protocol

import "parsec-server/pkg/rpc"

// Kind is a set of kinds of connection, given by the handshake or the HTTP
// route (docs/protocol/transport.md §6.6 and §7).
type Kind uint8

// The kinds. Over WebSocket, Anonymous and Administration exist in API 1 only;
// over HTTP, Anonymous exists in API 2 and 3.
const (
	Authenticated Kind = 1 << iota
	Invited
	Anonymous
	Administration
)

func (k Kind) String() string {
	switch k {
	case Authenticated:
		return "authenticated"
	case Invited:
		return "invited"
	case Anonymous:
		return "anonymous"
	case Administration:
		return "administration"
	default:
		return "several"
	}
}

// The sets of API majors in use.
const (
	V1   rpc.Majors = 1 << 1
	V2   rpc.Majors = 1 << 2
	V3   rpc.Majors = 1 << 3
	V2V3            = V2 | V3
	VAll            = V1 | V2 | V3
)

// EmptyReply is the reply of the commands that return nothing but their status.
type EmptyReply struct{}

// The commands, by family. docs/protocol/commands.md §2 lists their
// availability.
var (
	Ping = rpc.Define[PingRequest, PingReply]("ping", VAll, Authenticated|Invited|Anonymous|Administration)

	EventsSubscribe = rpc.Define[EventsSubscribeRequest, EmptyReply]("events_subscribe", VAll, Authenticated)
	EventsListen    = rpc.Define[EventsListenRequest, Event]("events_listen", VAll, Authenticated, rpc.Abandoned).
			WithDefaults(func(r *EventsListenRequest) { r.Wait = true })

	MessageGet = rpc.Define[MessageGetRequest, MessageGetReply]("message_get", VAll, Authenticated)

	UserGet      = rpc.Define[UserGetRequest, UserGetReply]("user_get", VAll, Authenticated)
	UserCreate   = rpc.Define[UserCreateRequest, EmptyReply]("user_create", V2V3, Authenticated)
	UserCreateV1 = rpc.Define[UserCreateV1Request, EmptyReply]("user_create", V1, Authenticated)
	UserRevoke   = rpc.Define[UserRevokeRequest, EmptyReply]("user_revoke", VAll, Authenticated)
	UserFind     = rpc.Define[UserFindRequest, UserFindReply]("user_find", V1, Authenticated).
			WithDefaults(func(r *UserFindRequest) { r.Page, r.PerPage = 1, 100 })
	HumanFind = rpc.Define[HumanFindRequest, HumanFindReply]("human_find", VAll, Authenticated).
			WithDefaults(func(r *HumanFindRequest) { r.Page, r.PerPage = 1, 100 })

	DeviceCreate   = rpc.Define[DeviceCreateRequest, EmptyReply]("device_create", V2V3, Authenticated)
	DeviceCreateV1 = rpc.Define[DeviceCreateV1Request, EmptyReply]("device_create", V1, Authenticated)

	UserInvite                 = rpc.Define[InvitedUserRequest, InvitationClaimReply]("user_invite", V1, Authenticated, rpc.Abandoned)
	UserCancelInvitation       = rpc.Define[InvitedUserRequest, EmptyReply]("user_cancel_invitation", V1, Authenticated)
	UserGetInvitationCreator   = rpc.Define[UserGetInvitationCreatorRequest, InvitationCreatorReply]("user_get_invitation_creator", V1, Anonymous)
	UserClaim                  = rpc.Define[UserClaimRequest, UserClaimReply]("user_claim", V1, Anonymous, rpc.Abandoned, rpc.Limited)
	DeviceInvite               = rpc.Define[InvitedDeviceRequest, InvitationClaimReply]("device_invite", V1, Authenticated, rpc.Abandoned)
	DeviceCancelInvitation     = rpc.Define[InvitedDeviceRequest, EmptyReply]("device_cancel_invitation", V1, Authenticated)
	DeviceGetInvitationCreator = rpc.Define[DeviceGetInvitationCreatorRequest, InvitationCreatorReply]("device_get_invitation_creator", V1, Anonymous)
	DeviceClaim                = rpc.Define[DeviceClaimRequest, DeviceClaimReply]("device_claim", V1, Anonymous, rpc.Abandoned, rpc.Limited)

	InviteNew    = rpc.Define[InviteNewRequest, InviteNewReply]("invite_new", V2V3, Authenticated)
	InviteDelete = rpc.Define[InviteDeleteRequest, EmptyReply]("invite_delete", V2V3, Authenticated)
	InviteList   = rpc.Define[InviteListRequest, InviteListReply]("invite_list", V2V3, Authenticated)
	InviteInfo   = rpc.Define[InviteInfoRequest, InviteInfoReply]("invite_info", V2V3, Invited)

	Invite1GreeterWaitPeer        = rpc.Define[Invite1GreeterWaitPeerRequest, Invite1GreeterWaitPeerReply]("invite_1_greeter_wait_peer", V2V3, Authenticated, rpc.Abandoned)
	Invite2aGreeterGetHashedNonce = rpc.Define[Invite2aGreeterGetHashedNonceRequest, Invite2aGreeterGetHashedNonceReply]("invite_2a_greeter_get_hashed_nonce", V2V3, Authenticated, rpc.Abandoned)
	Invite2bGreeterSendNonce      = rpc.Define[Invite2bGreeterSendNonceRequest, Invite2bGreeterSendNonceReply]("invite_2b_greeter_send_nonce", V2V3, Authenticated, rpc.Abandoned)
	Invite3aGreeterWaitPeerTrust  = rpc.Define[Invite3aGreeterWaitPeerTrustRequest, EmptyReply]("invite_3a_greeter_wait_peer_trust", V2V3, Authenticated, rpc.Abandoned)
	Invite3bGreeterSignifyTrust   = rpc.Define[Invite3bGreeterSignifyTrustRequest, EmptyReply]("invite_3b_greeter_signify_trust", V2V3, Authenticated, rpc.Abandoned)
	Invite4GreeterCommunicate     = rpc.Define[Invite4GreeterCommunicateRequest, InviteCommunicateReply]("invite_4_greeter_communicate", V2V3, Authenticated, rpc.Abandoned)

	Invite1ClaimerWaitPeer         = rpc.Define[Invite1ClaimerWaitPeerRequest, Invite1ClaimerWaitPeerReply]("invite_1_claimer_wait_peer", V2V3, Invited, rpc.Abandoned)
	Invite2aClaimerSendHashedNonce = rpc.Define[Invite2aClaimerSendHashedNonceRequest, Invite2aClaimerSendHashedNonceReply]("invite_2a_claimer_send_hashed_nonce", V2V3, Invited, rpc.Abandoned)
	Invite2bClaimerSendNonce       = rpc.Define[Invite2bClaimerSendNonceRequest, EmptyReply]("invite_2b_claimer_send_nonce", V2V3, Invited, rpc.Abandoned)
	Invite3aClaimerSignifyTrust    = rpc.Define[Invite3aClaimerSignifyTrustRequest, EmptyReply]("invite_3a_claimer_signify_trust", V2V3, Invited, rpc.Abandoned)
	Invite3bClaimerWaitPeerTrust   = rpc.Define[Invite3bClaimerWaitPeerTrustRequest, EmptyReply]("invite_3b_claimer_wait_peer_trust", V2V3, Invited, rpc.Abandoned)
	Invite4ClaimerCommunicate      = rpc.Define[Invite4ClaimerCommunicateRequest, InviteCommunicateReply]("invite_4_claimer_communicate", V2V3, Invited, rpc.Abandoned)

	// It waits after failures.
	InviteShamirRecoveryReveal = rpc.Define[InviteShamirRecoveryRevealRequest, InviteShamirRecoveryRevealReply]("invite_shamir_recovery_reveal", V2V3, Invited, rpc.Abandoned)

	PKIEnrollmentSubmit = rpc.Define[PKIEnrollmentSubmitRequest, PKIEnrollmentSubmitReply]("pki_enrollment_submit", V2V3, Anonymous, rpc.Limited)
	PKIEnrollmentInfo   = rpc.Define[PKIEnrollmentInfoRequest, PKIEnrollmentInfoReply]("pki_enrollment_info", V2V3, Anonymous)
	PKIEnrollmentList   = rpc.Define[PKIEnrollmentListRequest, PKIEnrollmentListReply]("pki_enrollment_list", V2V3, Authenticated)
	PKIEnrollmentReject = rpc.Define[PKIEnrollmentRejectRequest, EmptyReply]("pki_enrollment_reject", V2V3, Authenticated)
	PKIEnrollmentAccept = rpc.Define[PKIEnrollmentAcceptRequest, EmptyReply]("pki_enrollment_accept", V2V3, Authenticated)

	ShamirRecoverySetup      = rpc.Define[ShamirRecoverySetupRequest, EmptyReply]("shamir_recovery_setup", V2V3, Authenticated)
	ShamirRecoverySelfInfo   = rpc.Define[ShamirRecoverySelfInfoRequest, ShamirRecoverySelfInfoReply]("shamir_recovery_self_info", V2V3, Authenticated)
	ShamirRecoveryOthersList = rpc.Define[ShamirRecoveryOthersListRequest, ShamirRecoveryOthersListReply]("shamir_recovery_others_list", V2V3, Authenticated)

	OrganizationBootstrap   = rpc.Define[OrganizationBootstrapRequest, EmptyReply]("organization_bootstrap", V2V3, Anonymous, rpc.LimitedIfSpontaneous)
	OrganizationBootstrapV1 = rpc.Define[OrganizationBootstrapV1Request, EmptyReply]("organization_bootstrap", V1, Anonymous, rpc.LimitedIfSpontaneous)
	OrganizationStats       = rpc.Define[OrganizationStatsRequest, OrganizationStatsReply]("organization_stats", V2V3, Authenticated)
	OrganizationConfig      = rpc.Define[OrganizationConfigRequest, OrganizationConfigReply]("organization_config", V2V3, Authenticated)
	ArchivingConfig         = rpc.Define[ArchivingConfigRequest, ArchivingConfigReply]("archiving_config", V2V3, Authenticated)

	AdministrationCreate = rpc.Define[AdministrationCreateRequest, AdministrationCreateReply]("organization_create", V1, Administration)
	AdministrationStatus = rpc.Define[AdministrationStatusRequest, AdministrationStatusReply]("organization_status", V1, Administration)
	AdministrationStats  = rpc.Define[AdministrationStatsRequest, AdministrationStatsReply]("organization_stats", V1, Administration)
	AdministrationUpdate = rpc.Define[AdministrationUpdateRequest, EmptyReply]("organization_update", V1, Administration).
				WithDefaults(func(r *AdministrationUpdateRequest) {
			unchanged := Unchanged
			r.ExpirationDate = &unchanged
		})

	RealmCreate               = rpc.Define[RealmCreateRequest, EmptyReply]("realm_create", VAll, Authenticated)
	RealmStatus               = rpc.Define[RealmStatusRequest, RealmStatusReply]("realm_status", VAll, Authenticated)
	RealmStats                = rpc.Define[RealmStatsRequest, RealmStatsReply]("realm_stats", VAll, Authenticated)
	RealmGetRoleCertificates  = rpc.Define[RealmGetRoleCertificatesRequest, RealmGetRoleCertificatesReply]("realm_get_role_certificates", VAll, Authenticated)
	RealmUpdateRoles          = rpc.Define[RealmUpdateRolesRequest, EmptyReply]("realm_update_roles", VAll, Authenticated)
	RealmUpdateArchiving      = rpc.Define[RealmUpdateArchivingRequest, EmptyReply]("realm_update_archiving", V2V3, Authenticated)
	RealmStartReencryption    = rpc.Define[RealmStartReencryptionRequest, EmptyReply]("realm_start_reencryption_maintenance", VAll, Authenticated)
	RealmFinishReencryption   = rpc.Define[RealmFinishReencryptionRequest, EmptyReply]("realm_finish_reencryption_maintenance", VAll, Authenticated)
	VlobGetReencryptionBatch  = rpc.Define[VlobGetReencryptionBatchRequest, VlobGetReencryptionBatchReply]("vlob_maintenance_get_reencryption_batch", VAll, Authenticated)
	VlobSaveReencryptionBatch = rpc.Define[VlobSaveReencryptionBatchRequest, VlobSaveReencryptionBatchReply]("vlob_maintenance_save_reencryption_batch", VAll, Authenticated)

	VlobCreate       = rpc.Define[VlobCreateRequest, EmptyReply]("vlob_create", VAll, Authenticated)
	VlobUpdate       = rpc.Define[VlobUpdateRequest, EmptyReply]("vlob_update", VAll, Authenticated)
	VlobRead         = rpc.Define[VlobReadRequest, VlobReadReply]("vlob_read", VAll, Authenticated)
	VlobListVersions = rpc.Define[VlobListVersionsRequest, VlobListVersionsReply]("vlob_list_versions", VAll, Authenticated)
	VlobPollChanges  = rpc.Define[VlobPollChangesRequest, VlobPollChangesReply]("vlob_poll_changes", VAll, Authenticated)

	BlockCreate = rpc.Define[BlockCreateRequest, EmptyReply]("block_create", VAll, Authenticated)
	BlockRead   = rpc.Define[BlockReadRequest, BlockReadReply]("block_read", VAll, Authenticated)
)
