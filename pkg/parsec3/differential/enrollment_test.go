package differential

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// playEnrollments is how many ids of enrollments there are.
const playEnrollments = 6

func (w *twins) enrollment() parsec3.EnrollmentID {
	return parsec3.EnrollmentID{0xee, byte(w.number(0, playEnrollments-1))}
}

func (w *twins) stranger() *rules.Anonymous {
	return &rules.Anonymous{Organization: w.organization, API: parsec.APIVersion{Major: 5, Minor: 6}}
}

// asyncEnrollmentSubmit is of somebody who may be a user.
func (w *twins) asyncEnrollmentSubmit() question {
	return w.submission(w.enrollment(), w.number(0, playUsers-1))
}

// submission is by OpenBao, or by a chain of certificates that are none.
func (w *twins) submission(id parsec3.EnrollmentID, user int) question {
	full := w.userCertificate(root, user, parsec.ProfileStandard, *w.now)
	device := w.deviceCertificate(root, playDevice(user, 0), *w.now)
	request := &protocol.AsyncEnrollmentSubmitRequest{
		EnrollmentID: id, Force: w.chance(3),
		SubmitPayload: must(certificate.EnrollmentSubmit{
			VerifyKey: device.VerifyKey, PublicKey: full.PublicKey, DeviceLabel: device.DeviceLabel, HumanHandle: full.HumanHandle,
		}.Pack()),
		SubmitPayloadSignature: protocol.SubmitSignature{Kind: protocol.SignedByOpenBao, OpenBaoSignature: "vault:v1:a", EntityID: "entity"},
	}
	if w.chance(10) {
		request.SubmitPayloadSignature = protocol.SubmitSignature{Kind: protocol.SignedByPKI, Leaf: []byte("none")}
	}
	return func(side *twin) (any, error) { return side.AsyncEnrollmentSubmit(w.ctx, w.stranger(), request) }
}

func (w *twins) asyncEnrollmentInfo() question {
	request := &protocol.AsyncEnrollmentInfoRequest{EnrollmentID: w.enrollment()}
	return func(side *twin) (any, error) { return side.AsyncEnrollmentInfo(w.ctx, w.stranger(), request) }
}

func (w *twins) asyncEnrollmentCancel() question {
	request := &protocol.AsyncEnrollmentCancelRequest{EnrollmentID: w.enrollment()}
	return func(side *twin) (any, error) { return side.AsyncEnrollmentCancel(w.ctx, w.stranger(), request) }
}

func (w *twins) asyncEnrollmentList() question {
	author := w.anyAuthor()
	return func(side *twin) (any, error) {
		return side.AsyncEnrollmentList(w.ctx, author, &protocol.AsyncEnrollmentListRequest{})
	}
}

func (w *twins) asyncEnrollmentReject() question {
	author, request := w.administrator(), &protocol.AsyncEnrollmentRejectRequest{EnrollmentID: w.enrollment()}
	return func(side *twin) (any, error) { return side.AsyncEnrollmentReject(w.ctx, author, request) }
}

// asyncEnrollmentAccept is of whoever comes next, who has just asked more often than not.
func (w *twins) asyncEnrollmentAccept() question {
	author, id, user, date := w.administrator(), w.enrollment(), min(len(w.known()), playUsers-1), w.date()
	if !w.chance(3) {
		w.ask("async_enrollment_submit", w.submission(id, user))
	}
	full, first := w.userCertificate(author.Device, user, parsec.ProfileStandard, date), playDevice(user, 0)
	device := w.deviceCertificate(author.Device, first, date)
	told := certificate.EnrollmentAccept{
		UserID: full.UserID, DeviceID: first, DeviceLabel: device.DeviceLabel, HumanHandle: full.HumanHandle, Profile: full.Profile,
	}
	request := &protocol.AsyncEnrollmentAcceptRequest{
		EnrollmentID:    id,
		UserCertificate: w.sign(author, full), RedactedUserCertificate: w.sign(author, full.Redacted()),
		DeviceCertificate: w.sign(author, device), RedactedDeviceCertificate: w.sign(author, device.Redacted()),
		AcceptPayload:          must(told.Pack()),
		AcceptPayloadSignature: protocol.AcceptSignature{Kind: protocol.SignedByOpenBao, OpenBaoSignature: "vault:v1:b", EntityID: "administrator"},
	}
	return func(side *twin) (any, error) {
		reply, err := side.AsyncEnrollmentAccept(w.ctx, author, request)
		w.created(side, first, err)
		return reply, err
	}
}
