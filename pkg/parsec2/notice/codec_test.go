package notice_test

import (
	"reflect"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/notice"
	"parsec-server/pkg/parsec2/protocol"
)

var bodies = []event.Body{
	notice.Pinged{Ping: "é"},
	notice.RealmArchivingUpdated{Realm: parsec.RealmID{1}, Configuration: protocol.ArchivingConfiguration{
		Type: parsec.ArchivingDeletionPlanned, DeletionDate: new(parsec.DateTime(7)),
	}},
	notice.InviteStatusChanged{
		Greeters: []parsec.UserID{must(parsec.ParseUserID("alice"))}, Token: parsec.InvitationToken{2}, Status: parsec.InvitationReady,
	},
	event.OrganizationExpiration{},
	// More than a bin of the protocol may have, in all.
	notice.UserCreated{User: must(parsec.ParseUserID("bob")), UserCertificate: make([]byte, 1<<20), DeviceCertificate: make([]byte, 1<<20)},
}

func TestCodec(t *testing.T) {
	for _, body := range bodies {
		kind, data, err := notice.Codec{}.Encode(body)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (notice.Codec{}).Decode(kind, data); err != nil || !reflect.DeepEqual(got, body) {
			t.Errorf("got %+v, %v, want %+v", got, err, body)
		}
		if got, err := (notice.Codec{}).Decode(kind, []byte{0xc1}); err == nil {
			t.Errorf("%s: read from nothing as %+v", kind, got)
		}
	}
	if _, _, err := (notice.Codec{}).Encode(event.Lost{}); err == nil {
		t.Error("a body without kind is written")
	}
	if body, err := (notice.Codec{}).Decode("pki.future", nil); body != nil || err != nil {
		t.Errorf("an unknown kind is read: %v, %v", body, err)
	}
}

// TestOutboxForm holds the bytes that servers of two releases understand.
func TestOutboxForm(t *testing.T) {
	for _, item := range []struct {
		body       event.Body
		kind, data string
	}{
		{notice.Pinged{Ping: "x"}, "pinged", "\x81\xa4ping\xa1x"},
		{notice.MessageReceived{Recipient: alice, Index: 3}, "message.received", "\x82\xa9recipient\xa5alice\xa5index\x03"},
		{notice.PKIEnrollmentUpdated{}, "pki_enrollment.updated", "\x80"},
		{event.OrganizationExpiration{}, "organization.expiration", "\x81\xa4date\xc0"},
	} {
		kind, data, err := notice.Codec{}.Encode(item.body)
		if kind != item.kind || string(data) != item.data || err != nil {
			t.Errorf("%T: %s %q, %v", item.body, kind, data, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, body := range bodies[:4] {
		kind, data, err := notice.Codec{}.Encode(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, data)
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		body, err := notice.Codec{}.Decode(kind, data)
		if body == nil || err != nil {
			return
		}
		if again, _, err := (notice.Codec{}).Encode(body); again != kind || err != nil {
			t.Errorf("%+v is read from %s but written as %s: %v", body, kind, again, err)
		}
	})
}
