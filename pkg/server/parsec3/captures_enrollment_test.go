package parsec3_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1" // the algorithm of RFC 6238
	"crypto/sha256"
	"crypto/x509"
	numbers "encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// replayEnrollments replays enrollments without invitation, and one-time passwords.
func replayEnrollments(r *replay) {
	replaySubmission(r)
	replayJudgement(r)
	replayAcceptance(r)
	replayOfficial(r)
	replayTOTP(r)
	replayReset(r)
}

// newcomer has submitted an enrollment.
type newcomer struct {
	id      parsec3.EnrollmentID
	on      parsec.DateTime
	payload certificate.EnrollmentSubmit
}

// submitted puts an enrollment into the store, by OpenBao.
func (s *state) submitted(of newcomer) {
	s.t.Helper()
	payload, err := of.payload.Pack()
	s.ok(err)
	s.update(onEnrollments, func(tx rules.Tx) {
		tx.SubmitEnrollment(rules.Enrollment{
			ID: of.id, Status: protocol.EnrollmentSubmitted, SubmittedOn: of.on, Payload: payload,
			Identity: rules.Identity{Signature: []byte("vault:v1:abc"), Entity: "entity"},
		}, parsec3.Mailbox(of.payload.HumanHandle.Email()))
	})
}

var onEnrollments = rules.Scope{Common: rules.Exclusive, Enrollment: rules.Exclusive}

// idOf returns the enrollment that a request is about.
func (r *replay) idOf(e *capturedExchange) parsec3.EnrollmentID {
	r.t.Helper()
	return parsec3.EnrollmentID(e.Request.Decoded.fields(r.t)["enrollment_id"].(parsec.UUID))
}

// replied returns a date of the reply.
func (r *replay) replied(e *capturedExchange, field string) parsec.DateTime {
	r.t.Helper()
	return e.Reply.Decoded.fields(r.t)[field].(parsec.DateTime)
}

func replaySubmission(r *replay) {
	submit := r.exchange("async_enrollment_submit")
	r.foundBy(founder{organization: organizationOf(&submit.Request), device: pingDevice, on: r.date("22:08:00")})
	r.at(r.replied(submit, "submitted_on"))
	r.play(submit)
	r.play(r.exchange("async_enrollment_submit_again"))
	info := r.exchange("async_enrollment_info_cancelled")
	r.at(r.replied(info, "cancelled_on"))
	id, err := parsec.ParseOrganizationID(organizationOf(&submit.Request))
	r.ok(err)
	_, err = r.rules.AsyncEnrollmentCancel(r.ctx, &rules.Anonymous{Organization: id},
		&protocol.AsyncEnrollmentCancelRequest{EnrollmentID: r.idOf(info)})
	r.ok(err)
	r.play(info)
}

// replayJudgement has a list rejected, and cancelled, whose content it says.
func replayJudgement(r *replay) {
	list := r.exchange("async_enrollment_list")
	name := organizationOf(&list.Request)
	s := r.foundBy(founder{organization: name, device: name + " device e33d679e", on: r.date("22:08:00")})
	s.submitAll(list)
	r.at(r.date("22:08:08"))
	for _, exchange := range []string{list.Name, "async_enrollment_info_submitted", "async_enrollment_reject", "async_enrollment_cancel"} {
		r.play(r.exchange(exchange))
	}
}

// submitAll puts what an exchange lists into the store.
func (s *state) submitAll(list *capturedExchange) {
	s.t.Helper()
	for _, listed := range s.listed(list) {
		s.submitListed(&listed)
	}
}

// listed returns what an exchange lists.
func (s *state) listed(list *capturedExchange) []protocol.SubmittedEnrollment {
	s.t.Helper()
	var reply protocol.AsyncEnrollmentListReply
	s.ok(wire.Microseconds.Unmarshal(list.Reply.Raw, &reply))
	return reply.Enrollments
}

func (s *state) submitListed(e *protocol.SubmittedEnrollment) {
	s.t.Helper()
	payload, err := certificate.LoadEnrollmentSubmit(e.SubmitPayload)
	s.ok(err)
	stored := rules.Enrollment{ID: e.EnrollmentID, Status: protocol.EnrollmentSubmitted, SubmittedOn: e.SubmittedOn, Payload: e.SubmitPayload}
	if proof := e.SubmitPayloadSignature; proof.Kind == protocol.SignedByPKI {
		stored.Identity = rules.Identity{Signature: proof.Signature, Chain: append([][]byte{proof.Leaf}, proof.Intermediates...)}
	} else {
		stored.Identity = rules.Identity{Signature: []byte(proof.OpenBaoSignature), Entity: proof.EntityID}
	}
	s.update(onEnrollments, func(tx rules.Tx) { tx.SubmitEnrollment(stored, parsec3.Mailbox(payload.HumanHandle.Email())) })
}

// submittedFor puts what an exchange accepts into the store, with the keys of its
// certificates.
func (s *state) submittedFor(accept *capturedExchange, on parsec.DateTime) {
	s.t.Helper()
	user, device := accept.Request.certificateAt(s, "submitter_user_certificate"), accept.Request.certificateAt(s, "submitter_device_certificate")
	handle := user["human_handle"].([]any)
	human, err := parsec3.ParseHumanHandle(handle[0].(string), handle[1].(string))
	s.ok(err)
	label, err := parsec3.ParseDeviceLabel(device["device_label"].(string))
	s.ok(err)
	s.submitted(newcomer{s.idOf(accept), on, certificate.EnrollmentSubmit{
		VerifyKey: parsec.VerifyKey(device["verify_key"].([]byte)), PublicKey: parsec.PublicKey(user["public_key"].([]byte)),
		DeviceLabel: label, HumanHandle: human,
	}})
}

// certificateAt returns the content of a certificate of a request.
func (r *capturedRequest) certificateAt(s *state, path string) map[any]any {
	s.t.Helper()
	for _, signed := range r.Certificates {
		if signed.Path == path {
			return signed.Content.fields(s.t)
		}
	}
	s.t.Fatalf("no certificate at %s", path)
	return nil
}

func replayAcceptance(r *replay) {
	accept, info := r.exchange("async_enrollment_accept"), r.exchange("async_enrollment_info_accepted")
	name := organizationOf(&accept.Request)
	s := r.foundBy(founder{organization: name, device: name + " device a6e450fc", on: r.date("22:08:00")})
	s.submittedFor(accept, r.replied(info, "submitted_on"))
	r.at(r.replied(info, "accepted_on"))
	r.play(accept)
	r.play(info)
	without := r.exchange("async_enrollment_accept_without_send_email")
	s.submittedFor(without, r.date("22:08:10.5"))
	r.play(without)
}

// replayOfficial replays what the official client asked for, with the user of its
// one-time passwords.
func replayOfficial(r *replay) {
	const name = "More5904423"
	accept, info := r.exchange("official client: async_enrollment_accept, OpenBao"), r.exchange("official client: async_enrollment_info, accepted")
	list, submit := r.exchange("official client: async_enrollment_list"), r.exchange("official client: async_enrollment_submit, PKI")
	throttled, again := r.exchange("official client: totp_fetch_opaque_key, throttled"), r.exchange("official client: totp_setup_get_secret, after a reset")
	s := r.foundBy(founder{organization: name, device: name + " device b3043e02", on: r.date("22:20:00"), user: r.recordedUser(throttled)})
	first := s.listed(list)[0]
	s.submitListed(&first)
	r.at(r.replied(submit, "submitted_on"))
	checkRecordedSignature(r, submit)
	r.play(submit)
	r.play(list)
	s.setUp(throttled, rules.TOTPSetup{Secret: []byte("secret"), Completed: true})
	s.throttle(throttled)
	s.setUpAgain(again, again.Reply.Decoded.fields(r.t)["totp_secret"].([]byte))
	r.play(again)
	r.at(first.SubmittedOn.Add(time.Minute))
	_, err := r.rules.AsyncEnrollmentReject(r.ctx, s.author, &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: first.EnrollmentID})
	r.ok(err)
	s.submittedFor(accept, r.replied(info, "submitted_on"))
	r.at(r.replied(info, "accepted_on"))
	r.play(accept)
	r.play(info)
}

// checkRecordedSignature wants what the official client signed to verify by the key of
// its card.
func checkRecordedSignature(r *replay, submit *capturedExchange) {
	r.t.Helper()
	var request protocol.AsyncEnrollmentSubmitRequest
	r.ok(wire.Microseconds.Unmarshal(submit.Request.Raw, &request))
	pki := request.SubmitPayloadSignature
	owner, err := x509.ParseCertificate(pki.Leaf)
	r.ok(err)
	digest := sha256.Sum256(request.SubmitPayload)
	r.ok(rsa.VerifyPSS(owner.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], pki.Signature, nil))
}

func (s *state) setUp(e *capturedExchange, setup rules.TOTPSetup) {
	s.t.Helper()
	user := s.recordedUser(e)
	s.update(rules.Scope{TOTP: &user}, func(tx rules.Tx) { tx.PutTOTP(setup) })
}

// setUpAgain has the user of a request have its token, and a secret.
func (s *state) setUpAgain(e *capturedExchange, secret []byte) {
	s.t.Helper()
	var token parsec3.AccessToken
	s.ok(token.UnmarshalBinary(e.Request.Decoded.fields(s.t)["token"].([]byte)))
	s.setUp(e, rules.TOTPSetup{Secret: secret, ResetToken: &token})
}

// throttle has a key wait as long as an exchange says, and plays it. The key need not
// exist before.
func (s *state) throttle(e *capturedExchange) {
	s.t.Helper()
	user, id := s.recordedUser(e), s.recordedKey(e)
	until := s.replied(e, "wait_until")
	s.update(rules.Scope{TOTP: &user}, func(tx rules.Tx) { tx.CreateOpaqueKey(id, parsec3.OpaqueKey{}) })
	s.update(rules.Scope{OpaqueKey: &rules.OpaqueKeyName{User: user, Key: id}}, func(tx rules.Tx) {
		tx.CountOpaqueKey(rules.OpaqueKey{Exists: true, Failures: 1, FailedOn: until.Add(-time.Second)})
	})
	s.at(until)
	s.play(e)
}

// stepOf returns the step of a date, and secretOf a secret whose password of that step
// is one: that of the recording is not known.
func stepOf(date parsec.DateTime) int64 { return int64(date) / 30_000_000 }

func secretOf(password string, step int64) []byte {
	for i := uint64(0); ; i++ {
		secret := numbers.BigEndian.AppendUint64(nil, i)
		mac := hmac.New(sha1.New, secret)
		mac.Write(numbers.BigEndian.AppendUint64(nil, uint64(step)))
		sum := mac.Sum(nil)
		if fmt.Sprintf("%06d", numbers.BigEndian.Uint32(sum[sum[19]&0xf:])&0x7fffffff%1_000_000) == password {
			return secret
		}
	}
}

// recordedUser and recordedKey return what a request names.
func (r *replay) recordedUser(e *capturedExchange) parsec3.UserID {
	r.t.Helper()
	return parsec3.UserID(e.Request.Decoded.fields(r.t)["user_id"].(parsec.UUID))
}

func (r *replay) recordedKey(e *capturedExchange) parsec3.OpaqueKeyID {
	r.t.Helper()
	return parsec3.OpaqueKeyID(e.Request.Decoded.fields(r.t)["opaque_key_id"].(parsec.UUID))
}

func replayTOTP(r *replay) {
	get, create, confirm := r.exchange("totp_setup_get_secret"), r.exchange("totp_create_opaque_key"), r.exchange("totp_setup_confirm")
	fetch, getAgain, confirmAgain := r.exchange("totp_fetch_opaque_key"), r.exchange("totp_setup_get_secret_anonymous"), r.exchange("totp_setup_confirm_anonymous")
	name, user := organizationOf(&get.Request), r.recordedUser(fetch)
	s := r.foundBy(founder{organization: name, device: name + " device c4271440", on: r.date("22:06:00"), user: user})
	s.setUp(fetch, rules.TOTPSetup{Secret: get.Reply.Decoded.fields(r.t)["totp_secret"].([]byte)})
	r.play(get)
	r.playMaking(create, "opaque_key_id", "opaque_key")
	r.play(confirm)

	key := parsec3.OpaqueKey(fetch.Reply.Decoded.fields(r.t)["opaque_key"].([]byte))
	s.update(rules.Scope{TOTP: &user}, func(tx rules.Tx) { tx.CreateOpaqueKey(r.recordedKey(fetch), key) })
	r.play(fetch)
	s.throttle(r.exchange("totp_throttled"))
	s.setUpAgain(getAgain, getAgain.Reply.Decoded.fields(r.t)["totp_secret"].([]byte))
	r.play(getAgain)
	password := confirmAgain.Request.Decoded.fields(r.t)["one_time_password"].(string)
	s.setUpAgain(confirmAgain, secretOf(password, stepOf(r.clock.Now())))
	r.play(confirmAgain)
}

// playMaking is play for a reply in which the server makes some fields: those must be of
// the same kinds.
func (r *replay) playMaking(e *capturedExchange, made ...string) {
	r.t.Helper()
	r.played[e] = true
	response := r.send(r.ctx, &e.Request)
	body, err := io.ReadAll(response.Body)
	r.ok(err)
	want := r.wanted(e.Name, &e.Request, e.Reply)
	r.compareHead(e.Name, response, &want)
	decoded, err := msgpack.DecodeProfile(wire.Microseconds, body)
	r.ok(err)
	got, recorded := decoded.(map[any]any), want.Decoded.fields(r.t)
	for _, field := range made {
		if reflect.TypeOf(got[field]) != reflect.TypeOf(recorded[field]) || reflect.DeepEqual(got[field], recorded[field]) {
			r.t.Errorf("%s: %s is %v", e.Name, field, got[field])
		}
		recorded[field] = got[field]
	}
	if !reflect.DeepEqual(got, recorded) {
		r.t.Errorf("%s:\n got %v\nwant %v", e.Name, got, recorded)
	}
}

// resetUser returns whom the reset of the recording is of.
func (r *replay) resetUser() (user parsec3.UserID, email string) {
	r.t.Helper()
	var reply struct {
		User  string `json:"user_id"`
		Email string `json:"user_email"`
	}
	r.ok(json.Unmarshal(r.exchange("REST: reset_totp").Reply.JSON, &reply))
	user, err := parsec3.ParseUserID(reply.User)
	r.ok(err)
	return user, reply.Email
}

const resetOrganization = "Org2980e1072766"

func replayReset(r *replay) {
	user, email := r.resetUser()
	r.foundBy(founder{organization: resetOrganization, device: pingDevice, on: r.date("22:06:00"), user: user, email: email})
	r.play(r.exchange("REST: reset_totp"))
}

// withOurToken replaces the token in the links of a reset.
func withOurToken(r *replay, want *capturedReply) {
	user, _ := r.resetUser()
	var ours *parsec3.AccessToken
	id, err := parsec.ParseOrganizationID(resetOrganization)
	r.ok(err)
	r.ok(r.store.Update(r.ctx, rules.Scope{Organization: id, TOTP: &user}, func(tx rules.Tx) error {
		_, setup, err := tx.TOTP(r.ctx)
		ours = setup.ResetToken
		return err
	}))
	var links struct {
		URL string `json:"totp_reset_url"`
	}
	r.ok(json.Unmarshal(want.JSON, &links))
	theirs, err := parsec3.ParseAddress(links.URL)
	r.ok(err)
	payload := func(token parsec3.AccessToken) string {
		theirs.Target = parsec3.TOTPResetTarget{User: user, Token: token}
		_, after, _ := strings.Cut(theirs.String(), "p=")
		return after
	}
	former := payload(theirs.Target.(parsec3.TOTPResetTarget).Token)
	want.JSON = json.RawMessage(strings.ReplaceAll(string(want.JSON), former, payload(*ours)))
}

// withoutForeignIntermediates leaves out what was not sent.
func withoutForeignIntermediates(r *replay, want *capturedReply) {
	decoded := want.Decoded.RawMessage
	var reply map[string]any
	r.ok(json.Unmarshal(decoded, &reply))
	signature := reply["enrollments"].([]any)[1].(map[string]any)["submit_payload_signature"].(map[string]any)
	signature["intermediate_der_x509_certificates"] = []any{}
	changed, err := json.Marshal(reply)
	r.ok(err)
	want.Decoded = recordedValue{changed}
}
