package parsec2

import (
	"context"

	"parsec-server/pkg/parsec2/protocol"
)

// PKIEnrollmentSubmit calls pki_enrollment_submit.
func (c Commands) PKIEnrollmentSubmit(ctx context.Context, request *protocol.PKIEnrollmentSubmitRequest) (*protocol.PKIEnrollmentSubmitReply, error) {
	return Call(ctx, c.transport, protocol.PKIEnrollmentSubmit, request)
}

// PKIEnrollmentInfo calls pki_enrollment_info.
func (c Commands) PKIEnrollmentInfo(ctx context.Context, request *protocol.PKIEnrollmentInfoRequest) (*protocol.PKIEnrollmentInfoReply, error) {
	return Call(ctx, c.transport, protocol.PKIEnrollmentInfo, request)
}

// PKIEnrollmentList calls pki_enrollment_list.
func (c Commands) PKIEnrollmentList(ctx context.Context, request *protocol.PKIEnrollmentListRequest) (*protocol.PKIEnrollmentListReply, error) {
	return Call(ctx, c.transport, protocol.PKIEnrollmentList, request)
}

// PKIEnrollmentReject calls pki_enrollment_reject.
func (c Commands) PKIEnrollmentReject(ctx context.Context, request *protocol.PKIEnrollmentRejectRequest) (*protocol.PKIEnrollmentRejectReply, error) {
	return Call(ctx, c.transport, protocol.PKIEnrollmentReject, request)
}

// PKIEnrollmentAccept calls pki_enrollment_accept.
func (c Commands) PKIEnrollmentAccept(ctx context.Context, request *protocol.PKIEnrollmentAcceptRequest) (*protocol.PKIEnrollmentAcceptReply, error) {
	return Call(ctx, c.transport, protocol.PKIEnrollmentAccept, request)
}
