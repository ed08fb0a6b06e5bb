package rules_test

import (
	"bytes"
	"fmt"
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

func TestPKIEnrollmentAccept(t *testing.T) {
	// Each row but the first also breaks a later rule where it can.
	unknown := func(a *acceptance) { a.enrollment = parsec.EnrollmentID{1} }
	cases := map[string]struct {
		author func(*fixture) *rules.Author
		limit  uint64
		before func(*fixture, parsec.EnrollmentID)
		spoil  func(*acceptance)
		want   protocol.Status
		dated  bool
	}{
		"ok": {want: protocol.StatusOK},
		"1 standard author": {
			author: (*fixture).bob, spoil: func(a *acceptance) { a.payload = nil }, want: protocol.StatusNotAllowed,
		},
		"1 outsider author": {author: (*fixture).mallory, want: protocol.StatusNotAllowed},
		"2 payload": {
			spoil: func(a *acceptance) { a.payload = a.payload[1:]; a.user.Author = bobID }, want: protocol.StatusInvalidPayloadData,
		},
		"2 payload of a submission": {
			spoil: func(a *acceptance) {
				label := must(parsec.ParseDeviceLabel("laptop"))
				a.payload = must(certificate.PKISubmit{RequestedDeviceLabel: label}.Pack())
			},
			want: protocol.StatusInvalidPayloadData,
		},
		"2 payload too large once decompressed": {
			spoil: func(a *acceptance) { a.payload = bomb() }, want: protocol.StatusInvalidPayloadData,
		},
		"3 another key": {
			spoil: func(a *acceptance) { a.key = signingKey(bobID); a.user.Timestamp++ }, want: protocol.StatusInvalidCertification,
		},
		"3 author of the user": {
			spoil: func(a *acceptance) { a.user.Author = alice2ID }, want: protocol.StatusInvalidCertification,
		},
		"3 author of the redacted user": {
			spoil: func(a *acceptance) { a.redactedUser.Author = alice2ID }, want: protocol.StatusInvalidCertification,
		},
		"3 author of the device": {
			spoil: func(a *acceptance) { a.device.Author = alice2ID }, want: protocol.StatusInvalidCertification,
		},
		"3 author of the redacted device": {
			spoil: func(a *acceptance) { a.redactedDevice.Author = alice2ID }, want: protocol.StatusInvalidCertification,
		},
		"4 timestamps differ": {
			spoil: func(a *acceptance) { a.user.Timestamp -= 400_000_000 }, want: protocol.StatusInvalidData,
		},
		"5 too old": {
			spoil: func(a *acceptance) { a.shift(-320 * time.Second); a.device.DeviceID = bobID },
			want:  protocol.StatusInvalidCertification, dated: true,
		},
		"5 too early": {
			spoil: func(a *acceptance) { a.shift(300 * time.Second) }, want: protocol.StatusInvalidCertification, dated: true,
		},
		"6 device of another user": {
			spoil: func(a *acceptance) {
				a.device.DeviceID = deviceID("dave@laptop")
				a.redactedDevice.DeviceID = a.device.DeviceID
				unknown(a)
			},
			want: protocol.StatusInvalidData,
		},
		"6 redacted profile": {
			spoil: func(a *acceptance) { a.redactedUser.Profile = parsec.ProfileAdmin; unknown(a) }, want: protocol.StatusInvalidData,
		},
		"6 redacted handle": {
			spoil: func(a *acceptance) { a.redactedUser.HumanHandle = a.user.HumanHandle; unknown(a) }, want: protocol.StatusInvalidData,
		},
		"6 redacted device key": {
			spoil: func(a *acceptance) { a.redactedDevice.VerifyKey[0]++; unknown(a) }, want: protocol.StatusInvalidData,
		},
		"6 redacted label": {
			spoil: func(a *acceptance) { a.redactedDevice.DeviceLabel = a.device.DeviceLabel; unknown(a) }, want: protocol.StatusInvalidData,
		},
		"7 unknown": {
			spoil: func(a *acceptance) { a.rename(bobID); unknown(a) }, want: protocol.StatusNotFound,
		},
		"8 rejected": {
			before: func(f *fixture, id parsec.EnrollmentID) { f.reject(id) },
			spoil:  func(a *acceptance) { a.rename(bobID) }, want: protocol.StatusNoLongerAvailable,
		},
		"8 accepted": {
			before: func(f *fixture, id parsec.EnrollmentID) {
				f.ok(f.PKIEnrollmentAccept(t.Context(), f.alice(), f.acceptance(f.alice(), id, deviceID("dave@laptop")).request()))
			},
			want: protocol.StatusNoLongerAvailable,
		},
		"8 cancelled": {
			before: func(f *fixture, _ parsec.EnrollmentID) {
				forced := f.submission("carol")
				forced.Force = true
				f.ok(f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), forced))
			},
			want: protocol.StatusNoLongerAvailable,
		},
		"9 existence before limit": {
			limit: 3, spoil: func(a *acceptance) { a.rename(bobID) }, want: protocol.StatusAlreadyExists,
		},
		"9 same user, revoked": {
			before: func(f *fixture, _ parsec.EnrollmentID) { f.revoke(bobID.User()) },
			spoil:  func(a *acceptance) { a.rename(deviceID("bob@phone")) }, want: protocol.StatusAlreadyExists,
		},
		"9 same e-mail": {
			limit: 3, spoil: func(a *acceptance) { a.user.HumanHandle = human(bobID.User()) }, want: protocol.StatusAlreadyExists,
		},
		"9 same e-mail, revoked": {
			before: func(f *fixture, _ parsec.EnrollmentID) { f.revoke(bobID.User()) },
			spoil:  func(a *acceptance) { a.user.HumanHandle = human(bobID.User()) }, want: protocol.StatusOK,
		},
		"10 limit":           {limit: 3, want: protocol.StatusActiveUsersLimitReached},
		"10 under the limit": {limit: 4, want: protocol.StatusOK},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, withOptions(func(o *rules.Options) {
				if c.limit > 0 {
					o.InitialActiveUsersLimit = &c.limit
				}
			}))
			submission := f.submitted("carol")
			if c.before != nil {
				c.before(f, submission.EnrollmentID)
			}
			f.events.take()
			f.events.watch(notice.AdministratorsTopic(acme), notice.UserInviteTopic(acme, carolID.User()))
			author := f.alice()
			if c.author != nil {
				author = c.author(f)
			}
			acceptance := f.acceptance(author, submission.EnrollmentID, carolID)
			if c.spoil != nil {
				c.spoil(acceptance)
			}
			pending, users := f.pending(), f.activeUsers()
			request := acceptance.request()
			_, err := f.PKIEnrollmentAccept(t.Context(), author, request)
			checkOutcome(t, err, c.want, c.dated)
			if c.want != protocol.StatusOK {
				if events := f.events.take(); len(events) > 0 {
					t.Errorf("refused, but published %v", events)
				}
				if !slices.Equal(f.pending(), pending) || f.activeUsers() != users {
					t.Errorf("refused, but %v are pending and %d users active", f.pending(), f.activeUsers())
				}
				return
			}
			want := []event.Body{notice.UserCreated{
				User: carolID.User(), UserCertificate: request.UserCertificate, DeviceCertificate: request.DeviceCertificate,
			}, notice.PKIEnrollmentUpdated{}}
			if got := f.events.bodies(); !reflect.DeepEqual(got, want) {
				t.Errorf("events %v", got)
			}
			if len(f.pending()) > 0 {
				t.Errorf("pending %v", f.pending())
			}
			facts := f.facts(carolID.User())
			if len(facts.Devices) != 1 || facts.Devices[0].ID != carolID || facts.User.Certifier != aliceID ||
				!bytes.Equal(facts.User.RedactedCertificate, request.RedactedUserCertificate) {
				t.Errorf("created %+v", facts)
			}
		})
	}
}

// TestPKIEnrollmentAuthorIsCheckedAgain has an author who was revoked since.
func TestPKIEnrollmentAuthorIsCheckedAgain(t *testing.T) {
	f := newFixture(t)
	carol := f.createUser(f.alice(), carolID, parsec.ProfileAdmin)
	id := f.submitted("dave").EnrollmentID
	f.revoke(carolID.User())
	if got := status(f.PKIEnrollmentReject(t.Context(), carol, &protocol.PKIEnrollmentRejectRequest{EnrollmentID: id})); got != sessionOver {
		t.Errorf("reject: %s", got)
	}
	request := f.acceptance(carol, id, deviceID("dave@laptop")).request()
	if got := status(f.PKIEnrollmentAccept(t.Context(), carol, request)); got != sessionOver {
		t.Errorf("accept: %s", got)
	}
	if got := f.pending(); len(got) != 1 {
		t.Errorf("pending %v", got)
	}
}

// TestInvariant14OneAcceptance decides one enrollment in every way at once,
// with one place left for all of them.
func TestInvariant14OneAcceptance(t *testing.T) {
	for _, rejections := range []int{0, 5} {
		t.Run(fmt.Sprintf("%d rejections", rejections), func(t *testing.T) {
			limit := uint64(4)
			f := newFixture(t, withOptions(func(o *rules.Options) { o.InitialActiveUsersLimit = &limit }))
			id := f.submitted("carol").EnrollmentID
			f.events.watch(notice.AdministratorsTopic(acme))
			f.events.take()
			calls := repeat(10, func(i int) error {
				author := []*rules.Author{f.alice(), f.alice2()}[i%2]
				request := f.acceptance(author, id, deviceID(fmt.Sprintf("user%d@laptop", i))).request()
				_, err := f.PKIEnrollmentAccept(t.Context(), author, request)
				return err
			})
			calls = append(calls, repeat(rejections, func(int) error {
				_, err := f.PKIEnrollmentReject(t.Context(), f.alice(), &protocol.PKIEnrollmentRejectRequest{EnrollmentID: id})
				return err
			})...)
			checkOutcomes(t, parallel(calls...), outcomes{protocol.StatusOK: 1, protocol.StatusNoLongerAvailable: len(calls) - 1})
			if updates := f.events.take(); len(updates) != 1 {
				t.Errorf("events %v", updates)
			}
			created := f.activeUsers() - 3
			if accepted := f.info(id).EnrollmentStatus == parsec.PKIEnrollmentAccepted; accepted != (created == 1) || created > 1 {
				t.Errorf("accepted is %t, %d users created", accepted, created)
			}
		})
	}
	t.Run("one place for several enrollments", func(t *testing.T) {
		limit := uint64(5)
		f := newFixture(t, withOptions(func(o *rules.Options) { o.InitialActiveUsersLimit = &limit }))
		ids := make([]parsec.EnrollmentID, 10)
		for i := range ids {
			ids[i] = f.submitted(fmt.Sprintf("user%d", i)).EnrollmentID
		}
		checkOutcomes(t, parallel(repeat(len(ids), func(i int) error {
			request := f.acceptance(f.alice(), ids[i], deviceID(fmt.Sprintf("user%d@laptop", i))).request()
			_, err := f.PKIEnrollmentAccept(t.Context(), f.alice(), request)
			return err
		})...), outcomes{protocol.StatusOK: 2, protocol.StatusActiveUsersLimitReached: 8})
		if got := len(f.pending()); got != 8 || f.activeUsers() != limit {
			t.Errorf("%d are pending, %d users active", got, f.activeUsers())
		}
	})
}

// TestConcurrentEnrollments submits at once what excludes each other.
func TestConcurrentEnrollments(t *testing.T) {
	submit := func(f *fixture, change func(i int, request *protocol.PKIEnrollmentSubmitRequest)) outcomes {
		return parallel(repeat(10, func(i int) error {
			request := f.submission(fmt.Sprintf("user%d", i))
			change(i, request)
			_, err := f.PKIEnrollmentSubmit(t.Context(), f.anonymous(acme), request)
			return err
		})...)
	}
	t.Run("one id", func(t *testing.T) {
		f := newFixture(t)
		got := submit(f, func(_ int, r *protocol.PKIEnrollmentSubmitRequest) { r.EnrollmentID = parsec.EnrollmentID{1} })
		checkOutcomes(t, got, outcomes{protocol.StatusOK: 1, protocol.StatusIDAlreadyUsed: 9})
	})
	t.Run("one certificate", func(t *testing.T) {
		f := newFixture(t)
		got := submit(f, func(_ int, r *protocol.PKIEnrollmentSubmitRequest) { r.SubmitterDERX509Certificate = []byte("one") })
		checkOutcomes(t, got, outcomes{protocol.StatusOK: 1, protocol.StatusAlreadySubmitted: 9})
	})
	t.Run("one certificate, forced", func(t *testing.T) {
		f := newFixture(t)
		got := submit(f, func(_ int, r *protocol.PKIEnrollmentSubmitRequest) {
			r.SubmitterDERX509Certificate, r.Force = []byte("one"), true
		})
		checkOutcomes(t, got, outcomes{protocol.StatusOK: 10})
		if pending := f.pending(); len(pending) != 1 {
			t.Errorf("pending %v", pending)
		}
	})
	t.Run("one e-mail, also created and accepted", func(t *testing.T) {
		f := newFixture(t)
		id := f.submitted("dave").EnrollmentID
		shared := must(parsec.ParseHumanHandle("shared@example.com", "Somebody"))
		calls := repeat(5, func(i int) error {
			creation := f.userCreation(f.alice(), deviceID(fmt.Sprintf("created%d@laptop", i)), parsec.ProfileStandard)
			creation.user.HumanHandle = shared
			_, err := f.UserCreate(t.Context(), f.alice(), creation.request())
			return err
		})
		calls = append(calls, func() error {
			acceptance := f.acceptance(f.alice(), id, deviceID("accepted@laptop"))
			acceptance.user.HumanHandle = shared
			_, err := f.PKIEnrollmentAccept(t.Context(), f.alice(), acceptance.request())
			return err
		})
		checkOutcomes(t, parallel(calls...), outcomes{protocol.StatusOK: 1, protocol.StatusAlreadyExists: 5})
		got := submit(f, func(_ int, r *protocol.PKIEnrollmentSubmitRequest) {
			r.SubmitterDERX509CertificateEmail = shared.Email()
		})
		checkOutcomes(t, got, outcomes{protocol.StatusEmailAlreadyUsed: 10})
	})
}
