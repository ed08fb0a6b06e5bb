//go:build !without_postgresql

package cluster_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// checkLimit bounds the search for an order.
const checkLimit = time.Minute

// vlobInput is an update of a vlob to a version, or a read for version 0.
type vlobInput struct {
	version uint32
	blob    string
}

// vlobOutput is what the client is told; nothing is known without status.
type vlobOutput struct {
	status  protocol.Status
	version uint32
	blob    string
}

// vlobState is the latest version.
type vlobState struct {
	version uint32
	blob    string
}

// vlobModel is a vlob whose first version is empty, as clients know it.
var vlobModel = porcupine.Model{
	Init: func() any { return vlobState{version: 1} },
	Step: func(state, input, output any) (bool, any) {
		before, in, out := state.(vlobState), input.(vlobInput), output.(vlobOutput)
		if in.version == 0 {
			return out.status == "" || vlobState{out.version, out.blob} == before, before
		}
		after, want := before, protocol.StatusBadVersion
		if in.version == before.version+1 {
			after, want = vlobState(in), protocol.StatusOK
		}
		return out.status == "" || out.status == want, after
	},
}

// history is the operations of several clients on one vlob.
type history struct {
	start time.Time

	mu         sync.Mutex
	operations []porcupine.Operation
}

func newHistory() *history { return &history{start: time.Now()} }

// record runs an operation. Its outcome is unknown when the server gives none:
// then it may take effect at any time.
func (h *history) record(client int, input vlobInput, run func() (vlobOutput, error)) (vlobOutput, error) {
	called := time.Since(h.start)
	output, err := run()
	returned := time.Since(h.start)
	if output.status = status(err); !isAnswer(err) {
		output.status, returned = "", math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: client, Input: input, Call: int64(called), Output: output, Return: int64(returned),
	})
	return output, err
}

func (h *history) check(t *testing.T) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(vlobModel, h.operations, checkLimit); got != porcupine.Ok {
		t.Errorf("the history of %d operations is linearizable: %s: %+v", len(h.operations), got, h.operations)
	}
}

// contend reads a vlob, and writes the next version of what it reads.
func (h *history) contend(ctx context.Context, number int, vlob parsec.VlobID, commands func() parsec2.Transport) error {
	read, err := h.record(number, vlobInput{}, func() (vlobOutput, error) {
		reply, err := parsec2.Call(ctx, commands(), protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})
		if err != nil {
			return vlobOutput{}, err
		}
		return vlobOutput{version: reply.Version, blob: string(reply.Blob)}, nil
	})
	if err != nil {
		return err
	}
	input := vlobInput{version: read.version + 1, blob: parsec.NewUUID().Hex()}
	_, err = h.record(number, input, func() (vlobOutput, error) {
		_, err := parsec2.Call(ctx, commands(), protocol.VlobUpdate, &protocol.VlobUpdateRequest{
			EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Version: input.version, Blob: []byte(input.blob),
		})
		return vlobOutput{}, err
	})
	if status(err) == protocol.StatusBadVersion {
		return nil
	}
	return err
}

// linearizableVlobs has clients contend for vlobs, each by both processes in
// turn.
func linearizableVlobs(c *cluster) {
	const vlobs, clients, operations = 2, 6, 40
	realm := c.alice.addRealm()
	histories := []*history{}
	calls := []call{}
	for range vlobs {
		vlob, recorded := newVlobID(), newHistory()
		c.ok(send(c.alice.on[0], protocol.VlobCreate, &protocol.VlobCreateRequest{
			RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: now(), Blob: []byte{},
		}))
		histories = append(histories, recorded)
		calls = append(calls, repeat(clients, func(number, turn int) call {
			return func(ctx context.Context) error {
				for range operations {
					err := recorded.contend(ctx, number, vlob, func() parsec2.Transport {
						turn++
						return c.alice.on[turn/2%2] // reads and writes by both
					})
					if err != nil {
						return err
					}
				}
				return nil
			}
		})...)
	}
	c.wantOutcomes(c.race(calls...), outcomes{protocol.StatusOK: vlobs * clients})
	for _, recorded := range histories {
		recorded.check(c.t)
	}
}

// TestHistories shows that the checker finds what must not be.
func TestHistories(t *testing.T) {
	t.Parallel()
	operation := func(call, end int64, input vlobInput, output vlobOutput) porcupine.Operation {
		return porcupine.Operation{Input: input, Call: call, Output: output, Return: end}
	}
	write := func(call, end int64, blob string, status protocol.Status) porcupine.Operation {
		return operation(call, end, vlobInput{2, blob}, vlobOutput{status: status})
	}
	read := func(call, end int64, version uint32, blob string) porcupine.Operation {
		return operation(call, end, vlobInput{}, vlobOutput{protocol.StatusOK, version, blob})
	}
	for name, test := range map[string]struct {
		want    bool
		history []porcupine.Operation
	}{
		"one winner":       {true, []porcupine.Operation{write(0, 9, "a", protocol.StatusOK), write(0, 9, "b", protocol.StatusBadVersion), read(3, 4, 1, ""), read(5, 6, 2, "a")}},
		"two winners":      {false, []porcupine.Operation{write(0, 9, "a", protocol.StatusOK), write(0, 9, "b", protocol.StatusOK)}},
		"no winner":        {false, []porcupine.Operation{write(0, 9, "a", protocol.StatusBadVersion)}},
		"a stale read":     {false, []porcupine.Operation{write(0, 1, "a", protocol.StatusOK), read(2, 3, 1, "")}},
		"a lost write":     {false, []porcupine.Operation{write(0, 9, "a", protocol.StatusOK), read(2, 3, 2, "a"), read(4, 5, 1, "")}},
		"unknown outcomes": {true, []porcupine.Operation{write(0, math.MaxInt64, "a", ""), write(0, math.MaxInt64, "b", ""), read(4, 5, 1, ""), read(6, 7, 2, "b")}},
	} {
		if got := porcupine.CheckOperations(vlobModel, test.history); got != test.want {
			t.Errorf("%s: linearizable %t", name, got)
		}
	}
}

// isAnswer reports whether a server has answered, by a refusal or not.
func isAnswer(err error) bool {
	_, refused := errors.AsType[*protocol.Refusal](err)
	return err == nil || refused
}
