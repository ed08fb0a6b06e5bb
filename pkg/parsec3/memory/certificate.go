package memory

import (
	"cmp"
	"context"
	"math"
	"slices"

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
func (s *Store) Certificates(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after rules.CertificatesAfter, bytes int) (rules.Standing, rules.Certificates, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	standing := o.standing(author)
	found := rules.Certificates{Realms: map[parsec.RealmID][][]byte{}}
	if standing.User == nil {
		return standing, found, err
	}
	lists := o.lists(standing.User, after)
	found.Common, _ = o.page(&lists.Common, lists.Common.After, bytes)
	found.Sequester, _ = o.page(&lists.Sequester, lists.Sequester.After, bytes)
	found.Shamir, _ = o.page(&lists.Shamir, lists.Shamir.After, bytes)
	held, count := 0, 0
	for i := range lists.Realms {
		if held >= bytes || count >= rules.MaxPage {
			break
		}
		list, _ := o.page(&lists.Realms[i], lists.Realms[i].After, bytes-held)
		found.Realms[lists.Realms[i].Realm] = list
		for _, certificate := range list {
			held += len(certificate)
		}
		count += len(list)
	}
	found.MarkCut(bytes)
	return standing, found, err
}

// CertificateLists implements rules.CertificateReader.
func (s *Store) CertificateLists(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID, after rules.CertificatesAfter) (rules.Standing, rules.CertificateLists, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	standing := o.standing(author)
	if standing.User == nil {
		return standing, rules.CertificateLists{}, err
	}
	return standing, o.lists(standing.User, after), err
}

// CertificatePage implements rules.CertificateReader.
func (s *Store) CertificatePage(ctx context.Context, organization parsec.OrganizationID, list *rules.CertificateList, from rules.CertificatePlace, bytes int) ([][]byte, rules.CertificatePlace, error) {
	o, err := s.read(ctx, organization)
	defer o.RUnlock()
	page, last := o.page(list, from, bytes)
	return page, last, err
}

// lists measures what a user may see.
func (o *organization) lists(user *rules.User, after rules.CertificatesAfter) (lists rules.CertificateLists) {
	lists.Common = rules.CertificateList{Topic: rules.CommonTopic, After: rules.AfterDate(after.Common), Redacted: user.Profile == parsec.ProfileOutsider}
	measure(&lists.Common, o.common)
	lists.Sequester = rules.CertificateList{Topic: rules.SequesterTopic, After: rules.AfterDate(after.Sequester)}
	measure(&lists.Sequester, o.sequester)
	lists.Shamir = rules.CertificateList{Topic: rules.ShamirTopic, User: user.ID, After: rules.AfterDate(after.Shamir)}
	measure(&lists.Shamir, o.shamirSeen(user.ID))
	for id, realm := range o.realms {
		list := rules.CertificateList{Topic: rules.RealmTopic, Realm: id, After: rules.AfterDate(nil)}
		if date, given := after.Realms[id]; given {
			list.After = rules.AfterDate(&date)
		}
		if measure(&list, realm.seenBy(user.ID)); list.Count > 0 {
			lists.Realms = append(lists.Realms, list)
		}
	}
	return lists
}

// measure fills in what of certificates belongs to a list.
func measure(list *rules.CertificateList, certificates []rules.Certificate) {
	for _, certificate := range certificates[behind(certificates, list.After):] {
		length := len(bytesOf(&certificate, list.Redacted))
		list.Count, list.Bytes = list.Count+1, list.Bytes+length
		if length > math.MaxUint8 {
			list.Over8++
		}
		if length > math.MaxUint16 {
			list.Over16++
		}
		list.Until = max(list.Until, certificate.Timestamp)
	}
}

// page returns the certificates of a list after a place, as rules.CertificateReader
// says, and the place of the last one.
func (o *organization) page(list *rules.CertificateList, from rules.CertificatePlace, bytes int) (page [][]byte, last rules.CertificatePlace) {
	certificates, last := o.topic(list), from
	for i := behind(certificates, from); i < len(certificates) && bytes > 0 && len(page) < rules.MaxPage; i++ {
		certificate := &certificates[i]
		if certificate.Timestamp > list.Until {
			break
		}
		body := bytesOf(certificate, list.Redacted)
		page, bytes = append(page, body), bytes-len(body)
		if certificate.Timestamp != last.Dated {
			last = rules.CertificatePlace{Dated: certificate.Timestamp, Sequence: -1}
		}
		last.Sequence++
	}
	return page, last
}

func (o *organization) topic(list *rules.CertificateList) []rules.Certificate {
	switch list.Topic {
	case rules.CommonTopic:
		return o.common
	case rules.SequesterTopic:
		return o.sequester
	case rules.ShamirTopic:
		return o.shamirSeen(list.User)
	default:
		if realm := o.realms[list.Realm]; realm != nil {
			return realm.certificates
		}
		return nil
	}
}

// behind returns the index of the first certificate after a place.
func behind(certificates []rules.Certificate, place rules.CertificatePlace) int {
	first, _ := slices.BinarySearchFunc(certificates, place.Dated, func(c rules.Certificate, date parsec.DateTime) int {
		return cmp.Compare(c.Timestamp, date)
	})
	for ; first < len(certificates) && certificates[first].Timestamp == place.Dated && place.Sequence >= 0; place.Sequence-- {
		first++
	}
	return first
}

func bytesOf(certificate *rules.Certificate, redacted bool) []byte {
	if redacted && certificate.Redacted != nil {
		return certificate.Redacted
	}
	return certificate.Bytes
}

// seenBy returns the certificates of a realm that a user may see.
func (r *realm) seenBy(user parsec3.UserID) []rules.Certificate {
	member := r.members[user] // sees 0 if it has never been one
	if member.role != parsec.RoleNone {
		return r.certificates
	}
	return r.certificates[:member.sees]
}
