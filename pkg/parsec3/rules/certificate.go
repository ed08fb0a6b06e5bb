package rules

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// heldCertificates is about how many bytes of certificates a reply holds at once.
const heldCertificates = 2 << 20

// CertificateGet returns the certificates that the author's user may see
// (docs/protocol/v5/commands.md §8.1): as a reply, or as a long list if they are
// too many to be held at once.
func (r *Rules) CertificateGet(ctx context.Context, author *Author, request *protocol.CertificateGetRequest) (*protocol.CertificateGetReply, *LongCertificates, error) {
	now := r.now()
	after := CertificatesAfter{
		Common:    request.CommonAfter,
		Sequester: request.SequesterAfter,
		Shamir:    request.ShamirRecoveryAfter,
		Realms:    request.RealmAfter,
	}
	standing, certificates, err := r.store.Certificates(ctx, author.Organization, author.Device, after, heldCertificates)
	if err != nil {
		return nil, nil, err
	}
	if err := standing.check(now); err != nil {
		return nil, nil, err
	}
	if !certificates.Cut {
		return &protocol.CertificateGetReply{
			CommonCertificates:         certificates.Common,
			SequesterCertificates:      certificates.Sequester,
			ShamirRecoveryCertificates: certificates.Shamir,
			RealmCertificates:          certificates.Realms,
		}, nil, nil
	}
	standing, lists, err := r.store.CertificateLists(ctx, author.Organization, author.Device, after)
	if err != nil {
		return nil, nil, err
	}
	if err := standing.check(now); err != nil {
		return nil, nil, err
	}
	return nil, &LongCertificates{store: r.store, organization: author.Organization, CertificateLists: lists}, nil
}

// LongCertificates are the certificates that a user may see at one instant, of
// which a page at a time is in memory.
type LongCertificates struct {
	CertificateLists

	store        CertificateReader
	organization parsec.OrganizationID
}

// Each yields the certificates of one of the lists, in order, and ends with an
// error if not all of them can be read. No transaction is open meanwhile.
func (l *LongCertificates) Each(ctx context.Context, list *CertificateList) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		from := list.After
		for left := list.Count; left > 0; {
			page, last, err := l.store.CertificatePage(ctx, l.organization, list, from, heldCertificates)
			if err == nil && (len(page) == 0 || len(page) > left) {
				err = fmt.Errorf("%d certificates are left in place of %d", len(page), left) // the organization is gone
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for _, certificate := range page {
				if !yield(certificate, nil) {
					return
				}
			}
			left, from = left-len(page), last
		}
	}
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
	// Cut says that there may be more.
	Cut bool
}

// MarkCut sets Cut for lists of which each was read up to so many bytes, and to
// MaxPage certificates.
func (c *Certificates) MarkCut(bytes int) {
	ofRealms, count := 0, 0
	for _, list := range c.Realms {
		ofRealms, count = ofRealms+lengthOf(list), count+len(list)
	}
	c.Cut = max(lengthOf(c.Common), lengthOf(c.Sequester), lengthOf(c.Shamir), ofRealms) >= bytes ||
		max(len(c.Common), len(c.Sequester), len(c.Shamir), count) >= MaxPage
}

func lengthOf(list [][]byte) (length int) {
	for _, certificate := range list {
		length += len(certificate)
	}
	return length
}

// CertificateLists are what a user may see of each topic at one instant.
type CertificateLists struct {
	Common, Sequester, Shamir CertificateList
	// Realms leaves out realms without any.
	Realms []CertificateList
}

// CertificateList is a part of a topic, which does not change any more.
type CertificateList struct {
	Topic CertificateTopic
	// Realm is that of a realm's topic.
	Realm parsec.RealmID
	// User is who sees the list, of the topic of Shamir recovery.
	User parsec3.UserID
	// Redacted says that those with a redacted form are given in it.
	Redacted bool
	// The list begins after a place, and ends with the last one of a date.
	After CertificatePlace
	Until parsec.DateTime

	// Count is the number of certificates, and Bytes their length in all; more than
	// 255 bytes have Over8, and more than 65,535 bytes Over16 of them.
	Count, Bytes, Over8, Over16 int
}

// CertificateTopic is one of the ordered lists of an organization
// (docs/protocol/v5/commands.md §5).
type CertificateTopic string

// The topics of which there are lists.
const (
	CommonTopic    CertificateTopic = "common"
	SequesterTopic CertificateTopic = "sequester"
	ShamirTopic    CertificateTopic = "shamir_recovery"
	RealmTopic     CertificateTopic = "realm"
)

// CertificatePlace is the place of a certificate in its topic: those of one date
// have a sequence.
type CertificatePlace struct {
	Dated    parsec.DateTime
	Sequence int16
}

// AfterDate returns the place behind all certificates of a date; for nil, the one
// before all certificates.
func AfterDate(date *parsec.DateTime) CertificatePlace {
	if date == nil {
		return CertificatePlace{Dated: math.MinInt64, Sequence: math.MinInt16}
	}
	return CertificatePlace{Dated: *date, Sequence: math.MaxInt16}
}

// MaxPage is the largest number of certificates in a page.
const MaxPage = 8192

// CertificateReader reads certificates.
type CertificateReader interface {
	// Certificates reads those that the author's user may see: redacted ones if
	// its profile is OUTSIDER; of Shamir recovery, those of the setups of which it is
	// owner or recipient, and no share but its own; of the realms that it has left,
	// those up to the one that removed it. Each list is cut once it has so many bytes, or MaxPage
	// certificates, and the realms are together one list.
	Certificates(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after CertificatesAfter, bytes int) (Standing, Certificates, error)
	// CertificateLists measures what Certificates would read without a bound.
	CertificateLists(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after CertificatesAfter) (Standing, CertificateLists, error)
	// CertificatePage reads what stands after a place in a list: as many as fit in
	// so many bytes, at most MaxPage, but at least one, if there is one. It returns
	// the place of the last one.
	CertificatePage(ctx context.Context, organization parsec.OrganizationID, list *CertificateList, from CertificatePlace, bytes int) ([][]byte, CertificatePlace, error)
}
