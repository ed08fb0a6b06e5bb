package rules_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// vlobID returns the id of the vlob with the name.
func vlobID(name string) parsec.VlobID { return parsec.VlobID(namedID("vlob", name)) }

func (c *realmCommand) vlobCreation(name string) *protocol.VlobCreateRequest {
	return &protocol.VlobCreateRequest{
		RealmID: c.realm, VlobID: vlobID(name), KeyIndex: 1, Timestamp: c.clock.now(), Blob: []byte(name + " v1"),
	}
}

func (c *realmCommand) vlobUpdate(name string, version uint32) *protocol.VlobUpdateRequest {
	return &protocol.VlobUpdateRequest{
		RealmID: c.realm, VlobID: vlobID(name), KeyIndex: 1, Timestamp: c.clock.now(), Version: version,
		Blob: fmt.Appendf(nil, "%s v%d", name, version),
	}
}

// createVlob has bob write versions of a vlob, a second each.
func (c *realmCommand) createVlob(name string, versions uint32) {
	c.t.Helper()
	c.ok(c.VlobCreate(c.t.Context(), c.bob(), c.vlobCreation(name)))
	c.clock.advance(time.Second)
	for version := uint32(2); version <= versions; version++ {
		c.ok(c.VlobUpdate(c.t.Context(), c.bob(), c.vlobUpdate(name, version)))
		c.clock.advance(time.Second)
	}
}

func (c *realmCommand) readBatch(author *rules.Author, at *parsec.DateTime, names ...string) (*protocol.VlobReadBatchReply, error) {
	request := &protocol.VlobReadBatchRequest{RealmID: c.realm, At: at}
	for _, name := range names {
		request.Vlobs = append(request.Vlobs, vlobID(name))
	}
	return c.VlobReadBatch(c.t.Context(), author, request)
}

func (c *realmCommand) poll(author *rules.Author, checkpoint uint64) (*protocol.VlobPollChangesReply, error) {
	return c.VlobPollChanges(c.t.Context(), author, &protocol.VlobPollChangesRequest{RealmID: c.realm, LastCheckpoint: checkpoint})
}

// blobs are what a reading returns, as texts.
func blobs(items []protocol.VlobItem) []string {
	texts := make([]string, len(items))
	for i := range items {
		texts[i] = string(items[i].Blob)
	}
	return texts
}

// vlobCreate has bob create a vlob, in an organization with a webhook.
type vlobCreate struct {
	realmCommand
	*protocol.VlobCreateRequest
}

func newVlobCreate(t *testing.T) *vlobCreate {
	c := newRealmCommand(t, sequestered)
	c.createService(webhookID, "https://example.com/")
	c.events.take()
	c.author = c.bob()
	return &vlobCreate{c, c.vlobCreation("new")}
}

func (s *vlobCreate) run() error {
	return failure(s.VlobCreate(s.t.Context(), s.author, s.VlobCreateRequest))
}

func (c *realmCommand) rejectVlobs() {
	c.webhooks.vlob = func(_ context.Context, service rules.SequesterService, _ *rules.VlobQuestion) error {
		return protocol.RefuseForSequester(service.ID, new("virus"))
	}
}

func (c *realmCommand) loseVlobWebhook() {
	c.webhooks.vlob = func(_ context.Context, service rules.SequesterService, _ *rules.VlobQuestion) error {
		return protocol.RefuseWithoutSequester(service.ID)
	}
}

func TestVlobCreateTable(t *testing.T) {
	checkTable(t, "vlob_create", newVlobCreate, realmRows([]row[*vlobCreate]{
		{"1", "unknown realm", func(s *vlobCreate) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"2", "deleted", func(s *vlobCreate) { s.delete() }, protocol.StatusRealmDeleted},
		{"3", "archived", func(s *vlobCreate) { s.forceArchiving(parsec.ArchivingArchived) }, protocol.StatusRealmArchived},
		{"4", "READER", func(s *vlobCreate) { s.forceRole(bobID, parsec.RoleReader) }, protocol.StatusAuthorNotAllowed},
		{"5", "another key index", func(s *vlobCreate) { s.KeyIndex = 2 }, protocol.StatusBadKeyIndex},
		{"6", "exists", func(s *vlobCreate) { s.createVlob("old", 1); s.VlobID = vlobID("old") }, protocol.StatusVlobAlreadyExists},
		{"7", "too late", func(s *vlobCreate) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"8", "not after C", func(s *vlobCreate) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
		{"9", "rejected", func(s *vlobCreate) { s.rejectVlobs() }, protocol.StatusRejectedBySequesterService},
		{"9", "no answer", func(s *vlobCreate) { s.loseVlobWebhook() }, protocol.StatusSequesterServiceUnavailable},
	}), append(standingApart, [2]string{"unknown realm", "deleted"}, [2]string{"rejected", "no answer"})...)
}

// vlobUpdate has bob write the third version of a vlob.
type vlobUpdate struct {
	realmCommand
	*protocol.VlobUpdateRequest
}

func newVlobUpdate(t *testing.T) *vlobUpdate {
	c := newRealmCommand(t, sequestered)
	c.createService(webhookID, "https://example.com/")
	c.createVlob("old", 2)
	c.events.take()
	c.author = c.bob()
	return &vlobUpdate{c, c.vlobUpdate("old", 3)}
}

func (s *vlobUpdate) run() error {
	return failure(s.VlobUpdate(s.t.Context(), s.author, s.VlobUpdateRequest))
}

func TestVlobUpdateTable(t *testing.T) {
	checkTable(t, "vlob_update", newVlobUpdate, realmRows([]row[*vlobUpdate]{
		{"1", "unknown realm", func(s *vlobUpdate) { s.RealmID = realmID("unknown") }, protocol.StatusRealmNotFound},
		{"2", "deleted", func(s *vlobUpdate) { s.delete() }, protocol.StatusRealmDeleted},
		{"3", "archived", func(s *vlobUpdate) { s.forceArchiving(parsec.ArchivingDeletionPlanned) }, protocol.StatusRealmArchived},
		{"4", "no role", func(s *vlobUpdate) { s.forceRole(bobID, parsec.RoleNone) }, protocol.StatusAuthorNotAllowed},
		{"5", "another key index", func(s *vlobUpdate) { s.KeyIndex = 0 }, protocol.StatusBadKeyIndex},
		{"6", "unknown vlob", func(s *vlobUpdate) { s.VlobID = vlobID("unknown") }, protocol.StatusVlobNotFound},
		{"7", "version taken", func(s *vlobUpdate) { s.Version = 2 }, protocol.StatusBadVlobVersion},
		{"8", "too late", func(s *vlobUpdate) { s.Timestamp = s.clock.now().Add(tooLate) }, protocol.StatusTimestampOutOfBallpark},
		{"9", "not after C", func(s *vlobUpdate) { s.growCommon() }, protocol.StatusRequireGreaterTimestamp},
		{"10", "rejected", func(s *vlobUpdate) { s.rejectVlobs() }, protocol.StatusRejectedBySequesterService},
		{"10", "no answer", func(s *vlobUpdate) { s.loseVlobWebhook() }, protocol.StatusSequesterServiceUnavailable},
	}), append(standingApart, [2]string{"unknown realm", "deleted"}, [2]string{"rejected", "no answer"})...)
}

func TestVlobVersions(t *testing.T) {
	for version, want := range map[uint32]protocol.Status{
		0: protocol.StatusBadVlobVersion, 1: protocol.StatusBadVlobVersion, 2: protocol.StatusBadVlobVersion,
		3: protocol.StatusOK, 4: protocol.StatusBadVlobVersion, 1<<32 - 1: protocol.StatusBadVlobVersion,
	} {
		s := newVlobUpdate(t)
		s.Version = version
		if got := status(nil, s.run()); got != want {
			t.Errorf("version %d: got %s, want %s", version, got, want)
		}
	}
}

// Who may write, in which realm, under which key.
func TestVlobWriters(t *testing.T) {
	for role, want := range map[parsec.RealmRole]protocol.Status{
		parsec.RoleNone: protocol.StatusAuthorNotAllowed, parsec.RoleReader: protocol.StatusAuthorNotAllowed,
		parsec.RoleContributor: protocol.StatusOK, parsec.RoleManager: protocol.StatusOK, parsec.RoleOwner: protocol.StatusOK,
	} {
		s := newVlobUpdate(t)
		s.forceRole(bobID, role)
		s.Timestamp++
		s.Timestamp++
		if got := status(nil, s.run()); got != want {
			t.Errorf("%q updates: got %s, want %s", role, got, want)
		}
		creation := s.vlobCreation("new")
		creation.Timestamp++
		if got := status(s.VlobCreate(t.Context(), s.bob(), creation)); got != want {
			t.Errorf("%q creates: got %s, want %s", role, got, want)
		}
	}
}

// A realm without key is written under key index 0, and no other.
func TestVlobsWithoutKey(t *testing.T) {
	c := newRealmCommand(t)
	c.realm = realmID("new")
	c.createRealm(c.alice(), c.realm)
	creation := c.vlobCreation("new")
	c.checkAsOfRealm(failure(c.VlobCreate(t.Context(), c.alice(), creation)), protocol.StatusBadKeyIndex)
	creation.KeyIndex = 0
	c.ok(c.VlobCreate(t.Context(), c.alice(), creation))
	update := c.vlobUpdate("new", 2)
	c.checkAsOfRealm(failure(c.VlobUpdate(t.Context(), c.alice(), update)), protocol.StatusBadKeyIndex)
	update.KeyIndex = 0
	c.ok(c.VlobUpdate(t.Context(), c.alice(), update))
}

// The date to exceed is the later one of C and R; other vlobs do not matter, nor does
// the version before.
func TestVlobDates(t *testing.T) {
	for name, grow := range map[string]func(c *realmCommand){
		"C": func(c *realmCommand) { c.forceRole(daveID, parsec.RoleReader); c.growCommon() },
		"R": func(c *realmCommand) { c.growCommon(); c.forceRole(daveID, parsec.RoleReader) },
	} {
		t.Run(name, func(t *testing.T) {
			create := newVlobCreate(t)
			grow(&create.realmCommand)
			create.checkDate(&create.Timestamp, create.run)
			update := newVlobUpdate(t)
			grow(&update.realmCommand)
			update.checkDate(&update.Timestamp, update.run)
		})
	}
	s := newVlobUpdate(t)
	s.Timestamp = s.clock.now().Add(100 * time.Second)
	s.ok(nil, s.run())
	s.Version, s.Timestamp = 4, s.clock.now()
	s.ok(nil, s.run())
	creation := s.vlobCreation("new") // Of the same date.
	s.ok(s.VlobCreate(t.Context(), s.bob(), creation))
	if got := must(s.readBatch(s.bob(), nil, "old")); got.Items[0].Version != 4 || got.Items[0].CreatedOn != s.clock.now() {
		t.Errorf("got %+v", got.Items)
	}
}

// What a write leaves: the version, an event, and an entry of the log.
func TestVlobCreate(t *testing.T) {
	s := newVlobCreate(t)
	s.ok(nil, s.run())
	want := notice.Vlob{
		Realm: s.realm, Vlob: s.VlobID, Author: bobLaptop, Timestamp: s.Timestamp, Version: 1, Blob: []byte("new v1"),
		LastCommon: s.lastCommon(), LastCertificate: s.facts().Timestamp,
	}
	s.checkEvents(want)
	got := must(s.readBatch(s.alice(), nil, "new"))
	items := []protocol.VlobItem{{
		Vlob: s.VlobID, KeyIndex: 1, Author: bobLaptop, Version: 1, CreatedOn: s.Timestamp, Blob: []byte("new v1"),
	}}
	if !reflect.DeepEqual(got.Items, items) || got.NeededCommonCertificateTimestamp != want.LastCommon ||
		got.NeededRealmCertificateTimestamp != want.LastCertificate {
		t.Errorf("got %+v", got)
	}
	if got := s.facts(); got.Checkpoint != 1 || got.LastVlob != s.Timestamp {
		t.Errorf("got %+v", got)
	}
	update := s.vlobUpdate("new", 2)
	s.ok(s.VlobUpdate(t.Context(), s.alice(), update))
	want.Author, want.Version, want.Blob = aliceLaptop, 2, []byte("new v2")
	s.checkEvents(want)
}

// A blob that could be too long for the transport of events is left out.
func TestVlobEventLeavesLongBlobsOut(t *testing.T) {
	s := newVlobCreate(t)
	for version, size := range []int{0, 4095, 4096} {
		s.VlobID, s.Blob = vlobID(fmt.Sprint(version)), bytes.Repeat([]byte{1}, size)
		s.ok(nil, s.run())
		told := s.events.bodies()[0].(notice.Vlob).Blob
		if want := size < 4096; (told != nil) != want || want && !bytes.Equal(told, s.Blob) {
			t.Errorf("%d bytes: told %d, nil %t", size, len(told), told == nil)
		}
	}
}

// Two realms may have the same vlob; what is in one is not found in the other.
func TestVlobsOfTwoRealms(t *testing.T) {
	c := newRealmCommand(t)
	c.createVlob("vlob", 2)
	other := c
	other.realm = realmID("other")
	c.createRealm(c.alice(), other.realm)
	update := other.vlobUpdate("vlob", 3)
	update.KeyIndex = 0
	if got := status(c.VlobUpdate(t.Context(), c.alice(), update)); got != protocol.StatusVlobNotFound {
		t.Errorf("got %s", got)
	}
	if got := must(other.readBatch(c.alice(), nil, "vlob")); len(got.Items) != 0 {
		t.Errorf("got %+v", got.Items)
	}
	creation := other.vlobCreation("vlob")
	creation.KeyIndex = 0
	c.ok(c.VlobCreate(t.Context(), c.alice(), creation))
	if got := must(c.readBatch(c.alice(), nil, "vlob")); got.Items[0].Version != 2 {
		t.Errorf("got %+v", got.Items)
	}
}

// An id of zeros is one like another.
func TestVlobOfZeros(t *testing.T) {
	s := newVlobCreate(t)
	s.VlobID = parsec.VlobID{}
	s.ok(nil, s.run())
	if got := status(nil, s.run()); got != protocol.StatusVlobAlreadyExists {
		t.Errorf("got %s", got)
	}
	update := s.vlobUpdate("", 2)
	update.VlobID = parsec.VlobID{}
	s.ok(s.VlobUpdate(t.Context(), s.bob(), update))
}

// Of many who write one version at once, one does, and it is its version.
func TestInvariant35ConcurrentWrites(t *testing.T) {
	c := newRealmCommand(t)
	c.createVlob("old", 1)
	winners := make(chan string, 2)
	var creations, updates []func() error
	for i := range 8 {
		creation, update := c.vlobCreation("new"), c.vlobUpdate("old", 2)
		creation.Blob, update.Blob = fmt.Append(nil, "creation ", i), fmt.Append(nil, "update ", i)
		creations = append(creations, func() error {
			_, err := c.VlobCreate(t.Context(), c.bob(), creation)
			if err == nil {
				winners <- string(creation.Blob)
			}
			return err
		})
		updates = append(updates, func() error {
			_, err := c.VlobUpdate(t.Context(), c.alice(), update)
			if err == nil {
				winners <- string(update.Blob)
			}
			return err
		})
	}
	if got := parallel(creations...); got[protocol.StatusOK] != 1 || got[protocol.StatusVlobAlreadyExists] != 7 {
		t.Fatalf("create: got %v", got)
	}
	if got := parallel(updates...); got[protocol.StatusOK] != 1 || got[protocol.StatusBadVlobVersion] != 7 {
		t.Fatalf("update: got %v", got)
	}
	if got := blobs(must(c.readBatch(c.bob(), nil, "new", "old")).Items); got[0] != <-winners || got[1] != <-winners {
		t.Errorf("got %q", got)
	}
}

// All of many writers of a realm succeed, and the log has no gap.
func TestInvariant37Log(t *testing.T) {
	c := newRealmCommand(t)
	var calls []func() error
	for i := range 16 {
		creation := c.vlobCreation(fmt.Sprint(i))
		calls = append(calls, func() error { return failure(c.VlobCreate(t.Context(), c.bob(), creation)) })
	}
	if got := parallel(calls...); got[protocol.StatusOK] != 16 {
		t.Errorf("got %v", got)
	}
	if got := must(c.poll(c.bob(), 0)); got.CurrentCheckpoint != 16 || len(got.Changes) != 16 {
		t.Errorf("got %+v", got)
	}
}
