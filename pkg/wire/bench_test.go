package wire_test

import (
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// update is a request like vlob_update.
type update struct {
	EncryptionRevision uint64                               `wire:"encryption_revision"`
	VlobID             parsec.VlobID                        `wire:"vlob_id"`
	Timestamp          parsec.DateTime                      `wire:"timestamp"`
	Version            uint32                               `wire:"version"`
	Blob               []byte                               `wire:"blob"`
	SequesterBlob      map[parsec.SequesterServiceID][]byte `wire:"sequester_blob,nullable,optional"`
}

func updateMessage(t testing.TB) []byte {
	t.Helper()
	message, err := wire.AppendMap(nil, []wire.Field{{Key: "cmd", Value: "vlob_update"}}, update{
		EncryptionRevision: 1, VlobID: parsec.VlobID{1}, Timestamp: 1704164645678901, Version: 300, Blob: make([]byte, 2048),
	})
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func TestUnmarshalAllocatesNothing(t *testing.T) {
	message := updateMessage(t)
	var request update
	if allocations := testing.AllocsPerRun(100, func() {
		if err := wire.Unmarshal(message, &request); err != nil {
			t.Fatal(err)
		}
	}); allocations >= 1 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkScan(b *testing.B) {
	message := updateMessage(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := wire.Scan(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookupString(b *testing.B) {
	message := updateMessage(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := wire.LookupString(message, "cmd"); !ok {
			b.Fatal("no command")
		}
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	message := updateMessage(b)
	var request update
	b.ReportAllocs()
	for b.Loop() {
		if err := wire.Unmarshal(message, &request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMap(b *testing.B) {
	head := []wire.Field{{Key: "status", Value: "ok"}}
	reply := &update{Version: 300, Blob: make([]byte, 2048)}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buffer, err = wire.AppendMap(buffer[:0], head, reply); err != nil {
			b.Fatal(err)
		}
	}
}
