package parsec2_test

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// reference is the instant of the vectors.
const reference parsec.DateTime = 1704164645_678901

func atReference() parsec.DateTime { return reference }

// serve runs a server for the test and returns its client, at the reference
// instant.
func serve(t *testing.T, handler http.Handler) *parsec2.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c := parsec2.New(clearAddress(t, strings.TrimPrefix(server.URL, "http://")), client.Options{Now: atReference})
	t.Cleanup(c.Close)
	return c
}

func clearAddress(t *testing.T, hostAndPort string) parsec.ServerAddress {
	t.Helper()
	address, err := parsec.ParseServerAddress("parsec://" + hostAndPort + "?no_ssl=true")
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// scripted returns a server whose connections each run script. Its context ends
// with the test, which waits for the scripts.
func scripted(t *testing.T, script func(ctx context.Context, peer *websocket.Conn)) http.Handler {
	t.Helper()
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		if r.URL.Path != "/ws" {
			http.NotFound(w, r)
			return
		}
		if extensions := r.Header.Get("Sec-WebSocket-Extensions"); extensions != "" {
			t.Errorf("the client offers extensions: %s", extensions)
		}
		peer, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer peer.CloseNow()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		script(ctx, peer)
	})
}

// send writes a map to the client. Errors are the client's leaving.
func send(ctx context.Context, peer *websocket.Conn, fields ...wire.Field) {
	message, err := wire.AppendMap(nil, fields, nil)
	if err != nil {
		panic(err)
	}
	_ = peer.Write(ctx, websocket.MessageBinary, message)
}

// receive reads a map from the client, nil when it has left.
func receive(ctx context.Context, peer *websocket.Conn) map[any]any {
	_, message, err := peer.Read(ctx)
	if err != nil {
		return nil
	}
	return decode(message)
}

func decode(message []byte) map[any]any {
	value, err := msgpack.Decode(message)
	if err != nil {
		panic(err)
	}
	return value.(map[any]any)
}

// handshake is handshake.json as far as clients are concerned.
type handshakeVectors struct {
	Setup struct {
		Challenge []byte `json:"challenge"`
	} `json:"setup"`
	Answers []struct {
		Name   string `json:"name"`
		Frame  []byte `json:"frame"`
		Expect struct {
			Result        string    `json:"result"`
			ClientVersion [2]uint32 `json:"client_version"`
		} `json:"expect"`
	} `json:"answers"`
	ServerFrames map[string]struct {
		Frame []byte `json:"frame"`
	} `json:"server_frames"`
	Negotiation []struct {
		Client  [][2]uint32 `json:"client_supports"`
		Server  [][2]uint32 `json:"server_supports"`
		Settled *struct {
			Server [2]uint32 `json:"server_version"`
			Client [2]uint32 `json:"client_version"`
			Form   string    `json:"answer_form"`
		} `json:"settled"`
	} `json:"negotiation"`
}

func handshakes(t testing.TB) handshakeVectors {
	t.Helper()
	return vectors.Load[handshakeVectors](t, "handshake.json")
}

func version(pair [2]uint32) parsec.APIVersion {
	return parsec.APIVersion{Major: pair[0], Minor: pair[1]}
}

func versions(pairs [][2]uint32) []parsec.APIVersion {
	list := make([]parsec.APIVersion, len(pairs))
	for i, pair := range pairs {
		list[i] = version(pair)
	}
	return list
}

// alice is alice@dev1 of CoolOrg, with the keys of the vectors.
func alice(t testing.TB) *parsec2.Device {
	t.Helper()
	keys := vectors.Load[struct {
		Ed25519 map[string]struct {
			Seed      []byte `json:"seed"`
			VerifyKey []byte `json:"verify_key"`
		} `json:"ed25519"`
	}](t, "keys.json")
	return &parsec2.Device{
		Organization:  must(parsec.ParseOrganizationID("CoolOrg")),
		ID:            must(parsec.ParseDeviceID("alice@dev1")),
		Profile:       parsec.ProfileAdmin,
		SigningKey:    ed25519.NewKeyFromSeed(keys.Ed25519["alice_dev1"].Seed),
		RootVerifyKey: parsec.VerifyKey(keys.Ed25519["root"].VerifyKey),
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// sendChallenge begins a handshake with the challenge of the vectors.
func sendChallenge(ctx context.Context, peer *websocket.Conn, t testing.TB) {
	_ = peer.Write(ctx, websocket.MessageBinary, handshakes(t).ServerFrames["challenge"].Frame)
}

// welcome goes through a handshake without a look at the answer.
func welcome(ctx context.Context, peer *websocket.Conn, t testing.TB) {
	sendChallenge(ctx, peer, t)
	receive(ctx, peer)
	send(ctx, peer, wire.Field{Key: "handshake", Value: "result"}, wire.Field{Key: "result", Value: "ok"})
}
