package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/pkg/wire"
)

func TestScan(t *testing.T) {
	uuid := strings.Repeat("11", 16)
	for _, test := range []struct {
		name, message string
		legal         bool
	}{
		{"nothing", "", false},
		{"never used byte", "c1", false},
		{"never used byte inside", "91 c1", false},
		{"two values", "c0 c0", false},
		{"key nil", "81 c0 c0", false},
		{"key bool", "81 c3 c0", false},
		{"key float", "81 cb 0000000000000000 c0", false},
		{"key bin", "81 c4 00 c0", false},
		{"key array", "81 90 c0", false},
		{"key map", "81 80 c0", false},
		{"key date", "81 d701 0000000000000000 c0", false},
		{"key other extension", "81 d405 00 c0", false},
		{"key text", "81 a161 c0", true},
		{"key text not UTF-8", "81 a1ff c0", false},
		{"key UUID", "81 d802" + uuid + "c0", true},
		{"key UUID in ext8", "81 c71002" + uuid + "c0", true},
		{"key UUID of 8 bytes", "81 d702 0000000000000000 c0", false},
		{"key int", "81 01 c0", true},
		{"key negative", "81 d1 8000 c0", true},
		{"key without value", "81 01", false},
		{"duplicate keys", "82 01 c0 01 c0", true},
		{"text with U+0000", "a100", true},
		{"text not UTF-8", "a2 c3 28", false},
		{"text surrogate", "a3 eda080", false},
		{"bin not UTF-8", "c401 ff", true},
		{"every int", "9b 7f ff cc00 cd0000 ce00000000 cf0000000000000000 d000 d10000 d200000000 d30000000000000000 e0", true},
		{"floats", "92 ca 7fc00000 cb 7ff0000000000000", true},
		{"date before year 1", "d701 c22cef23ee000001", false},
		{"date first of year 1", "d701 c22cef23ee000000", true},
		{"date last of year 9999", "d701 424d7ffa20bfffff", true},
		{"date year 10000", "d701 424d7ffa20c00000", false},
		{"date ext8", "c70801 0000000000000000", true},
		{"date ext16", "c8000801 0000000000000000", true},
		{"API version extension", "d503 0204", true},
		{"other extension empty", "c7 00 05", true},
		{"other extension truncated", "c7 02 05 00", false},
		{"extension without code", "d4", false},
		{"str truncated", "a2 61", false},
		{"str32 length truncated", "db 000000", false},
		{"array truncated", "92 c0", false},
		{"float truncated", "cb 00", false},
		{"bin32 2^32-1", "c6 ffffffff 0000000000", false},
		{"str32 2^32-1", "db ffffffff 0000000000", false},
		{"ext32 2^32-1", "c9 ffffffff 05 00000000", false},
		{"array32 2^32-1", "dd ffffffff 0000000000", false},
		{"map32 2^32-1", "df ffffffff 0000000000", false},
		{"map with half of its items", "de 0003 010203", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			message := raw(t, test.message)
			err := wire.Scan(message)
			if (err == nil) != test.legal {
				t.Fatalf("Scan: %v, want legal: %t", err, test.legal)
			}
			if err != nil && !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("%v does not wrap ErrMalformed", err)
			}
			if _, err := msgpack.Decode(message); (err == nil) != test.legal {
				t.Errorf("Decode: %v, want legal: %t", err, test.legal)
			}
			if allocations := testing.AllocsPerRun(10, func() { _ = wire.Scan(message) }); allocations != 0 {
				t.Errorf("Scan allocates %v times", allocations)
			}
		})
	}
}

func TestScanLimits(t *testing.T) {
	for _, test := range []struct {
		name, head string
		body       string
		size       int
		legal      bool
	}{
		{"bin of 1 MiB", "c6 00100000", "\x00", 1 << 20, true},
		{"bin above 1 MiB", "c6 00100001", "\x00", 1<<20 + 1, false},
		{"str of 1 MiB", "db 00100000", "a", 1 << 20, true},
		{"str above 1 MiB", "db 00100001", "a", 1<<20 + 1, false},
		{"array of 131072", "dd 00020000", "\xc0", 131072, true},
		{"map of 32768", "df 00008000", "\x01\xc0", 32768, true},
		{"64 arrays", "", "\x91", 64, true},
		{"65 arrays", "", "\x91", 65, false},
		{"65 maps", "", "\x81\x01", 65, false},
		{"100000 arrays", "", "\x91", 100_000, false},
		{"100000 maps", "", "\x81\x01", 100_000, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			message := append(raw(t, test.head), strings.Repeat(test.body, test.size)...)
			if test.head == "" {
				message = append(message, 0xc0)
			}
			for name, scan := range map[string]func([]byte) error{"Scan": wire.Scan, "ScanReply": wire.ScanReply} {
				if err := scan(message); (err == nil) != test.legal {
					t.Errorf("%s: %v, want legal: %t", name, err, test.legal)
				}
			}
		})
	}
}

// TestItemsOfReplies has arrays and maps of more items than a server takes: it
// says them, and clients read them.
func TestItemsOfReplies(t *testing.T) {
	type reply struct {
		List  []bool         `wire:"list"`
		Map   map[uint32]int `wire:"map"`
		Field int            `wire:"field"`
	}
	for name, sent := range map[string]reply{
		"array above 131072": {List: make([]bool, 131073), Map: map[uint32]int{}},
		"map above 32768":    {List: []bool{}, Map: numbered(32769)},
	} {
		t.Run(name, func(t *testing.T) {
			message, err := wire.AppendMap(nil, []wire.Field{{Key: "status", Value: "ok"}}, &sent)
			if err != nil {
				t.Fatal(err)
			}
			if err := wire.Scan(message); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("Scan: %v", err)
			}
			if err := wire.ScanReply(message); err != nil {
				t.Errorf("ScanReply: %v", err)
			}
			if status, found := wire.LookupString(message, "status"); !found || status != "ok" {
				t.Errorf("status %q", status)
			}
			var got reply
			if err := wire.Unmarshal(message, &got); err != nil || !reflect.DeepEqual(got, sent) {
				t.Errorf("%d and %d items (%v)", len(got.List), len(got.Map), err)
			}
		})
	}
	top := map[string]int{}
	for number := range numbered(32769) {
		top[strconv.Itoa(int(number))] = 0
	}
	if message, err := wire.Marshal(top); err != nil || wire.ScanReply(message) != nil {
		t.Errorf("a map of texts: %v", err)
	}
}

func numbered(count uint32) map[uint32]int {
	items := map[uint32]int{}
	for number := range count {
		items[number] = int(number)
	}
	return items
}

func TestIsMap(t *testing.T) {
	for message, want := range map[string]bool{
		"80": true, "81 01 02": true, "de 0000": true, "df 00000000": true,
		"": false, "90": false, "c0": false, "00": false, "a0": false, "dc 0000": false,
	} {
		if got := wire.IsMap(raw(t, message)); got != want {
			t.Errorf("IsMap(%s) = %t, want %t", message, got, want)
		}
	}
}

func TestLookupString(t *testing.T) {
	const key = "a3 636d64"
	for _, test := range []struct {
		name, message, want string
		ok                  bool
	}{
		{"present", "81" + key + "a1 61", "a", true},
		{"empty", "81" + key + "a0", "", true},
		{"absent", "81 a1 78 a1 61", "", false},
		{"last of duplicates", "82" + key + "a1 61" + key + "a1 62", "b", true},
		{"last of duplicates is no str", "82" + key + "a1 61" + key + "01", "", false},
		{"first of duplicates is no str", "82" + key + "91 c0" + key + "a1 62", "b", true},
		{"bin", "81" + key + "c401 61", "", false},
		{"not of the root", "81 a1 78 81" + key + "a1 61", "", false},
		{"after others", "83 01 81 01 92 c0 c0 d802 " + strings.Repeat("00", 16) + "c0" + key + "a1 61", "a", true},
		{"root is no map", "92" + key + "a1 61", "", false},
		{"not scanned", "82" + key + "a1 61", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := wire.LookupString(raw(t, test.message), "cmd")
			if got != test.want || ok != test.ok {
				t.Errorf("got %q, %t; want %q, %t", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestDecodeKinds(t *testing.T) {
	message := marshal(t, []any{
		uint64(1 << 63), uint64(1<<63 - 1), int8(-5), wire.Extension{Code: -1, Data: []byte{1, 2, 3}},
		map[any]any{"a": nil, 2: true},
	})
	list := decode(t, message).([]any)
	if list[0] != uint64(1<<63) || list[1] != int64(1<<63-1) || list[2] != int64(-5) {
		t.Errorf("integers decode as %#v", list[:3])
	}
	if extension := list[3].(wire.Extension); extension.Code != -1 || !bytes.Equal(extension.Data, []byte{1, 2, 3}) {
		t.Errorf("extension decodes as %#v", extension)
	}
	if items := list[4].(map[any]any); len(items) != 2 || items["a"] != nil || items[int64(2)] != true {
		t.Errorf("map decodes as %#v", items)
	}
}
