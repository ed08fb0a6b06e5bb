package protocol

// Sized is a reply that may be long.
type Sized interface {
	// Size is at least the length of its fields in a message, in bytes, but for
	// some 200.
	Size() int
}

// changeBytes and versionBytes are more than what an item of these maps takes,
// in bytes: an id and a number, and a number, a date and a device.
const (
	changeBytes  = 24
	versionBytes = 96
)

// Size implements Sized.
func (r *VlobReadReply) Size() int { return len(r.Blob) }

// Size implements Sized.
func (r *VlobPollChangesReply) Size() int { return len(r.Changes) * changeBytes }

// Size implements Sized.
func (r *VlobListVersionsReply) Size() int { return len(r.Versions) * versionBytes }

// Size implements Sized.
func (r *VlobGetReencryptionBatchReply) Size() int {
	size := 0
	for i := range r.Batch {
		size += int(r.Batch[i].Size())
	}
	return size
}

// Size implements Sized.
func (r *RealmGetRoleCertificatesReply) Size() int {
	size := 0
	for _, certificate := range r.Certificates {
		size += len(certificate) + binHead
	}
	return size
}

// Size implements Sized.
func (r *PKIEnrollmentListReply) Size() int {
	const otherFields = 256
	size := 0
	for i := range r.Enrollments {
		e := &r.Enrollments[i]
		size += len(e.SubmitPayload) + len(e.SubmitPayloadSignature) + len(e.SubmitterDERX509Certificate) + otherFields
	}
	return size
}

// binHead is the most that a bin takes beside its bytes.
const binHead = 5
