package rules

import (
	"errors"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit/commands"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

// certificateSet is one of the "sets" of certificate_sets.json.
type certificateSet struct {
	Name                          string             `json:"name"`
	Command                       string             `json:"command"`
	API                           string             `json:"api"`
	Author                        parsec.DeviceID    `json:"author"`
	AuthorKey                     string             `json:"author_key"`
	AuthorProfile                 parsec.UserProfile `json:"author_profile"`
	RootVerifyKey                 []byte             `json:"root_verify_key"`
	Now                           time.Time          `json:"now"`
	UserCertificate               []byte             `json:"user_certificate"`
	DeviceCertificate             []byte             `json:"device_certificate"`
	RedactedUserCertificate       []byte             `json:"redacted_user_certificate"`
	RedactedDeviceCertificate     []byte             `json:"redacted_device_certificate"`
	RevokedUserCertificate        []byte             `json:"revoked_user_certificate"`
	SequesterAuthorityCertificate []byte             `json:"sequester_authority_certificate"`
	RoleCertificate               []byte             `json:"role_certificate"`
	ArchivingCertificate          []byte             `json:"archiving_certificate"`
	Brief                         []byte             `json:"brief"`
	Shares                        [][]byte           `json:"shares"`
	Status                        protocol.Status    `json:"status"`
}

type certificateSets struct {
	Sets       []certificateSet `json:"sets"`
	TimeWindow struct {
		EarlyOffset float64 `json:"early_offset"`
		LateOffset  float64 `json:"late_offset"`
		Cases       []struct {
			Client   time.Time `json:"client"`
			Server   time.Time `json:"server"`
			InWindow bool      `json:"in_window"`
		} `json:"cases"`
	} `json:"time_window"`
}

// certificateSetVersions are clients of each value of "api".
var certificateSetVersions = map[string][]parsec.APIVersion{
	"any":       {{Major: 1, Minor: 1}, {Major: 1, Minor: 3}, {Major: 2, Minor: 0}, {Major: 2, Minor: 10}, {Major: 3, Minor: 4}},
	"1.x":       {{Major: 1, Minor: 1}, {Major: 1, Minor: 3}},
	"2+":        {{Major: 2, Minor: 0}, {Major: 2, Minor: 10}, {Major: 3, Minor: 0}, {Major: 3, Minor: 4}},
	"2.4+":      {{Major: 2, Minor: 4}, {Major: 2, Minor: 10}, {Major: 3, Minor: 0}, {Major: 3, Minor: 4}},
	"3.2+":      {{Major: 3, Minor: 2}, {Major: 3, Minor: 4}},
	"2.9+/3.3+": {{Major: 2, Minor: 9}, {Major: 3, Minor: 3}},
}

func (s *certificateSet) author(t *testing.T) *Author {
	author := &Author{Device: s.Author, Profile: s.AuthorProfile, VerifyKey: certificateTestKey(t, s.AuthorKey).verify}
	if author.Profile == "" {
		author.Profile = parsec.ProfileAdmin
	}
	return author
}

// check makes the checks of one form of the command.
func (s *certificateSet) check(t *testing.T, command *rpc.Form) (err error) {
	now := parsec.DateTimeOf(s.Now)
	switch command {
	case protocol.UserCreate.Form:
		_, _, err = checkUserCreate(s.author(t), now, &protocol.UserCreateRequest{
			UserCertificate: s.UserCertificate, DeviceCertificate: s.DeviceCertificate,
			RedactedUserCertificate: s.RedactedUserCertificate, RedactedDeviceCertificate: s.RedactedDeviceCertificate,
		})
	case protocol.PKIEnrollmentAccept.Form:
		answer := certificate.PKIAnswer{DeviceID: s.Author, Profile: parsec.ProfileStandard}
		payload, packErr := answer.Pack()
		if packErr != nil {
			t.Fatal(packErr)
		}
		_, _, err = checkPKIEnrollmentAccept(s.author(t), now, &protocol.PKIEnrollmentAcceptRequest{
			AcceptPayload: payload,
			UserCreateRequest: protocol.UserCreateRequest{
				UserCertificate: s.UserCertificate, DeviceCertificate: s.DeviceCertificate,
				RedactedUserCertificate: s.RedactedUserCertificate, RedactedDeviceCertificate: s.RedactedDeviceCertificate,
			},
		})
	case protocol.DeviceCreate.Form:
		_, err = checkDeviceCreate(s.author(t), now, &protocol.DeviceCreateRequest{
			DeviceCertificate: s.DeviceCertificate, RedactedDeviceCertificate: s.RedactedDeviceCertificate,
		})
	case protocol.UserRevoke.Form:
		_, _, err = checkUserRevoke(s.author(t), now, &protocol.UserRevokeRequest{RevokedUserCertificate: s.RevokedUserCertificate})
	case protocol.OrganizationBootstrap.Form:
		_, err = checkBootstrap(now, &protocol.OrganizationBootstrapRequest{
			RootVerifyKey:   parsec.VerifyKey(s.RootVerifyKey),
			UserCertificate: s.UserCertificate, DeviceCertificate: s.DeviceCertificate,
			RedactedUserCertificate: s.RedactedUserCertificate, RedactedDeviceCertificate: s.RedactedDeviceCertificate,
			SequesterAuthorityCertificate: s.SequesterAuthorityCertificate,
		})
	case protocol.OrganizationBootstrapV1.Form:
		_, err = checkBootstrapV1(now, &protocol.OrganizationBootstrapV1Request{
			RootVerifyKey:   parsec.VerifyKey(s.RootVerifyKey),
			UserCertificate: s.UserCertificate, DeviceCertificate: s.DeviceCertificate,
			RedactedUserCertificate: s.RedactedUserCertificate, RedactedDeviceCertificate: s.RedactedDeviceCertificate,
		})
	case protocol.RealmCreate.Form:
		_, err = checkRealmCreate(s.author(t), now, &protocol.RealmCreateRequest{RoleCertificate: s.RoleCertificate})
	case protocol.RealmUpdateRoles.Form:
		_, err = checkRealmUpdateRoles(s.author(t), now, &protocol.RealmUpdateRolesRequest{RoleCertificate: s.RoleCertificate})
	case protocol.RealmUpdateArchiving.Form:
		_, _, err = checkRealmUpdateArchiving(s.author(t), now, &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: s.ArchivingCertificate})
	case protocol.ShamirRecoverySetup.Form: // Its sets have no clock.
		_, err = checkShamirSetup(s.author(t), certificateTestNow, &protocol.ShamirRecoverySetupData{Brief: s.Brief, Shares: s.Shares})
	default:
		t.Fatalf("no check of %s", command.Name)
	}
	return err
}

// find returns the form of the command for a client.
func (s *certificateSet) find(api parsec.APIVersion) (*rpc.Form, bool) {
	kind := protocol.Authenticated
	if s.AuthorKey == "" {
		kind = protocol.Anonymous
	}
	for _, form := range commands.All() {
		if form.Name == s.Command && form.Majors.Has(api.Major) && protocol.Kind(form.Kinds)&kind != 0 {
			return form, true
		}
	}
	return nil, false
}

func TestCertificateSets(t *testing.T) {
	for _, set := range vectors.Load[certificateSets](t, "certificate_sets.json").Sets {
		t.Run(set.Name, func(t *testing.T) {
			if set.Name == "shamir_old" {
				// The set shows the official server, which looks at no date
				// (docs/protocol/certificates.md §6, Improve).
				set.Status = protocol.StatusInvalidCertification
			}
			versions := certificateSetVersions[set.API]
			if len(versions) == 0 {
				t.Fatalf("no version for %q", set.API)
			}
			for _, api := range versions {
				command, found := set.find(api)
				if !found {
					t.Fatalf("no command %s in API %s", set.Command, api)
				}
				// Of the items of a wrong date, and of no other, the name tells so.
				wrongDate := strings.Contains(set.Name, "_old") || strings.Contains(set.Name, "_early")
				checkRefusal(t, command, api, set.check(t, command), set.Status, wrongDate)
				if command == protocol.UserCreate.Form {
					// Its rules are those of enrollments (docs/protocol/certificates.md §6).
					checkRefusal(t, command, api, set.check(t, protocol.PKIEnrollmentAccept.Form), set.Status, wrongDate)
				}
				if set.Status == protocol.StatusBadTimestamp && command != protocol.RealmUpdateArchiving.Form {
					before := parsec.APIVersion{Major: 2, Minor: 3}
					checkRefusal(t, command, before, set.check(t, command), protocol.StatusInvalidCertification, true)
				}
			}
		})
	}
}

// checkRefusal compares what checks returned with the status that a client of
// version api must get, StatusOK for nil, and its reason with the rule of
// docs/protocol/commands.md §1.3.
func checkRefusal(t *testing.T, command *rpc.Form, api parsec.APIVersion, err error, want protocol.Status, wrongDate bool) {
	t.Helper()
	if err == nil {
		if want != protocol.StatusOK {
			t.Errorf("API %s: accepted, want %s", api, want)
		}
		return
	}
	refusal, ok := errors.AsType[*protocol.Refusal](err)
	if !ok {
		t.Fatalf("API %s: got %T: %v", api, err, err)
	}
	refusal = protocol.ForClient(command, protocol.Client{API: api}, 0, refusal)
	if refusal.Status != want {
		t.Errorf("API %s: got %v, want %s", api, refusal, want)
	}
	if refusal.Reason == "" {
		t.Errorf("API %s: %s without reason", api, refusal.Status)
	}
	switch refusal.Status {
	case protocol.StatusInvalidCertification:
		if says := strings.Contains(refusal.Reason, "timestamp"); says != wrongDate {
			t.Errorf("API %s: reason %q, where a wrong date is %t", api, refusal.Reason, wrongDate)
		}
	case protocol.StatusBadTimestamp:
		if _, ok := refusal.Details.(*protocol.BadTimestampDetails); !ok {
			t.Errorf("API %s: %s with details %+v", api, refusal.Status, refusal.Details)
		}
	}
}

func TestTimeWindow(t *testing.T) {
	window := vectors.Load[certificateSets](t, "certificate_sets.json").TimeWindow
	if window.EarlyOffset != parsec.BallparkEarlyOffset || window.LateOffset != parsec.BallparkLateOffset {
		t.Errorf("got offsets %v and %v, want %v and %v",
			parsec.BallparkEarlyOffset, parsec.BallparkLateOffset, window.EarlyOffset, window.LateOffset)
	}
	if len(window.Cases) == 0 {
		t.Fatal("no case")
	}
	for _, item := range window.Cases {
		now, date := parsec.DateTimeOf(item.Server), parsec.DateTimeOf(item.Client)
		if got := parsec.InBallpark(now, date); got != item.InWindow {
			t.Errorf("client %s, server %s: got %t, want %t", date, now, got, item.InWindow)
		}
	}
}

// TestCertificateReasonNeverBlamesTheClock loads certificates whose only fault
// is in the field called timestamp.
func TestCertificateReasonNeverBlamesTheClock(t *testing.T) {
	type signed struct {
		Name   string `json:"name"`
		Signed []byte `json:"signed"`
	}
	key := certificateTestKey(t, "alice_dev1")
	author := &Author{Device: certificateTestDevice(t, "alice@dev1"), Profile: parsec.ProfileAdmin, VerifyKey: key.verify}
	api := parsec.APIVersion{Major: 3, Minor: 4}
	tested := 0
	for _, item := range vectors.Load[struct {
		Signed []signed `json:"signed"`
	}](t, "certificates.json").Signed {
		var command *rpc.Form
		var err error
		switch item.Name {
		case "device_missing_timestamp":
			command = protocol.DeviceCreate.Form
			_, err = checkDeviceCreate(author, certificateTestNow, &protocol.DeviceCreateRequest{DeviceCertificate: item.Signed, RedactedDeviceCertificate: item.Signed})
		case "revoked_missing_timestamp":
			command = protocol.UserRevoke.Form
			_, _, err = checkUserRevoke(author, certificateTestNow, &protocol.UserRevokeRequest{RevokedUserCertificate: item.Signed})
		case "role_missing_timestamp":
			command = protocol.RealmCreate.Form
			_, err = checkRealmCreate(author, certificateTestNow, &protocol.RealmCreateRequest{RoleCertificate: item.Signed})
		case "archiving_missing_timestamp":
			command = protocol.RealmUpdateArchiving.Form
			_, _, err = checkRealmUpdateArchiving(author, certificateTestNow, &protocol.RealmUpdateArchivingRequest{ArchivingCertificate: item.Signed})
		default:
			continue
		}
		tested++
		checkRefusal(t, command, api, err, protocol.StatusInvalidCertification, false)
	}
	if tested != 4 {
		t.Errorf("tested %d certificates, want 4", tested)
	}
}
