package protocol

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// CryptpadRegisterSessionRequest offers keys for the session in which a document is
// edited together.
type CryptpadRegisterSessionRequest struct {
	RealmID    parsec.RealmID  `wire:"realm_id"`
	DocumentID parsec.VlobID   `wire:"document_id"`
	KeyIndex   uint64          `wire:"key_index"`
	Timestamp  parsec.DateTime `wire:"timestamp"`

	EncryptedCandidateViewKey []byte `wire:"encrypted_candidate_view_key"`
	// EncryptedCandidateEditKey is nil from who may only read.
	EncryptedCandidateEditKey []byte `wire:"encrypted_candidate_edit_key,nullable"`
}

// CryptpadRegisterSessionReply is the session of the document.
type CryptpadRegisterSessionReply struct {
	Author           parsec3.DeviceID `wire:"author"`
	Timestamp        parsec.DateTime  `wire:"timestamp"`
	KeyIndex         uint64           `wire:"key_index"`
	EncryptedViewKey []byte           `wire:"encrypted_view_key"`
	// EncryptedEditKey is nil for who may only read, and where nobody else was there.
	EncryptedEditKey []byte `wire:"encrypted_edit_key,nullable"`

	NeededCommonCertificateTimestamp parsec.DateTime `wire:"needed_common_certificate_timestamp"`
	NeededRealmCertificateTimestamp  parsec.DateTime `wire:"needed_realm_certificate_timestamp"`
}
