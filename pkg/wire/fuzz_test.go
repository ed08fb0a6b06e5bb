package wire_test

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// seed adds every message of the vectors.
func seed(f *testing.F) {
	for _, item := range vectors.Load[[]malformedMessage](f, "malformed_messages.json") {
		f.Add(item.Message)
	}
	loaded := loadMsgpack(f)
	for _, item := range loaded.DateTime {
		f.Add(item.Encoded)
	}
	for _, item := range loaded.UUID {
		f.Add(item.Encoded)
	}
	for _, item := range loaded.InvalidExt {
		f.Add(item.Encoded)
	}
	for _, item := range loaded.Values {
		f.Add(item.Encoded)
	}
	f.Add(marshal(f, full()))
	f.Add(marshal(f, everything{}))
}

func FuzzScan(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		err := wire.Scan(data)
		value, decodeErr := msgpack.Decode(data)
		if (err == nil) != (decodeErr == nil) {
			t.Fatalf("Scan: %v, Decode: %v", err, decodeErr)
		}
		text, found := wire.LookupString(data, "cmd")
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("%v does not wrap ErrMalformed", err)
			}
			return
		}
		items, isMap := value.(map[any]any)
		if isMap != wire.IsMap(data) {
			t.Fatalf("IsMap is wrong for %#v", value)
		}
		if want, ok := items["cmd"].(string); want != text || ok != found {
			t.Fatalf("LookupString gives %q, %t; want %q, %t", text, found, want, ok)
		}
		encoded, err := wire.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.Scan(encoded); err != nil {
			t.Fatalf("Scan refuses %x: %v", encoded, err)
		}
	})
}

func FuzzUnmarshal(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		// Also what was not scanned must not panic.
		var got everything
		err := wire.Unmarshal(data, &got)
		if wire.Scan(data) != nil || !wire.IsMap(data) {
			return
		}
		if err != nil {
			var bad *wire.FieldError
			if !errors.As(err, &bad) || len(bad.Errors()) == 0 {
				t.Fatalf("got %v, want a FieldError", err)
			}
			marshal(t, bad.Errors())
			return
		}
		// What decodes, encodes, and decodes again to the same. NaN and dates
		// beyond the precision of float64 have no such property.
		encoded := marshal(t, &got)
		var again everything
		if err := wire.Unmarshal(encoded, &again); err != nil {
			t.Fatalf("%x: %v", encoded, err)
		}
		got.Offset, again.Offset = 0, 0
		if !hasExactDates(got) {
			return
		}
		if !reflect.DeepEqual(again, got) {
			t.Fatalf("got %+v\nwant %+v", again, got)
		}
	})
}

const (
	firstExactDate = parsec.DateTime(-2208988800_000_000) // 1900
	endExactDate   = parsec.DateTime(4102444800_000_000)  // 2100
)

func hasExactDates(value everything) bool {
	dates := append([]parsec.DateTime{value.Date, value.Tuple.Timestamp}, value.Dates...)
	for _, row := range value.ByVersion {
		dates = append(dates, row.Timestamp)
	}
	for _, date := range dates {
		if date < firstExactDate || date >= endExactDate {
			return false
		}
	}
	return true
}

// anyValue draws values as Decode returns them.
func anyValue(depth int) *rapid.Generator[any] {
	key := rapid.OneOf(
		rapid.String().AsAny(),
		rapid.Int64().AsAny(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) parsec.UUID { return parsec.UUID(b) }).AsAny(),
	)
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.Uint64Min(math.MaxInt64 + 1).AsAny(),
		rapid.Float64().AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Map(rapid.Int64Range(int64(firstExactDate), int64(endExactDate)), func(micros int64) any { return parsec.DateTime(micros) }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(data []byte) any { return wire.Extension{Code: 5, Data: data} }),
		key,
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	item := rapid.Deferred(func() *rapid.Generator[any] { return anyValue(depth - 1) })
	return rapid.OneOf(append(scalars, rapid.SliceOf(item).AsAny(), rapid.MapOf(key, item).AsAny())...)
}

func TestRoundTripOfAnyValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyValue(3).Draw(t, "value")
		encoded, err := wire.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := msgpack.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
	})
}
