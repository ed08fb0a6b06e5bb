package hostile_test

import (
	"encoding/base64"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/wire"
)

// Each client sends almost all of a body of 1 MiB, in the name of a device that
// exists.
func TestUnfinishedBodies(t *testing.T) {
	besiege(t, nil, func(s *siege, count int) {
		author := base64.StdEncoding.EncodeToString([]byte(s.founder.ID.String()))
		signature := base64.StdEncoding.EncodeToString(make([]byte, 64))
		body := make([]byte, 1<<20)
		s.each(count, func(i int) {
			if h, err := s.dial(i); err == nil {
				_ = h.request("POST", "/authenticated/"+organization.String(), len(body), body[1:],
					"Authorization: PARSEC-SIGN-ED25519", "Author: "+author, "Signature: "+signature)
			}
		})
	})
}

// Each client announces a body that never comes, on any route: its connection
// must end. Those that read the body wait for it for a minute.
func TestBodiesThatNeverCome(t *testing.T) {
	type request struct{ method, target string }
	requests := []request{{"GET", "/healthz"}, {"GET", "/"}, {"POST", "/nothing"}, {"POST", "/authenticated/Unknown"}, {"GET", "/redirect/x"}}
	limit := 5 * time.Second
	if testkit.Long() {
		requests = append(requests, request{"POST", "/anonymous/" + organization.String()})
		limit = time.Minute
	}
	besiege(t, nil, func(s *siege, count int) {
		held := make([]*hostile, count)
		s.each(count, func(i int) {
			if h, err := s.dial(i); err == nil {
				held[i] = h
				_ = h.request(requests[i%len(requests)].method, requests[i%len(requests)].target, 1000, nil)
				_ = h.SetReadDeadline(time.Now().Add(3 * limit))
			}
		})
		for i, h := range held {
			if h == nil {
				t.Fatalf("client %d is not accepted", i)
			}
			if _, err := io.Copy(io.Discard, h.read); err != nil && isTimeout(err) {
				t.Fatalf("%v is still there: %v", requests[i%len(requests)], err)
			}
		}
	})
}

func isTimeout(err error) bool {
	var timed interface{ Timeout() bool }
	return errors.As(err, &timed) && timed.Timeout()
}

// Each client has an anonymous WebSocket and sends the beginning of a message,
// as much as an anonymous one may have, or much more.
func TestAnonymousWebSockets(t *testing.T) {
	besiege(t, nil, func(s *siege, count int) {
		var accepted atomic.Int64
		s.each(count, func(i int) {
			h, err := s.dial(i)
			if err == nil {
				err = h.anonymous()
			}
			if err == nil {
				accepted.Add(1)
				_ = h.send(make([]byte, []int{60 << 10, 1 << 20}[i%2]), true)
			}
		})
		s.Logf("%d accepted", accepted.Load())
		if accepted.Load() == 0 {
			s.Error("there is no hostile client")
		}
	})
}

// Each client leaves its handshake open, in the middle of a long answer.
func TestHalfOpenHandshakes(t *testing.T) {
	besiege(t, nil, func(s *siege, count int) {
		s.each(count, func(i int) {
			h, err := s.dial(i)
			if err == nil {
				_, err = h.upgraded()
			}
			if err == nil {
				_ = h.send(make([]byte, 60<<10), true)
			}
		})
	})
}

// Each client writes what strangers may, as fast as it can.
func TestWritesOfStrangers(t *testing.T) {
	const writes = 40
	besiege(t, []string{"--spontaneous-organization-bootstrap"}, func(s *siege, count int) {
		claim := message(wire.Field{Key: "cmd", Value: "user_claim"}, wire.Field{Key: "invited_user_id", Value: "zoe"},
			wire.Field{Key: "encrypted_claim", Value: make([]byte, 40<<10)})
		var limited atomic.Int64
		s.each(count, func(i int) {
			h, err := s.dial(i)
			if err == nil {
				err = h.anonymous()
			}
			for range writes {
				if err == nil {
					err = h.send(claim, false)
				}
				var reply []byte
				if err == nil {
					reply, err = h.receive()
				}
				if status, _ := wire.LookupString(reply, "status"); status == "too_many_requests" {
					limited.Add(1)
				}
			}
		})
		s.Logf("%d of %d writes were too many", limited.Load(), writes*count)
		if limited.Load() == 0 {
			s.Error("nothing is limited")
		}
	})
}
