package parsec2_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

func TestNegotiation(t *testing.T) {
	data := handshakes(t)
	device := alice(t)
	for _, item := range data.Negotiation {
		answers := make(chan map[any]any, 1)
		c := serve(t, scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			send(ctx, peer,
				wire.Field{Key: "handshake", Value: "challenge"},
				wire.Field{Key: "challenge", Value: data.Setup.Challenge},
				wire.Field{Key: "supported_api_versions", Value: versions(item.Server)})
			answers <- receive(ctx, peer)
			send(ctx, peer, wire.Field{Key: "handshake", Value: "result"}, wire.Field{Key: "result", Value: "ok"})
		}))
		conn, err := c.DialAuthenticated(t.Context(), device, versions(item.Client)...)
		answer := <-answers
		if item.Settled == nil {
			if _, ok := errors.AsType[*parsec2.VersionError](err); !ok || answer != nil {
				t.Errorf("%v with %v: error %v, answer %v", item.Client, item.Server, err, answer)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v with %v: %v", item.Client, item.Server, err)
			continue
		}
		if conn.Version() != version(item.Settled.Client) || conn.ServerVersion() != version(item.Settled.Server) {
			t.Errorf("%v with %v: settled %s and %s", item.Client, item.Server, conn.Version(), conn.ServerVersion())
		}
		if form := answerForm(t, device, data.Setup.Challenge, answer["answer"].([]byte)); form != item.Settled.Form {
			t.Errorf("%v with %v: answer in form %s", item.Client, item.Server, form)
		}
		conn.CloseNow()
	}
}

// answerForm names the form of an answer whose signature and challenge are
// right.
func answerForm(t *testing.T, device *parsec2.Device, challenge, answer []byte) string {
	t.Helper()
	signature, signed := answer[:ed25519.SignatureSize], answer[ed25519.SignatureSize:]
	if !device.VerifyKey().Verify(signed, signature) {
		t.Fatal("wrong signature")
	}
	if bytes.Equal(signed, challenge) {
		return "raw"
	}
	if content := decode(signed); !bytes.Equal(content["answer"].([]byte), challenge) {
		t.Fatalf("another challenge in %v", content)
	} else {
		return content["type"].(string)
	}
	return ""
}

// TestAnswers makes every valid answer of the vectors that an official client
// would send.
func TestAnswers(t *testing.T) {
	variants := map[string]string{
		"api1_anonymous_no_rvk":     "the client sends a nil rvk",
		"api3_answer_unknown_field": "the client sends no unknown field",
		"api3_unknown_field":        "the client sends no unknown field",
	}
	data := handshakes(t)
	for _, item := range data.Answers {
		if item.Expect.Result != "ok" || variants[item.Name] != "" {
			continue
		}
		t.Run(item.Name, func(t *testing.T) {
			got := make(chan map[any]any, 1)
			c := serve(t, scripted(t, func(ctx context.Context, peer *websocket.Conn) {
				sendChallenge(ctx, peer, t)
				got <- receive(ctx, peer)
				_ = peer.Write(ctx, websocket.MessageBinary, data.ServerFrames["result_ok"].Frame)
			}))
			want := decode(item.Frame)
			conn, err := dialAs(t, c, want, version(item.Expect.ClientVersion))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			if answer := <-got; !reflect.DeepEqual(answer, want) {
				t.Errorf("answer %v\nwant   %v", answer, want)
			}
		})
	}
}

// dialAs connects in the way that returns the decoded answer.
func dialAs(t *testing.T, c *parsec2.Client, answer map[any]any, version parsec.APIVersion) (*parsec2.Conn, error) {
	t.Helper()
	device := alice(t)
	switch answer["type"] {
	case "authenticated", "AUTHENTICATED":
		return c.DialAuthenticated(t.Context(), device, version)
	case "INVITED":
		invitation := clearAddress(t, "localhost").InvitationAddress(device.Organization,
			parsec.InvitationType(answer["invitation_type"].(string)), parsec.InvitationToken(answer["token"].(parsec.UUID)))
		return c.DialInvited(t.Context(), invitation, version)
	case "anonymous":
		var rootVerifyKey *parsec.VerifyKey
		if answer["rvk"] != nil {
			rootVerifyKey = &device.RootVerifyKey
		}
		return c.DialAnonymous(t.Context(), device.Organization, rootVerifyKey, version)
	case "administration":
		return c.DialAdministration(t.Context(), answer["token"].(string), version)
	default:
		t.Fatalf("answer of type %v", answer["type"])
		return nil, nil
	}
}

func TestHandshakeRefused(t *testing.T) {
	data := handshakes(t)
	c := serve(t, scripted(t, func(ctx context.Context, peer *websocket.Conn) {
		sendChallenge(ctx, peer, t)
		receive(ctx, peer)
		_ = peer.Write(ctx, websocket.MessageBinary, data.ServerFrames["result_bad_identity"].Frame)
	}))
	_, err := c.DialAuthenticated(t.Context(), alice(t))
	refusal, ok := errors.AsType[*parsec2.HandshakeError](err)
	if !ok || *refusal != (parsec2.HandshakeError{Result: "bad_identity", Help: "Invalid handshake information"}) {
		t.Errorf("error %v", err)
	}
}

func TestHandshakeMalformed(t *testing.T) {
	data := handshakes(t)
	challenge := data.ServerFrames["challenge"].Frame
	ok := data.ServerFrames["result_ok"].Frame
	for name, frames := range map[string][2][]byte{
		"challenge no msgpack":       {{0xC1}, ok},
		"challenge cut":              {challenge[:len(challenge)-1], ok},
		"challenge without versions": {must(wire.Marshal(map[string]any{"handshake": "challenge", "challenge": []byte("x")})), ok},
		"result first":               {ok, ok},
		"challenge twice":            {challenge, challenge},
		"result without result":      {challenge, must(wire.Marshal(map[string]string{"handshake": "result"}))},
		"result in a list":           {challenge, must(wire.Marshal([]string{"ok"}))},
	} {
		c := serve(t, scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			_ = peer.Write(ctx, websocket.MessageBinary, frames[0])
			if receive(ctx, peer) != nil {
				_ = peer.Write(ctx, websocket.MessageBinary, frames[1])
			}
		}))
		if _, err := c.DialAuthenticated(t.Context(), alice(t)); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestClocks(t *testing.T) {
	latest := parsec.APIVersion{Major: 3, Minor: 4}
	for _, item := range []struct {
		ahead   time.Duration // of the server
		version parsec.APIVersion
		answers bool
	}{
		{0, latest, true},
		{256*time.Second - time.Microsecond, latest, true},
		{256 * time.Second, latest, false},
		{-240*time.Second + time.Microsecond, latest, true},
		{-240 * time.Second, latest, false},
		{-240 * time.Second, parsec.APIVersion{Major: 2, Minor: 4}, false},
		{time.Hour, parsec.APIVersion{Major: 2, Minor: 3}, true},
		{time.Hour, parsec.APIVersion{Major: 1, Minor: 3}, true},
	} {
		c := serve(t, scripted(t, func(ctx context.Context, peer *websocket.Conn) {
			send(ctx, peer,
				wire.Field{Key: "handshake", Value: "challenge"},
				wire.Field{Key: "challenge", Value: make([]byte, 48)},
				wire.Field{Key: "supported_api_versions", Value: []parsec.APIVersion{item.version}},
				wire.Field{Key: "ballpark_client_early_offset", Value: 300.0},
				wire.Field{Key: "ballpark_client_late_offset", Value: 320.0},
				wire.Field{Key: "backend_timestamp", Value: reference.Add(item.ahead)})
			receive(ctx, peer)
			send(ctx, peer, wire.Field{Key: "handshake", Value: "result"}, wire.Field{Key: "result", Value: "ok"})
		}))
		conn, err := c.DialAuthenticated(t.Context(), alice(t), item.version)
		if err == nil {
			conn.CloseNow()
		}
		_, clock := errors.AsType[*parsec2.ClockError](err)
		if clock == item.answers || !clock && err != nil {
			t.Errorf("server %s ahead, API %s: error %v", item.ahead, item.version, err)
		}
	}
}

func TestDialRefusedBeforeUpgrade(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusMovedPermanently, http.StatusOK} {
		c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}))
		_, err := c.DialAuthenticated(t.Context(), alice(t))
		if failure, ok := errors.AsType[*client.HTTPError](err); !ok || failure.Status != status {
			t.Errorf("HTTP %d: error %v", status, err)
		}
	}
}

func TestDialWrongMajor(t *testing.T) {
	c := parsec2.New(clearAddress(t, "localhost:1"), client.Options{})
	device := alice(t)
	if _, err := c.DialAnonymous(t.Context(), device.Organization, nil, parsec.APIVersion{Major: 3}); err == nil {
		t.Error("anonymous in API 3")
	}
	if _, err := c.DialAdministration(t.Context(), "", parsec.APIVersion{Major: 2}); err == nil {
		t.Error("administration in API 2")
	}
	if _, err := c.DialInvited(t.Context(), parsec.InvitationAddress{}, parsec.APIVersion{Major: 1}); err == nil {
		t.Error("invited in API 1")
	}
}
