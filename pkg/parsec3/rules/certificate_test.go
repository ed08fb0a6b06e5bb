package rules_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// certificateGet has bob ask.
type certificateGet struct{ command }

func (s *certificateGet) run() error {
	_, _, err := s.CertificateGet(s.t.Context(), s.author, &protocol.CertificateGetRequest{})
	return err
}

func TestCertificateGetTable(t *testing.T) {
	checkRows(t, func(t *testing.T) *certificateGet {
		f := newFixture(t)
		return &certificateGet{command{f, f.bob()}}
	}, standingRows[*certificateGet](), standingApart...)
}

// TestCertificateGetCommon gives what is later than a date, in order, the user's
// before its device's.
func TestCertificateGetCommon(t *testing.T) {
	f := newFixture(t)
	f.setProfile(bobID, parsec.ProfileAdmin)
	f.revoke(bobID)
	whole := f.common(f.alice())
	var dates []parsec.DateTime
	for _, signed := range whole {
		dates = append(dates, commonDate(t, signed))
	}
	// alice, her phone, bob, mallory, the update, the revocation.
	if len(dates) != 9 || dates[0] != dates[1] || dates[3] != dates[4] || dates[5] != dates[6] {
		t.Fatalf("got dates %v", dates)
	}
	for i, after := range dates {
		reply, _, err := f.CertificateGet(t.Context(), f.alice(), &protocol.CertificateGetRequest{CommonAfter: &after})
		f.ok(reply, err)
		want := whole[i+1:]
		if i+1 < len(dates) && dates[i+1] == after {
			want = whole[i+2:]
		}
		if len(reply.CommonCertificates) != len(want) || len(want) > 0 && !reflect.DeepEqual(reply.CommonCertificates, want) {
			t.Errorf("after %s: got %d certificates, want %d", after, len(reply.CommonCertificates), len(want))
		}
	}
	if redacted := f.common(f.mallory()); len(redacted) != len(whole) || bytes.Equal(redacted[0], whole[0]) || !bytes.Equal(redacted[7], whole[7]) {
		t.Error("an OUTSIDER has not the redacted forms")
	}
}

// commonDate returns the date of a certificate of alice or the root key.
func commonDate(t *testing.T, signed []byte) parsec.DateTime {
	t.Helper()
	alice := verifyKey(signingKey(aliceLaptop))
	if user, err := certificate.LoadUser(signed, alice, aliceLaptop); err == nil {
		return user.Timestamp
	}
	if device, err := certificate.LoadDevice(signed, alice, aliceLaptop); err == nil {
		return device.Timestamp
	}
	if update, err := certificate.LoadUserUpdate(signed, alice, aliceLaptop); err == nil {
		return update.Timestamp
	}
	if revoked, err := certificate.LoadRevokedUser(signed, alice, aliceLaptop); err == nil {
		return revoked.Timestamp
	}
	first, err := certificate.LoadUser(signed, verifyKey(rootKey()), noDevice)
	if err == nil {
		return first.Timestamp
	}
	return must(certificate.LoadDevice(signed, verifyKey(rootKey()), noDevice)).Timestamp
}

// TestCertificatesOfALongList has more certificates than are held at once read page
// by page, and fewer than there were told.
func TestCertificatesOfALongList(t *testing.T) {
	f := newFixture(t)
	signed := rules.Certificate{Timestamp: f.lastCommon(), Author: aliceLaptop, Bytes: make([]byte, 1<<20)}
	for range 3 {
		signed.Timestamp++
		f.ok(nil, f.store.Update(t.Context(), rules.Scope{Organization: acme, Common: rules.Exclusive}, func(tx rules.Tx) error {
			tx.CreateDevice(rules.Device{ID: parsec3.DeviceID(parsec.NewUUID()), User: f.alice().User, CreatedOn: signed.Timestamp}, signed)
			return nil
		}))
	}
	reply, long, err := f.CertificateGet(t.Context(), f.alice(), &protocol.CertificateGetRequest{})
	if f.ok(nil, err); reply != nil || long == nil {
		t.Fatalf("reply %v", reply)
	}
	_, all, err := f.store.Certificates(t.Context(), acme, aliceLaptop, rules.CertificatesAfter{}, 1<<30)
	f.ok(nil, err)
	read := func() (list [][]byte, err error) {
		for certificate, err := range long.Each(t.Context(), &long.Common) {
			if err != nil {
				return list, err
			}
			list = append(list, certificate)
		}
		return list, nil
	}
	if list, err := read(); err != nil || !slices.EqualFunc(list, all.Common, bytes.Equal) {
		t.Errorf("%d certificates in place of %d (%v)", len(list), len(all.Common), err)
	}
	long.Common.Count++
	if list, err := read(); err == nil || len(list) != len(all.Common) {
		t.Errorf("%d certificates of %d (%v)", len(list), long.Common.Count, err)
	}
}
