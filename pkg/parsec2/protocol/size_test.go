package protocol_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// TestSizes has replies with the longest of everything: the buffer made for
// their size holds them, and is not much longer where bytes make the length.
func TestSizes(t *testing.T) {
	const rest, count = 200, 300
	device, err := parsec.ParseDeviceID(strings.Repeat("a", 32) + "@" + strings.Repeat("b", 32))
	if err != nil {
		t.Fatal(err)
	}
	bytes := make([]byte, 70_000)
	changes, versions := map[parsec.VlobID]uint32{}, map[uint32]protocol.VersionInfo{}
	batch, messages := &protocol.VlobGetReencryptionBatchReply{}, &protocol.MessageGetReply{}
	roles, enrollments := &protocol.RealmGetRoleCertificatesReply{}, &protocol.PKIEnrollmentListReply{}
	for i := range count {
		id := parsec.UUID{byte(i), byte(i >> 8)}
		changes[parsec.VlobID(id)] = math.MaxUint32
		versions[math.MaxUint32-uint32(i)] = protocol.VersionInfo{Author: device, Timestamp: parsec.MaxDateTime}
		batch.Batch = append(batch.Batch, protocol.ReencryptionItem{VlobID: parsec.VlobID(id), Version: math.MaxUint32, Blob: bytes})
		messages.Messages = append(messages.Messages, protocol.Message{
			Count: math.MaxUint64, Sender: device, Timestamp: parsec.MaxDateTime, Body: bytes,
		})
		roles.Certificates = append(roles.Certificates, bytes)
		enrollments.Enrollments = append(enrollments.Enrollments, protocol.PKIEnrollmentItem{
			SubmitPayload: bytes, SubmitPayloadSignature: bytes, SubmitterDERX509Certificate: bytes, SubmittedOn: parsec.MaxDateTime,
		})
	}
	for _, reply := range []rpc.Sized{
		&protocol.VlobReadReply{Blob: bytes, Author: device}, &protocol.VlobPollChangesReply{Changes: changes},
		&protocol.VlobListVersionsReply{Versions: versions}, batch, messages, roles, enrollments,
	} {
		t.Run(fmt.Sprintf("%T", reply), func(t *testing.T) {
			encoded, err := wire.Marshal(reply)
			if err != nil {
				t.Fatal(err)
			}
			if size := reply.Size(); len(encoded) > size+rest || size > len(encoded)*4/3 {
				t.Errorf("size %d of %d bytes", size, len(encoded))
			}
		})
	}
}

// TestMessagesToUsersAreBounded has messages of the longest, and longer ones.
func TestMessagesToUsersAreBounded(t *testing.T) {
	user, err := parsec.ParseUserID("bob")
	if err != nil {
		t.Fatal(err)
	}
	const most = 64 << 10
	for size, valid := range map[int]bool{0: true, most: true, most + 1: false} {
		for _, request := range []rpc.Validator{
			&protocol.RealmUpdateRolesRequest{RecipientMessage: make([]byte, size)},
			&protocol.RealmStartReencryptionRequest{PerParticipantMessage: map[parsec.UserID][]byte{user: make([]byte, size)}},
		} {
			if err := request.Validate(); (err == nil) != valid {
				t.Errorf("%T of %d bytes: %v", request, size, err)
			}
		}
	}
}
