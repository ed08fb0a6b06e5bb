package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/internal/testkit/pipes"
)

// The end of a stream, and its failures, as the tiny wing is told of them.
const (
	endOfStream = ""
	panicking   = "panic"
)

const streamRequest = "GET /authenticated/CoolOrg/events HTTP/1.1\r\nHost: localhost\r\n" + acceptsStream + "\r\nContent-Length: 0\r\n"

// streamHead is what a stream begins with, but for the date.
const streamHead = "HTTP/1.1 200 OK\r\nCache-Control: no-cache, no-transform\r\nContent-Type: text/event-stream\r\nGeneration: 2\r\n" +
	"Server: parsec\r\nX-Accel-Buffering: no\r\nDate: -\r\nTransfer-Encoding: chunked\r\n\r\n"

var dates = regexp.MustCompile(`Date: [^\r]*`)

func (r *rawConn) write(text string) {
	r.f.t.Helper()
	_, err := io.WriteString(r.conn, text)
	r.f.ok(err)
}

// wantBytes wants the server to send a text, but for its date.
func (r *rawConn) wantBytes(want string) {
	r.f.t.Helper()
	var got []byte
	for len(dates.ReplaceAll(got, []byte("Date: -"))) < len(want) {
		next, err := r.read.ReadByte()
		if err != nil {
			r.f.t.Fatalf("%v after %q", err, got)
		}
		got = append(got, next)
	}
	if got := string(dates.ReplaceAll(got, []byte("Date: -"))); got != want {
		r.f.t.Fatalf("the server sends %q, want %q", got, want)
	}
}

// wantClosed wants the server to send nothing more.
func (r *rawConn) wantClosed() {
	r.f.t.Helper()
	if rest, err := io.ReadAll(r.read); err != nil || len(rest) > 0 {
		r.f.t.Errorf("the connection ends with %q, %v", rest, err)
	}
}

// wantStream opens a stream, has it tell one event, and ends it.
func (r *rawConn) wantStream() {
	r.f.t.Helper()
	r.write(streamRequest + "\r\n")
	r.wantBytes(streamHead + "c\r\n:keepalive\n\n\r\n")
	r.f.wing.told <- "hello"
	r.wantBytes("17\r\ndata:gaR0b2xkpWhlbGxv\n\n\r\n")
	r.f.wing.told <- endOfStream
	r.wantBytes("0\r\n\r\n")
}

// wantAnswer sends a request, and wants the status of its answer.
func (r *rawConn) wantAnswer(target string, status int) *http.Response {
	r.f.t.Helper()
	r.write("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + bearer + "\r\n\r\n")
	answer := r.answer()
	if answer.StatusCode != status {
		r.f.t.Errorf("%s: HTTP %d, want %d", target, answer.StatusCode, status)
	}
	return answer
}

// A connection serves any request after the end of its stream.
func TestStreamBytesAndWhatFollows(t *testing.T) {
	f := newFixture(t)
	raw := f.dialTCP()
	raw.wantStream()
	raw.wantAnswer("/administration/organizations/%zz", http.StatusNotFound)
	raw.wantAnswer("/administration/organizations/%zz", http.StatusNotFound)
	for range 3 {
		raw.wantStream()
	}
	raw.wantAnswer("/healthz", http.StatusOK)
}

// What a client sends early is not lost.
func TestRequestsBehindAStream(t *testing.T) {
	f := newFixture(t)
	for name, early := range map[string][2]string{
		"with the first":   {streamRequest + "\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", ""},
		"during the first": {streamRequest + "\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		"half of it":       {streamRequest + "\r\nGET /hea", "lthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	} {
		raw := f.dialTCP()
		raw.write(early[0])
		raw.wantBytes(streamHead + "c\r\n:keepalive\n\n\r\n")
		raw.write(early[1])
		f.wing.told <- "hello"
		raw.wantBytes("17\r\ndata:gaR0b2xkpWhlbGxv\n\n\r\n")
		f.wing.told <- endOfStream
		raw.wantBytes("0\r\n\r\n")
		if status := raw.answer().StatusCode; status != http.StatusOK {
			t.Errorf("%s: HTTP %d", name, status)
		}
		raw.wantStream()
	}
}

// The body of a request for a stream is no request.
func TestStreamRequestWithBody(t *testing.T) {
	f := newFixture(t)
	raw := f.dialTCP()
	body := "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	raw.write(strings.Replace(streamRequest, "Content-Length: 0", fmt.Sprintf("Content-Length: %d", len(body)), 1) + "\r\n" + body)
	raw.wantBytes(streamHead + "c\r\n:keepalive\n\n\r\n")
	f.wing.told <- endOfStream
	raw.wantBytes("0\r\n\r\n")
	raw.wantAnswer("/readyz", http.StatusOK)
	raw.wantStream()
}

// The end of a stream is that of a connection that nothing can follow on.
func TestStreamThatEndsItsConnection(t *testing.T) {
	f := newFixture(t)
	raw := f.dialTCP()
	raw.write(streamRequest + "Connection: close\r\n\r\n")
	raw.wantBytes(strings.Replace(streamHead, "Transfer-Encoding", "Connection: close\r\nTransfer-Encoding", 1) + "c\r\n:keepalive\n\n\r\n")
	f.wing.told <- endOfStream
	raw.wantBytes("0\r\n\r\n")
	raw.wantClosed()

	raw = f.dialTCP()
	raw.write(strings.Replace(streamRequest, "/events", "/events?last", 1) + "\r\n")
	raw.wantBytes(strings.Replace(streamHead, "Content-Type", "Connection: close\r\nContent-Type", 1) + "c\r\n:keepalive\n\n\r\n")
	f.wing.told <- endOfStream
	raw.wantBytes("0\r\n\r\n")
	raw.wantClosed()

	raw = f.dialTCP()
	raw.write(strings.Replace(streamRequest, "HTTP/1.1", "HTTP/1.0", 1) + "\r\n")
	response, err := http.ReadResponse(raw.read, nil)
	f.ok(err)
	if len(response.TransferEncoding) > 0 || !response.Close {
		t.Errorf("HTTP/1.0: %v, %v", response.TransferEncoding, response.Header)
	}
	raw.wantBytes(":keepalive\n\n")
	f.wing.told <- "hello"
	raw.wantBytes("data:gaR0b2xkpWhlbGxv\n\n")
	f.wing.told <- endOfStream
	raw.wantClosed()
}

// TestStreamOverTLS has the connection stay one in TLS.
func TestStreamOverTLS(t *testing.T) {
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	f := newFixture(t, func(o *options) {
		o.StrictTransport = true
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o.listener = tls.NewListener(listener, &tls.Config{Certificates: certified.TLS.Certificates})
	})
	raw := f.dialTCP()
	encrypted := tls.Client(raw.conn, &tls.Config{InsecureSkipVerify: true})
	raw.conn, raw.read = encrypted, bufio.NewReader(encrypted)
	for range 3 {
		raw.write(streamRequest + "\r\n")
		response, err := http.ReadResponse(raw.read, nil)
		f.ok(err)
		f.wing.told <- endOfStream
		text, err := io.ReadAll(response.Body)
		if string(text) != ":keepalive\n\n" || err != nil {
			t.Errorf("stream %q, %v", text, err)
		}
		if answer := raw.wantAnswer("/healthz", http.StatusOK); answer.Header.Get("Strict-Transport-Security") == "" {
			t.Error("the answer is as without TLS")
		}
	}
}

// TestConnectionWaitsAfterItsStream as long as any other one.
func TestConnectionWaitsAfterItsStream(t *testing.T) {
	for idle, open := range map[time.Duration]bool{149 * time.Second: true, 151 * time.Second: false} {
		synctest.Test(t, func(t *testing.T) {
			network := pipes.New()
			f := pipedFixture(t, network)
			conn, err := network.Dial(t.Context(), "", "")
			f.ok(err)
			defer conn.Close()
			raw := &rawConn{f: f, conn: conn, read: bufio.NewReader(conn)}
			raw.wantStream()
			<-time.After(idle)
			if open {
				raw.wantAnswer("/healthz", http.StatusOK)
			} else {
				raw.wantClosed()
			}
		})
	}
}

// A connection that waits does not hold up the end.
func TestShutdownClosesWhatWaitsAfterItsStream(t *testing.T) {
	f := newFixture(t)
	waiting, open := f.dialTCP(), f.dialTCP()
	waiting.wantStream()
	open.write(streamRequest + "\r\n")
	open.wantBytes(streamHead + "c\r\n:keepalive\n\n\r\n")
	start := time.Now()
	f.await(f.shutdown())
	if took := time.Since(start); took > mostCloseTime {
		t.Errorf("stopping takes %s", took)
	}
	waiting.wantClosed()
	open.wantBytes("0\r\n\r\n")
	open.wantClosed()
}

// A client that does not read is cut after a while, or soon once its stream is over,
// and holds up nobody.
func TestUnreadStreamsAreCut(t *testing.T) {
	for name, change := range map[string]func(*options){
		"slow": shortWrites,
		"over": func(*options) {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, change)
			raw := f.dialTCP()
			f.ok(raw.conn.(*net.TCPConn).SetReadBuffer(4 << 10))
			raw.write(streamRequest + "\r\n")
			raw.wantBytes(streamHead + "c\r\n:keepalive\n\n\r\n")
			ended := f.logs.next("event stream ended")
			f.wing.told <- strings.Repeat("x", 24<<20) // more than the buffers of the system take
			if name == "over" {
				f.shutdown()
			}
			f.await(ended)
		})
	}
}

// A panic ends its stream, and no more.
func TestStreamPanic(t *testing.T) {
	f := newFixture(t)
	raw := f.dialTCP()
	raw.write(streamRequest + "\r\n")
	raw.wantBytes(streamHead + "c\r\n:keepalive\n\n\r\n")
	ended := f.logs.next("event stream ended")
	f.wing.told <- panicking
	f.await(ended)
	raw.wantClosed()
	if !strings.Contains(f.logs.String(), `"msg":"panic"`) {
		t.Error("the log says nothing")
	}
	f.dialTCP().wantStream()
}

// Shutdown races with the beginning and the end of streams.
func TestShutdownRacesWithStreams(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for range 4 {
				raw := f.dialTCP()
				raw.write(streamRequest + "\r\n")
				go func() { _, _ = io.Copy(io.Discard, raw.conn) }()
			}
			select {
			case f.wing.told <- endOfStream:
			default:
			}
			f.await(f.shutdown())
		})
	}
}
