package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

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
