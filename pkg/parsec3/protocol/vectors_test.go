package protocol_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"parsec-server/internal/testkit/commands"
	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// commandVector is an entry of commands.json (docs/protocol/v5/vectors.md).
type commandVector struct {
	Family   string            `json:"family"`
	Major    int               `json:"api_major"`
	Command  string            `json:"cmd"`
	Statuses []protocol.Status `json:"statuses"`
	Requests []messageVector   `json:"requests"`
	Replies  []messageVector   `json:"replies"`
}

type messageVector struct {
	Test    string          `json:"test"`
	Raw     []byte          `json:"raw"`
	Decoded json.RawMessage `json:"decoded"` // some, of other commands, are no value of the profile
	Status  protocol.Status `json:"status"`
	Ignored []string        `json:"ignored_keys"`
	Invalid string          `json:"invalid"`
	Unknown bool            `json:"unknown_status"`
}

func loadCommands(t testing.TB) []commandVector {
	t.Helper()
	loaded := vectors.Load[struct{ Current, Older []commandVector }](t, "v5/commands.json")
	if len(loaded.Current) == 0 || len(loaded.Older) == 0 {
		t.Fatal("no vectors")
	}
	served := slices.DeleteFunc(loaded.Older, func(v commandVector) bool { return v.Major != 5 })
	return append(loaded.Current, served...)
}

var families = map[string]protocol.Kind{
	"authenticated": protocol.Authenticated, "tos": protocol.TOS, "anonymous": protocol.Anonymous,
	"anonymous_server": protocol.AnonymousServer, "anonymous_account": protocol.AnonymousServer,
	"invited": protocol.Invited, "authenticated_account": protocol.AuthenticatedAccount,
}

// formOf returns the command of a vector, nil for one that is not built.
func formOf(t testing.TB, v commandVector) *rpc.Form {
	t.Helper()
	kind, known := families[v.Family]
	if !known {
		t.Fatalf("unknown family %q", v.Family)
	}
	for _, form := range commands.Parsec3() {
		if form.Name == v.Command && form.Kinds&rpc.Kinds(kind) != 0 {
			return form
		}
	}
	return nil
}

// Every command is that of a vector, in its family.
func TestCommandsHaveVectors(t *testing.T) {
	tested := map[*rpc.Form]rpc.Kinds{}
	for _, v := range loadCommands(t) {
		if form := formOf(t, v); form != nil {
			tested[form] |= rpc.Kinds(families[v.Family])
		}
	}
	for _, form := range commands.Parsec3() {
		if tested[form] != form.Kinds || !form.Majors.Has(5) {
			t.Errorf("%s: families %b, those of the vectors %b", form.Name, form.Kinds, tested[form])
		}
	}
}

func TestRequestVectors(t *testing.T) {
	for _, v := range loadCommands(t) {
		form := formOf(t, v)
		if form == nil {
			continue
		}
		for i, item := range v.Requests {
			t.Run(fmt.Sprintf("%s/%s/%s/%d", v.Family, v.Command, item.Test, i), func(t *testing.T) {
				scan(t, item.Raw)
				request := form.NewRequest()
				err := wire.Microseconds.Unmarshal(item.Raw, request)
				if item.Invalid != "" {
					if err == nil {
						t.Errorf("it decodes, although %s", item.Invalid)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if name, _ := wire.Microseconds.LookupString(item.Raw, "cmd"); name != v.Command {
					t.Errorf("command %q", name)
				}
				got := encode(t, []wire.Field{{Key: "cmd", Value: v.Command}}, request)
				if want := item.fields(t); !reflect.DeepEqual(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
			})
		}
	}
}

// fields returns the decoded map without what is ignored.
func (v *messageVector) fields(t testing.TB) map[any]any {
	t.Helper()
	var decoded vectors.Decoded
	if err := json.Unmarshal(v.Decoded, &decoded); err != nil {
		t.Fatal(err)
	}
	fields := decoded.Value.(map[any]any)
	for _, key := range v.Ignored {
		delete(fields, key)
	}
	return fields
}

func scan(t testing.TB, raw []byte) {
	t.Helper()
	if err := wire.Microseconds.Scan(raw); err != nil {
		t.Fatal(err)
	}
}

// encode returns what a message holds.
func encode(t testing.TB, head []wire.Field, fields any) map[any]any {
	t.Helper()
	encoded, err := wire.Microseconds.AppendMap(nil, head, fields)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := msgpack.DecodeProfile(wire.Microseconds, encoded)
	if err != nil {
		t.Fatal(err)
	}
	return decoded.(map[any]any)
}

func TestReplyVectors(t *testing.T) {
	for _, v := range loadCommands(t) {
		if formOf(t, v) == nil {
			continue
		}
		for _, status := range v.Statuses {
			if _, known := details[status]; !known && status != protocol.StatusOK {
				t.Errorf("%s: no status %s", v.Command, status)
			}
		}
		for i, item := range v.Replies {
			if item.Invalid != "" || item.Unknown || !isBuilt(t, v.Command, item) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s/%s/%d", v.Family, v.Command, item.Test, i), func(t *testing.T) {
				checkReply(t, v.Command, item)
			})
		}
	}
}

// checkReply wants a reply to decode, and to be encoded with the same keys and
// values again.
func checkReply(t *testing.T, command string, item messageVector) {
	scan(t, item.Raw)
	want := item.fields(t)
	var reply any
	switch {
	case command == "events_listen" && item.Status == protocol.StatusOK:
		reply = events[want["event"].(string)]()
		delete(want, "event")
	case item.Status == protocol.StatusOK:
		reply = replies[command]()
	case command == "realm_get_keys_bundle":
		// The same status has no field here.
	default:
		reply = details[item.Status]()
	}
	if reply != nil {
		if err := wire.Microseconds.Unmarshal(item.Raw, reply); err != nil {
			t.Fatal(err)
		}
	}
	got := encode(t, []wire.Field{{Key: "status", Value: string(item.Status)}}, reply)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// isBuilt reports whether the server may send the reply: it has not all features and
// events, and leaves out no field as older servers do.
func isBuilt(t testing.TB, command string, item messageVector) bool {
	fields := item.fields(t)
	switch {
	case command == "events_listen" && item.Status == protocol.StatusOK:
		name := fields["event"].(string)
		_, hasPeriod := fields["realm_minimum_archiving_period_before_deletion"]
		return events[name] != nil && (name != "ORGANIZATION_CONFIG" || hasPeriod)
	case command == "server_config":
		openBao, _ := fields["openbao"].(map[any]any)
		_, hasPath := openBao["transit_mount_path"]
		_, hasCryptpad := fields["cryptpad"]
		_, hasAdvice := fields["advisory_device_file_protection"]
		return hasCryptpad && hasAdvice && (hasPath || openBao["type"] == "DISABLED")
	case command == "async_enrollment_accept" && item.Status == protocol.StatusOK:
		_, hasOutcome := fields["email_sent"]
		return hasOutcome
	case command == "totp_setup_get_secret" && item.Status == protocol.StatusOK:
		_, isText := fields["totp_secret"].(string) // as no server writes it
		return !isText
	default:
		return true
	}
}

// What server_config says is in the words of the protocol.
func TestServerConfigVectors(t *testing.T) {
	vectors.CheckEnum(t, "OrganizationBootstrapConfig", func(text string) error {
		switch protocol.OrganizationBootstrapConfig(text) {
		case protocol.BootstrapWithToken, protocol.BootstrapSpontaneous:
			return nil
		default:
			return fmt.Errorf("%q is never sent", text)
		}
	})
}

func none() any { return &struct{}{} }

// details has the fields beside each status.
var details = map[protocol.Status]func() any{
	protocol.StatusAccessNotAvailableForAuthor:     none,
	protocol.StatusActiveOwnerAlreadyExists:        lastRealm,
	protocol.StatusActiveUsersLimitReached:         none,
	protocol.StatusAlreadySetup:                    none,
	protocol.StatusArchivingPeriodTooShort:         none,
	protocol.StatusAuthorIsOutsider:                none,
	protocol.StatusAuthorNotAllowed:                none,
	protocol.StatusBadKeyIndex:                     lastRealm,
	protocol.StatusBadToken:                        none,
	protocol.StatusBadVlobVersion:                  none,
	protocol.StatusBlockAlreadyExists:              none,
	protocol.StatusBlockNotFound:                   none,
	protocol.StatusClaimerEmailAlreadyEnrolled:     none,
	protocol.StatusDeviceAlreadyExists:             none,
	protocol.StatusGreeterNotAllowed:               none,
	protocol.StatusGreeterNotFound:                 none,
	protocol.StatusGreeterRevoked:                  none,
	protocol.StatusGreetingAttemptAlreadyCancelled: attemptCancelled,
	protocol.StatusGreetingAttemptCancelled:        attemptCancelled,
	protocol.StatusGreetingAttemptNotFound:         none,
	protocol.StatusGreetingAttemptNotJoined:        none,
	protocol.StatusEmailAlreadyEnrolled:            none,
	protocol.StatusEmailAlreadySubmitted:           func() any { return new(protocol.EmailAlreadySubmittedDetails) },
	protocol.StatusEnrollmentNoLongerAvailable:     none,
	protocol.StatusEnrollmentNotFound:              none,
	protocol.StatusHumanHandleAlreadyTaken:         none,
	protocol.StatusIDAlreadyUsed:                   none,
	protocol.StatusInitialNameAlreadyExists:        lastRealm,
	protocol.StatusInvalidAcceptPayload:            none,
	protocol.StatusInvalidAcceptPayloadSignature:   none,
	protocol.StatusInvalidBootstrapToken:           none,
	protocol.StatusInvalidCertificate:              none,
	protocol.StatusInvitationAlreadyCancelled:      none,
	protocol.StatusInvitationAlreadyCompleted:      none,
	protocol.StatusInvitationCancelled:             none,
	protocol.StatusInvitationCompleted:             none,
	protocol.StatusInvitationNotFound:              none,
	protocol.StatusInvalidDERX509Certificate:       none,
	protocol.StatusInvalidOneTimePassword:          none,
	protocol.StatusInvalidSubmitPayload:            none,
	protocol.StatusInvalidSubmitPayloadSignature:   none,
	protocol.StatusInvalidX509Trustchain:           none,
	protocol.StatusNoTOS:                           none,
	protocol.StatusNotAvailable:                    none,
	protocol.StatusNotReady:                        none,
	protocol.StatusOrganizationAlreadyBootstrapped: none,
	protocol.StatusOrganizationNotSequestered:      none,
	protocol.StatusParticipantMismatch:             lastRealm,
	protocol.StatusRealmAlreadyExists:              lastRealm,
	protocol.StatusRealmArchived:                   none,
	protocol.StatusRealmDeleted:                    none,
	protocol.StatusRealmNotFound:                   none,
	protocol.StatusRecipientAlreadyUnshared:        lastRealm,
	protocol.StatusRecipientNotFound:               none,
	protocol.StatusRecipientRevoked:                none,
	protocol.StatusRejectedBySequesterService:      func() any { return new(protocol.RejectedBySequesterDetails) },
	protocol.StatusRequireGreaterTimestamp:         func() any { return new(protocol.RequireGreaterTimestampDetails) },
	protocol.StatusRoleAlreadyGranted:              lastRealm,
	protocol.StatusRoleIncompatibleWithOutsider:    none,
	protocol.StatusSequesterServiceMismatch:        func() any { return new(protocol.LastSequesterDetails) },
	protocol.StatusSequesterServiceUnavailable:     func() any { return new(protocol.SequesterUnavailableDetails) },
	protocol.StatusStepMismatch:                    none,
	protocol.StatusStepTooAdvanced:                 none,
	protocol.StatusStoreUnavailable:                none,
	protocol.StatusSubmitAndAcceptMismatch:         none,
	protocol.StatusThrottled:                       func() any { return new(protocol.ThrottledDetails) },
	protocol.StatusTimestampOutOfBallpark:          func() any { return new(protocol.OutOfBallparkDetails) },
	protocol.StatusTooManyElements:                 none,
	protocol.StatusTOSMismatch:                     none,
	protocol.StatusUserAlreadyExists:               none,
	protocol.StatusUserAlreadyRevoked:              func() any { return new(protocol.LastCommonDetails) },
	protocol.StatusUserNoChanges:                   none,
	protocol.StatusUserNotFound:                    none,
	protocol.StatusUserRevoked:                     none,
	protocol.StatusVlobAlreadyExists:               none,
	protocol.StatusVlobNotFound:                    none,

	protocol.StatusCryptpadUnavailable:                   none,
	protocol.StatusInvalidSCWSServiceChallengeSignature:  none,
	protocol.StatusInvalidWebApplicationChallengePayload: none,
	protocol.StatusUnknownSCWSServiceChallengeKeyID:      none,

	protocol.StatusBadInvitationType:                            none,
	protocol.StatusBadRevealToken:                               none,
	protocol.StatusInvalidCertificateAuthorIncludedAsRecipient:  none,
	protocol.StatusInvalidCertificateBriefCorrupted:             none,
	protocol.StatusInvalidCertificateCorrupted:                  none,
	protocol.StatusInvalidCertificateDuplicateShareForRecipient: none,
	protocol.StatusInvalidCertificateMissingShareForRecipient:   none,
	protocol.StatusInvalidCertificateShareCorrupted:             none,
	protocol.StatusInvalidCertificateShareInconsistentTimestamp: none,
	protocol.StatusInvalidCertificateShareRecipientNotInBrief:   none,
	protocol.StatusInvalidCertificateUserIDMustBeSelf:           none,
	protocol.StatusRecipientsMismatch:                           none,
	protocol.StatusRevokedRecipient:                             func() any { return new(protocol.LastCommonDetails) },
	protocol.StatusShamirRecoveryAlreadyDeleted:                 lastShamir,
	protocol.StatusShamirRecoveryAlreadyExists:                  lastShamir,
	protocol.StatusShamirRecoveryNotFound:                       none,

	protocol.StatusEmailSendingRateLimited:      rateLimited,
	protocol.StatusSendValidationEmailRequired:  none,
	protocol.StatusSelfDisableNotAllowed:        none,
	protocol.StatusNewAuthMethodIDAlreadyExists: none,
	protocol.StatusItemsMismatch:                none,
	protocol.StatusInvalidValidationCode:        none,
	protocol.StatusFingerprintAlreadyExists:     none,
	protocol.StatusEmailServerUnavailable:       none,
	protocol.StatusEmailRecipientRefused:        none,
	protocol.StatusAuthMethodNotFound:           none,
	protocol.StatusAuthMethodIDAlreadyExists:    none,
	protocol.StatusAuthMethodAlreadyDisabled:    none,
}

func attemptCancelled() any { return new(protocol.AttemptCancelledDetails) }
func lastShamir() any       { return new(protocol.LastShamirDetails) }

func rateLimited() any { return new(protocol.RateLimitedDetails) }

func lastRealm() any { return new(protocol.LastRealmDetails) }

func reply[Reply any]() any { return new(Reply) }

// replies has the fields of the ok reply of each command.
var replies = map[string]func() any{
	"ping":                                   reply[protocol.PingReply],
	"certificate_get":                        reply[protocol.CertificateGetReply],
	"user_create":                            reply[protocol.UserCreateReply],
	"user_update":                            reply[protocol.UserUpdateReply],
	"user_revoke":                            reply[protocol.UserRevokeReply],
	"list_frozen_users":                      reply[protocol.ListFrozenUsersReply],
	"device_create":                          reply[protocol.DeviceCreateReply],
	"invite_new_user":                        reply[protocol.InviteNewUserReply],
	"invite_new_device":                      reply[protocol.InviteNewDeviceReply],
	"invite_list":                            reply[protocol.InviteListReply],
	"invite_cancel":                          reply[protocol.InviteCancelReply],
	"invite_complete":                        reply[protocol.InviteCompleteReply],
	"invite_info":                            reply[protocol.InviteInfoReply],
	"invite_greeter_start_greeting_attempt":  reply[protocol.InviteGreeterStartGreetingAttemptReply],
	"invite_claimer_start_greeting_attempt":  reply[protocol.InviteClaimerStartGreetingAttemptReply],
	"invite_greeter_cancel_greeting_attempt": reply[protocol.InviteGreeterCancelGreetingAttemptReply],
	"invite_claimer_cancel_greeting_attempt": reply[protocol.InviteClaimerCancelGreetingAttemptReply],
	"invite_greeter_step":                    reply[protocol.InviteGreeterStepReply],
	"invite_claimer_step":                    reply[protocol.InviteClaimerStepReply],
	"tos_get":                                reply[protocol.TOSGetReply],
	"tos_accept":                             reply[protocol.TOSAcceptReply],
	"organization_bootstrap":                 reply[protocol.OrganizationBootstrapReply],
	"organization_info":                      reply[protocol.OrganizationInfoReply],
	"server_config":                          reply[protocol.ServerConfigReply],
	"realm_create":                           reply[protocol.RealmCreateReply],
	"realm_share":                            reply[protocol.RealmShareReply],
	"realm_unshare":                          reply[protocol.RealmUnshareReply],
	"realm_self_promote_to_owner":            reply[protocol.RealmSelfPromoteToOwnerReply],
	"realm_rename":                           reply[protocol.RealmRenameReply],
	"realm_rotate_key":                       reply[protocol.RealmRotateKeyReply],
	"realm_update_archiving":                 reply[protocol.RealmUpdateArchivingReply],
	"realm_get_keys_bundle":                  reply[protocol.RealmGetKeysBundleReply],
	"invite_new_shamir_recovery":             reply[protocol.InviteNewShamirRecoveryReply],
	"invite_shamir_recovery_reveal":          reply[protocol.InviteShamirRecoveryRevealReply],
	"cryptpad_register_session":              reply[protocol.CryptpadRegisterSessionReply],
	"scws_service_mutual_challenges":         reply[protocol.SCWSServiceMutualChallengesReply],
	"shamir_recovery_setup":                  reply[protocol.ShamirRecoverySetupReply],
	"shamir_recovery_delete":                 reply[protocol.ShamirRecoveryDeleteReply],
	"vlob_create":                            reply[protocol.VlobCreateReply],
	"vlob_update":                            reply[protocol.VlobUpdateReply],
	"vlob_read_batch":                        reply[protocol.VlobReadBatchReply],
	"vlob_read_versions":                     reply[protocol.VlobReadVersionsReply],
	"vlob_poll_changes":                      reply[protocol.VlobPollChangesReply],
	"block_create":                           reply[protocol.BlockCreateReply],
	"block_read":                             reply[protocol.BlockReadReply],
	"async_enrollment_submit":                reply[protocol.AsyncEnrollmentSubmitReply],
	"async_enrollment_info":                  reply[protocol.AsyncEnrollmentInfoReply],
	"async_enrollment_cancel":                reply[protocol.AsyncEnrollmentCancelReply],
	"async_enrollment_list":                  reply[protocol.AsyncEnrollmentListReply],
	"async_enrollment_reject":                reply[protocol.AsyncEnrollmentRejectReply],
	"async_enrollment_accept":                reply[protocol.AsyncEnrollmentAcceptReply],
	"totp_setup_get_secret":                  reply[protocol.TOTPSetupGetSecretReply],
	"totp_setup_confirm":                     reply[protocol.TOTPSetupConfirmReply],
	"totp_create_opaque_key":                 reply[protocol.TOTPCreateOpaqueKeyReply],
	"totp_fetch_opaque_key":                  reply[protocol.TOTPFetchOpaqueKeyReply],
	"account_create_send_validation_email":   reply[protocol.AccountCreateSendValidationEmailReply],
	"account_create_proceed":                 reply[protocol.AccountCreateProceedReply],
	"account_recover_send_validation_email":  reply[protocol.AccountRecoverSendValidationEmailReply],
	"account_recover_proceed":                reply[protocol.AccountRecoverProceedReply],
	"auth_method_password_get_algorithm":     reply[protocol.AuthMethodPasswordGetAlgorithmReply],
	"account_info":                           reply[protocol.AccountInfoReply],
	"account_delete_send_validation_email":   reply[protocol.AccountDeleteSendValidationEmailReply],
	"account_delete_proceed":                 reply[protocol.AccountDeleteProceedReply],
	"auth_method_list":                       reply[protocol.AuthMethodListReply],
	"auth_method_create":                     reply[protocol.AuthMethodCreateReply],
	"auth_method_disable":                    reply[protocol.AuthMethodDisableReply],
	"organization_self_list":                 reply[protocol.OrganizationSelfListReply],
	"invite_self_list":                       reply[protocol.InviteSelfListReply],
	"vault_item_list":                        reply[protocol.VaultItemListReply],
	"vault_item_upload":                      reply[protocol.VaultItemUploadReply],
	"vault_key_rotation":                     reply[protocol.VaultKeyRotationReply],
	"vault_item_recovery_list":               reply[protocol.VaultItemRecoveryListReply],
}

// events has the fields of the events that are sent.
var events = map[string]func() any{
	"PINGED":                reply[protocol.PingedEvent],
	"ORGANIZATION_CONFIG":   reply[protocol.OrganizationConfigEvent],
	"COMMON_CERTIFICATE":    reply[protocol.CommonCertificateEvent],
	"SEQUESTER_CERTIFICATE": reply[protocol.SequesterCertificateEvent],
	"REALM_CERTIFICATE":     reply[protocol.RealmCertificateEvent],
	"VLOB":                  reply[protocol.VlobEvent],
	"INVITATION":            reply[protocol.InvitationEvent],

	"GREETING_ATTEMPT_CANCELLED":  reply[protocol.GreetingAttemptCancelledEvent],
	"SHAMIR_RECOVERY_CERTIFICATE": reply[protocol.ShamirRecoveryCertificateEvent],
	"ASYNC_ENROLLMENT":            reply[protocol.AsyncEnrollmentEvent],
	"GREETING_ATTEMPT_READY":      reply[protocol.GreetingAttemptReadyEvent],
	"GREETING_ATTEMPT_JOINED":     reply[protocol.GreetingAttemptJoinedEvent],
}
