package rpc_test

import (
	"context"
	"errors"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

type addRequest struct {
	Number int64 `wire:"number"`
	Step   int64 `wire:"step,optional"`
}

func (r *addRequest) Validate() error {
	if r.Step == 0 {
		return errBadStep
	}
	return nil
}

type addReply struct {
	Sum int64 `wire:"sum"`
}

var (
	errBadStep  = errors.New("step: 0")
	errTooLarge = rpc.Refuse("too_large", "Too large.")
)

const (
	v1 rpc.Majors = 1 << 1
	v2 rpc.Majors = 1 << 2
)

var (
	add = rpc.Define[addRequest, addReply]("add", v2, rpc.Kinds(1), rpc.Abandoned).
		WithDefaults(func(r *addRequest) { r.Step = 1 })
	addV1 = rpc.Define[addRequest, addReply]("add", v1, rpc.Kinds(1), rpc.Limited)
)

func addTo(_ context.Context, total *int64, request *addRequest) (*addReply, error) {
	if *total += request.Number * request.Step; *total > 100 {
		return nil, errTooLarge
	}
	return &addReply{*total}, nil
}

func message(t testing.TB, fields map[string]any) []byte {
	t.Helper()
	encoded, err := wire.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestTableFindsTheFormOfTheMajor(t *testing.T) {
	table := rpc.NewTable(wire.Seconds, rpc.Bind(add, addTo), rpc.Bind(addV1, addTo))
	for major, want := range map[uint32]*rpc.Form{1: addV1.Form, 2: add.Form, 3: nil, 9: nil} {
		entry, found := table.Find("add", major)
		if found != (want != nil) || found && entry.Form != want {
			t.Errorf("major %d: %v, %t", major, entry, found)
		}
	}
	if _, found := table.Find("dummy", 2); found {
		t.Error("an unknown command is found")
	}
	if !add.Abandoned || add.Limited || !addV1.Limited || addV1.Abandoned {
		t.Error("options are lost, or shared")
	}
}

func TestEntryDecodesIntoACallOfItsRule(t *testing.T) {
	entry := rpc.Bind(add, addTo)(wire.Seconds)
	total := int64(40)
	call, err := entry.Decode(message(t, map[string]any{"number": int64(2)}), &total)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{42, 44} { // it may run again
		reply, err := call.Run(t.Context())
		if err != nil || reply.(*addReply).Sum != want {
			t.Errorf("reply %v, error %v, want %d", reply, err, want)
		}
	}
	call, err = entry.Decode(message(t, map[string]any{"number": int64(30), "step": int64(2)}), &total)
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := call.Run(t.Context()); reply != nil || !errors.Is(err, errTooLarge) {
		t.Errorf("reply %v, error %v", reply, err)
	}
}

func TestEntryRefusesWrongFields(t *testing.T) {
	entry := rpc.Bind(add, addTo)(wire.Seconds)
	var fields *wire.FieldError
	if _, err := entry.Decode(message(t, map[string]any{"number": "x"}), nil); !errors.As(err, &fields) {
		t.Errorf("error %v", err)
	}
	if _, err := entry.Decode(message(t, map[string]any{"number": int64(1), "step": int64(0)}), nil); !errors.Is(err, errBadStep) {
		t.Errorf("error %v", err)
	}
}

func TestTableDecodesDatesOfItsProfile(t *testing.T) {
	type dated struct {
		Date parsec.DateTime `wire:"date"`
	}
	const date = parsec.DateTime(1_700_000_000_123_456)
	command := rpc.Define[dated, dated]("date", v2, rpc.Kinds(1))
	bindings := rpc.Through(func(caller *int64) int64 { return *caller }, []rpc.Binding[int64]{
		rpc.Bind(command, func(_ context.Context, _ int64, request *dated) (*dated, error) { return request, nil }),
	})
	for _, profile := range []*wire.Profile{wire.Seconds, wire.Microseconds} {
		encoded, err := profile.Append(nil, dated{date})
		if err != nil {
			t.Fatal(err)
		}
		entry, _ := rpc.NewTable(profile, bindings...).Find("date", 2)
		call, err := entry.Decode(encoded, new(int64))
		if err != nil {
			t.Fatal(err)
		}
		if reply, err := call.Run(t.Context()); err != nil || reply.(*dated).Date != date {
			t.Errorf("reply %v, error %v", reply, err)
		}
	}
}

func TestThroughNarrowsTheCaller(t *testing.T) {
	type account struct{ total int64 }
	bindings := rpc.Through(func(a *account) *int64 { return &a.total }, []rpc.Binding[*int64]{rpc.Bind(add, addTo)})
	wide := account{total: 5}
	call, err := bindings[0](wire.Seconds).Decode(message(t, map[string]any{"number": int64(1)}), &wide)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Run(t.Context()); err != nil || wide.total != 6 {
		t.Errorf("total %d, error %v", wide.total, err)
	}
}

// Decoding allocates the call, and nothing beside what the fields need.
func TestDecodeAllocatesOnce(t *testing.T) {
	table := rpc.NewTable(wire.Seconds, rpc.Bind(add, addTo))
	body := message(t, map[string]any{"number": int64(1)})
	total := int64(0)
	allocations := testing.AllocsPerRun(100, func() {
		entry, _ := table.Find("add", 2)
		if _, err := entry.Decode(body, &total); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 1 {
		t.Errorf("%g allocations", allocations)
	}
}
