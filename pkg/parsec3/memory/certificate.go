package memory

import (
	"context"
	"sort"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
)

// addCommon adds a certificate to the common topic.
func (o *organization) addCommon(certificate rules.Certificate) {
	o.common = append(o.common, certificate)
	o.sign(certificate.Author, certificate.Timestamp)
}

// Certificates implements rules.CertificateReader.
func (s *Store) Certificates(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after rules.CertificatesAfter) (rules.Standing, rules.Certificates, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	standing := o.standing(author)
	if standing.User == nil {
		return standing, rules.Certificates{}, err
	}
	redacted := standing.User.Profile == parsec.ProfileOutsider
	certificates := rules.Certificates{
		Common:    later(o.common, after.Common, redacted),
		Sequester: later(o.sequester, after.Sequester, false),
		Realms:    map[parsec.RealmID][][]byte{},
	}
	for id, realm := range o.realms {
		var from *parsec.DateTime
		if date, given := after.Realms[id]; given {
			from = &date
		}
		if list := later(realm.seenBy(standing.User.ID), from, false); len(list) > 0 {
			certificates.Realms[id] = list
		}
	}
	return standing, certificates, err
}

// seenBy returns the certificates of a realm that a user may see.
func (r *realm) seenBy(user parsec3.UserID) []rules.Certificate {
	member := r.members[user] // sees 0 if it has never been one
	if member.role != parsec.RoleNone {
		return r.certificates
	}
	return r.certificates[:member.sees]
}

// later returns the bytes of the certificates after a date, all for nil. They
// are in order of date.
func later(certificates []rules.Certificate, after *parsec.DateTime, redacted bool) [][]byte {
	if after != nil {
		certificates = certificates[sort.Search(len(certificates), func(i int) bool { return certificates[i].Timestamp > *after }):]
	}
	list := make([][]byte, len(certificates))
	for i := range certificates {
		list[i] = certificates[i].Bytes
		if redacted && certificates[i].Redacted != nil {
			list[i] = certificates[i].Redacted
		}
	}
	return list
}
