package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"parsec-server/internal/testkit/pipes"
)

const (
	// statusOK and the others are of HTTP, as HTTP/2 writes them.
	statusOK          = "200"
	statusTimeout     = "408"
	statusHeadTooLong = "431"
	// never is longer than anything that the server waits for.
	never = 30 * time.Minute
)

// encryptedFixture is a pipedFixture in TLS, and how clients encrypt.
func encryptedFixture(t *testing.T, network *pipes.Network, changes ...func(*options)) (*fixture, *tls.Config) {
	t.Helper()
	const name = "parsec.example.com"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(must(x509.ParseCertificate(certificate)))
	serving := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{http2.NextProtoTLS, "http/1.1"},
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
	}
	f := newFixture(t, append(changes, func(options *options) { options.listener = tls.NewListener(network, serving) })...)
	f.ctx = t.Context() // time passes quickly here
	return f, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: name, NextProtos: []string{http2.NextProtoTLS}}
}

// http2Peer is a client of HTTP/2 that does what it is told only.
type http2Peer struct {
	f      *fixture
	conn   net.Conn
	framer *http2.Framer
	head   bytes.Buffer
	encode *hpack.Encoder
	// last is the stream that was opened last.
	last uint32
	// ended reports that the server ended the connection.
	ended bool
	// goneAway is its GOAWAY, nil if there was none.
	goneAway *http2.GoAwayFrame
	// answers are those of streams.
	answers map[uint32]*streamAnswer
}

// streamAnswer is what came of a stream.
type streamAnswer struct {
	status, body string
	ended        bool
	// reset is why the server reset the stream, nil if it did not.
	reset *http2.ErrCode
}

// http2In runs a test in a bubble, with a peer of the server.
func http2In(t *testing.T, test func(f *fixture, peer *http2Peer), changes ...func(*options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := pipes.New()
		f, encryption := encryptedFixture(t, network, changes...)
		wire, err := network.Dial(t.Context(), "", "")
		f.ok(err)
		conn := tls.Client(wire, encryption)
		defer wire.Close()
		f.ok(conn.SetDeadline(time.Now().Add(never)))
		f.ok(conn.HandshakeContext(t.Context()))
		peer := &http2Peer{f: f, conn: conn, framer: http2.NewFramer(conn, conn), answers: map[uint32]*streamAnswer{}}
		peer.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		peer.encode = hpack.NewEncoder(&peer.head)
		_, err = io.WriteString(conn, http2.ClientPreface)
		f.ok(err)
		f.ok(peer.framer.WriteSettings())
		test(f, peer)
	})
}

// open opens a stream with headers that are "name: value", and returns it.
func (p *http2Peer) open(method, path string, ends bool, headers ...string) uint32 {
	p.f.t.Helper()
	p.f.ok(p.tryOpen(method, path, ends, true, headers...))
	return p.last
}

func (p *http2Peer) tryOpen(method, path string, ends, whole bool, headers ...string) error {
	p.head.Reset()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "parsec.example.com"}, {Name: ":path", Value: path},
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		fields = append(fields, hpack.HeaderField{Name: name, Value: value})
	}
	for _, field := range fields {
		if err := p.encode.WriteField(field); err != nil {
			return err
		}
	}
	p.last += 2
	if p.last%2 == 0 {
		p.last = 1
	}
	p.answers[p.last] = &streamAnswer{}
	block := p.head.Bytes()
	const most = 16 << 10
	first, rest := block[:min(len(block), most)], block[min(len(block), most):]
	err := p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: p.last, BlockFragment: first, EndStream: ends, EndHeaders: whole && len(rest) == 0})
	if err == nil && len(rest) > 0 {
		err = p.framer.WriteContinuation(p.last, whole, rest)
	}
	return err
}

// until reads what the server sends, until something is so.
func (p *http2Peer) until(isSo func() bool) {
	p.f.t.Helper()
	for !isSo() {
		if p.ended {
			p.f.t.Fatalf("the connection has ended: %+v", p.goneAway)
		}
		p.read()
	}
}

// toTheEnd reads what the server sends until it ends the connection.
func (p *http2Peer) toTheEnd() {
	p.f.t.Helper()
	for !p.ended {
		p.read()
	}
}

// answered returns the answer to a stream, once it has ended.
func (p *http2Peer) answered(stream uint32) streamAnswer {
	p.f.t.Helper()
	p.until(func() bool { return p.answers[stream].ended })
	return *p.answers[stream]
}

func (p *http2Peer) read() {
	p.f.t.Helper()
	frame, err := p.framer.ReadFrame()
	if err != nil {
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			p.f.t.Fatal("the server says nothing any more")
		}
		p.ended = true
		return
	}
	answer := p.answers[frame.Header().StreamID]
	switch frame := frame.(type) {
	case *http2.MetaHeadersFrame:
		answer.status, answer.ended = frame.PseudoValue("status"), frame.StreamEnded()
	case *http2.DataFrame:
		answer.body, answer.ended = answer.body+string(frame.Data()), frame.StreamEnded()
	case *http2.RSTStreamFrame:
		code := frame.ErrCode
		answer.reset, answer.ended = &code, true
	case *http2.GoAwayFrame:
		copied := *frame // the framer reuses it
		p.goneAway = &copied
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			p.f.ok(p.framer.WriteSettingsAck())
		}
	}
}

// TestHTTP2Memory has the server promise to hold no more of a connection than a few
// bodies, since no budget counts what it receives before it reads.
func TestHTTP2Memory(t *testing.T) {
	http2In(t, func(f *fixture, peer *http2Peer) {
		promised := map[http2.SettingID]uint32{}
		frame, err := peer.framer.ReadFrame()
		f.ok(err)
		f.ok(frame.(*http2.SettingsFrame).ForeachSetting(func(setting http2.Setting) error {
			promised[setting.ID] = setting.Val
			return nil
		}))
		const initialWindow = 65535 // that of a connection, before it is told more
		var more *http2.WindowUpdateFrame
		for told := false; !told; more, told = frame.(*http2.WindowUpdateFrame) {
			frame, err = peer.framer.ReadFrame()
			f.ok(err)
		}
		window := initialWindow + more.Increment
		if window > 512<<10 || promised[http2.SettingInitialWindowSize] > window/4 || promised[http2.SettingMaxFrameSize] != 16<<10 ||
			promised[http2.SettingMaxConcurrentStreams] != 100 || promised[http2.SettingMaxHeaderListSize] > 17<<10 {
			t.Errorf("a window of %d, %v", window, promised)
		}
		// WebSockets come by HTTP/1.1.
		if _, told := promised[http2.SettingEnableConnectProtocol]; told {
			t.Error("clients are told that WebSockets come by HTTP/2")
		}
		f.ok(peer.framer.WriteRawFrame(0xfa, 0, 0, make([]byte, 64<<10))) // of an unknown type, which no window counts
		peer.toTheEnd()
		if peer.goneAway == nil || peer.goneAway.ErrCode != http2.ErrCodeFrameSize {
			t.Errorf("after a large frame: %+v", peer.goneAway)
		}
	})
}

// TestHTTP2HeadTooLong is TestHeaderLimit over HTTP/2.
func TestHTTP2HeadTooLong(t *testing.T) {
	http2In(t, func(_ *fixture, peer *http2Peer) {
		part := "x-part: " + strings.Repeat("a", 4<<10) // few bits each, so that all is one frame
		long := peer.answered(peer.open("GET", "/healthz", true, part, part, part, part, part))
		short := peer.answered(peer.open("GET", "/healthz", true, part, part, part))
		if long.status != statusHeadTooLong || short.status != statusOK {
			t.Errorf("%+v, %+v", long, short)
		}
	})
}

// TestHTTP2RapidReset has a client open requests and take them back, while those that
// it took back first run still: no others run, and soon the connection ends.
func TestHTTP2RapidReset(t *testing.T) {
	http2In(t, func(f *fixture, peer *http2Peer) {
		const atATime = 100
		var running atomic.Int32
		all, opened := make(chan struct{}), make(chan struct{})
		defer close(opened)
		f.wing.rule = func(context.Context) (any, error) {
			if running.Add(1) == atATime {
				close(all)
			}
			<-opened
			return nil, nil
		}
		for range atATime {
			peer.open("POST", "/anonymous/CoolOrg", true)
		}
		<-all
		for stream := range peer.answers {
			f.ok(peer.framer.WriteRSTStream(stream, http2.ErrCodeCancel))
		}
		for range 2000 {
			if peer.tryOpen("POST", "/anonymous/CoolOrg", true, true) != nil || peer.framer.WriteRSTStream(peer.last, http2.ErrCodeCancel) != nil {
				break
			}
		}
		peer.toTheEnd()
		if peer.goneAway == nil {
			t.Fatal("cut without a word")
		}
		if n := running.Load(); n != atATime || peer.goneAway.ErrCode != http2.ErrCodeEnhanceYourCalm || peer.goneAway.LastStreamID/2 > 600 {
			t.Errorf("%d ran, %v, last stream %d", n, peer.goneAway.ErrCode, peer.goneAway.LastStreamID)
		}
	})
}

// TestHTTP2LongCommand has a command take longer than a write may.
func TestHTTP2LongCommand(t *testing.T) {
	http2In(t, func(f *fixture, peer *http2Peer) {
		f.wing.rule = func(context.Context) (any, error) {
			<-time.After(5 * time.Minute)
			return nil, nil
		}
		if answer := peer.answered(peer.open("POST", "/anonymous/CoolOrg", true)); answer.status != statusOK || answer.reset != nil {
			t.Errorf("%+v", answer)
		}
	})
}

// TestHTTP2SilentStream has a stream of events tell nothing for longer than a write
// may take.
func TestHTTP2SilentStream(t *testing.T) {
	http2In(t, func(f *fixture, peer *http2Peer) {
		stream := peer.open("GET", "/authenticated/CoolOrg/events", true, "accept: text/event-stream")
		peer.until(func() bool { return peer.answers[stream].body != "" })
		<-time.After(5 * time.Minute)
		f.wing.told <- "hello"
		peer.until(func() bool { return strings.Contains(peer.answers[stream].body, "data:") })
	})
}

// TestHTTP2BodyThatNeverComes has a body last for ever, also one that is said to be
// empty: its time ends, and other requests of the connection go on.
func TestHTTP2BodyThatNeverComes(t *testing.T) {
	for name, length := range map[string]string{"some": "10", "none": "0", "unknown": ""} {
		t.Run(name, func(t *testing.T) {
			http2In(t, func(f *fixture, peer *http2Peer) {
				var headers []string
				if length != "" {
					headers = append(headers, "content-length: "+length)
				}
				began := time.Now()
				unfinished := peer.open("POST", "/anonymous/CoolOrg", false, headers...)
				if answer := peer.answered(peer.open("POST", "/anonymous/CoolOrg", true)); answer.status != statusOK {
					t.Errorf("beside it: %+v", answer)
				}
				answer := peer.answered(unfinished)
				if took := time.Since(began); answer.status != statusTimeout || took > 70*time.Second {
					t.Errorf("%+v after %s", answer, took)
				}
			})
		})
	}
}

// TestHTTP2HeadThatNeverEnds has the head of a request stop in its middle: the
// connection is idle then.
func TestHTTP2HeadThatNeverEnds(t *testing.T) {
	http2In(t, func(f *fixture, peer *http2Peer) {
		began := time.Now()
		f.ok(peer.tryOpen("GET", "/healthz", true, false))
		peer.toTheEnd()
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("ended after %s", took)
		}
	})
}

// TestHTTP2SlowReader has a client give no room for an answer: the stream is cut, and
// the others of the connection go on.
func TestHTTP2SlowReader(t *testing.T) {
	http2In(t, func(f *fixture, peer *http2Peer) {
		f.wing.rule = bigReply
		began := time.Now()
		answer := peer.answered(peer.open("POST", "/anonymous/CoolOrg", true))
		if took := time.Since(began); answer.status != statusOK || answer.reset == nil || took > time.Minute {
			t.Errorf("%s, %d bytes, %v after %s", answer.status, len(answer.body), answer.reset, took)
		}
		f.ok(peer.framer.WriteWindowUpdate(0, 1<<20))
		if answer := peer.answered(peer.open("GET", "/healthz", true)); answer.status != statusOK {
			t.Errorf("after it: %+v", answer)
		}
	})
}

// TestHTTP2Shutdown has a stream of events, and a command that runs, on one
// connection: the stream ends, the command is answered, and the client is told that
// nothing else was begun.
func TestHTTP2Shutdown(t *testing.T) {
	http2In(t, func(f *fixture, peer *http2Peer) {
		g := newGate()
		f.wing.rule = g.rule
		stream := peer.open("GET", "/authenticated/CoolOrg/events", true, "accept: text/event-stream")
		peer.until(func() bool { return peer.answers[stream].body != "" })
		command := peer.open("POST", "/anonymous/CoolOrg", true)
		<-g.entered
		over := f.shutdown()
		if answer := peer.answered(stream); answer.reset != nil {
			t.Errorf("the stream: %+v", answer)
		}
		peer.until(func() bool { return peer.goneAway != nil })
		if peer.goneAway.ErrCode != http2.ErrCodeNo || peer.goneAway.LastStreamID != command {
			t.Errorf("%+v", peer.goneAway)
		}
		close(g.opened)
		if answer := peer.answered(command); answer.status != statusOK {
			t.Errorf("the command: %+v", answer)
		}
		peer.toTheEnd()
		<-over
	})
}
