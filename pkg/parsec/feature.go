package parsec

import "math"

// Feature is something that API 2 and 3 have since some minor, and API 1 never.
type Feature struct {
	api2, api3 uint32 // the first minors that have it
}

// never is the minor of a feature that a major does not have.
const never = math.MaxUint32

// The features by which clients of one major differ.
var (
	// Invitations are those by token, and their events.
	Invitations = Feature{0, 0}
	// GreaterTimestamps are asked for by require_greater_timestamp.
	GreaterTimestamps = Feature{3, 0}
	// BadTimestamps of certificates have the status bad_timestamp, and the
	// handshake holds the server's date.
	BadTimestamps = Feature{4, 0}
	// SignedAnswers are the form of what a device signs in its handshake.
	SignedAnswers = Feature{5, 0}
	// PKIEnrollment is joining with X.509 certificates.
	PKIEnrollment = Feature{6, 0}
	// HashedNonces of conduits have 32 bytes.
	HashedNonces = Feature{7, 1}
	// ShamirRecovery is the recovery of devices by shares of a secret.
	ShamirRecovery = Feature{9, 3}
	// Archiving is the archiving and deletion of realms.
	Archiving = Feature{10, 4}
	// ParticipantMismatches have the status participant_mismatch, in the
	// singular.
	ParticipantMismatches = Feature{never, 2}
)

// In reports whether clients of version v know the feature.
func (f Feature) In(v APIVersion) bool {
	return v.Major == 2 && v.Minor >= f.api2 || v.Major == 3 && v.Minor >= f.api3
}
