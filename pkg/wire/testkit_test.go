package wire_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// raw reads hexadecimal digits with blanks.
func raw(t testing.TB, digits string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	data, err := wire.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.Scan(data); err != nil {
		t.Fatalf("Scan refuses what Marshal wrote: %v", err)
	}
	return data
}

// object is the source of a map in tests.
type object = map[string]any

// handle is a pair, known by its first text.
type handle struct{ email, label string }

func (h handle) MarshalPair() (first, second string) { return h.email, h.label }

func (h *handle) UnmarshalPair(first, second string) error {
	if first == "" {
		return errors.New("no e-mail")
	}
	h.email, h.label = first, second
	return nil
}

// inner and tuple are the two forms of a struct inside of another.
type inner struct {
	Name  string `wire:"name"`
	Count uint8  `wire:"count,optional"`
}

type tuple struct {
	_         struct{} `wire:",array"`
	Timestamp parsec.DateTime
	Author    parsec.DeviceID
	Note      *string
}

// embedded is flattened although it is not exported.
type embedded struct {
	Flat string `wire:"flat"`
}

// everything has a field of each kind.
type everything struct {
	embedded
	Ignored      func()
	Skipped      string                      `wire:"-"`
	Text         string                      `wire:"text"`
	Organization parsec.OrganizationID       `wire:"organization"`
	Profile      parsec.UserProfile          `wire:"profile"`
	Role         parsec.RealmRole            `wire:"role,nullable"`
	Label        parsec.DeviceLabel          `wire:"label,nullable,optional"`
	Human        handle                      `wire:"human,nullable"`
	Blob         []byte                      `wire:"blob"`
	Realm        parsec.RealmID              `wire:"realm"`
	Key          parsec.VerifyKey            `wire:"key"`
	Flag         bool                        `wire:"flag"`
	Tiny         int8                        `wire:"tiny"`
	Signed       int64                       `wire:"signed"`
	Version      uint32                      `wire:"version"`
	Checkpoint   uint64                      `wire:"checkpoint"`
	Offset       float64                     `wire:"offset"`
	Date         parsec.DateTime             `wire:"date"`
	API          parsec.APIVersion           `wire:"api"`
	Limit        *uint64                     `wire:"limit"`
	Dates        []parsec.DateTime           `wire:"dates"`
	Inner        inner                       `wire:"inner"`
	Inners       []*inner                    `wire:"inners"`
	Tuple        tuple                       `wire:"tuple"`
	ByText       map[string]bool             `wire:"by_text"`
	ByUser       map[parsec.UserID][]byte    `wire:"by_user"`
	ByVlob       map[parsec.VlobID]uint32    `wire:"by_vlob"`
	ByVersion    map[uint32]tuple            `wire:"by_version"`
	Nested       map[string]map[string][]int `wire:"nested,optional"`
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// full returns an everything without zero values.
func full() everything {
	user := must(parsec.ParseUserID("alice"))
	device := must(parsec.ParseDeviceID("alice@dev1"))
	limit, note := uint64(1<<40), "note"
	row := tuple{Timestamp: 1, Author: device, Note: &note}
	return everything{
		embedded:     embedded{Flat: "flat"},
		Text:         "é",
		Organization: must(parsec.ParseOrganizationID("CoolOrg")),
		Profile:      parsec.ProfileOutsider,
		Role:         parsec.RoleReader,
		Label:        must(parsec.ParseDeviceLabel("My PC")),
		Human:        handle{"a@b.c", "A"},
		Blob:         []byte{0, 255},
		Realm:        parsec.RealmID{1, 2},
		Key:          parsec.VerifyKey{3, 4},
		Flag:         true,
		Tiny:         -100,
		Signed:       -1 << 60,
		Version:      1<<32 - 1,
		Checkpoint:   1<<63 - 1,
		Offset:       300,
		Date:         must(parsec.ParseDateTime("2024-01-02T03:04:05.678901Z")),
		API:          parsec.APIVersion{Major: 2, Minor: 10},
		Limit:        &limit,
		Dates:        []parsec.DateTime{1, 2},
		Inner:        inner{"one", 1},
		Inners:       []*inner{{"two", 2}, nil},
		Tuple:        row,
		ByText:       map[string]bool{"yes": true, "no": false},
		ByUser:       map[parsec.UserID][]byte{user: {1}},
		ByVlob:       map[parsec.VlobID]uint32{{1}: 1, {2}: 2},
		ByVersion:    map[uint32]tuple{1: row, 300: {Timestamp: 2, Author: device}},
		Nested:       map[string]map[string][]int{"a": {"b": {-1, 1 << 20}}},
	}
}
