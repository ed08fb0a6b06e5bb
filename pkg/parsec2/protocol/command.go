package protocol

import "parsec-server/pkg/parsec"

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

// Majors is a set of API majors.
type Majors uint8

// The sets in use.
const (
	V1   Majors = 1 << 1
	V2   Majors = 1 << 2
	V3   Majors = 1 << 3
	V2V3        = V2 | V3
	VAll        = V1 | V2 | V3
)

// Has tells whether the set holds major.
func (m Majors) Has(major uint32) bool { return major < 8 && m&(1<<major) != 0 }

// Command is one form of a command: a name may have several forms, for
// distinct majors or kinds of connection, with fields of their own.
type Command struct {
	// Name is the value of "cmd".
	Name string
	// Majors and Kinds tell who may call this form.
	Majors Majors
	Kinds  Kind
	// Abandoned tells that a new message on the connection abandons the
	// command, without reply, while it waits (docs/protocol/transport.md §4).
	Abandoned bool
	// WebSocketOnly commands need a connection that lasts; HTTP knows them
	// not (docs/protocol/transport.md §7).
	WebSocketOnly bool
	// Limited commands let strangers write: the server bounds how often one
	// address may send them. SpontaneousOnly ones do so only where anybody may
	// bootstrap an organization.
	Limited, SpontaneousOnly bool
	// NewRequest allocates the request with the defaults of its optional
	// fields.
	NewRequest func() any
}

// Find returns the form of the command name for a connection.
func Find(name string, api parsec.APIVersion, kind Kind) (*Command, bool) {
	for _, command := range byName[name] {
		if command.Majors.Has(api.Major) && command.Kinds&kind != 0 {
			return command, true
		}
	}
	return nil, false
}

// Commands lists every form of every command.
func Commands() []*Command { return commands }

var (
	commands []*Command
	byName   = map[string][]*Command{}
)

func register[Request any](name string, majors Majors, kinds Kind, options ...func(*Command)) *Command {
	return registerWith(name, majors, kinds, func() any { return new(Request) }, options...)
}

func registerWith(name string, majors Majors, kinds Kind, newRequest func() any, options ...func(*Command)) *Command {
	command := &Command{Name: name, Majors: majors, Kinds: kinds, NewRequest: newRequest}
	for _, option := range options {
		option(command)
	}
	commands = append(commands, command)
	byName[name] = append(byName[name], command)
	return command
}

func abandoned(command *Command)     { command.Abandoned = true }
func webSocketOnly(command *Command) { command.WebSocketOnly = true }
func limited(command *Command)       { command.Limited = true }

func limitedIfSpontaneous(command *Command) { command.Limited, command.SpontaneousOnly = true, true }

// The commands, by family. docs/protocol/commands.md §2 gives their
// availability.
var (
	Ping = register[PingRequest]("ping", VAll, Authenticated|Invited|Anonymous|Administration)

	EventsSubscribe = register[EventsSubscribeRequest]("events_subscribe", VAll, Authenticated, webSocketOnly)
	EventsListen    = registerWith("events_listen", VAll, Authenticated,
		func() any { return &EventsListenRequest{Wait: true} }, abandoned, webSocketOnly)

	MessageGet = register[MessageGetRequest]("message_get", VAll, Authenticated)

	UserGet      = register[UserGetRequest]("user_get", VAll, Authenticated)
	UserCreate   = register[UserCreateRequest]("user_create", V2V3, Authenticated)
	UserCreateV1 = register[UserCreateV1Request]("user_create", V1, Authenticated)
	UserRevoke   = register[UserRevokeRequest]("user_revoke", VAll, Authenticated)
	UserFind     = registerWith("user_find", V1, Authenticated,
		func() any { return &UserFindRequest{Page: 1, PerPage: 100} })
	HumanFind = registerWith("human_find", VAll, Authenticated,
		func() any { return &HumanFindRequest{Page: 1, PerPage: 100} })

	DeviceCreate   = register[DeviceCreateRequest]("device_create", V2V3, Authenticated)
	DeviceCreateV1 = register[DeviceCreateV1Request]("device_create", V1, Authenticated)

	UserInvite                 = register[UserInviteRequest]("user_invite", V1, Authenticated, abandoned)
	UserCancelInvitation       = register[UserCancelInvitationRequest]("user_cancel_invitation", V1, Authenticated)
	UserGetInvitationCreator   = register[UserGetInvitationCreatorRequest]("user_get_invitation_creator", V1, Anonymous)
	UserClaim                  = register[UserClaimRequest]("user_claim", V1, Anonymous, abandoned, limited)
	DeviceInvite               = register[DeviceInviteRequest]("device_invite", V1, Authenticated, abandoned)
	DeviceCancelInvitation     = register[DeviceCancelInvitationRequest]("device_cancel_invitation", V1, Authenticated)
	DeviceGetInvitationCreator = register[DeviceGetInvitationCreatorRequest]("device_get_invitation_creator", V1, Anonymous)
	DeviceClaim                = register[DeviceClaimRequest]("device_claim", V1, Anonymous, abandoned, limited)

	InviteNew    = register[InviteNewRequest]("invite_new", V2V3, Authenticated)
	InviteDelete = register[InviteDeleteRequest]("invite_delete", V2V3, Authenticated)
	InviteList   = register[InviteListRequest]("invite_list", V2V3, Authenticated)
	InviteInfo   = register[InviteInfoRequest]("invite_info", V2V3, Invited)

	Invite1GreeterWaitPeer        = register[Invite1GreeterWaitPeerRequest]("invite_1_greeter_wait_peer", V2V3, Authenticated, abandoned)
	Invite2aGreeterGetHashedNonce = register[Invite2aGreeterGetHashedNonceRequest]("invite_2a_greeter_get_hashed_nonce", V2V3, Authenticated, abandoned)
	Invite2bGreeterSendNonce      = register[Invite2bGreeterSendNonceRequest]("invite_2b_greeter_send_nonce", V2V3, Authenticated, abandoned)
	Invite3aGreeterWaitPeerTrust  = register[Invite3aGreeterWaitPeerTrustRequest]("invite_3a_greeter_wait_peer_trust", V2V3, Authenticated, abandoned)
	Invite3bGreeterSignifyTrust   = register[Invite3bGreeterSignifyTrustRequest]("invite_3b_greeter_signify_trust", V2V3, Authenticated, abandoned)
	Invite4GreeterCommunicate     = register[Invite4GreeterCommunicateRequest]("invite_4_greeter_communicate", V2V3, Authenticated, abandoned)

	Invite1ClaimerWaitPeer         = register[Invite1ClaimerWaitPeerRequest]("invite_1_claimer_wait_peer", V2V3, Invited, abandoned)
	Invite2aClaimerSendHashedNonce = register[Invite2aClaimerSendHashedNonceRequest]("invite_2a_claimer_send_hashed_nonce", V2V3, Invited, abandoned)
	Invite2bClaimerSendNonce       = register[Invite2bClaimerSendNonceRequest]("invite_2b_claimer_send_nonce", V2V3, Invited, abandoned)
	Invite3aClaimerSignifyTrust    = register[Invite3aClaimerSignifyTrustRequest]("invite_3a_claimer_signify_trust", V2V3, Invited, abandoned)
	Invite3bClaimerWaitPeerTrust   = register[Invite3bClaimerWaitPeerTrustRequest]("invite_3b_claimer_wait_peer_trust", V2V3, Invited, abandoned)
	Invite4ClaimerCommunicate      = register[Invite4ClaimerCommunicateRequest]("invite_4_claimer_communicate", V2V3, Invited, abandoned)

	// It waits after failures.
	InviteShamirRecoveryReveal = register[InviteShamirRecoveryRevealRequest]("invite_shamir_recovery_reveal", V2V3, Invited, abandoned)

	PKIEnrollmentSubmit = register[PKIEnrollmentSubmitRequest]("pki_enrollment_submit", V2V3, Anonymous, limited)
	PKIEnrollmentInfo   = register[PKIEnrollmentInfoRequest]("pki_enrollment_info", V2V3, Anonymous)
	PKIEnrollmentList   = register[PKIEnrollmentListRequest]("pki_enrollment_list", V2V3, Authenticated)
	PKIEnrollmentReject = register[PKIEnrollmentRejectRequest]("pki_enrollment_reject", V2V3, Authenticated)
	PKIEnrollmentAccept = register[PKIEnrollmentAcceptRequest]("pki_enrollment_accept", V2V3, Authenticated)

	ShamirRecoverySetup      = register[ShamirRecoverySetupRequest]("shamir_recovery_setup", V2V3, Authenticated)
	ShamirRecoverySelfInfo   = register[ShamirRecoverySelfInfoRequest]("shamir_recovery_self_info", V2V3, Authenticated)
	ShamirRecoveryOthersList = register[ShamirRecoveryOthersListRequest]("shamir_recovery_others_list", V2V3, Authenticated)

	OrganizationBootstrap   = register[OrganizationBootstrapRequest]("organization_bootstrap", V2V3, Anonymous, limitedIfSpontaneous)
	OrganizationBootstrapV1 = register[OrganizationBootstrapV1Request]("organization_bootstrap", V1, Anonymous, limitedIfSpontaneous)
	OrganizationStats       = register[OrganizationStatsRequest]("organization_stats", V2V3, Authenticated)
	OrganizationConfig      = register[OrganizationConfigRequest]("organization_config", V2V3, Authenticated)
	ArchivingConfig         = register[ArchivingConfigRequest]("archiving_config", V2V3, Authenticated)

	AdministrationCreate = register[AdministrationCreateRequest]("organization_create", V1, Administration)
	AdministrationStatus = register[AdministrationStatusRequest]("organization_status", V1, Administration)
	AdministrationStats  = register[AdministrationStatsRequest]("organization_stats", V1, Administration)
	AdministrationUpdate = registerWith("organization_update", V1, Administration, func() any {
		unchanged := Unchanged
		return &AdministrationUpdateRequest{ExpirationDate: &unchanged}
	})

	RealmCreate               = register[RealmCreateRequest]("realm_create", VAll, Authenticated)
	RealmStatus               = register[RealmStatusRequest]("realm_status", VAll, Authenticated)
	RealmStats                = register[RealmStatsRequest]("realm_stats", VAll, Authenticated)
	RealmGetRoleCertificates  = register[RealmGetRoleCertificatesRequest]("realm_get_role_certificates", VAll, Authenticated)
	RealmUpdateRoles          = register[RealmUpdateRolesRequest]("realm_update_roles", VAll, Authenticated)
	RealmUpdateArchiving      = register[RealmUpdateArchivingRequest]("realm_update_archiving", V2V3, Authenticated)
	RealmStartReencryption    = register[RealmStartReencryptionRequest]("realm_start_reencryption_maintenance", VAll, Authenticated)
	RealmFinishReencryption   = register[RealmFinishReencryptionRequest]("realm_finish_reencryption_maintenance", VAll, Authenticated)
	VlobGetReencryptionBatch  = register[VlobGetReencryptionBatchRequest]("vlob_maintenance_get_reencryption_batch", VAll, Authenticated)
	VlobSaveReencryptionBatch = register[VlobSaveReencryptionBatchRequest]("vlob_maintenance_save_reencryption_batch", VAll, Authenticated)

	VlobCreate       = register[VlobCreateRequest]("vlob_create", VAll, Authenticated)
	VlobUpdate       = register[VlobUpdateRequest]("vlob_update", VAll, Authenticated)
	VlobRead         = register[VlobReadRequest]("vlob_read", VAll, Authenticated)
	VlobListVersions = register[VlobListVersionsRequest]("vlob_list_versions", VAll, Authenticated)
	VlobPollChanges  = register[VlobPollChangesRequest]("vlob_poll_changes", VAll, Authenticated)

	BlockCreate = register[BlockCreateRequest]("block_create", VAll, Authenticated)
	BlockRead   = register[BlockReadRequest]("block_read", VAll, Authenticated)
)
