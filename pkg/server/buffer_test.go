package server_test

import (
	"testing"

	"parsec-server/pkg/server"
)

func TestBuffersArePooledEmpty(t *testing.T) {
	for _, size := range []int{0, 1, 8 << 10, 8<<10 + 1, 64 << 10, 640 << 10, 1<<20 + 64<<10, 4 << 20} {
		for range 2 {
			if err := server.PoolIsClean(size); err != nil {
				t.Error(err)
			}
		}
	}
}

// A long reply is encoded into the one buffer that was made for it.
func TestLongReplyHasOneBuffer(t *testing.T) {
	reply := &longReply{}
	for range 50 {
		reply.Parts = append(reply.Parts, make([]byte, 60<<10))
	}
	const otherFields = 256
	encoded, capacity, err := server.EncodeReply(reply)
	if want := reply.Size() + otherFields; err != nil || capacity != want || len(encoded) > capacity {
		t.Errorf("%d bytes in a buffer of %d, want %d: %v", len(encoded), capacity, want, err)
	}
}

// longReply implements rpc.Sized.
type longReply struct {
	Parts [][]byte `wire:"parts"`
}

func (r *longReply) Size() int {
	const binHead = 5
	size := 0
	for _, part := range r.Parts {
		size += len(part) + binHead
	}
	return size
}
