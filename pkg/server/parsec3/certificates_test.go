package parsec3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/server"
	parsec3server "parsec-server/pkg/server/parsec3"
	"parsec-server/pkg/wire"
)

// addCertificates adds certificates of every length that has a head of its own, to
// the common topic and to a realm of alice: more than are held at once.
func (f *fixture) addCertificates(realm parsec.RealmID) {
	f.t.Helper()
	date := f.clock.Now()
	for _, length := range []int{100, 255, 256, 65535, 65536, 1 << 20, 1 << 20, 1 << 20, 300} {
		date++
		signed := rules.Certificate{Timestamp: date, Author: f.alice.ID, Bytes: bytes.Repeat([]byte{byte(length)}, length)}
		f.ok(f.Store3.Update(f.ctx, rules.Scope{Organization: coolOrg, Common: rules.Exclusive}, func(tx rules.Tx) error {
			tx.CreateDevice(rules.Device{ID: parsec3.DeviceID(parsec.NewUUID()), User: f.alice.User, CreatedOn: date}, signed)
			return nil
		}))
		f.ok(f.Store3.Update(f.ctx, rules.Scope{Organization: coolOrg, Realm: realm, RealmLock: rules.Exclusive, Common: rules.Shared}, func(tx rules.Tx) error {
			if _, exists := tx.Realm(); !exists {
				tx.CreateRealm(f.alice.User, signed)
			} else {
				tx.NameRealm(signed)
			}
			return nil
		}))
	}
}

// TestCertificatesInPieces has more certificates than are held at once come in one
// reply, the same as if they were.
func TestCertificatesInPieces(t *testing.T) {
	f := newFixture(t)
	realm := parsec.RealmID(parsec.NewUUID())
	f.addCertificates(realm)
	_, all, err := f.Store3.Certificates(f.ctx, coolOrg, f.alice.ID, rules.CertificatesAfter{}, 1<<30)
	f.ok(err)
	if len(all.Common) < 9 || len(all.Realms[realm]) != 9 || all.Cut {
		t.Fatalf("%d and %d certificates, cut: %t", len(all.Common), len(all.Realms[realm]), all.Cut)
	}
	want := must(wire.Microseconds.AppendMap(nil, []wire.Field{{Key: "status", Value: "ok"}}, &protocol.CertificateGetReply{
		CommonCertificates: all.Common, SequesterCertificates: all.Sequester, RealmCertificates: all.Realms,
	}))
	r := f.newRequest("POST", "/authenticated/"+coolOrg.String(), f.alice)
	r.body = message(protocol.CertificateGet.Name, &protocol.CertificateGetRequest{})
	got := f.send(r)
	if got.status != 200 || !bytes.Equal(got.body, want) {
		t.Errorf("status %d, %d bytes in place of %d", got.status, len(got.body), len(want))
	}
	if length := got.header.Get("Content-Length"); length != strconv.Itoa(len(want)) {
		t.Errorf("Content-Length %q", length)
	}

	// The dates of a client are heeded in pieces too.
	after := f.clock.Now() + 1
	r.body = message(protocol.CertificateGet.Name, &protocol.CertificateGetRequest{CommonAfter: &after, RealmAfter: map[parsec.RealmID]parsec.DateTime{realm: after + 5}})
	var reply protocol.CertificateGetReply
	f.ok(wire.Microseconds.Unmarshal(f.send(r).body, &reply))
	if !slices.EqualFunc(reply.CommonCertificates, all.Common[len(all.Common)-8:], bytes.Equal) || !slices.EqualFunc(reply.RealmCertificates[realm], all.Realms[realm][6:], bytes.Equal) {
		t.Errorf("%d and %d certificates after a date", len(reply.CommonCertificates), len(reply.RealmCertificates[realm]))
	}
}

// TestLongReplyEndsEarly has a reply end before its end: no client takes a part
// for all of it.
func TestLongReplyEndsEarly(t *testing.T) {
	reply := &server.LongReply{Length: 20, Write: func(_ context.Context, to io.Writer) error {
		_, err := io.WriteString(to, "0123456789")
		return errors.Join(err, errors.New("the database is away"))
	}}
	serving := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Error(parsec3server.ReplyLong(w, r, reply)) // it panics
	}))
	defer serving.Close()
	response, err := serving.Client().Get(serving.URL)
	if err != nil {
		return // cut before anything was sent
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the reply ends with %v", err)
	}
}
