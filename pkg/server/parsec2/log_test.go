package parsec2_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// TestLogsHoldNoSecrets makes a bit of everything at the lowest level of logs,
// and looks for what must not be there, in every form.
func TestLogsHoldNoSecrets(t *testing.T) {
	f := newFixture(t)
	const (
		pinged, wrongToken, badText, queried = "a-text-that-is-pinged", "a-wrong-token", "a-text-of-a-bad-message", "a-token-of-a-link"
	)
	blob := []byte("the content of a vlob")
	alice := f.device("alice@dev1")
	conn := f.connect("alice@dev1")
	f.must(parsec2.Call(f.ctx, conn, protocol.Ping, &protocol.PingRequest{Ping: pinged}))
	f.createRealm(conn, alice, realmID(1))
	create := &protocol.VlobCreateRequest{RealmID: realmID(1), EncryptionRevision: 1, VlobID: vlobID(1), Timestamp: f.now(), Blob: blob}
	f.must(parsec2.Call(f.ctx, conn, protocol.VlobCreate, create))
	f.send(conn, "vlob_read", wire.Field{Key: "vlob_id", Value: badText})
	f.receive(conn)
	f.send(conn, badText)
	f.receive(conn)
	f.ok(conn.SendText(f.ctx, badText))
	f.receive(conn)
	if _, err := parsec2.Call(f.ctx, conn, protocol.VlobCreate, create); err == nil {
		t.Error("a vlob is created twice")
	}
	administration, err := f.client.DialAdministration(f.ctx, testkit.AdministrationToken)
	f.ok(err)
	defer administration.CloseNow()
	created, err := parsec2.Call(f.ctx, administration, protocol.AdministrationCreate, &protocol.AdministrationCreateRequest{OrganizationID: emptyOrg})
	f.ok(err)
	if _, err := f.client.DialAdministration(f.ctx, wrongToken); err == nil {
		t.Error("a wrong token is accepted")
	}
	f.wantPong(f.connectInvited())
	unknown := parsec.InvitationToken{0xDE, 0xAD, 0xBE, 0xEF, 0x77}
	if _, err := f.client.DialInvited(f.ctx, f.Address.InvitationAddress(coolOrg, parsec.InvitationUser, unknown)); err == nil {
		t.Error("an unknown invitation is accepted")
	}
	rpc := f.client.AuthenticatedRPC(alice, api3)
	f.must(parsec2.Call(f.ctx, rpc, protocol.Ping, &protocol.PingRequest{Ping: pinged}))
	forged := *alice
	forged.SigningKey = f.device("bob@dev1").SigningKey
	_, err = parsec2.Call(f.ctx, f.client.AuthenticatedRPC(&forged, api3), protocol.Ping, &protocol.PingRequest{Ping: pinged})
	f.wantStatus(err, http.StatusUnauthorized)
	f.must(parsec2.Call(f.ctx, f.client.InvitedRPC(f.invitation(), api3), protocol.Ping, &protocol.PingRequest{Ping: pinged}))
	f.get("/redirect/CoolOrg?token=" + queried)
	conn.Close()
	f.Server.Shutdown(f.ctx)

	log := f.logs.String()
	for _, secret := range []string{
		testkit.AdministrationToken, wrongToken, pinged, badText, queried, string(blob), created.BootstrapToken,
		string(pendingToken[:]), pendingToken.String(), string(unknown[:]), unknown.String(), string(alice.SigningKey),
	} {
		for _, form := range []string{
			secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(log, form) {
				t.Errorf("the log holds %q", form)
			}
		}
	}
	for _, told := range []string{`"command":"vlob_create"`, `"status":"already_exists"`, `"device":"alice@dev1"`, `"organization":"CoolOrg"`, "bad_admin_token", `"api":"3.4"`,
		`"kind":"authenticated"`, `"transport":"websocket"`, `"transport":"http"`, `"duration":`,
		`"command":"vlob_read"`, `"status":"bad_message"`, `"command":"unknown"`, `"status":"invalid_msg_format"`,
	} {
		if !strings.Contains(log, told) {
			t.Errorf("the log does not tell %s", told)
		}
	}
	if strings.Contains(log, `"level":"ERROR"`) {
		t.Error("the log holds an error")
	}
}
