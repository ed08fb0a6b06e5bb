package rules_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// impatient rules hold nothing.
var impatient = withOptions(func(o *rules.Options) { o.Patience = time.Nanosecond })

// fadingStore is out of reach when a test says so.
type fadingStore struct {
	rules.Store
	// before stands before a transaction, and after behind one that is committed.
	before, after func() error
}

func (s *fadingStore) Update(ctx context.Context, scope rules.Scope, rule func(rules.Tx) error) error {
	if s.before != nil {
		if err := s.before(); err != nil {
			return err
		}
	}
	err := s.Store.Update(ctx, scope, rule)
	if err == nil && s.after != nil {
		err = s.after()
	}
	return err
}

func errOutage() error { return fmt.Errorf("lost: %w", outage.ErrUnavailable) }

// awayFor is out of reach from now on, for a while.
func awayFor(lasts time.Duration) func() error {
	begin := time.Now()
	return func() error {
		if time.Since(begin) < lasts {
			return errOutage()
		}
		return nil
	}
}

// once fails the first time.
func once(failure error) func() error {
	return func() error {
		err := failure
		failure = nil
		return err
	}
}

// held is a command of bob on a store that may fade, in a bubble.
type held struct {
	realmCommand
	fading *fadingStore
}

func newHeld(t *testing.T, changes ...func(*setup)) *held {
	h := &held{}
	h.realmCommand = newRealmCommand(t, append(changes, inMemory, func(s *setup) {
		open := s.store
		s.store = func(t testing.TB, bus *event.Bus) rules.Store {
			h.fading = &fadingStore{Store: open(t, bus)}
			return h.fading
		}
	})...)
	h.createVlob("old", 1)
	h.events.take()
	return h
}

// heldCommands are those that clients cannot have refused.
var heldCommands = map[string]func(h *held) error{
	"vlob_create": func(h *held) error { return failure(h.VlobCreate(h.t.Context(), h.bob(), h.vlobCreation("new"))) },
	"vlob_update": func(h *held) error { return failure(h.VlobUpdate(h.t.Context(), h.bob(), h.vlobUpdate("old", 2))) },
	"block_create": func(h *held) error {
		return failure(h.BlockCreate(h.t.Context(), h.bob(), h.blockCreation("new", "block")))
	},
}

// inBubbles runs a test of each command in a bubble.
func inBubbles(t *testing.T, test func(t *testing.T, run func(h *held) error)) {
	for name, run := range heldCommands {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, run) })
		})
	}
}

// While the state is out of reach, uploads are held: they succeed once it is back.
func TestUploadsAreHeld(t *testing.T) {
	inBubbles(t, func(t *testing.T, run func(h *held) error) {
		h := newHeld(t)
		begin := time.Now()
		h.fading.before = awayFor(40 * time.Second)
		h.ok(nil, run(h))
		if lasted := time.Since(begin); lasted < 40*time.Second || lasted > 43*time.Second {
			t.Errorf("lasted %s", lasted)
		}
		begin = time.Now()
		h.fading.before = errOutage
		if err := run(h); !errors.Is(err, outage.ErrUnavailable) || time.Since(begin) != outage.Patience {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}

// When the answer of a commit is lost, the command has succeeded, and once.
func TestUploadsWhoseCommitIsLost(t *testing.T) {
	inBubbles(t, func(t *testing.T, run func(h *held) error) {
		h := newHeld(t)
		commits := 0
		h.fading.after = func() error { // loses the first answer of each, as a reservation is committed too
			if commits++; commits%2 == 1 {
				return errOutage()
			}
			return nil
		}
		h.ok(nil, run(h))
		h.fading.after = nil
		if again := run(h); status(nil, again) == protocol.StatusOK {
			t.Error("what is sent again is stored again")
		}
		vlobs := 0
		for _, body := range h.events.bodies() {
			if fmt.Sprintf("%T", body) == "notice.Vlob" {
				vlobs++
			}
		}
		if vlobs > 1 {
			t.Errorf("%d events", vlobs)
		}
	})
}

// What others have stored meanwhile is theirs.
func TestHeldUploadsLose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			run       func(h *held) error
			meanwhile func(h *held)
			want      protocol.Status
		}{
			"vlob_create": {heldCommands["vlob_create"], func(h *held) {
				other := h.vlobCreation("new")
				h.ok(h.VlobCreate(h.t.Context(), h.alice(), other))
			}, protocol.StatusVlobAlreadyExists},
			"vlob_create, of another content": {heldCommands["vlob_create"], func(h *held) {
				other := h.vlobCreation("new")
				other.Blob = []byte("other")
				h.ok(h.VlobCreate(h.t.Context(), h.bob(), other))
			}, protocol.StatusVlobAlreadyExists},
			"vlob_update": {heldCommands["vlob_update"], func(h *held) {
				h.ok(h.VlobUpdate(h.t.Context(), h.alice(), h.vlobUpdate("old", 2)))
			}, protocol.StatusBadVlobVersion},
			"block_create": {heldCommands["block_create"], func(h *held) {
				h.ok(h.BlockCreate(h.t.Context(), h.alice(), h.blockCreation("new", "other")))
			}, protocol.StatusBlockAlreadyExists},
			"archived": {heldCommands["vlob_create"], func(h *held) {
				h.forceArchiving(parsec.ArchivingArchived)
			}, protocol.StatusRealmArchived},
		} {
			h := newHeld(t)
			h.fading.before = func() error {
				h.fading.before = nil
				test.meanwhile(h)
				return errOutage()
			}
			if got := status(nil, test.run(h)); got != test.want {
				t.Errorf("%s: got %s, want %s", name, got, test.want)
			}
		}
	})
}

// A version that was stored before its answer was lost stays, whatever comes after.
func TestLostCommitBeforeTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t)
		h.fading.after = func() error {
			h.fading.after = nil
			h.forceArchiving(parsec.ArchivingArchived)
			return errOutage()
		}
		h.ok(nil, heldCommands["vlob_create"](h))
	})
}

// Other commands are answered at once.
func TestOtherCommandsAreNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t)
		rotation, share := h.keyRotation(h.alice()), h.roleChange(h.alice(), h.realm, carolID, parsec.RoleReader)
		h.fading.before = errOutage
		begin := time.Now()
		for name, err := range map[string]error{
			"realm_rotate_key": failure(h.RealmRotateKey(t.Context(), h.alice(), rotation.request())),
			"realm_share":      failure(h.RealmShare(t.Context(), h.alice(), share.shareRequest())),
		} {
			if !errors.Is(err, outage.ErrUnavailable) || time.Since(begin) != 0 {
				t.Errorf("%s: after %s: %v", name, time.Since(begin), err)
			}
		}
	})
}

// sequesteredCommands are those that webhooks are asked about.
func sequesteredCommands(c *realmCommand) []func() error {
	return []func() error{
		func() error { return failure(c.VlobCreate(c.t.Context(), c.bob(), c.vlobCreation("new"))) },
		func() error { return failure(c.VlobUpdate(c.t.Context(), c.bob(), c.vlobUpdate("old", 2))) },
		func() error {
			return failure(c.RealmRotateKey(c.t.Context(), c.alice(), c.keyRotation(c.alice()).request()))
		},
	}
}

// answering has both questions answered alike.
func (w *webhooks) answering(answer func(id parsec.SequesterServiceID) error) {
	w.vlob = func(_ context.Context, service rules.SequesterService, _ *rules.VlobQuestion) error {
		return answer(service.ID)
	}
	w.keyRotation = func(_ context.Context, service rules.SequesterService, _ *rules.KeyRotationQuestion) error {
		return answer(service.ID)
	}
}

// An absent webhook is asked again, one that has accepted is not, and one that refuses
// has the last word.
func TestAbsentWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newRealmCommand(t, sequestered, inMemory)
		c.createVlob("old", 1)
		second := parsec.SequesterServiceID(namedID("service", "second"))
		c.createService(webhookID, "https://example.com/1")
		c.createService(second, "https://example.com/2")
		for name, run := range sequesteredCommands(&c) {
			begin, asked := time.Now(), map[parsec.SequesterServiceID]int{}
			c.webhooks.answering(func(id parsec.SequesterServiceID) error {
				asked[id]++
				c.facts() // nothing is locked meanwhile
				if id == second {
					return protocol.RefuseWithoutSequester(id)
				}
				return nil
			})
			var refused *protocol.Refusal
			if err := run(); !errors.As(err, &refused) || refused.Status != protocol.StatusSequesterServiceUnavailable {
				t.Errorf("command %d, absent: %v", name, err)
			}
			if lasted := time.Since(begin); lasted != outage.Patience || asked[webhookID] != 1 || asked[second] < 15 {
				t.Errorf("command %d, absent: %s, asked %v", name, lasted, asked)
			}
			begin = time.Now()
			c.webhooks.answering(func(id parsec.SequesterServiceID) error { return protocol.RefuseForSequester(id, nil) })
			if err := run(); !errors.As(err, &refused) || refused.Status != protocol.StatusRejectedBySequesterService || time.Since(begin) != 0 {
				t.Errorf("command %d, rejected: %v after %s", name, err, time.Since(begin))
			}
			c.webhooks.answering(func(id parsec.SequesterServiceID) error {
				if time.Since(begin) < 20*time.Second {
					return protocol.RefuseWithoutSequester(id)
				}
				return nil
			})
			c.ok(nil, run())
			if lasted := time.Since(begin); lasted < 20*time.Second || lasted > 23*time.Second {
				t.Errorf("command %d, back: %s", name, lasted)
			}
		}
	})
}

// A webhook that has accepted is not asked again when the state is out of reach then.
func TestConsentOutlastsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t, sequestered)
		h.createService(webhookID, "https://example.com/")
		asked := 0
		h.webhooks.answering(func(parsec.SequesterServiceID) error {
			asked++
			h.fading.before = once(errOutage())
			return nil
		})
		h.ok(nil, heldCommands["vlob_create"](h))
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// inDoubt looks for a vlob that is not there.
func (c *realmCommand) inDoubt(author *rules.Author) bool {
	c.t.Helper()
	_, err := c.readBatch(author, nil, "missing")
	if err != nil && !errors.Is(err, rules.UploadInDoubt) {
		c.t.Fatal(err)
	}
	return err != nil
}

// For a minute after a failed upload its device, and no other, is told to look again
// for one vlob that is not there.
func TestUploadInDoubt(t *testing.T) {
	c := newRealmCommand(t)
	c.createVlob("old", 1)
	if c.inDoubt(c.bob()) {
		t.Error("in doubt before")
	}
	c.UploadFailed(acme, bobLaptop)
	c.clock.advance(59 * time.Second)
	if !c.inDoubt(c.bob()) || c.inDoubt(c.alice()) || !c.HasFailedUploads() {
		t.Error("not bob alone is in doubt")
	}
	for name, test := range map[string]struct {
		at    *parsec.DateTime
		names []string
	}{
		"a vlob that is there": {nil, []string{"old"}},
		"two vlobs":            {nil, []string{"missing", "missing"}},
		"none":                 {nil, nil},
		"the past":             {new(c.clock.now()), []string{"missing"}},
	} {
		if _, err := c.readBatch(c.bob(), test.at, test.names...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.clock.advance(time.Second) // The answer of doubt has not prolonged it.
	if c.inDoubt(c.bob()) || c.HasFailedUploads() {
		t.Error("in doubt after a minute")
	}
	end := c.BeginUpload()
	if !c.HasFailedUploads() {
		t.Error("what runs at the end has not failed")
	}
	if end(); c.HasFailedUploads() {
		t.Error("what has ended has failed")
	}
	c.UploadFailed(acme, bobLaptop)
	c.forceRole(bobID, parsec.RoleReader)
	if c.inDoubt(c.bob()) {
		t.Error("who may not write is in doubt")
	}
	c.forceRole(bobID, parsec.RoleContributor)
	c.forceArchiving(parsec.ArchivingArchived)
	if c.inDoubt(c.bob()) {
		t.Error("in doubt in an archived realm")
	}
}

// Every device is in doubt for a minute after an instance vanished.
func TestVanishedInstance(t *testing.T) {
	c := newRealmCommand(t)
	c.bus.Publish([]event.Event{{Body: event.InstanceVanished{On: c.clock.now()}}})
	c.events.flush()
	c.clock.advance(59 * time.Second)
	if !c.inDoubt(c.bob()) || !c.inDoubt(c.alice()) {
		t.Error("not in doubt")
	}
	c.clock.advance(time.Second)
	if c.inDoubt(c.bob()) {
		t.Error("in doubt after a minute")
	}
}

// The other instances are told of a failed upload, once the state is back.
func TestFailedUploadsAreTold(t *testing.T) {
	c := newRealmCommand(t)
	publishing := &mutedStore{Store: c.store, muted: true}
	one := rules.New(publishing, c.blocks, c.bus, c.webhooks, c.clock.now, discard, rules.Options{})
	one.UploadFailed(acme, bobLaptop)
	one.TellFailedUploads(t.Context())
	c.events.flush()
	if c.inDoubt(c.bob()) {
		t.Fatal("the other instance is told although the state is out of reach")
	}
	publishing.muted = false
	c.clock.advance(30 * time.Second)
	one.TellFailedUploads(t.Context())
	c.events.flush()
	if !c.inDoubt(c.bob()) || c.inDoubt(c.alice()) {
		t.Error("not bob alone is in doubt")
	}
	c.clock.advance(30 * time.Second)
	if c.inDoubt(c.bob()) {
		t.Error("a failure lasts from when it was told")
	}
	publishing.told = 0
	one.UploadFailed(acme, bobLaptop)
	c.clock.advance(time.Minute)
	one.TellFailedUploads(t.Context())
	if publishing.told != 0 {
		t.Error("told of what is over")
	}
}

type mutedStore struct {
	rules.Store
	muted bool
	told  int
}

func (s *mutedStore) Publish(ctx context.Context, e event.Event) error {
	if s.muted {
		return errOutage()
	}
	s.told++
	return s.Store.Publish(ctx, e)
}

// Failures take no more memory than that of a bound: who does not fit is not forgotten,
// but taken for any device.
func TestFailedUploadsAreBounded(t *testing.T) {
	c := newRealmCommand(t)
	for i := range 1 << 14 {
		c.UploadFailed(acme, parsec3.DeviceID(namedID("device", fmt.Sprint("stranger ", i))))
	}
	if c.inDoubt(c.bob()) {
		t.Error("in doubt while there is room")
	}
	c.clock.advance(30 * time.Second)
	c.UploadFailed(acme, aliceLaptop)
	if !c.inDoubt(c.bob()) || !c.inDoubt(c.alice()) {
		t.Error("not in doubt")
	}
	c.clock.advance(30 * time.Second)
	if c.inDoubt(c.bob()) || !c.inDoubt(c.alice()) {
		t.Error("not alice alone is in doubt")
	}
}
