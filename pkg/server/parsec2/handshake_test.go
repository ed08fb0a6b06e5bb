package parsec2_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	wing "parsec-server/pkg/server/parsec2"
	"parsec-server/pkg/wire"
)

// handshakeFile is handshake.json.
type handshakeFile struct {
	Setup struct {
		Challenge     []byte                       `json:"challenge"`
		Organizations map[string]organizationSetup `json:"organizations"`
	} `json:"setup"`
	Answers         []answerVector `json:"answers"`
	StatefulAnswers []answerVector `json:"stateful_answers"`
	ServerFrames    map[string]struct {
		Frame []byte `json:"frame"`
	} `json:"server_frames"`
}

type answerVector struct {
	Name   string `json:"name"`
	Frame  []byte `json:"frame"`
	Expect struct {
		Result        protocol.HandshakeResult `json:"result"`
		Help          string                   `json:"help"`
		ServerVersion [2]uint32                `json:"server_version"`
		ClientVersion [2]uint32                `json:"client_version"`
		ClientType    string                   `json:"client_type"`
	} `json:"expect"`
}

// newVectorFixture has the state of handshake.json.
func newVectorFixture(t testing.TB) (*fixture, handshakeFile) {
	t.Helper()
	file := vectors.Load[handshakeFile](t, "handshake.json")
	f := newEmptyFixture(t)
	f.Parsec2.SetChallenge(file.Setup.Challenge)
	for id, setup := range file.Setup.Organizations {
		f.populate(must(parsec.ParseOrganizationID(id)), setup)
	}
	return f, file
}

func TestHandshakeVectors(t *testing.T) {
	f, file := newVectorFixture(t)
	for _, item := range append(file.Answers, file.StatefulAnswers...) {
		t.Run(item.Name, func(t *testing.T) {
			f := f.with(t)
			conn := f.dial()
			if challenge := f.receive(conn); !reflect.DeepEqual(challenge, decodeMap(t, file.ServerFrames["challenge"].Frame)) {
				t.Fatalf("challenge %v", challenge)
			}
			f.ok(conn.Send(f.ctx, item.Frame))
			result := f.receive(conn)
			if result["handshake"] != "result" || result["result"] != string(item.Expect.Result) {
				t.Fatalf("result %v, want %s", result, item.Expect.Result)
			}
			if item.Expect.Help != "" && result["help"] != item.Expect.Help {
				t.Errorf("help %q, want %q", result["help"], item.Expect.Help)
			}
			if item.Expect.Result == protocol.HandshakeOK {
				f.wantPong(conn)
				return
			}
			if help, _ := result["help"].(string); item.Expect.Help == "" && (help == "" || strings.HasPrefix(help, "Invalid handshake: Invitation")) {
				t.Errorf("help %q", help)
			}
			f.wantClosed(conn, websocket.StatusNormalClosure)
		})
	}
}

// with returns the fixture for a part of the test.
func (f *fixture) with(t testing.TB) *fixture {
	part := *f
	part.t = t
	return &part
}

func TestServerFrames(t *testing.T) {
	f, file := newVectorFixture(t)
	for name, answer := range map[string][]byte{"result_ok": file.Answers[0].Frame, "result_bad_identity": file.StatefulAnswers[0].Frame} {
		conn := f.dial()
		f.receive(conn)
		f.ok(conn.Send(f.ctx, answer))
		if got, want := f.receive(conn), decodeMap(t, file.ServerFrames[name].Frame); !sameFrame(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// sameFrame takes nil for absent, as clients do.
func sameFrame(got, want map[any]any) bool {
	for key, value := range got {
		if value == nil {
			delete(got, key)
		}
	}
	return reflect.DeepEqual(got, want)
}

func TestHandshakeSettlesKindAndVersion(t *testing.T) {
	f, file := newVectorFixture(t)
	kinds := map[string]protocol.Kind{
		"authenticated": protocol.Authenticated, "AUTHENTICATED": protocol.Authenticated, "INVITED": protocol.Invited,
		"anonymous": protocol.Anonymous, "administration": protocol.Administration,
	}
	for _, item := range file.Answers {
		kind, api, err := f.Parsec2.JudgeAnswer(f.ctx, item.Frame, file.Setup.Challenge)
		if item.Expect.Result != protocol.HandshakeOK {
			if result := wing.RefusedWith(err); result != item.Expect.Result {
				t.Errorf("%s: refused with %q (%v), want %s", item.Name, result, err, item.Expect.Result)
			}
			continue
		}
		client := parsec.APIVersion{Major: item.Expect.ClientVersion[0], Minor: item.Expect.ClientVersion[1]}
		if err != nil || kind != kinds[item.Expect.ClientType] || api != client {
			t.Errorf("%s: kind %s, API %s, %v", item.Name, kind, api, err)
		}
		settled, _ := parsec.Negotiate(api)
		if wanted := (parsec.APIVersion{Major: item.Expect.ServerVersion[0], Minor: item.Expect.ServerVersion[1]}); settled != wanted {
			t.Errorf("%s: server version %s, want %s", item.Name, settled, wanted)
		}
	}
}

// TestAuthenticatedOrder has an answer with every defect from a row of
// docs/protocol/transport.md §6.5 on: the row decides.
func TestAuthenticatedOrder(t *testing.T) {
	f := newEmptyFixture(t)
	f.populate(emptyOrg, organizationSetup{Bootstrapped: new(bool)})
	worst := organizationSetup{
		Devices: map[string]string{"alice@dev1": "alice_dev1"}, Expired: true,
		RevokedUsers: []string{"alice"}, FrozenUsers: []string{"alice"},
	}
	open, notRevoked, fine := worst, worst, worst
	open.Expired = false
	notRevoked.Expired, notRevoked.RevokedUsers = false, nil
	fine.Expired, fine.RevokedUsers, fine.FrozenUsers = false, nil, nil
	for name, setup := range map[string]organizationSetup{"Worst": worst, "Open": open, "NotRevoked": notRevoked, "Fine": fine} {
		f.populate(must(parsec.ParseOrganizationID(name)), setup)
	}
	for _, item := range []struct {
		organization, device string
		otherRoot            bool
		result               protocol.HandshakeResult
	}{
		{"Unknown", "alice@dev1", true, protocol.HandshakeBadIdentity},
		{"EmptyOrg", "alice@dev1", true, protocol.HandshakeBadIdentity},
		{"Worst", "alice@dev2", true, protocol.HandshakeBadIdentity},
		{"Worst", "alice@dev1", true, protocol.HandshakeRVKMismatch},
		{"Worst", "alice@dev1", false, protocol.HandshakeOrganizationExpired},
		{"Open", "alice@dev1", false, protocol.HandshakeRevokedDevice},
		{"NotRevoked", "alice@dev1", false, protocol.HandshakeFrozenUser},
		{"Fine", "alice@dev1", false, protocol.HandshakeBadProtocol},
	} {
		for _, api := range []parsec.APIVersion{api1, {Major: 2, Minor: 4}, api2, api3} {
			device := *f.deviceOf(must(parsec.ParseOrganizationID(item.organization)), item.device)
			device.SigningKey = vectors.Load[keyFile](t, "keys.json").signing("bob_dev1")
			if item.otherRoot {
				device.RootVerifyKey = vectors.Load[keyFile](t, "keys.json").verifying("other_root")
			}
			_, err := f.client.DialAuthenticated(f.ctx, &device, api)
			wantResult(t, err, item.result, "")
		}
	}
}

func wantResult(t *testing.T, err error, result protocol.HandshakeResult, help string) {
	t.Helper()
	var refused *parsec2.HandshakeError
	if !errors.As(err, &refused) || refused.Result != string(result) || help != "" && refused.Help != help {
		t.Errorf("%v, want %s %s", err, result, help)
	}
}

func TestInvitedOrder(t *testing.T) {
	f := newEmptyFixture(t)
	const pending, deleted, unknown = "9931e631-856b-4b26-8b66-05d5096c6e83", "deadbeef-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000000"
	setup := organizationSetup{
		Devices:     map[string]string{"alice@dev1": "alice_dev1"},
		Invitations: []invitationSetup{{pending, "USER", "pending"}, {deleted, "USER", "deleted"}},
	}
	f.populate(coolOrg, setup)
	setup.Expired = true
	f.populate(otherOrg, setup)
	for _, item := range []struct {
		organization, token string
		result              protocol.HandshakeResult
		help                string
	}{
		{"Unknown", unknown, protocol.HandshakeBadIdentity, ""},
		{"OtherOrg", unknown, protocol.HandshakeOrganizationExpired, ""},
		{"OtherOrg", deleted, protocol.HandshakeOrganizationExpired, ""},
		{"CoolOrg", unknown, protocol.HandshakeBadIdentity, "Invalid handshake: Invitation not found"},
		{"CoolOrg", deleted, protocol.HandshakeBadIdentity, "Invalid handshake: Invitation already deleted"},
		{"CoolOrg", pending, protocol.HandshakeBadIdentity, ""},
	} {
		address := f.Address.InvitationAddress(must(parsec.ParseOrganizationID(item.organization)), parsec.InvitationDevice,
			parsec.InvitationToken(must(parsec.ParseUUID(item.token))))
		_, err := f.client.DialInvited(f.ctx, address)
		wantResult(t, err, item.result, item.help)
	}
}

func TestAnonymousOrder(t *testing.T) {
	for _, item := range []struct {
		organization string
		otherRoot    bool
		spontaneous  bool
		result       protocol.HandshakeResult // "" for ok
	}{
		{"Unknown", true, false, protocol.HandshakeBadIdentity},
		{"Unknown", true, true, ""},
		{"OtherOrg", true, false, protocol.HandshakeOrganizationExpired},
		{"OtherOrg", true, true, protocol.HandshakeOrganizationExpired},
		{"CoolOrg", true, false, protocol.HandshakeRVKMismatch},
		{"EmptyOrg", true, false, protocol.HandshakeRVKMismatch},
		{"EmptyOrg", false, false, ""},
		{"CoolOrg", false, false, ""},
	} {
		f := newEmptyFixture(t, func(options *testkit.InstanceOptions) { options.Rules.SpontaneousBootstrap = item.spontaneous })
		f.populate(coolOrg, organizationSetup{})
		f.populate(otherOrg, organizationSetup{Expired: true})
		f.populate(emptyOrg, organizationSetup{Bootstrapped: new(bool)})
		var key *parsec.VerifyKey
		if item.otherRoot {
			other := vectors.Load[keyFile](t, "keys.json").verifying("other_root")
			key = &other
		}
		conn, err := f.client.DialAnonymous(f.ctx, must(parsec.ParseOrganizationID(item.organization)), key)
		if item.result != "" {
			wantResult(t, err, item.result, "")
			continue
		}
		f.ok(err)
		f.wantPong(conn)
		conn.CloseNow()
	}
}

func TestAdministrationToken(t *testing.T) {
	f := newEmptyFixture(t)
	for _, token := range []string{"", "s3cr3", "s3cr3t ", "S3CR3T"} {
		_, err := f.client.DialAdministration(f.ctx, token)
		wantResult(t, err, protocol.HandshakeBadAdminToken, "")
	}
	conn, err := f.client.DialAdministration(f.ctx, testkit.AdministrationToken)
	f.ok(err)
	defer conn.CloseNow()
	f.wantPong(conn)
}

func TestChallengesDiffer(t *testing.T) {
	f := newEmptyFixture(t)
	first, second := f.receive(f.dial()), f.receive(f.dial())
	challenge, _ := first["challenge"].([]byte)
	if len(challenge) != protocol.ChallengeBytes || reflect.DeepEqual(first["challenge"], second["challenge"]) {
		t.Errorf("challenges %x and %x", first["challenge"], second["challenge"])
	}
}

// An answer is good for one connection.
func TestAnswerCannotBeReplayed(t *testing.T) {
	f := newFixture(t)
	device := f.device("alice@dev1")
	answer := func(challenge []byte) []byte {
		signed := must(wire.AppendMap(nil, []wire.Field{{Key: "type", Value: "signed_answer"}, {Key: "answer", Value: challenge}}, nil))
		return must(wire.AppendMap(nil, []wire.Field{
			{Key: "handshake", Value: "answer"}, {Key: "client_api_version", Value: api3}, {Key: "type", Value: "AUTHENTICATED"},
			{Key: "organization_id", Value: device.Organization}, {Key: "device_id", Value: device.ID}, {Key: "rvk", Value: device.RootVerifyKey},
			{Key: "answer", Value: append(ed25519.Sign(device.SigningKey, signed), signed...)},
		}, nil))
	}
	first, second := f.dial(), f.dial()
	frame := answer(f.receive(first)["challenge"].([]byte))
	f.receive(second)
	f.ok(first.Send(f.ctx, frame))
	f.ok(second.Send(f.ctx, frame))
	if result := f.receive(first); result["result"] != "ok" {
		t.Errorf("first use: %v", result)
	}
	if result := f.receive(second); result["result"] != "bad_protocol" {
		t.Errorf("second use: %v", result)
	}
}

func TestTextAnswer(t *testing.T) {
	f := newEmptyFixture(t)
	conn := f.dial()
	f.receive(conn)
	f.ok(conn.SendText(f.ctx, "hello"))
	if result := f.receive(conn); result["result"] != "bad_protocol" {
		t.Errorf("result %v", result)
	}
	f.wantClosed(conn, websocket.StatusNormalClosure)
}

func TestAnswerTooLong(t *testing.T) {
	f := newEmptyFixture(t)
	conn := f.dial()
	f.receive(conn)
	f.ok(conn.Send(f.ctx, make([]byte, wing.MaxHandshakeBytes+1)))
	f.wantClosed(conn, websocket.StatusMessageTooBig)
}

func TestSilentHandshakeIsClosed(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second // in which the challenge is sent, however slow the machine is
	f := newEmptyFixture(t, func(options *testkit.InstanceOptions) { options.Parsec2.HandshakeTimeout = limit })
	conn := f.dial()
	f.receive(conn)
	if received, err := conn.Receive(f.ctx); err == nil || f.ctx.Err() != nil {
		t.Errorf("received %x, %v", received, err)
	}
}

// The time limit of the handshake is not that of the connection.
func TestHandshakeTimeoutEndsWithIt(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second // in which the other handshake is over, however slow the machine is
	f := newFixture(t, func(options *testkit.InstanceOptions) { options.Parsec2.HandshakeTimeout = limit })
	accepted, silent := f.connect("alice@dev1"), f.dial()
	f.receive(silent)
	f.await(silent.Done()) // began later, and is at its limit
	f.wantPong(accepted)
}

// A failure of the server is not a refusal: clients take those as final.
func TestFailureIsNoRefusal(t *testing.T) {
	f := newFixture(t, func(options *testkit.InstanceOptions) {
		options.WrapStore = func(store rules.Store) rules.Store { return &brokenStore{Store: store} }
	})
	conn := f.dial()
	f.receive(conn)
	f.ok(conn.Send(f.ctx, vectors.Load[handshakeFile](t, "handshake.json").Answers[0].Frame))
	f.wantClosed(conn, websocket.StatusInternalError)
}

// brokenStore cannot read.
type brokenStore struct{ rules.Store }

var errBroken = errors.New("connect to database.example.com: no route")

func (*brokenStore) Authentication(context.Context, parsec.OrganizationID, parsec.DeviceID) (rules.AuthenticationFacts, error) {
	return rules.AuthenticationFacts{}, errBroken
}

// lostStore knows that it cannot read.
type lostStore struct{ rules.Store }

func (*lostStore) Ready(context.Context) error { return errBroken }
