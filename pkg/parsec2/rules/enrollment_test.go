package rules_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// submission returns what the owner of an X.509 certificate asks with.
func (f *fixture) submission(owner string) *protocol.PKIEnrollmentSubmitRequest {
	payload := certificate.PKISubmit{
		VerifyKey: parsec.VerifyKey{1}, PublicKey: parsec.PublicKey{2}, RequestedDeviceLabel: must(parsec.ParseDeviceLabel("laptop")),
	}
	return &protocol.PKIEnrollmentSubmitRequest{
		EnrollmentID:                     parsec.EnrollmentID(parsec.NewUUID()),
		SubmitterDERX509Certificate:      []byte("certificate of " + owner),
		SubmitterDERX509CertificateEmail: owner + "@example.com",
		SubmitPayload:                    must(payload.Pack()),
		SubmitPayloadSignature:           []byte("signature of " + owner),
	}
}

// submitted returns a submission that is pending.
func (f *fixture) submitted(owner string) *protocol.PKIEnrollmentSubmitRequest {
	f.t.Helper()
	request := f.submission(owner)
	f.ok(f.PKIEnrollmentSubmit(f.t.Context(), f.anonymous(acme), request))
	return request
}

// acceptance is the content of what alice accepts an enrollment with; tests
// spoil it before request signs it.
type acceptance struct {
	*userCreation
	enrollment parsec.EnrollmentID
	payload    []byte
}

func (f *fixture) acceptance(author *rules.Author, enrollment parsec.EnrollmentID, first parsec.DeviceID) *acceptance {
	f.t.Helper()
	creation := f.userCreation(author, first, parsec.ProfileStandard)
	answer := certificate.PKIAnswer{
		DeviceID: first, DeviceLabel: creation.device.DeviceLabel, HumanHandle: creation.user.HumanHandle,
		Profile: creation.user.Profile, RootVerifyKey: verifyKey(rootKey()),
	}
	return &acceptance{creation, enrollment, must(answer.Pack())}
}

func (a *acceptance) request() *protocol.PKIEnrollmentAcceptRequest {
	return &protocol.PKIEnrollmentAcceptRequest{
		UserCreateRequest: *a.userCreation.request(), EnrollmentID: a.enrollment,
		AcceptPayload: a.payload, AcceptPayloadSignature: []byte("accepted"), AccepterDERX509Certificate: []byte("accepter"),
	}
}

// accepted returns a submission that became the user of a first device.
func (f *fixture) accepted(owner string, first parsec.DeviceID) *protocol.PKIEnrollmentSubmitRequest {
	f.t.Helper()
	submission := f.submitted(owner)
	f.ok(f.PKIEnrollmentAccept(f.t.Context(), f.alice(), f.acceptance(f.alice(), submission.EnrollmentID, first).request()))
	return submission
}

func (f *fixture) reject(id parsec.EnrollmentID) {
	f.t.Helper()
	f.ok(f.PKIEnrollmentReject(f.t.Context(), f.alice(), &protocol.PKIEnrollmentRejectRequest{EnrollmentID: id}))
}

// pending lists what is SUBMITTED.
func (f *fixture) pending() []parsec.EnrollmentID {
	f.t.Helper()
	reply, err := f.PKIEnrollmentList(f.t.Context(), f.alice2(), &protocol.PKIEnrollmentListRequest{})
	f.ok(reply, err)
	var ids []parsec.EnrollmentID
	for _, enrollment := range reply.Enrollments {
		ids = append(ids, enrollment.EnrollmentID)
	}
	return ids
}

func (f *fixture) info(id parsec.EnrollmentID) *protocol.PKIEnrollmentInfoReply {
	f.t.Helper()
	reply, err := f.PKIEnrollmentInfo(f.t.Context(), f.anonymous(acme), &protocol.PKIEnrollmentInfoRequest{EnrollmentID: id})
	f.ok(reply, err)
	return reply
}

// wantUpdates checks that ADMINs are told so many times, and nobody anything
// else.
func (f *fixture) wantUpdates(author parsec.DeviceID, count int) {
	f.t.Helper()
	told := event.Event{Organization: acme, Author: author, Body: notice.PKIEnrollmentUpdated{}}
	if got, want := f.events.take(), slices.Repeat([]event.Event{told}, count); !slices.Equal(got, want) {
		f.t.Errorf("events %v, want %v", got, want)
	}
}

func TestPKIEnrollmentSubmit(t *testing.T) {
	// A refused row leaves everything as before; each also breaks a later rule
	// where it can.
	cases := map[string]struct {
		before func(*fixture, *protocol.PKIEnrollmentSubmitRequest)
		spoil  func(*protocol.PKIEnrollmentSubmitRequest)
		want   protocol.Status
		// cancels is how many enrollments become CANCELLED.
		cancels int
	}{
		"ok":           {want: protocol.StatusOK},
		"ok, forced":   {spoil: func(r *protocol.PKIEnrollmentSubmitRequest) { r.Force = true }, want: protocol.StatusOK},
		"ok, no email": {spoil: func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509CertificateEmail = "" }, want: protocol.StatusOK},
		"1 payload before id": {
			before: func(f *fixture, r *protocol.PKIEnrollmentSubmitRequest) {
				r.EnrollmentID = f.submitted("dave").EnrollmentID
			},
			spoil: func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitPayload = r.SubmitPayload[1:] },
			want:  protocol.StatusInvalidPayloadData,
		},
		"1 payload of an answer": {
			spoil: func(r *protocol.PKIEnrollmentSubmitRequest) {
				answer := certificate.PKIAnswer{DeviceID: carolID, Profile: parsec.ProfileStandard}
				r.SubmitPayload = must(answer.Pack())
			},
			want: protocol.StatusInvalidPayloadData,
		},
		"1 payload too large once decompressed": {
			spoil: func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitPayload = bomb() }, want: protocol.StatusInvalidPayloadData,
		},
		"2 id of a pending enrollment": {
			before: func(f *fixture, r *protocol.PKIEnrollmentSubmitRequest) {
				r.EnrollmentID = f.submitted("carol").EnrollmentID
			},
			spoil: func(r *protocol.PKIEnrollmentSubmitRequest) {
				r.Force = true
				r.SubmitPayloadSignature = []byte("another signature")
			},
			want: protocol.StatusIDAlreadyUsed,
		},
		"2 id of a rejected enrollment": {
			before: func(f *fixture, r *protocol.PKIEnrollmentSubmitRequest) {
				r.EnrollmentID = f.submitted("dave").EnrollmentID
				f.reject(r.EnrollmentID)
			},
			want: protocol.StatusIDAlreadyUsed,
		},
		"3 submitted before email": {
			before: func(f *fixture, r *protocol.PKIEnrollmentSubmitRequest) { f.submitted("carol") },
			spoil:  func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509CertificateEmail = "bob@example.com" },
			want:   protocol.StatusAlreadySubmitted,
		},
		"3 submitted, forced": {
			before: func(f *fixture, _ *protocol.PKIEnrollmentSubmitRequest) { f.submitted("carol") },
			spoil:  func(r *protocol.PKIEnrollmentSubmitRequest) { r.Force = true },
			want:   protocol.StatusOK, cancels: 1,
		},
		"3 submitted, forced, refused later": {
			before: func(f *fixture, _ *protocol.PKIEnrollmentSubmitRequest) { f.submitted("carol") },
			spoil: func(r *protocol.PKIEnrollmentSubmitRequest) {
				r.Force = true
				r.SubmitterDERX509CertificateEmail = "bob@example.com"
			},
			want: protocol.StatusEmailAlreadyUsed,
		},
		"3 rejected": {
			before: func(f *fixture, _ *protocol.PKIEnrollmentSubmitRequest) { f.reject(f.submitted("carol").EnrollmentID) },
			want:   protocol.StatusOK,
		},
		"3 cancelled, then rejected": {
			before: func(f *fixture, _ *protocol.PKIEnrollmentSubmitRequest) {
				f.submitted("carol")
				forced := f.submission("carol")
				forced.Force = true
				f.ok(f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), forced))
				f.reject(forced.EnrollmentID)
			},
			want: protocol.StatusOK,
		},
		"3 enrolled before email": {
			before: func(f *fixture, _ *protocol.PKIEnrollmentSubmitRequest) { f.accepted("carol", carolID) },
			spoil:  func(r *protocol.PKIEnrollmentSubmitRequest) { r.Force = true },
			want:   protocol.StatusAlreadyEnrolled,
		},
		"3 enrolled, revoked since": {
			before: func(f *fixture, _ *protocol.PKIEnrollmentSubmitRequest) {
				f.accepted("carol", carolID)
				f.revoke(carolID.User())
			},
			want: protocol.StatusOK,
		},
		"4 email": {
			spoil: func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509CertificateEmail = "bob@example.com" },
			want:  protocol.StatusEmailAlreadyUsed,
		},
		"4 part of an email": {
			spoil: func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509CertificateEmail = "ob@example.com" },
			want:  protocol.StatusOK,
		},
		"4 email of a revoked user": {
			before: func(f *fixture, _ *protocol.PKIEnrollmentSubmitRequest) { f.revoke(bobID.User()) },
			spoil:  func(r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509CertificateEmail = "bob@example.com" },
			want:   protocol.StatusOK,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			request := f.submission("carol")
			if c.before != nil {
				c.before(f, request)
			}
			f.clock.advance(time.Second)
			f.events.take()
			f.events.watch(notice.AdministratorsTopic(acme))
			if c.spoil != nil {
				c.spoil(request)
			}
			before := f.pending()
			reply, err := f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), request)
			checkOutcome(t, err, c.want, false)
			if c.want != protocol.StatusOK {
				f.wantUpdates(parsec.DeviceID{}, 0)
				if after := f.pending(); !slices.Equal(after, before) {
					t.Errorf("pending %v, before %v", after, before)
				}
				return
			}
			f.wantUpdates(parsec.DeviceID{}, 1+c.cancels)
			if reply.SubmittedOn != f.clock.now() {
				t.Errorf("submitted on %s", reply.SubmittedOn)
			}
			if after := f.pending(); !slices.Equal(after, append(before[c.cancels:], request.EnrollmentID)) {
				t.Errorf("pending %v, before %v", after, before)
			}
			for _, id := range before[:c.cancels] {
				want := &protocol.PKIEnrollmentInfoReply{
					EnrollmentStatus: parsec.PKIEnrollmentCancelled, SubmittedOn: f.clock.now().Add(-time.Second), CancelledOn: new(f.clock.now()),
				}
				if got := f.info(id); !reflect.DeepEqual(got, want) {
					t.Errorf("cancelled %+v, want %+v", got, want)
				}
			}
		})
	}
}

// bomb is small until it is decompressed.
func bomb() []byte {
	var packed bytes.Buffer
	writer := zlib.NewWriter(&packed)
	must(writer.Write(make([]byte, 8<<20)))
	if err := writer.Close(); err != nil {
		panic(err)
	}
	return packed.Bytes()
}

func TestPKIEnrollmentAlreadySubmittedTellsWhen(t *testing.T) {
	f := newFixture(t)
	f.submitted("carol")
	submittedOn := f.clock.now()
	f.clock.advance(time.Hour)
	_, err := f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), f.submission("carol"))
	want := &protocol.Refusal{
		Status: protocol.StatusAlreadySubmitted, Reason: "An enrollment of this certificate is pending.",
		Details: &protocol.AlreadySubmittedDetails{SubmittedOn: submittedOn},
	}
	if !reflect.DeepEqual(err, error(want)) {
		t.Errorf("got %#v", err)
	}
}

func TestPKIEnrollmentSubmitNeedsAnOrganization(t *testing.T) {
	f := newFixture(t, withOptions(spontaneously))
	if _, err := f.PKIEnrollmentSubmit(t.Context(), f.anonymous(other), f.submission("carol")); !errors.Is(err, rules.UnknownOrganization) {
		t.Errorf("unknown: %v", err)
	}
	if got := status(f.PKIEnrollmentInfo(t.Context(), f.anonymous(other), &protocol.PKIEnrollmentInfoRequest{})); got != protocol.StatusNotFound {
		t.Errorf("info of an unknown one: %s", got)
	}
	f.createOrganization(other)
	f.ok(f.PKIEnrollmentSubmit(t.Context(), f.anonymous(other), f.submission("carol")))
	f.expire(acme)
	if _, err := f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), f.submission("carol")); !errors.Is(err, rules.OrganizationExpired) {
		t.Errorf("expired: %v", err)
	}
}

// TestPKIEnrollmentsThatWaitAreBounded fills an organization: what is refused
// then is so until an ADMIN decides, or the submitter replaces.
func TestPKIEnrollmentsThatWaitAreBounded(t *testing.T) {
	f := newFixture(t)
	const bound, size = 8 << 20, 256 << 10
	submit := func(i int, force bool) (parsec.EnrollmentID, error) {
		request := f.submission("carol")
		request.Force = force
		request.SubmitterDERX509Certificate = bytes.Repeat([]byte{byte(i)}, size-len(request.SubmitPayload)-len(request.SubmitPayloadSignature))
		_, err := f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), request)
		return request.EnrollmentID, err
	}
	var last parsec.EnrollmentID
	for i := range bound / size {
		id, err := submit(i, false)
		f.ok(nil, err)
		last = id
	}
	if _, err := submit(bound/size, false); !errors.Is(err, rules.TooManyEnrollments) {
		t.Errorf("one too many: %v", err)
	}
	_, err := submit(0, true)
	f.ok(nil, err)
	f.reject(last)
	_, err = submit(bound/size, false)
	f.ok(nil, err)
}

// TestPKIEnrollmentBytesCountAll fills an organization to the byte, with
// enrollments whose three parts are all counted: none fits that has one more.
func TestPKIEnrollmentBytesCountAll(t *testing.T) {
	const bound, count = 8 << 20, 8
	for _, part := range []string{"certificate", "signature"} { // the payload is long enough to miss
		f := newFixture(t)
		left := bound
		submit := func(i, size int, force bool) error {
			request := f.submission("carol")
			request.Force = force
			request.SubmitterDERX509Certificate = []byte{byte(i), 1}
			request.SubmitPayloadSignature = []byte{1, 2}
			padding := make([]byte, size-4-len(request.SubmitPayload))
			if part == "certificate" {
				request.SubmitterDERX509Certificate = append(request.SubmitterDERX509Certificate, padding...)
			} else {
				request.SubmitPayloadSignature = append(request.SubmitPayloadSignature, padding...)
			}
			_, err := f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), request)
			return err
		}
		for i := range count - 1 {
			f.ok(nil, submit(i, bound/count-1, false))
			left -= bound/count - 1
		}
		if err := submit(count, left+1, false); !errors.Is(err, rules.TooManyEnrollments) {
			t.Errorf("long %s: a byte more: %v", part, err)
		}
		f.ok(nil, submit(count, left, false))
		if part == "signature" { // whose certificates are equal: all of the one replaced counts, and no more
			if err := submit(0, bound/count, true); !errors.Is(err, rules.TooManyEnrollments) {
				t.Errorf("replaced by a byte more: %v", err)
			}
			f.ok(nil, submit(0, bound/count-1, true))
		}
	}
}

// TestEndedEnrollmentsKeepNoBytes has enrollments that are cancelled and
// rejected, as often as a stranger likes: their state is told, and that is all
// that is kept.
func TestEndedEnrollmentsKeepNoBytes(t *testing.T) {
	f := newFixture(t)
	bytes := func(id parsec.EnrollmentID) uint64 {
		t.Helper()
		stored, found, err := f.store.PKIEnrollment(t.Context(), acme, id)
		f.ok(nil, err)
		if !found {
			t.Fatal("the enrollment is gone")
		}
		return stored.Bytes()
	}
	submit := func() parsec.EnrollmentID {
		t.Helper()
		request := f.submission("carol")
		request.Force = true
		f.ok(f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), request))
		return request.EnrollmentID
	}
	cancelled, rejected := submit(), submit()
	if bytes(rejected) == 0 {
		t.Error("a pending enrollment has no byte")
	}
	f.reject(rejected)
	for id, want := range map[parsec.EnrollmentID]parsec.PKIEnrollmentStatus{
		cancelled: parsec.PKIEnrollmentCancelled, rejected: parsec.PKIEnrollmentRejected,
	} {
		info := must(f.PKIEnrollmentInfo(t.Context(), f.anonymous(acme), &protocol.PKIEnrollmentInfoRequest{EnrollmentID: id}))
		if kept := bytes(id); kept != 0 || info.EnrollmentStatus != want {
			t.Errorf("%s enrollment keeps %d bytes", info.EnrollmentStatus, kept)
		}
	}
	submit() // the owner of the certificate may try again
}

func TestPKIEnrollmentInfo(t *testing.T) {
	f := newFixture(t)
	if got := status(f.PKIEnrollmentInfo(t.Context(), f.anonymous(acme), &protocol.PKIEnrollmentInfoRequest{})); got != protocol.StatusNotFound {
		t.Errorf("unknown: %s", got)
	}
	accepted, rejected := f.submitted("carol"), f.submitted("dave")
	submittedOn := f.clock.now()
	want := func(what string, id parsec.EnrollmentID, want *protocol.PKIEnrollmentInfoReply) {
		t.Helper()
		want.SubmittedOn = submittedOn
		if got := f.info(id); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
		}
	}
	want("pending", accepted.EnrollmentID, &protocol.PKIEnrollmentInfoReply{EnrollmentStatus: parsec.PKIEnrollmentSubmitted})
	f.clock.advance(time.Second)
	acceptance := f.acceptance(f.alice(), accepted.EnrollmentID, carolID).request()
	acceptance.AccepterDERX509Certificate = nil
	f.ok(f.PKIEnrollmentAccept(t.Context(), f.alice(), acceptance))
	want("accepted", accepted.EnrollmentID, &protocol.PKIEnrollmentInfoReply{
		EnrollmentStatus: parsec.PKIEnrollmentAccepted, AcceptedOn: new(f.clock.now()),
		AccepterDERX509Certificate: []byte{}, AcceptPayload: acceptance.AcceptPayload, AcceptPayloadSignature: acceptance.AcceptPayloadSignature,
	})
	f.reject(rejected.EnrollmentID)
	want("rejected", rejected.EnrollmentID, &protocol.PKIEnrollmentInfoReply{
		EnrollmentStatus: parsec.PKIEnrollmentRejected, RejectedOn: new(f.clock.now()),
	})
}

func TestPKIEnrollmentList(t *testing.T) {
	f := newFixture(t)
	for _, author := range []*rules.Author{f.bob(), f.mallory()} {
		if got := status(f.PKIEnrollmentList(t.Context(), author, &protocol.PKIEnrollmentListRequest{})); got != protocol.StatusNotAllowed {
			t.Errorf("%s: %s", author.Device, got)
		}
	}
	want := &protocol.PKIEnrollmentListReply{Enrollments: []protocol.PKIEnrollmentItem{}}
	check := func() {
		t.Helper()
		got, err := f.PKIEnrollmentList(t.Context(), f.alice(), &protocol.PKIEnrollmentListRequest{})
		if f.ok(got, err); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
	check()
	for _, owner := range []string{"zoe", "carol", "dave"} {
		request := f.submitted(owner)
		want.Enrollments = append(want.Enrollments, protocol.PKIEnrollmentItem{
			EnrollmentID: request.EnrollmentID, SubmittedOn: f.clock.now(), SubmitPayload: request.SubmitPayload,
			SubmitPayloadSignature: request.SubmitPayloadSignature, SubmitterDERX509Certificate: request.SubmitterDERX509Certificate,
		})
	}
	check()
	f.reject(want.Enrollments[1].EnrollmentID)
	want.Enrollments = slices.Delete(want.Enrollments, 1, 2)
	check()
}

func TestPKIEnrollmentReject(t *testing.T) {
	for name, c := range map[string]struct {
		author func(*fixture) *rules.Author
		before func(*fixture) parsec.EnrollmentID
		want   protocol.Status
	}{
		"standard author": {author: (*fixture).bob, want: protocol.StatusNotAllowed},
		"outsider author": {author: (*fixture).mallory, want: protocol.StatusNotAllowed},
		"unknown":         {want: protocol.StatusNotFound},
		"rejected": {
			before: func(f *fixture) parsec.EnrollmentID {
				id := f.submitted("carol").EnrollmentID
				f.reject(id)
				return id
			},
			want: protocol.StatusNoLongerAvailable,
		},
		"accepted": {
			before: func(f *fixture) parsec.EnrollmentID { return f.accepted("carol", carolID).EnrollmentID },
			want:   protocol.StatusNoLongerAvailable,
		},
		"ok": {before: func(f *fixture) parsec.EnrollmentID { return f.submitted("carol").EnrollmentID }, want: protocol.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			var id parsec.EnrollmentID
			if c.before != nil {
				id = c.before(f)
			}
			f.events.take()
			f.events.watch(notice.AdministratorsTopic(acme))
			author := f.alice()
			if c.author != nil {
				author = c.author(f)
			}
			_, err := f.PKIEnrollmentReject(t.Context(), author, &protocol.PKIEnrollmentRejectRequest{EnrollmentID: id})
			checkOutcome(t, err, c.want, false)
			if c.want != protocol.StatusOK {
				f.wantUpdates(aliceID, 0)
				return
			}
			f.wantUpdates(aliceID, 1)
			if got := f.pending(); len(got) > 0 {
				t.Errorf("pending %v", got)
			}
		})
	}
}
