package server_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// bigReply is more than what the system buffers of a connection hold.
func bigReply(context.Context) (any, error) {
	reply := &longReply{}
	for range 48 {
		reply.Parts = append(reply.Parts, make([]byte, 1<<20))
	}
	return reply, nil
}

// shortWrites makes a reader slow after a short while, in which a server that
// has little of its machine still writes to the others.
func shortWrites(options *options) {
	options.WriteTimeout = 500 * time.Millisecond
}

func TestSlowReaderOfHTTPIsCut(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWrites)
	f.wing.rule = bigReply
	cut := f.logs.next("reply not delivered")
	response := f.do(http.MethodPost, "/anonymous/CoolOrg", nil)
	f.await(cut)
	if n, err := response.Body.Read(make([]byte, 1)); response.StatusCode != http.StatusOK || n != 1 {
		t.Errorf("HTTP %d, %d bytes, %v", response.StatusCode, n, err)
	}
}

// What the write timeout leaves behind does not harm the next request of the
// same connection.
func TestWriteTimeoutIsOfOneAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, shortWrites)
	passed := make(chan struct{})
	timer := time.AfterFunc(time.Second, func() { close(passed) })
	defer timer.Stop()
	f.wing.rule = func(context.Context) (any, error) {
		<-passed // longer than the time for a write
		return nil, nil
	}
	raw := f.dialTCP() // the same for both
	for range 2 {
		_, err := io.WriteString(raw.conn, "POST /anonymous/CoolOrg HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		f.ok(err)
		if status := raw.answer().StatusCode; status != http.StatusOK {
			t.Errorf("HTTP %d", status)
		}
	}
}
