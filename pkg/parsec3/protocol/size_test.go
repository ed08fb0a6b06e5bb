package protocol_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// TestSizes has replies with the longest of everything: the buffer made for
// their size holds them, and is not much longer.
func TestSizes(t *testing.T) {
	const rest, count = 200, 300
	bytes := make([]byte, 70_000)
	certificates := &protocol.CertificateGetReply{RealmCertificates: map[parsec.RealmID][][]byte{}}
	var items protocol.VlobItems
	frozen, changes := &protocol.ListFrozenUsersReply{}, &protocol.VlobPollChangesReply{}
	longest, err := parsec3.ParseHumanHandle(strings.Repeat("a", 64)+"@"+strings.Repeat("e", 180)+".com", strings.Repeat("b", 254))
	if err != nil {
		t.Fatal(err)
	}
	list, info := &protocol.InviteListReply{}, &protocol.InviteInfoReply{}
	for i := range count {
		id := parsec.UUID{byte(i), byte(i >> 8)}
		certificates.CommonCertificates = append(certificates.CommonCertificates, bytes)
		certificates.SequesterCertificates = append(certificates.SequesterCertificates, bytes)
		certificates.ShamirRecoveryCertificates = append(certificates.ShamirRecoveryCertificates, bytes)
		certificates.RealmCertificates[parsec.RealmID(id)] = [][]byte{bytes}
		items.Items = append(items.Items, protocol.VlobItem{
			Vlob: parsec.VlobID(id), KeyIndex: math.MaxInt64, Version: math.MaxUint32, CreatedOn: parsec.MaxDateTime, Blob: bytes,
		})
		by, email := protocol.InvitationOfUser(parsec3.UserID(id), longest), longest.Email()
		list.Invitations = append(list.Invitations, protocol.InviteListItem{
			Type: parsec.InvitationShamirRecovery, CreatedBy: by, Status: protocol.InvitationCancelled, CreatedOn: parsec.MaxDateTime,
			ClaimerEmail: &email, ClaimerUserID: new(parsec3.UserID(id)), ShamirRecoveryCreatedOn: new(parsec.MaxDateTime),
		})
		info.CreatedBy, info.ClaimerEmail, info.ClaimerHumanHandle = by, &email, &longest
		info.Administrators = append(info.Administrators, protocol.InviteAdministrator{
			UserID: parsec3.UserID(id), HumanHandle: longest, OnlineStatus: protocol.OnlineUnknown, LastGreetingAttemptJoinedOn: new(parsec.MaxDateTime),
		})
		info.Recipients = append(info.Recipients, protocol.InviteRecipient{
			UserID: parsec3.UserID(id), HumanHandle: longest, Shares: math.MaxUint8, RevokedOn: new(parsec.MaxDateTime), OnlineStatus: protocol.OnlineUnknown,
		})
		frozen.FrozenUsers = append(frozen.FrozenUsers, parsec3.UserID(id))
		changes.Changes = append(changes.Changes, protocol.VlobNumber{Vlob: parsec.VlobID(id), Version: math.MaxUint32})
	}
	for _, reply := range []rpc.Sized{
		certificates, &protocol.VlobReadBatchReply{VlobItems: items}, &protocol.VlobReadVersionsReply{VlobItems: items},
		frozen, changes, &protocol.InviteShamirRecoveryRevealReply{CipheredData: bytes}, &protocol.RealmGetKeysBundleReply{KeysBundle: bytes, KeysBundleAccess: bytes},
		list, info,
	} {
		t.Run(fmt.Sprintf("%T", reply), func(t *testing.T) {
			encoded, err := wire.Microseconds.Append(nil, reply)
			if err != nil {
				t.Fatal(err)
			}
			if size := reply.Size(); len(encoded) > size+rest || size > len(encoded)*4/3 {
				t.Errorf("size %d of %d bytes", size, len(encoded))
			}
		})
	}
}
