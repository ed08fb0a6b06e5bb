package protocol_test

import (
	"fmt"
	"math"
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
	for i := range count {
		id := parsec.UUID{byte(i), byte(i >> 8)}
		certificates.CommonCertificates = append(certificates.CommonCertificates, bytes)
		certificates.SequesterCertificates = append(certificates.SequesterCertificates, bytes)
		certificates.ShamirRecoveryCertificates = append(certificates.ShamirRecoveryCertificates, bytes)
		certificates.RealmCertificates[parsec.RealmID(id)] = [][]byte{bytes}
		items.Items = append(items.Items, protocol.VlobItem{
			Vlob: parsec.VlobID(id), KeyIndex: math.MaxInt64, Version: math.MaxUint32, CreatedOn: parsec.MaxDateTime, Blob: bytes,
		})
		frozen.FrozenUsers = append(frozen.FrozenUsers, parsec3.UserID(id))
		changes.Changes = append(changes.Changes, protocol.VlobNumber{Vlob: parsec.VlobID(id), Version: math.MaxUint32})
	}
	for _, reply := range []rpc.Sized{
		certificates, &protocol.VlobReadBatchReply{VlobItems: items}, &protocol.VlobReadVersionsReply{VlobItems: items},
		frozen, changes, &protocol.InviteShamirRecoveryRevealReply{CipheredData: bytes}, &protocol.RealmGetKeysBundleReply{KeysBundle: bytes, KeysBundleAccess: bytes},
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
