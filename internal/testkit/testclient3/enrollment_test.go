package testclient3

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var enrolledOn = parsec.DateTimeOf(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))

// someone has the name of a person as the part of the address before the @.
func someone(name string) client3.Person {
	return client3.Person{
		Label:       must(parsec3.ParseDeviceLabel(name)),
		HumanHandle: must(parsec3.ParseHumanHandle(name+"@example.com", name)),
	}
}

// system is how people get an identity.
type system func(name string) Identity

func cards() system {
	pki := must(NewPKI(enrolledOn.Time()))
	return func(name string) Identity { return must(pki.Badge(name + "@example.com")) }
}

func entities(name string) Identity { return Entity(name + "@example.com") }

// submit returns what the server lists of a request.
func submit(request *protocol.AsyncEnrollmentSubmitRequest) *protocol.SubmittedEnrollment {
	return &protocol.SubmittedEnrollment{
		EnrollmentID: request.EnrollmentID, SubmitPayload: request.SubmitPayload, SubmitPayloadSignature: request.SubmitPayloadSignature,
	}
}

// TestEnrollment has somebody join in each of the identity systems, and finds what is
// not as it must be.
func TestEnrollment(t *testing.T) {
	organization := must(parsec.ParseOrganizationID("CoolOrg"))
	alice, _, err := client3.NewOrganization(client3.Founding{Organization: organization}, someone("alice"), enrolledOn)
	if err != nil {
		t.Fatal(err)
	}
	pki := cards()
	for name, systems := range map[string]struct{ own, other system }{"PKI": {pki, entities}, "OpenBao": {entities, pki}} {
		t.Run(name, func(t *testing.T) {
			zoe, accepter := systems.own("zoe"), systems.own("alice")
			enrollment, request, err := NewEnrollment(organization, zoe, someone("zoe"))
			if err != nil {
				t.Fatal(err)
			}
			accept := func(request *protocol.AsyncEnrollmentSubmitRequest, by Identity) (*protocol.AsyncEnrollmentAcceptRequest, error) {
				return AcceptEnrollment(alice, submit(request), parsec.ProfileStandard, by, enrolledOn)
			}
			refuse := func(what string, want error, request *protocol.AsyncEnrollmentSubmitRequest, by Identity) {
				t.Helper()
				if _, err := accept(request, by); !errors.Is(err, want) {
					t.Errorf("%s: %v", what, err)
				}
			}
			refuse("another system", errSystem, request, systems.other("alice"))
			_, stolen, err := NewEnrollment(organization, systems.own("mallory"), someone("zoe"))
			if err != nil {
				t.Fatal(err)
			}
			refuse("somebody else", errOtherIdentity, stolen, accepter)
			stolen.SubmitPayloadSignature = request.SubmitPayloadSignature
			refuse("another payload", errSignature, stolen, accepter)

			accepted := must(accept(request, accepter))
			info := &protocol.AsyncEnrollmentInfoReply{
				Status: protocol.EnrollmentAccepted, AcceptPayload: accepted.AcceptPayload, AcceptPayloadSignature: &accepted.AcceptPayloadSignature,
			}
			device, err := enrollment.Finish(info, enrolledOn)
			if err != nil {
				t.Fatal(err)
			}
			signer := parsec.VerifyKey(alice.SigningKey.Public().(ed25519.PublicKey))
			user, err := certificate.LoadUser(accepted.UserCertificate, signer, alice.ID)
			if err != nil || user.UserID != device.User || user.PublicKey != device.PublicKey() || user.HumanHandle != device.HumanHandle {
				t.Errorf("certified %+v, %v, of %+v", user, err, device)
			}
			another := *info
			another.AcceptPayload = append(bytes.Clone(info.AcceptPayload), 0)
			if _, err := enrollment.Finish(&another, enrolledOn); !errors.Is(err, errSignature) {
				t.Errorf("another answer: %v", err)
			}
			if _, err := enrollment.Finish(&protocol.AsyncEnrollmentInfoReply{Status: protocol.EnrollmentSubmitted}, enrolledOn); err == nil {
				t.Error("finished before it is accepted")
			}
		})
	}
}
