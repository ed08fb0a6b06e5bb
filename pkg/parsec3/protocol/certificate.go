package protocol

import "parsec-server/pkg/parsec"

// CertificateGetRequest asks for the certificates of each topic that are later than
// a date, all for nil. RealmAfter has no entry for a realm of which everything is
// wanted.
type CertificateGetRequest struct {
	CommonAfter         *parsec.DateTime                   `wire:"common_after"`
	SequesterAfter      *parsec.DateTime                   `wire:"sequester_after"`
	ShamirRecoveryAfter *parsec.DateTime                   `wire:"shamir_recovery_after"`
	RealmAfter          map[parsec.RealmID]parsec.DateTime `wire:"realm_after"`
}

// CertificateGetReply is in the order of docs/protocol/v5/commands.md §8.1.
type CertificateGetReply struct {
	CommonCertificates         [][]byte                    `wire:"common_certificates"`
	SequesterCertificates      [][]byte                    `wire:"sequester_certificates"`
	ShamirRecoveryCertificates [][]byte                    `wire:"shamir_recovery_certificates"`
	RealmCertificates          map[parsec.RealmID][][]byte `wire:"realm_certificates"`
}

// Size implements rpc.Sized.
func (r *CertificateGetReply) Size() int {
	size := binsSize(r.CommonCertificates) + binsSize(r.SequesterCertificates) + binsSize(r.ShamirRecoveryCertificates)
	for _, certificates := range r.RealmCertificates {
		size += uuidBytes + binHead + binsSize(certificates)
	}
	return size
}
