package parsec_test

import (
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
)

func TestEnumerations(t *testing.T) {
	t.Run("UserProfile", testEnum[parsec.UserProfile]("ADMIN", "STANDARD", "OUTSIDER"))
	t.Run("RealmRole", testEnum[parsec.RealmRole]("OWNER", "MANAGER", "CONTRIBUTOR", "READER"))
	t.Run("MaintenanceType", testEnum[parsec.MaintenanceType]("GARBAGE_COLLECTION", "REENCRYPTION"))
	t.Run("InvitationType", testEnum[parsec.InvitationType]("USER", "DEVICE", "SHAMIR_RECOVERY"))
	t.Run("InvitationStatus", testEnum[parsec.InvitationStatus]("IDLE", "READY", "DELETED"))
	t.Run("PKIEnrollmentStatus", testEnum[parsec.PKIEnrollmentStatus]("SUBMITTED", "ACCEPTED", "REJECTED", "CANCELLED"))
	t.Run("ArchivingType", testEnum[parsec.ArchivingType]("AVAILABLE", "ARCHIVED", "DELETION_PLANNED"))
}

// testEnum wants exactly texts, those of docs/protocol/types.md §3.
func testEnum[T ~string, P interface {
	*T
	UnmarshalText([]byte) error
}](texts ...string) func(*testing.T) {
	return func(t *testing.T) {
		for _, text := range texts {
			var value T
			if err := P(&value).UnmarshalText([]byte(text)); err != nil || string(value) != text {
				t.Errorf("%s gives %q with error %v", text, value, err)
			}
			for _, other := range []string{strings.ToLower(text), text + "\n", text + "\x00", text[1:]} {
				if err := P(&value).UnmarshalText([]byte(other)); err == nil || string(value) != text {
					t.Errorf("%q gives %q with error %v", other, value, err)
				}
			}
		}
		for _, other := range []string{"", "NONE", "null", "OWNER", "USER", "IDLE", "ADMIN"} {
			var value T
			if err := P(&value).UnmarshalText([]byte(other)); !slices.Contains(texts, other) && (err == nil || value != "") {
				t.Errorf("%q gives %q with error %v", other, value, err)
			}
		}
	}
}

func TestUserProfilesListsEach(t *testing.T) {
	want := []parsec.UserProfile{parsec.ProfileAdmin, parsec.ProfileStandard, parsec.ProfileOutsider}
	if !slices.Equal(parsec.UserProfiles[:], want) {
		t.Errorf("profiles %v, want %v", parsec.UserProfiles, want)
	}
}

// TestRealmRoles has every role touch every other.
func TestRealmRoles(t *testing.T) {
	roles := []parsec.RealmRole{parsec.RoleNone, parsec.RoleReader, parsec.RoleContributor, parsec.RoleManager, parsec.RoleOwner}
	for rank, role := range roles {
		if role.Rank() != rank || role.Writes() != (rank >= 2) || role.Manages() != (rank >= 3) {
			t.Errorf("%q: rank %d, writes %t, manages %t", role, role.Rank(), role.Writes(), role.Manages())
		}
		for present, from := range roles {
			for next, to := range roles {
				want := rank == 4 || rank == 3 && present < 3 && next < 3
				if role.MayChange(from, to) != want {
					t.Errorf("%q changes %q to %q: %t", role, from, to, !want)
				}
			}
		}
	}
}
