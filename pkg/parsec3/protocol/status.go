package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
)

// Status is the outcome of a command on the wire.
type Status = rpc.Status

// The statuses. Each command's table is in docs/protocol/v5/.
const (
	StatusOK Status = rpc.StatusOK

	StatusAccessNotAvailableForAuthor     Status = "access_not_available_for_author"
	StatusActiveOwnerAlreadyExists        Status = "active_owner_already_exists"
	StatusActiveUsersLimitReached         Status = "active_users_limit_reached"
	StatusAlreadySetup                    Status = "already_setup"
	StatusArchivingPeriodTooShort         Status = "archiving_period_too_short"
	StatusAuthorIsOutsider                Status = "author_is_outsider"
	StatusAuthorNotAllowed                Status = "author_not_allowed"
	StatusAuthMethodAlreadyDisabled       Status = "auth_method_already_disabled"
	StatusAuthMethodIDAlreadyExists       Status = "auth_method_id_already_exists"
	StatusAuthMethodNotFound              Status = "auth_method_not_found"
	StatusBadKeyIndex                     Status = "bad_key_index"
	StatusBadToken                        Status = "bad_token"
	StatusBadVlobVersion                  Status = "bad_vlob_version"
	StatusBlockAlreadyExists              Status = "block_already_exists"
	StatusBlockNotFound                   Status = "block_not_found"
	StatusClaimerEmailAlreadyEnrolled     Status = "claimer_email_already_enrolled"
	StatusDeviceAlreadyExists             Status = "device_already_exists"
	StatusGreeterNotAllowed               Status = "greeter_not_allowed"
	StatusGreeterNotFound                 Status = "greeter_not_found"
	StatusGreeterRevoked                  Status = "greeter_revoked"
	StatusGreetingAttemptAlreadyCancelled Status = "greeting_attempt_already_cancelled"
	StatusGreetingAttemptCancelled        Status = "greeting_attempt_cancelled"
	StatusGreetingAttemptNotFound         Status = "greeting_attempt_not_found"
	StatusGreetingAttemptNotJoined        Status = "greeting_attempt_not_joined"
	StatusEmailAlreadyEnrolled            Status = "email_already_enrolled"
	StatusEmailAlreadySubmitted           Status = "email_already_submitted"
	StatusEnrollmentNoLongerAvailable     Status = "enrollment_no_longer_available"
	StatusEnrollmentNotFound              Status = "enrollment_not_found"
	StatusEmailRecipientRefused           Status = "email_recipient_refused"
	StatusEmailSendingRateLimited         Status = "email_sending_rate_limited"
	StatusEmailServerUnavailable          Status = "email_server_unavailable"
	StatusFingerprintAlreadyExists        Status = "fingerprint_already_exists"
	StatusHumanHandleAlreadyTaken         Status = "human_handle_already_taken"
	StatusIDAlreadyUsed                   Status = "id_already_used"
	StatusInitialNameAlreadyExists        Status = "initial_name_already_exists"
	StatusInvalidAcceptPayload            Status = "invalid_accept_payload"
	StatusInvalidAcceptPayloadSignature   Status = "invalid_accept_payload_signature"
	StatusInvalidBootstrapToken           Status = "invalid_bootstrap_token"
	StatusInvalidCertificate              Status = "invalid_certificate"
	StatusInvitationAlreadyCancelled      Status = "invitation_already_cancelled"
	StatusInvitationAlreadyCompleted      Status = "invitation_already_completed"
	StatusInvitationCancelled             Status = "invitation_cancelled"
	StatusInvitationCompleted             Status = "invitation_completed"
	StatusInvitationNotFound              Status = "invitation_not_found"
	StatusInvalidDERX509Certificate       Status = "invalid_der_x509_certificate"
	StatusInvalidOneTimePassword          Status = "invalid_one_time_password"
	StatusInvalidSubmitPayload            Status = "invalid_submit_payload"
	StatusInvalidSubmitPayloadSignature   Status = "invalid_submit_payload_signature"
	StatusInvalidX509Trustchain           Status = "invalid_x509_trustchain"
	StatusInvalidValidationCode           Status = "invalid_validation_code"
	StatusItemsMismatch                   Status = "items_mismatch"
	StatusNewAuthMethodIDAlreadyExists    Status = "new_auth_method_id_already_exists"
	StatusNoTOS                           Status = "no_tos"
	StatusNotAvailable                    Status = "not_available"
	StatusNotReady                        Status = "not_ready"
	StatusOrganizationAlreadyBootstrapped Status = "organization_already_bootstrapped"
	StatusOrganizationNotSequestered      Status = "organization_not_sequestered"
	StatusParticipantMismatch             Status = "participant_mismatch"
	StatusRealmAlreadyExists              Status = "realm_already_exists"
	StatusRealmArchived                   Status = "realm_archived"
	StatusRealmDeleted                    Status = "realm_deleted"
	StatusRealmNotFound                   Status = "realm_not_found"
	StatusRecipientAlreadyUnshared        Status = "recipient_already_unshared"
	StatusRecipientNotFound               Status = "recipient_not_found"
	StatusRecipientRevoked                Status = "recipient_revoked"
	StatusRejectedBySequesterService      Status = "rejected_by_sequester_service"
	StatusRequireGreaterTimestamp         Status = "require_greater_timestamp"
	StatusRoleAlreadyGranted              Status = "role_already_granted"
	StatusRoleIncompatibleWithOutsider    Status = "role_incompatible_with_outsider"
	StatusSelfDisableNotAllowed           Status = "self_disable_not_allowed"
	StatusSendValidationEmailRequired     Status = "send_validation_email_required"
	StatusSequesterServiceMismatch        Status = "sequester_service_mismatch"
	StatusSequesterServiceUnavailable     Status = "sequester_service_unavailable"
	StatusStepMismatch                    Status = "step_mismatch"
	StatusStepTooAdvanced                 Status = "step_too_advanced"
	StatusStoreUnavailable                Status = "store_unavailable"
	StatusSubmitAndAcceptMismatch         Status = "submit_and_accept_identity_systems_mismatch"
	StatusThrottled                       Status = "throttled"
	StatusTimestampOutOfBallpark          Status = "timestamp_out_of_ballpark"
	StatusTooManyElements                 Status = "too_many_elements"
	StatusTOSMismatch                     Status = "tos_mismatch"
	StatusUserAlreadyExists               Status = "user_already_exists"
	StatusUserAlreadyRevoked              Status = "user_already_revoked"
	StatusUserNoChanges                   Status = "user_no_changes"
	StatusUserNotFound                    Status = "user_not_found"
	StatusUserRevoked                     Status = "user_revoked"
	StatusVlobAlreadyExists               Status = "vlob_already_exists"
	StatusVlobNotFound                    Status = "vlob_not_found"

	// Those of third parties.
	StatusCryptpadUnavailable                   Status = "cryptpad_unavailable"
	StatusInvalidSCWSServiceChallengeSignature  Status = "invalid_scws_service_challenge_signature"
	StatusInvalidWebApplicationChallengePayload Status = "invalid_web_application_challenge_payload"
	StatusUnknownSCWSServiceChallengeKeyID      Status = "unknown_scws_service_challenge_key_id"

	// Those of Shamir recovery.
	StatusBadInvitationType                            Status = "bad_invitation_type"
	StatusBadRevealToken                               Status = "bad_reveal_token"
	StatusInvalidCertificateAuthorIncludedAsRecipient  Status = "invalid_certificate_author_included_as_recipient"
	StatusInvalidCertificateBriefCorrupted             Status = "invalid_certificate_brief_corrupted"
	StatusInvalidCertificateCorrupted                  Status = "invalid_certificate_corrupted"
	StatusInvalidCertificateDuplicateShareForRecipient Status = "invalid_certificate_duplicate_share_for_recipient"
	StatusInvalidCertificateMissingShareForRecipient   Status = "invalid_certificate_missing_share_for_recipient"
	StatusInvalidCertificateShareCorrupted             Status = "invalid_certificate_share_corrupted"
	StatusInvalidCertificateShareInconsistentTimestamp Status = "invalid_certificate_share_inconsistent_timestamp"
	StatusInvalidCertificateShareRecipientNotInBrief   Status = "invalid_certificate_share_recipient_not_in_brief"
	StatusInvalidCertificateUserIDMustBeSelf           Status = "invalid_certificate_user_id_must_be_self"
	StatusRecipientsMismatch                           Status = "recipients_mismatch"
	StatusRevokedRecipient                             Status = "revoked_recipient"
	StatusShamirRecoveryAlreadyDeleted                 Status = "shamir_recovery_already_deleted"
	StatusShamirRecoveryAlreadyExists                  Status = "shamir_recovery_already_exists"
	StatusShamirRecoveryNotFound                       Status = "shamir_recovery_not_found"
)

// Refusal is the error of a command that its rules refuse. Its details are nil or
// one of the …Details structs; clients cannot read a reply that lacks one of their
// fields. It has no reason.
type Refusal = rpc.Refusal

// Refuse returns a refusal without details.
func Refuse(status Status) *Refusal { return &Refusal{Status: status} }

// OutOfBallparkDetails are the fields of timestamp_out_of_ballpark.
type OutOfBallparkDetails struct {
	BallparkClientEarlyOffset float64         `wire:"ballpark_client_early_offset"`
	BallparkClientLateOffset  float64         `wire:"ballpark_client_late_offset"`
	ServerTimestamp           parsec.DateTime `wire:"server_timestamp"`
	ClientTimestamp           parsec.DateTime `wire:"client_timestamp"`
}

// RequireGreaterTimestampDetails is the field of require_greater_timestamp.
type RequireGreaterTimestampDetails struct {
	StrictlyGreaterThan parsec.DateTime `wire:"strictly_greater_than"`
}

// LastCommonDetails is the field of user_already_revoked and revoked_recipient.
type LastCommonDetails struct {
	Timestamp parsec.DateTime `wire:"last_common_certificate_timestamp"`
}

// LastRealmDetails is the field of bad_key_index, but of that of
// realm_get_keys_bundle, and of whatever else a member may know already.
type LastRealmDetails struct {
	Timestamp parsec.DateTime `wire:"last_realm_certificate_timestamp"`
}

// LastSequesterDetails is the field of sequester_service_mismatch.
type LastSequesterDetails struct {
	Timestamp parsec.DateTime `wire:"last_sequester_certificate_timestamp"`
}

// LastShamirDetails is the field of shamir_recovery_already_exists and
// shamir_recovery_already_deleted.
type LastShamirDetails struct {
	Timestamp parsec.DateTime `wire:"last_shamir_certificate_timestamp"`
}

// RejectedBySequesterDetails are the fields of rejected_by_sequester_service.
type RejectedBySequesterDetails struct {
	ServiceID parsec.SequesterServiceID `wire:"service_id"`
	// Reason is the service's, nil if it gives none.
	Reason *string `wire:"reason"`
}

// SequesterUnavailableDetails is the field of sequester_service_unavailable.
type SequesterUnavailableDetails struct {
	ServiceID parsec.SequesterServiceID `wire:"service_id"`
}

// AttemptCancelledDetails are the fields of greeting_attempt_cancelled and
// greeting_attempt_already_cancelled.
type AttemptCancelledDetails struct {
	Origin    Side                   `wire:"origin"`
	Timestamp parsec.DateTime        `wire:"timestamp"`
	Reason    CancelledAttemptReason `wire:"reason"`
}

// RateLimitedDetails is the field of email_sending_rate_limited.
type RateLimitedDetails struct {
	WaitUntil parsec.DateTime `wire:"wait_until"`
}

// RefuseOutOfBallpark returns the timestamp_out_of_ballpark refusal of date.
func RefuseOutOfBallpark(now, date parsec.DateTime) *Refusal {
	return &Refusal{Status: StatusTimestampOutOfBallpark, Details: &OutOfBallparkDetails{
		BallparkClientEarlyOffset: parsec.BallparkEarlyOffset,
		BallparkClientLateOffset:  parsec.BallparkLateOffset,
		ServerTimestamp:           now,
		ClientTimestamp:           date,
	}}
}

// RefuseRequireGreaterTimestamp asks for a date strictly after last.
func RefuseRequireGreaterTimestamp(last parsec.DateTime) *Refusal {
	return &Refusal{Status: StatusRequireGreaterTimestamp, Details: &RequireGreaterTimestampDetails{last}}
}

// RefuseAsOfCommon returns a refusal with the date up to which the client must read
// the common topic.
func RefuseAsOfCommon(status Status, last parsec.DateTime) *Refusal {
	return &Refusal{Status: status, Details: &LastCommonDetails{last}}
}

// RefuseAsOfRealm returns a refusal with the date up to which the client must read
// the topic of the realm.
func RefuseAsOfRealm(status Status, last parsec.DateTime) *Refusal {
	return &Refusal{Status: status, Details: &LastRealmDetails{last}}
}

// RefuseAsOfSequester returns a refusal with the date up to which the client must
// read the sequester topic.
func RefuseAsOfSequester(status Status, last parsec.DateTime) *Refusal {
	return &Refusal{Status: status, Details: &LastSequesterDetails{last}}
}

// RefuseAsOfShamir returns a refusal with the date up to which the client must read
// the topic of Shamir recovery.
func RefuseAsOfShamir(status Status, last parsec.DateTime) *Refusal {
	return &Refusal{Status: status, Details: &LastShamirDetails{last}}
}

// RefuseForSequester returns the refusal of a sequester service, with its reason, nil
// for none.
func RefuseForSequester(service parsec.SequesterServiceID, reason *string) *Refusal {
	return &Refusal{Status: StatusRejectedBySequesterService, Details: &RejectedBySequesterDetails{service, reason}}
}

// RefuseWithoutSequester returns the refusal of what a sequester service could not be
// asked about.
func RefuseWithoutSequester(service parsec.SequesterServiceID) *Refusal {
	return &Refusal{Status: StatusSequesterServiceUnavailable, Details: &SequesterUnavailableDetails{service}}
}

// RefuseAttempt returns a refusal of a greeting attempt that was cancelled.
func RefuseAttempt(status Status, origin Side, on parsec.DateTime, reason CancelledAttemptReason) *Refusal {
	return &Refusal{Status: status, Details: &AttemptCancelledDetails{origin, on, reason}}
}

// RefuseRateLimited returns the refusal of an e-mail that may be sent from a date on.
func RefuseRateLimited(until parsec.DateTime) *Refusal {
	return &Refusal{Status: StatusEmailSendingRateLimited, Details: &RateLimitedDetails{until}}
}
