package parsec

import (
	"fmt"
	"slices"
)

// UserProfile is what a user may do in its organization
// (docs/protocol/types.md §3).
type UserProfile string

// The profiles.
const (
	ProfileAdmin    UserProfile = "ADMIN"
	ProfileStandard UserProfile = "STANDARD"
	ProfileOutsider UserProfile = "OUTSIDER"
)

// UserProfiles lists every profile in the order of statistics.
var UserProfiles = [...]UserProfile{ProfileAdmin, ProfileStandard, ProfileOutsider}

// UnmarshalText refuses any other text.
func (p *UserProfile) UnmarshalText(text []byte) error {
	return parseEnum(p, text, ProfileAdmin, ProfileStandard, ProfileOutsider)
}

// RealmRole is what a user may do in a realm. The zero value, nil on the
// wire, is no access.
type RealmRole string

// The roles.
const (
	RoleNone        RealmRole = ""
	RoleOwner       RealmRole = "OWNER"
	RoleManager     RealmRole = "MANAGER"
	RoleContributor RealmRole = "CONTRIBUTOR"
	RoleReader      RealmRole = "READER"
)

// UnmarshalText refuses any other text; RoleNone has no text.
func (r *RealmRole) UnmarshalText(text []byte) error {
	return parseEnum(r, text, RoleOwner, RoleManager, RoleContributor, RoleReader)
}

// Rank orders the roles, from 0 for RoleNone to that of RoleOwner
// (docs/protocol/v5/types.md §4).
func (r RealmRole) Rank() int {
	return slices.Index([]RealmRole{RoleNone, RoleReader, RoleContributor, RoleManager, RoleOwner}, r)
}

// Writes reports whether the role writes data.
func (r RealmRole) Writes() bool { return r == RoleContributor || r.Manages() }

// Manages reports whether the role is about the roles of others.
func (r RealmRole) Manages() bool { return r == RoleOwner || r == RoleManager }

// MayChange reports whether a user with the role may give, change or take that of
// another, in every generation (docs/protocol/commands.md §1.7,
// docs/protocol/v5/commands.md §7): only an OWNER touches the roles that manage.
func (r RealmRole) MayChange(present, next RealmRole) bool {
	return r == RoleOwner || r == RoleManager && !present.Manages() && !next.Manages()
}

// MaintenanceType is why a realm refuses writes. The zero value, nil on the
// wire, is no maintenance.
type MaintenanceType string

// The maintenances. Garbage collection is never produced.
const (
	MaintenanceNone              MaintenanceType = ""
	MaintenanceReencryption      MaintenanceType = "REENCRYPTION"
	MaintenanceGarbageCollection MaintenanceType = "GARBAGE_COLLECTION"
)

// UnmarshalText refuses any other text; MaintenanceNone has no text.
func (m *MaintenanceType) UnmarshalText(text []byte) error {
	return parseEnum(m, text, MaintenanceReencryption, MaintenanceGarbageCollection)
}

// InvitationType is who an invitation is for.
type InvitationType string

// The invitations. A Shamir recovery exists since API 2.9 and 3.3.
const (
	InvitationUser           InvitationType = "USER"
	InvitationDevice         InvitationType = "DEVICE"
	InvitationShamirRecovery InvitationType = "SHAMIR_RECOVERY"
)

// UnmarshalText refuses any other text.
func (i *InvitationType) UnmarshalText(text []byte) error {
	return parseEnum(i, text, InvitationUser, InvitationDevice, InvitationShamirRecovery)
}

// InvitationStatus is what greeters see of an invitation.
type InvitationStatus string

// The statuses: waiting for the claimer, claimer connected, over.
const (
	InvitationIdle    InvitationStatus = "IDLE"
	InvitationReady   InvitationStatus = "READY"
	InvitationDeleted InvitationStatus = "DELETED"
)

// UnmarshalText refuses any other text.
func (i *InvitationStatus) UnmarshalText(text []byte) error {
	return parseEnum(i, text, InvitationIdle, InvitationReady, InvitationDeleted)
}

// PKIEnrollmentStatus is what became of a PKI enrollment.
type PKIEnrollmentStatus string

// The statuses: waiting for an ADMIN, then one of three ends.
const (
	PKIEnrollmentSubmitted PKIEnrollmentStatus = "SUBMITTED"
	PKIEnrollmentAccepted  PKIEnrollmentStatus = "ACCEPTED"
	PKIEnrollmentRejected  PKIEnrollmentStatus = "REJECTED"
	PKIEnrollmentCancelled PKIEnrollmentStatus = "CANCELLED"
)

// UnmarshalText refuses any other text.
func (s *PKIEnrollmentStatus) UnmarshalText(text []byte) error {
	return parseEnum(s, text, PKIEnrollmentSubmitted, PKIEnrollmentAccepted, PKIEnrollmentRejected, PKIEnrollmentCancelled)
}

// ArchivingType is the kind of a realm's archiving configuration.
type ArchivingType string

// The configurations.
const (
	ArchivingAvailable       ArchivingType = "AVAILABLE"
	ArchivingArchived        ArchivingType = "ARCHIVED"
	ArchivingDeletionPlanned ArchivingType = "DELETION_PLANNED"
)

// UnmarshalText refuses any other text.
func (a *ArchivingType) UnmarshalText(text []byte) error {
	return parseEnum(a, text, ArchivingAvailable, ArchivingArchived, ArchivingDeletionPlanned)
}

func parseEnum[T ~string](target *T, text []byte, values ...T) error {
	for _, value := range values {
		if string(text) == string(value) {
			*target = value
			return nil
		}
	}
	return fmt.Errorf("must be one of %q", values)
}
