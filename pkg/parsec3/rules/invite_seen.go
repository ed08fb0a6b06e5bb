package rules

import (
	"slices"
	"sync"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

const (
	// maxViews bounds the attempts that are kept in view, maxViewBytes what is said in
	// one of them, and maxViewsBytes what is said in all.
	maxViews      = 8192
	maxViewBytes  = 64 << 10
	maxViewsBytes = 32 << 20
	// viewIdle is how long a view keeps its place that nobody asks for.
	viewIdle = 30 * time.Second
	// mostLag bounds how late events may be for a view to be trusted: a second or two, as
	// long as they come.
	mostLag = 10 * time.Second
	// readyPeriod is the least time between two GREETING_ATTEMPT_READY of an attempt.
	readyPeriod = 10 * time.Second
)

// greetings keeps the attempts that somebody polls in view: a poll asks the store only
// when something may have changed. Events of every instance say what has, those of
// this one before the command that causes them is answered. Only answers that leave
// everything as it is are given from a view; a refusal is made of fresh facts.
type greetings struct {
	now func() parsec.DateTime
	// lag is that of the store.
	lag func() time.Duration

	mu sync.Mutex
	// views are those of an attempt, by who has it in view: a device of the greeter, or
	// the claimer, who has none.
	views map[attemptKey]map[parsec3.DeviceID]*view
	count int
	bytes int
	// devices and tokens are who has one of the views.
	devices map[deviceKey]*view
	tokens  map[tokenKey]*view
	// loads are the views that are being read.
	loads map[*load]struct{}
	// ready is when greeters were last told that a claimer waits.
	ready map[attemptKey]parsec.DateTime
}

type (
	attemptKey struct {
		organization parsec.OrganizationID
		attempt      parsec3.GreetingAttemptID
	}
	tokenKey struct {
		organization parsec.OrganizationID
		token        parsec3.AccessToken
	}
)

// view is an attempt as it was found. It never changes, but for used.
type view struct {
	Greeting
	// standing is that of the greeter's device.
	standing Standing
	device   parsec3.DeviceID
	// used is when somebody last asked for it. The mutex of greetings guards it.
	used parsec.DateTime
	// changed is closed when something else may hold; nil if nobody would tell, as the view
	// was not kept for others.
	changed chan struct{}
}

// load is a view that is being read. It is stale if something has changed meanwhile, or
// the attempt has come to a later version than the one that is read.
type load struct {
	of      attemptKey
	stale   bool
	version uint64
}

func newGreetings(now func() parsec.DateTime, lag func() time.Duration) *greetings {
	return &greetings{
		now:     now,
		lag:     lag,
		views:   map[attemptKey]map[parsec3.DeviceID]*view{},
		devices: map[deviceKey]*view{},
		tokens:  map[tokenKey]*view{},
		loads:   map[*load]struct{}{},
		ready:   map[attemptKey]parsec.DateTime{},
	}
}

// isOver reports whether something else may hold by now.
func (v *view) isOver() bool {
	select {
	case <-v.changed:
		return true
	default:
		return false
	}
}

// use returns a view, which may be nil, unless it cannot be trusted. The caller holds mu.
func (g *greetings) use(v *view) *view {
	if v == nil || g.lag() > mostLag {
		return nil
	}
	v.used = g.now()
	return v
}

// standing returns that of a device which has an attempt in view.
func (g *greetings) standing(organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.use(g.devices[deviceKey{organization, device}]); v != nil {
		return v.standing, true
	}
	return Standing{}, false
}

// invited returns the invitation of a claimer who has an attempt in view.
func (g *greetings) invited(organization parsec.OrganizationID, token parsec3.AccessToken) (InvitedStanding, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.use(g.tokens[tokenKey{organization, token}]); v != nil {
		return v.InvitedStanding, true
	}
	return InvitedStanding{}, false
}

// look returns a view, nil if there is none that can be trusted.
func (g *greetings) look(of attemptKey, device parsec3.DeviceID) *view {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.use(g.views[of][device])
}

// read makes a view of what the store has, and keeps it if others may want it.
func (g *greetings) read(of attemptKey, device parsec3.DeviceID, ask func() (Standing, Greeting, error)) (*view, error) {
	l := &load{of: of}
	g.mu.Lock()
	g.loads[l] = struct{}{}
	g.mu.Unlock()
	standing, greeting, err := ask()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.loads, l)
	if err != nil {
		return nil, err
	}
	v := &view{Greeting: greeting, standing: standing, device: device, used: g.now()}
	switch {
	case l.stale, v.Attempt != nil && v.Attempt.Version < l.version:
		v.changed = make(chan struct{})
		close(v.changed)
	case v.isWanted() && g.makeRoom(v.size()):
		v.changed = make(chan struct{})
		g.put(of, v)
	}
	return v, nil
}

// isWanted reports whether somebody will poll the attempt.
func (v *view) isWanted() bool {
	return v.Invitation != nil && v.Attempt != nil && v.Attempt.Cancelled == nil && v.Greeter.RevokedOn == nil &&
		v.Attempt.Invitation == v.Invitation.Token && v.Invitation.Status() == protocol.InvitationPending &&
		(v.device == (parsec3.DeviceID{}) || v.standing.User != nil && v.standing.User.ID == v.Attempt.Greeter) &&
		v.size() <= maxViewBytes
}

// size is that of what was said, in bytes.
func (v *view) size() int {
	size := 0
	for _, said := range slices.Concat(v.GreeterSaid, v.ClaimerSaid) {
		size += len(said)
	}
	return size
}

// makeRoom reports whether there is room for another view of so many bytes. What nobody
// has asked for in a while is left by who polled it. The caller holds mu.
func (g *greetings) makeRoom(size int) bool {
	hasRoom := func() bool { return g.count < maxViews && g.bytes+size <= maxViewsBytes }
	if !hasRoom() {
		g.dropIf(func(_ attemptKey, v *view) bool { return g.now().Sub(v.used) >= viewIdle })
	}
	return hasRoom()
}

// put keeps a view, in place of one that there was. The caller holds mu.
func (g *greetings) put(of attemptKey, v *view) {
	if before := g.views[of][v.device]; before != nil {
		g.drop(of, before)
	}
	if g.views[of] == nil {
		g.views[of] = map[parsec3.DeviceID]*view{}
	}
	g.views[of][v.device] = v
	g.count++
	g.bytes += v.size()
	if v.device != (parsec3.DeviceID{}) {
		g.devices[deviceKey{of.organization, v.device}] = v
	} else {
		g.tokens[tokenKey{of.organization, v.Invitation.Token}] = v
	}
}

// drop forgets a view. The caller holds mu.
func (g *greetings) drop(of attemptKey, v *view) {
	close(v.changed)
	g.count--
	g.bytes -= v.size()
	delete(g.views[of], v.device)
	if len(g.views[of]) == 0 {
		delete(g.views, of)
	}
	if key := (deviceKey{of.organization, v.device}); g.devices[key] == v {
		delete(g.devices, key)
	}
	if key := (tokenKey{of.organization, v.Invitation.Token}); g.tokens[key] == v {
		delete(g.tokens, key)
	}
}

// dropIf forgets some views. The caller holds mu.
func (g *greetings) dropIf(isOver func(of attemptKey, v *view) bool) {
	for of, views := range g.views {
		for _, v := range views {
			if isOver(of, v) {
				g.drop(of, v)
			}
		}
	}
}

// forget drops some views, and has none kept that is being read.
func (g *greetings) forget(isOver func(of attemptKey, v *view) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l := range g.loads {
		l.stale = true
	}
	g.dropIf(isOver)
}

// record takes note of an event of any instance. It may come twice, and late: an
// attempt says by its version what a view knows already.
func (g *greetings) record(e event.Event) {
	ofUser := func(user parsec3.UserID) func(attemptKey, *view) bool {
		return func(of attemptKey, v *view) bool { return of.organization == e.Organization && v.concerns(user) }
	}
	switch body := e.Body.(type) {
	case notice.GreetingStepSaid:
		g.said(attemptKey{e.Organization, body.Attempt}, body)
	case notice.GreetingAttemptChanged:
		g.changed(attemptKey{e.Organization, body.Attempt}, body.Version)
	case notice.GreetingAttemptReady:
		g.markReady(attemptKey{e.Organization, body.Attempt})
	case notice.Invitation:
		if body.Status != protocol.InvitationPending {
			g.forget(func(of attemptKey, v *view) bool {
				return of.organization == e.Organization && v.Invitation.Token == body.Token
			})
		}
	case notice.UserUpdated:
		g.forget(ofUser(body.User))
	case notice.UserRevokedOrFrozen:
		g.forget(ofUser(body.User))
	case notice.UserUnfrozen:
		g.forget(ofUser(body.User))
	case event.OrganizationExpiration, event.OrganizationTOSUpdated:
		g.forget(func(of attemptKey, _ *view) bool { return of.organization == e.Organization })
	case event.Lost, event.Resumed:
		g.forget(func(attemptKey, *view) bool { return true })
	}
}

// concerns reports whether a view depends on a user.
func (v *view) concerns(user parsec3.UserID) bool {
	return v.Attempt.Greeter == user || v.Invitation.Claimer.User == user
}

// changed forgets the views of an attempt that are of a version before.
func (g *greetings) changed(of attemptKey, version uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaitVersion(of, version)
	for _, v := range g.views[of] {
		if v.Attempt.Version < version {
			g.drop(of, v)
		}
	}
}

// awaitVersion has what is being read of an attempt be of a version at least. The caller
// holds mu.
func (g *greetings) awaitVersion(of attemptKey, version uint64) {
	for l := range g.loads {
		if l.of == of {
			l.version = max(l.version, version)
		}
	}
}

// said brings the views of an attempt up to date.
func (g *greetings) said(of attemptKey, body notice.GreetingStepSaid) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.awaitVersion(of, body.Version)
	for _, v := range g.views[of] {
		switch {
		case v.Attempt.Version >= body.Version:
		case v.Attempt.Version+1 < body.Version, body.Said == nil,
			v.size()+len(body.Said) > maxViewBytes, g.bytes+len(body.Said) > maxViewsBytes:
			g.drop(of, v)
		default:
			next := &view{Greeting: v.with(body.Side, int(body.Step), body.Said), standing: v.standing, device: v.device, used: v.used, changed: make(chan struct{})}
			g.put(of, next)
		}
	}
}

// with returns the greeting once a side has said something more.
func (g Greeting) with(side protocol.Side, step int, said []byte) Greeting {
	attempt := *g.Attempt
	attempt.Version++
	g.Attempt = &attempt
	of := &g.ClaimerSaid
	if side == protocol.Greeter {
		of = &g.GreeterSaid
	}
	list := make([][]byte, max(len(*of), step+1))
	copy(list, *of)
	list[step] = said
	*of = list
	return g
}

// markReady notes that a greeter is told now that the claimer waits.
func (g *greetings) markReady(of attemptKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if len(g.ready) >= maxViews {
		for key, on := range g.ready {
			if now.Sub(on) >= readyPeriod {
				delete(g.ready, key)
			}
		}
	}
	g.ready[of] = now
}

// isReadyDue reports whether the greeter is to be told again.
func (g *greetings) isReadyDue(of attemptKey) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	on, told := g.ready[of]
	return !told || g.now().Sub(on) >= readyPeriod
}
