package parsec2_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"testing"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/wire"
)

// apiOf217OverHTTP is what the HTTP client of 2.17 announces; it is 3.4.
var apiOf217OverHTTP = parsec.APIVersion{Major: 2, Minor: 5}

// Over HTTP the announced minor filters and rewrites nothing; over WebSocket it
// does.
func TestHTTPTellsNothingByVersion(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	current := f.connect("alice@dev1")
	f.createRealm(current, alice, realmID(1))
	archive, err := alice.UpdateArchiving(realmID(1), protocol.ArchivingConfiguration{Type: parsec.ArchivingArchived}, f.now())
	f.ok(err)
	f.must(parsec2.Call(f.ctx, current, protocol.RealmUpdateArchiving, archive))
	f.update(coolOrg, func(tx rules.Tx) {
		tx.PutInvitation(rules.Invitation{
			Token: parsec.InvitationToken(parsec.NewUUID()), Type: parsec.InvitationShamirRecovery, CreatedOn: f.clock.Now(),
			Greeter: userID("alice"), Greeters: []rules.InvitationGreeter{{User: userID("alice")}}, Claimer: userID("bob"),
		})
	})
	old := f.connect("alice@dev2", apiOf217OverHTTP)
	rpc := f.client.AuthenticatedRPC(f.device("alice@dev2"), apiOf217OverHTTP)
	write := &protocol.VlobCreateRequest{RealmID: realmID(1), VlobID: vlobID(1), EncryptionRevision: 1, Timestamp: f.now(), Blob: []byte("x")}
	for _, item := range []struct {
		name        string
		list        func() (*protocol.InviteListReply, error)
		create      func() error
		invitations int
		status      protocol.Status
	}{
		{"WebSocket", func() (*protocol.InviteListReply, error) { return parsec2.Call(f.ctx, old, protocol.InviteList, nil) },
			func() error { _, err := parsec2.Call(f.ctx, old, protocol.VlobCreate, write); return err }, 1, protocol.StatusNotAllowed},
		{"HTTP", func() (*protocol.InviteListReply, error) { return parsec2.Call(f.ctx, rpc, protocol.InviteList, nil) },
			func() error { _, err := parsec2.Call(f.ctx, rpc, protocol.VlobCreate, write); return err }, 2, protocol.StatusRealmArchived},
	} {
		listed, err := item.list()
		f.ok(err)
		if len(listed.Invitations) != item.invitations {
			t.Errorf("%s: %d invitations, want %d", item.name, len(listed.Invitations), item.invitations)
		}
		if refusal, refused := errors.AsType[*protocol.Refusal](item.create()); !refused || refusal.Status != item.status {
			t.Errorf("%s: %v, want %s", item.name, refusal, item.status)
		}
	}
	// HTTP answers in this server's version of the client's major.
	response := f.do(http.MethodPost, "/anonymous/CoolOrg", message("ping", wire.Field{Key: "ping", Value: "x"}),
		"Api-Version: 2.5", "Content-Type: application/msgpack")
	if got := response.Header.Get("Api-Version"); response.StatusCode != http.StatusOK || got != api2.String() {
		t.Errorf("HTTP %d, Api-Version %s", response.StatusCode, got)
	}
}

// The release that a client names decides where API versions do not, in the
// upgrade and over HTTP.
func TestStatusesByRelease(t *testing.T) {
	f := newFixture(t)
	alice := f.device("alice@dev1")
	f.createRealm(f.connect("alice@dev1"), alice, realmID(1))
	api := parsec.APIVersion{Major: 3, Minor: 2} // of 2.11 to 2.15
	start := message("realm_start_reencryption_maintenance",
		wire.Field{Key: "realm_id", Value: realmID(1)}, wire.Field{Key: "encryption_revision", Value: uint64(2)},
		wire.Field{Key: "timestamp", Value: f.clock.Now()}, wire.Field{Key: "per_participant_message", Value: map[parsec.UserID][]byte{}})
	// The id is in use, with another payload.
	submitted := submission("carol")
	f.must(parsec2.Call(f.ctx, f.client.AnonymousRPC(coolOrg, api3), protocol.PKIEnrollmentSubmit, submitted))
	again := submission("adam")
	again.EnrollmentID = submitted.EnrollmentID
	submit := must(wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: "pki_enrollment_submit"}}, again))

	overHTTP := func(path string, body []byte, headers ...string) any {
		response := f.do(http.MethodPost, path, body, append(headers, "Content-Type: application/msgpack", "Api-Version: "+api.String())...)
		reply, err := io.ReadAll(response.Body)
		f.ok(err)
		return decodeMap(t, reply)["status"]
	}
	for _, item := range []struct{ release, mismatch, used string }{
		{"parsec/v2.11.1", "participants_mismatch", "enrollment_id_already_used"},
		{"parsec/v2.12.0", "participants_mismatch", "enrollment_id_already_used"},
		{"parsec/v2.13.0", "participant_mismatch", "enrollment_id_already_used"},
		{"parsec/v2.14.1", "participant_mismatch", "enrollment_id_already_used"},
		{"parsec/v2.15.0", "participant_mismatch", "id_already_used"},
		{"Mozilla/5.0", "participant_mismatch", "id_already_used"},
	} {
		agent := "User-Agent: " + item.release
		raw := f.dialRaw("alice@dev1", api, agent)
		raw.writeFrame(opBinary, true, start)
		if _, reply := raw.readFrame(); decodeMap(t, reply)["status"] != item.mismatch {
			t.Errorf("%s over WebSocket: %v, want %s", item.release, decodeMap(t, reply)["status"], item.mismatch)
		}
		signature := base64.StdEncoding.EncodeToString(ed25519.Sign(alice.SigningKey, start))
		if got := overHTTP("/authenticated/CoolOrg", start, agent, "Authorization: PARSEC-SIGN-ED25519", "Signature: "+signature,
			"Author: "+base64.StdEncoding.EncodeToString([]byte(alice.ID.String()))); got != item.mismatch {
			t.Errorf("%s over HTTP: %v, want %s", item.release, got, item.mismatch)
		}
		if got := overHTTP("/anonymous/CoolOrg", submit, agent); got != item.used {
			t.Errorf("%s: %v, want %s", item.release, got, item.used)
		}
	}
}
