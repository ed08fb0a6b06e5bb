package e2e_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	parsec2mail "parsec-server/pkg/parsec2/mail"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/parsec2/webhook"
)

// movingName is that of a service whose address changes.
const movingName = "service.parsec.test"

// movingService is where the name leads now, and the connections to there.
type movingService struct {
	t       *testing.T
	port    string
	target  string
	address atomic.Value // net.IP
	mu      sync.Mutex
	open    []io.Closer
}

// move stops whatever answers at the address before, and answers at another.
func (m *movingService) move(address string) {
	m.t.Helper()
	m.stop()
	listener, err := (&net.ListenConfig{}).Listen(m.t.Context(), "tcp", net.JoinHostPort(address, m.port))
	if err != nil {
		m.t.Fatal(err)
	}
	_, m.port, _ = net.SplitHostPort(listener.Addr().String())
	m.keep(listener)
	m.address.Store(net.ParseIP(address).To4())
	dialer := &net.Dialer{Resolver: &net.Resolver{}} // not the one that is replaced meanwhile
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := dialer.Dial("tcp", m.target)
			if err != nil {
				_ = client.Close()
				continue
			}
			m.keep(client, server)
			for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				}()
			}
		}
	}()
}

func (m *movingService) keep(open ...io.Closer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = append(m.open, open...)
}

func (m *movingService) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, closer := range m.open {
		_ = closer.Close()
	}
	m.open = nil
}

// newMovingService leads to a target, host:port, by the name.
func newMovingService(t *testing.T, target string) *movingService {
	t.Helper()
	m := &movingService{t: t, port: "0", target: target}
	t.Cleanup(m.stop)
	m.move("127.0.0.2")
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go m.answer(server)
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	return m
}

// answer is a name server (RFC 1035 §4) that knows one address of the one name.
func (m *movingService) answer(server net.PacketConn) {
	const headBytes, typeA = 12, 1
	query := make([]byte, 512)
	for {
		n, client, err := server.ReadFrom(query)
		if err != nil {
			return
		}
		end := headBytes
		for query[end] != 0 {
			end += 1 + int(query[end])
		}
		end += 5 // the root, the type and the class
		reply := append([]byte{}, query[:min(end, n)]...)
		copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // an answer to one question, nothing found
		if query[end-4] == 0 && query[end-3] == typeA {
			reply[7] = 1
			reply = append(reply, 0xc0, headBytes, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4) // the same name, for no time
			reply = append(reply, m.address.Load().(net.IP)...)
		}
		_, _ = server.WriteTo(reply, client)
	}
}

// TestNamesThatChangeTheirAddress has the services that the server calls move
// to another address: they are found there, by the next call.
func TestNamesThatChangeTheirAddress(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	t.Run("SMTP", func(t *testing.T) {
		smtp := testkit.StartSMTP(t, testkit.SMTPOptions{Encryption: config.EmailClear})
		settings := smtp.Settings()
		m := newMovingService(t, net.JoinHostPort(settings.Host, strconv.Itoa(settings.Port)))
		settings.Host, settings.Port = movingName, must(strconv.Atoi(m.port))
		mailer := parsec2mail.New(mailOptions(settings), must(parsec.ParseServerAddress("parsec://parsec.example.com")), logger)
		for _, address := range []string{"127.0.0.3", "127.0.0.2", "127.0.0.3"} {
			if sent := mailer.SendInvitation(t.Context(), rules.InvitationMail{
				To: "bob@example.com", Organization: must(parsec.ParseOrganizationID("Acme")), Type: parsec.InvitationUser,
			}); sent != protocol.EmailSuccess {
				t.Errorf("before %s: %s", address, sent)
			}
			m.move(address)
		}
	})
	t.Run("webhook", func(t *testing.T) {
		called := make(chan string, 100) // more than are called, again too when an answer is cut
		hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			told, _ := io.ReadAll(r.Body)
			called <- string(told)
		}))
		t.Cleanup(hook.Close)
		m := newMovingService(t, strings.TrimPrefix(hook.URL, "http://"))
		webhooks := webhook.New("http://"+movingName+":"+m.port+"/", logger)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for i, address := range []string{"127.0.0.3", "127.0.0.2", "127.0.0.3"} {
			name := "Acme" + strconv.Itoa(i)
			webhooks.Bootstrapped(must(parsec.ParseOrganizationID(name)), rules.Device{}, parsec.HumanHandle{})
			for told := ""; !strings.Contains(told, name); {
				select {
				case told = <-called:
				case <-ctx.Done():
					t.Fatalf("before %s: not called", address)
				}
			}
			m.move(address)
		}
		if err := webhooks.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("S3", func(t *testing.T) {
		bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("block")) }))
		t.Cleanup(bucket.Close)
		m := newMovingService(t, strings.TrimPrefix(bucket.URL, "http://"))
		blocks := must(blockstore.NewS3(blockstore.S3Options{Endpoint: "http://" + movingName + ":" + m.port, Bucket: "parsec", Key: "key", Secret: "secret"}))
		for _, address := range []string{"127.0.0.3", "127.0.0.2", "127.0.0.3"} {
			if err := blocks.Read(t.Context(), must(parsec.ParseOrganizationID("Acme")), parsec.BlockID{}, nil, make([]byte, len("block"))); err != nil {
				t.Errorf("before %s: %v", address, err)
			}
			m.move(address)
		}
	})
}
