package rules_test

import (
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// vlobQuery is a read by bob, of two vlobs.
type vlobQuery struct {
	realmCommand
	asked parsec.RealmID
	vlobs []parsec.VlobID
	ask   func(s *vlobQuery) error
}

func newVlobQuery(ask func(s *vlobQuery) error) func(t *testing.T) *vlobQuery {
	return func(t *testing.T) *vlobQuery {
		c := newRealmCommand(t)
		c.createVlob("old", 1)
		c.author = c.bob()
		return &vlobQuery{c, c.realm, []parsec.VlobID{vlobID("old"), vlobID("unknown")}, ask}
	}
}

func (s *vlobQuery) run() error { return s.ask(s) }

func TestVlobReadTables(t *testing.T) {
	rows := func(first int) []row[*vlobQuery] {
		number := func(i int) string { return strconv.Itoa(first + i) }
		return realmRows([]row[*vlobQuery]{
			{number(0), "unknown realm", func(s *vlobQuery) { s.asked = realmID("unknown") }, protocol.StatusRealmNotFound},
			{number(1), "deleted", func(s *vlobQuery) { s.delete() }, protocol.StatusRealmDeleted},
			{number(2), "no role", func(s *vlobQuery) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		})
	}
	apart := slices.Concat(standingApart, [][2]string{{"unknown realm", "deleted"}})
	t.Run("vlob_read_batch", func(t *testing.T) {
		checkTable(t, "vlob_read_batch", newVlobQuery(func(s *vlobQuery) error {
			return failure(s.VlobReadBatch(s.t.Context(), s.author, &protocol.VlobReadBatchRequest{RealmID: s.asked, Vlobs: s.vlobs}))
		}), append([]row[*vlobQuery]{
			{"1", "too many", func(s *vlobQuery) { s.vlobs = make([]parsec.VlobID, 1001) }, protocol.StatusTooManyElements},
		}, rows(2)...), apart...)
	})
	t.Run("vlob_read_versions", func(t *testing.T) {
		checkRows(t, newVlobQuery(func(s *vlobQuery) error {
			return failure(s.VlobReadVersions(s.t.Context(), s.author, &protocol.VlobReadVersionsRequest{
				RealmID: s.asked, Items: []protocol.VlobNumber{{Vlob: s.vlobs[0], Version: 1}},
			}))
		}), rows(2), apart...)
	})
	t.Run("vlob_poll_changes", func(t *testing.T) {
		checkTable(t, "vlob_poll_changes", newVlobQuery(func(s *vlobQuery) error {
			return failure(s.VlobPollChanges(s.t.Context(), s.author, &protocol.VlobPollChangesRequest{RealmID: s.asked}))
		}), rows(1), apart...)
	})
}

// What is asked comes in its order, repeats repeated; what there is not is left out.
func TestVlobReadBatch(t *testing.T) {
	c := newRealmCommand(t)
	first := c.clock.now()
	c.createVlob("a", 3)
	c.createVlob("b", 1)
	for _, test := range []struct {
		at   *parsec.DateTime
		ask  []string
		want []string
	}{
		{nil, []string{"b", "unknown", "a", "b"}, []string{"b v1", "a v3", "b v1"}},
		{nil, nil, []string{}},
		{new(first - 1), []string{"a", "b"}, []string{}},
		{new(first), []string{"a", "b"}, []string{"a v1"}},
		{new(first.Add(2*time.Second) - 1), []string{"b", "a"}, []string{"a v2"}},
		{new(c.clock.now()), []string{"b", "a"}, []string{"b v1", "a v3"}},
	} {
		for _, author := range []*rules.Author{c.alice(), c.bob()} {
			if got := blobs(must(c.readBatch(author, test.at, test.ask...)).Items); !slices.Equal(got, test.want) {
				t.Errorf("%v: got %q, want %q", test.ask, got, test.want)
			}
		}
	}
}

// At a date the highest version that is not later counts, whatever their order.
func TestVlobReadAtDatesOutOfOrder(t *testing.T) {
	c := newRealmCommand(t)
	now := c.clock.now()
	creation := c.vlobCreation("vlob")
	creation.Timestamp = now.Add(20 * time.Second)
	c.ok(c.VlobCreate(t.Context(), c.bob(), creation))
	c.ok(c.VlobUpdate(t.Context(), c.bob(), c.vlobUpdate("vlob", 2))) // Of now.
	for at, want := range map[parsec.DateTime][]string{
		now - 1: {}, now: {"vlob v2"}, now.Add(time.Minute): {"vlob v2"},
	} {
		if got := blobs(must(c.readBatch(c.bob(), &at, "vlob")).Items); !slices.Equal(got, want) {
			t.Errorf("at %s: got %q, want %q", at, got, want)
		}
	}
}

func TestVlobReadVersions(t *testing.T) {
	c := newRealmCommand(t)
	c.createVlob("a", 3)
	read := func(items ...protocol.VlobNumber) *protocol.VlobReadVersionsReply {
		return must(c.VlobReadVersions(t.Context(), c.alice(), &protocol.VlobReadVersionsRequest{RealmID: c.realm, Items: items}))
	}
	a := func(version uint32) protocol.VlobNumber {
		return protocol.VlobNumber{Vlob: vlobID("a"), Version: version}
	}
	got := read(a(3), a(0), a(1), protocol.VlobNumber{Vlob: vlobID("unknown"), Version: 1}, a(4), a(3))
	if texts := blobs(got.Items); !slices.Equal(texts, []string{"a v3", "a v1", "a v3"}) {
		t.Errorf("got %q", texts)
	}
	if got.NeededCommonCertificateTimestamp != c.lastCommon() || got.NeededRealmCertificateTimestamp != c.facts().Timestamp {
		t.Errorf("needs %s and %s", got.NeededCommonCertificateTimestamp, got.NeededRealmCertificateTimestamp)
	}
	// More than the official limit, while the reply is not too long.
	if got := read(slices.Repeat([]protocol.VlobNumber{a(2)}, 5000)...); len(got.Items) != 5000 {
		t.Errorf("got %d items", len(got.Items))
	}
}

// A reply may not be made as long as one likes by asking for one blob again and again.
func TestVlobReadsAreBounded(t *testing.T) {
	c := newRealmCommand(t)
	creation := c.vlobCreation("long")
	creation.Blob = make([]byte, 1<<20)
	c.ok(c.VlobCreate(t.Context(), c.bob(), creation))
	c.createVlob("short", 1)
	long, short := protocol.VlobNumber{Vlob: vlobID("long"), Version: 1}, protocol.VlobNumber{Vlob: vlobID("short"), Version: 1}
	for _, test := range []struct {
		long, short int
		batch, want protocol.Status
	}{
		{63, 900, protocol.StatusOK, protocol.StatusOK},
		{65, 0, protocol.StatusTooManyElements, protocol.StatusTooManyElements},
		{31, 970, protocol.StatusTooManyElements, protocol.StatusOK},
		{31, 15_000, protocol.StatusTooManyElements, protocol.StatusTooManyElements},
		{32, 969, protocol.StatusTooManyElements, protocol.StatusTooManyElements},
	} {
		items := append(slices.Repeat([]protocol.VlobNumber{long}, test.long), slices.Repeat([]protocol.VlobNumber{short}, test.short)...)
		request := &protocol.VlobReadBatchRequest{RealmID: c.realm}
		for _, item := range items {
			request.Vlobs = append(request.Vlobs, item.Vlob)
		}
		if got := status(c.VlobReadBatch(t.Context(), c.bob(), request)); got != test.batch {
			t.Errorf("batch of %d long and %d short: got %s, want %s", test.long, test.short, got, test.batch)
		}
		got := status(c.VlobReadVersions(t.Context(), c.bob(), &protocol.VlobReadVersionsRequest{RealmID: c.realm, Items: items}))
		if got != test.want {
			t.Errorf("%d long and %d short versions: got %s, want %s", test.long, test.short, got, test.want)
		}
		if got := status(c.VlobReadVersions(t.Context(), c.device(carolDesk), &protocol.VlobReadVersionsRequest{RealmID: c.realm, Items: items})); got != protocol.StatusAuthorNotAllowed {
			t.Errorf("a stranger: got %s", got)
		}
	}
}

func TestVlobPollChanges(t *testing.T) {
	c := newRealmCommand(t)
	c.createVlob("a", 2) // Entries 1 and 2.
	c.createVlob("b", 1) // Entry 3.
	c.ok(c.VlobUpdate(t.Context(), c.alice(), c.vlobUpdate("a", 3)))
	a := protocol.VlobNumber{Vlob: vlobID("a"), Version: 3}
	b := protocol.VlobNumber{Vlob: vlobID("b"), Version: 1}
	for _, test := range []struct {
		last, current uint64
		want          []protocol.VlobNumber
	}{
		{0, 4, []protocol.VlobNumber{a, b}},
		{1, 4, []protocol.VlobNumber{a, b}},
		{2, 4, []protocol.VlobNumber{b, a}},
		{3, 4, []protocol.VlobNumber{a}},
		{4, 4, nil},
		{9, 9, nil},
		{1<<63 - 1, 1<<63 - 1, nil},
	} {
		got := must(c.poll(c.bob(), test.last))
		byVlob := map[parsec.VlobID]uint32{}
		for _, change := range got.Changes {
			byVlob[change.Vlob] = change.Version
		}
		wanted := map[parsec.VlobID]uint32{}
		for _, change := range test.want {
			wanted[change.Vlob] = change.Version
		}
		if got.CurrentCheckpoint != test.current || len(got.Changes) != len(test.want) || !reflect.DeepEqual(byVlob, wanted) {
			t.Errorf("after %d: got %+v", test.last, got)
		}
	}
}

// A vlob comes with dates that are not before those of its write, even when the realm
// has grown since.
func TestInvariant39NeededDates(t *testing.T) {
	c := newRealmCommand(t)
	c.createVlob("vlob", 1)
	c.growCommon()
	common := c.clock.now()
	c.forceRole(daveID, parsec.RoleReader)
	got := must(c.readBatch(c.bob(), nil, "vlob"))
	if got.NeededCommonCertificateTimestamp != common || got.NeededRealmCertificateTimestamp != c.clock.now() {
		t.Errorf("got %+v", got)
	}
}
