package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
)

// Status is the outcome of a command on the wire.
type Status = rpc.Status

// The statuses. Each command's table is in docs/protocol/.
const (
	StatusOK                      Status = rpc.StatusOK
	StatusInvalidMessageFormat    Status = "invalid_msg_format"
	StatusUnknownCommand          Status = "unknown_command"
	StatusBadMessage              Status = "bad_message"
	StatusNotAllowed              Status = "not_allowed"
	StatusNotFound                Status = "not_found"
	StatusAlreadyExists           Status = "already_exists"
	StatusAlreadyBootstrapped     Status = "already_bootstrapped"
	StatusAlreadyRevoked          Status = "already_revoked"
	StatusAlreadyGranted          Status = "already_granted"
	StatusUserRevoked             Status = "user_revoked"
	StatusIncompatibleProfile     Status = "incompatible_profile"
	StatusActiveUsersLimitReached Status = "active_users_limit_reached"
	StatusBadUserID               Status = "bad_user_id"
	StatusInvalidCertification    Status = "invalid_certification"
	StatusInvalidData             Status = "invalid_data"
	StatusBadTimestamp            Status = "bad_timestamp"
	StatusRequireGreaterTimestamp Status = "require_greater_timestamp"
	StatusInMaintenance           Status = "in_maintenance"
	StatusNotInMaintenance        Status = "not_in_maintenance"
	StatusMaintenanceError        Status = "maintenance_error"
	StatusParticipantMismatch     Status = "participant_mismatch"
	StatusParticipantsMismatch    Status = "participants_mismatch"
	StatusBadEncryptionRevision   Status = "bad_encryption_revision"
	StatusBadVersion              Status = "bad_version"
	StatusRealmArchived           Status = "realm_archived"
	StatusRealmDeleted            Status = "realm_deleted"
	StatusArchivingPeriodTooShort Status = "archiving_period_too_short"
	StatusNotASequestered         Status = "not_a_sequestered_organization"
	StatusSequesterInconsistency  Status = "sequester_inconsistency"
	StatusRejectedBySequester     Status = "rejected_by_sequester_service"
	StatusTimeout                 Status = "timeout"
	StatusDenied                  Status = "denied"
	StatusNoEvents                Status = "no_events"
	StatusAlreadyMember           Status = "already_member"
	StatusNotAvailable            Status = "not_available"
	StatusShamirNotSetup          Status = "shamir_recovery_not_setup"
	StatusAlreadyDeleted          Status = "already_deleted"
	StatusInvalidState            Status = "invalid_state"
	StatusInvalidPayloadData      Status = "invalid_payload_data"
	StatusIDAlreadyUsed           Status = "id_already_used"
	StatusEnrollmentIDAlreadyUsed Status = "enrollment_id_already_used"
	StatusAlreadySubmitted        Status = "already_submitted"
	StatusAlreadyEnrolled         Status = "already_enrolled"
	StatusEmailAlreadyUsed        Status = "email_already_used"
	StatusNoLongerAvailable       Status = "no_longer_available"
	StatusTooManyRequests         Status = "too_many_requests"
)

// Refusal is the error of a command that its rules refuse. Its details are nil
// or one of the …Details structs.
type Refusal = rpc.Refusal

// Refuse returns a refusal without details.
func Refuse(status Status, reason string) *Refusal { return rpc.Refuse(status, reason) }

// BadTimestampDetails are the fields of bad_timestamp
// (docs/protocol/commands.md §1.5).
type BadTimestampDetails struct {
	BallparkClientEarlyOffset float64         `wire:"ballpark_client_early_offset"`
	BallparkClientLateOffset  float64         `wire:"ballpark_client_late_offset"`
	BackendTimestamp          parsec.DateTime `wire:"backend_timestamp"`
	ClientTimestamp           parsec.DateTime `wire:"client_timestamp"`
}

// RequireGreaterTimestampDetails is the field of require_greater_timestamp.
type RequireGreaterTimestampDetails struct {
	StrictlyGreaterThan parsec.DateTime `wire:"strictly_greater_than"`
	// Refused is the date that was not; it is not on the wire.
	Refused parsec.DateTime
}

// SequesterInconsistencyDetails are the fields of sequester_inconsistency
// (docs/protocol/commands.md §8.1).
type SequesterInconsistencyDetails struct {
	AuthorityCertificate []byte   `wire:"sequester_authority_certificate"`
	ServicesCertificates [][]byte `wire:"sequester_services_certificates"`
}

// RejectedBySequesterDetails are the fields of rejected_by_sequester_service.
type RejectedBySequesterDetails struct {
	ServiceID    parsec.SequesterServiceID `wire:"service_id"`
	ServiceLabel string                    `wire:"service_label"`
}

// RefuseBadTimestamp returns the bad_timestamp refusal of date.
func RefuseBadTimestamp(now, date parsec.DateTime) *Refusal {
	return &Refusal{
		Status: StatusBadTimestamp,
		Reason: "The timestamp is too far from the server's clock.",
		Details: &BadTimestampDetails{
			BallparkClientEarlyOffset: parsec.BallparkEarlyOffset,
			BallparkClientLateOffset:  parsec.BallparkLateOffset,
			BackendTimestamp:          now,
			ClientTimestamp:           date,
		},
	}
}

// RefuseRequireGreaterTimestamp asks for a date strictly after last instead of
// refused.
func RefuseRequireGreaterTimestamp(refused, last parsec.DateTime) *Refusal {
	return &Refusal{
		Status:  StatusRequireGreaterTimestamp,
		Reason:  "The timestamp must be greater than " + last.String() + ".",
		Details: &RequireGreaterTimestampDetails{StrictlyGreaterThan: last, Refused: refused},
	}
}
