package rules

import (
	"context"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// CertificateGet returns the certificates that the author's user may see
// (docs/protocol/v5/commands.md §8.1).
func (r *Rules) CertificateGet(ctx context.Context, author *Author, request *protocol.CertificateGetRequest) (*protocol.CertificateGetReply, error) {
	now := r.now()
	standing, certificates, err := r.store.Certificates(ctx, author.Organization, author.Device, CertificatesAfter{
		Common:    request.CommonAfter,
		Sequester: request.SequesterAfter,
		Shamir:    request.ShamirRecoveryAfter,
		Realms:    request.RealmAfter,
	})
	if err != nil {
		return nil, err
	}
	if err := standing.check(now); err != nil {
		return nil, err
	}
	return &protocol.CertificateGetReply{
		CommonCertificates:         certificates.Common,
		SequesterCertificates:      certificates.Sequester,
		ShamirRecoveryCertificates: certificates.Shamir,
		RealmCertificates:          certificates.Realms,
	}, nil
}

// checkBallpark wants the date of a certificate, or of a vlob, to be near the
// server's (docs/protocol/v5/commands.md §5).
func checkBallpark(now, timestamp parsec.DateTime) error {
	if !parsec.InBallpark(now, timestamp) {
		return protocol.RefuseOutOfBallpark(now, timestamp)
	}
	return nil
}

// checkGreater wants a date after all of what it must follow, one date at least
// (docs/protocol/v5/commands.md §5). The refusal names the last of them.
func checkGreater(timestamp parsec.DateTime, dates ...parsec.DateTime) error {
	if last := slices.Max(dates); timestamp <= last {
		return protocol.RefuseRequireGreaterTimestamp(last)
	}
	return nil
}

// errInvalidCertificate refuses a certificate that does not load, or says what it
// may not; clients cannot be told more.
var errInvalidCertificate = protocol.Refuse(protocol.StatusInvalidCertificate)

// CertificatesAfter selects the certificates of each topic that are later than a
// date, all for nil.
type CertificatesAfter struct {
	Common, Sequester, Shamir *parsec.DateTime
	// Realms has no entry for a realm of which everything is wanted.
	Realms map[parsec.RealmID]parsec.DateTime
}

// Certificates are those that a user may see of each topic, in the order of
// docs/protocol/v5/certificates.md §7.
type Certificates struct {
	Common, Sequester, Shamir [][]byte
	// Realms leaves out realms without any.
	Realms map[parsec.RealmID][][]byte
}

// CertificateReader reads certificates.
type CertificateReader interface {
	// Certificates reads those that the author's user may see: redacted ones if
	// its profile is OUTSIDER; of the realms that it has left, those up to the
	// one that removed it.
	Certificates(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after CertificatesAfter) (Standing, Certificates, error)
}
