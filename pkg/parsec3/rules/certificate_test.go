package rules_test

import (
	"bytes"
	"reflect"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// certificateGet has bob ask.
type certificateGet struct{ command }

func (s *certificateGet) run() error {
	_, err := s.CertificateGet(s.t.Context(), s.author, &protocol.CertificateGetRequest{})
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
		reply, err := f.CertificateGet(t.Context(), f.alice(), &protocol.CertificateGetRequest{CommonAfter: &after})
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
