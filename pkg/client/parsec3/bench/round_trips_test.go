package bench_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
)

// BenchmarkRoundTrips compares the server with one that verifies the token of a request
// and echoes: the rest is what the protocol costs. The body of the echo is half as long
// as request and reply together, so that as many bytes cross. Both are in processes of
// their own.
func BenchmarkRoundTrips(b *testing.B) {
	for _, item := range []struct {
		name        string
		newExchange func(*founded, *testing.B, parsec.RealmID, parsec.VlobID) *exchange
	}{
		{"ping", (*founded).pings},
		{"vlob_read_batch", (*founded).readings},
		{"vlob_create", (*founded).creations},
		{"vlob_update", (*founded).updates},
	} {
		b.Run(item.name, func(b *testing.B) {
			o := found(b, startMeasured(b))
			subject := o.side("server", nil)
			for range connections {
				realm, vlob := parsec.RealmID(parsec.NewUUID()), parsec.VlobID(parsec.NewUUID())
				o.createRealm(b, realm)
				o.createVlob(b, realm, vlob)
				subject.exchanges = append(subject.exchanges, item.newExchange(o, b, realm, vlob))
			}
			compare(b, "ratio-to-echo", tripsPerRound, newEcho(b, subject.exchanges[0]), subject)
		})
	}
}

// startMeasured starts the command, as it is built for operators.
func startMeasured(b *testing.B, arguments ...string) *testkit.Parsec {
	b.Helper()
	program, err := testkit.BuildMeasuredParsec(b.Context(), b.TempDir())
	check(b, err)
	return testkit.StartParsec(b, program, append([]string{"--log-level", "WARNING"}, arguments...)...)
}

// newEcho starts a server that echoes, with bodies of the size of model.
func newEcho(b *testing.B, model *exchange) *side {
	b.Helper()
	check(b, model.roundTrip())
	body := bytes.Repeat([]byte{0xa5}, (len(model.request)-model.body+len(model.reply))/2)
	program, err := os.Executable()
	check(b, err)
	key, port := model.device.VerifyKey(), testkit.FreePort(b)
	process := testkit.StartProcess(b, []string{echoAt + "=localhost:" + port, echoKey + "=" + hex.EncodeToString(key[:])}, program)
	process.Await(b, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "localhost:"+port)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	echo := &side{name: "echo", server: process.ProcessorTime}
	for range connections {
		e := newExchange(b, "http://localhost:"+port, "/authenticated/Bench", model.device, body)
		e.skipped, e.accepted = 0, body
		echo.exchanges = append(echo.exchanges, e)
	}
	return echo
}

// echoAt has these tests be an echo server at an address, for the device of echoKey.
const (
	echoAt  = "PARSEC_TEST_ECHO_AT"
	echoKey = "PARSEC_TEST_ECHO_KEY"
)

func TestMain(m *testing.M) {
	address, echoes := os.LookupEnv(echoAt)
	if !echoes {
		os.Exit(m.Run())
	}
	key, err := hex.DecodeString(os.Getenv(echoKey))
	if err == nil {
		server := &http.Server{Addr: address, Handler: echo(key), ReadHeaderTimeout: time.Minute}
		err = server.ListenAndServe()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// echo is the plainest server that knows who asks.
func echo(key ed25519.PublicKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		dot := strings.LastIndexByte(token, '.')
		signature, err := base64.URLEncoding.DecodeString(token[dot+1:])
		if err != nil || !ed25519.Verify(key, []byte(token[:max(dot, 0)]), signature) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body := make([]byte, max(r.ContentLength, 0))
		if _, err := io.ReadFull(r.Body, body); err != nil && !errors.Is(err, io.EOF) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/msgpack")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // the client notices
	}
}
