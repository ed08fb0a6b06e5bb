package parsec2_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

func submission(owner string) *protocol.PKIEnrollmentSubmitRequest {
	label := must(parsec.ParseDeviceLabel("laptop"))
	return &protocol.PKIEnrollmentSubmitRequest{
		EnrollmentID: parsec.EnrollmentID(parsec.NewUUID()), SubmitterDERX509Certificate: []byte(owner),
		SubmitPayload: must(certificate.PKISubmit{RequestedDeviceLabel: label}.Pack()), SubmitPayloadSignature: []byte("signature"),
	}
}

// TestPKIEnrollmentSubmitIsLimited submits from several addresses, through a
// proxy.
func TestPKIEnrollmentSubmitIsLimited(t *testing.T) {
	const burst, interval = 100, 3 * time.Second
	f := newFixture(t, withTrustedLoopback)
	ran := 0
	f.Parsec2.SetHandler(protocol.PKIEnrollmentSubmit.Form, func(context.Context) (any, error) {
		ran++
		return &protocol.PKIEnrollmentSubmitReply{}, nil
	})
	body := must(wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: "pki_enrollment_submit"}}, submission("carol")))
	post := func(address string, body []byte, want int) {
		t.Helper()
		response := f.do(http.MethodPost, "/anonymous/CoolOrg", body, "Content-Type: application/msgpack", "X-Forwarded-For: "+address)
		if response.StatusCode != want {
			t.Fatalf("%s: HTTP %d, want %d", address, response.StatusCode, want)
		}
		retryAfter := ""
		if want == http.StatusTooManyRequests {
			retryAfter = "3"
		}
		if got := response.Header.Get("Retry-After"); got != retryAfter {
			t.Errorf("%s: Retry-After %q, want %q", address, got, retryAfter)
		}
	}
	for range burst {
		post("192.0.2.1", body, http.StatusOK)
	}
	post("192.0.2.1", body, http.StatusTooManyRequests)
	post("192.0.2.2", body, http.StatusOK)
	// Neither what is malformed nor what is not limited counts.
	info := must(wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: "pki_enrollment_info"}}, &protocol.PKIEnrollmentInfoRequest{}))
	post("192.0.2.1", info, http.StatusOK)
	post("192.0.2.1", message("pki_enrollment_submit"), http.StatusOK)
	f.clock.Advance(interval)
	post("192.0.2.1", body, http.StatusOK)
	post("192.0.2.1", body, http.StatusTooManyRequests)
	if want := burst + 2; ran != want {
		t.Errorf("%d submissions ran, want %d", ran, want)
	}
}

func TestPKIEnrollmentSubmitOverHTTP(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) {
		options.Rules = rules.Options{Founding: organization.Founding{SpontaneousBootstrap: true}}
	})
	unknown := must(parsec.ParseOrganizationID("Unknown"))
	_, err := parsec2.Call(f.ctx, f.client.AnonymousRPC(unknown, api3), protocol.PKIEnrollmentSubmit, submission("carol"))
	f.wantStatus(err, http.StatusNotFound)

	// What is stored is bounded, whatever the payload loads as.
	rpc := f.client.AnonymousRPC(coolOrg, api2)
	for name, spoil := range map[string]func(*protocol.PKIEnrollmentSubmitRequest){
		"certificate": func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509Certificate = make([]byte, 16<<10+1) },
		"signature":   func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitPayloadSignature = make([]byte, 16<<10+1) },
		"payload": func(r *protocol.PKIEnrollmentSubmitRequest) {
			r.SubmitPayload = append(r.SubmitPayload, make([]byte, 16<<10)...)
		},
		"email": func(r *protocol.PKIEnrollmentSubmitRequest) {
			r.SubmitterDERX509CertificateEmail = strings.Repeat("a", 255)
		},
		"email, NUL": func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509CertificateEmail = "a\x00@b.c" },
	} {
		request := submission("carol")
		spoil(request)
		if _, err := parsec2.Call(f.ctx, rpc, protocol.PKIEnrollmentSubmit, request); !errors.Is(err, protocol.Refuse(protocol.StatusBadMessage, "")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	longest := submission("carol")
	longest.SubmitterDERX509Certificate = make([]byte, 16<<10)
	f.must(parsec2.Call(f.ctx, rpc, protocol.PKIEnrollmentSubmit, longest))

	// Clients before 2.8.3 send no e-mail.
	old := must(wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: "pki_enrollment_submit"}}, &struct {
		EnrollmentID parsec.EnrollmentID `wire:"enrollment_id"`
		Force        bool                `wire:"force"`
		Certificate  []byte              `wire:"submitter_der_x509_certificate"`
		Signature    []byte              `wire:"submit_payload_signature"`
		Payload      []byte              `wire:"submit_payload"`
	}{parsec.EnrollmentID{1}, false, []byte("old"), []byte("signature"), submission("old").SubmitPayload}))
	reply := decodeMap(t, must(rpc.RoundTrip(f.ctx, old)))
	if reply["status"] != "ok" || reply["submitted_on"] != f.clock.Now() {
		t.Errorf("without e-mail: %v", reply)
	}
}

// A client that knows a status breaks when one of its fields is missing, or
// when another's is there for it to read.
func TestPKIEnrollmentInfoOnTheWire(t *testing.T) {
	f := newFixture(t)
	anonymous := f.client.AnonymousRPC(coolOrg, api3)
	request := submission("carol")
	f.must(parsec2.Call(f.ctx, anonymous, protocol.PKIEnrollmentSubmit, request))
	info := must(wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: "pki_enrollment_info"}}, &protocol.PKIEnrollmentInfoRequest{EnrollmentID: request.EnrollmentID}))
	fields := func(want ...string) {
		t.Helper()
		reply := decodeMap(t, must(anonymous.RoundTrip(f.ctx, info)))
		for _, name := range append(want, "status", "enrollment_status", "submitted_on") {
			if reply[name] == nil {
				t.Errorf("no %s in %v", name, reply)
			}
			delete(reply, name)
		}
		if len(reply) > 0 {
			t.Errorf("also %v", reply)
		}
	}
	fields()
	alice := f.connect("alice@dev1")
	_, creation, err := f.device("alice@dev1").NewUser(parsec2.Person{}, parsec.ProfileStandard, f.now())
	f.ok(err)
	answer := certificate.PKIAnswer{DeviceID: must(parsec.ParseDeviceID("carol@dev1")), Profile: parsec.ProfileStandard}
	f.must(parsec2.Call(f.ctx, alice, protocol.PKIEnrollmentAccept, &protocol.PKIEnrollmentAcceptRequest{
		UserCreateRequest: *creation, EnrollmentID: request.EnrollmentID,
		AcceptPayload: must(answer.Pack()), AcceptPayloadSignature: []byte{}, AccepterDERX509Certificate: []byte{},
	}))
	fields("accepted_on", "accepter_der_x509_certificate", "accept_payload_signature", "accept_payload")
}

// TestPKIEnrollmentsAreToldToAdministrators listens with everybody else as
// well (docs/protocol/events.md §2).
func TestPKIEnrollmentsAreToldToAdministrators(t *testing.T) {
	f := newFixture(t)
	author, phone, bob := f.listen("alice@dev1", api2), f.listen("alice@dev2"), f.listen("bob@dev1")
	elsewhere := f.listenAs(f.deviceOf(otherOrg, "alice@dev1"))
	f.must(parsec2.Call(f.ctx, phone.conn, protocol.EventsSubscribe, nil)) // again
	anonymous := f.client.AnonymousRPC(coolOrg, api3)
	first, forced := submission("carol"), submission("carol")
	forced.Force = true
	told := &protocol.PKIEnrollmentUpdatedEvent{}
	toldOnce := func() { // one is enough, of those that come together
		t.Helper()
		f.mark(coolOrg)
		author.want(told)
		phone.want(told)
	}
	f.must(parsec2.Call(f.ctx, anonymous, protocol.PKIEnrollmentSubmit, first))
	toldOnce()
	if _, err := parsec2.Call(f.ctx, anonymous, protocol.PKIEnrollmentSubmit, submission("carol")); !errors.Is(err, protocol.Refuse(protocol.StatusAlreadySubmitted, "")) {
		t.Errorf("again: %v", err)
	}
	f.must(parsec2.Call(f.ctx, anonymous, protocol.PKIEnrollmentSubmit, forced)) // cancels the first
	toldOnce()
	f.must(parsec2.Call(f.ctx, author.conn, protocol.PKIEnrollmentReject, &protocol.PKIEnrollmentRejectRequest{EnrollmentID: forced.EnrollmentID}))
	toldOnce()
	f.mark(otherOrg)
	for range 3 {
		bob.want()
	}
	elsewhere.want()
}
