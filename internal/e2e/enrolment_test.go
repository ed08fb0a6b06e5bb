package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/rpc"
)

// TestEnrolments has people and devices enrolled, and a device recovered, by
// peers that act the moment they are answered, and whose connections are cut at
// random once they trust each other: whatever one says is heard by the other,
// though the invitation is finished meanwhile (docs/protocol/invite.md §4).
func TestEnrolments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	w.enrol(w)
}

// enrol has claimers on the server far, and greeters on w.
func (w *world) enrol(far *world) {
	each := 12
	if testkit.Long() { // five hundred a store and a transport
		each = 168
	}
	for _, way := range []struct {
		name     string
		versions []generation // in turn
	}{
		{"WebSocket", []generation{inAPI3, generations[2]}},
		{"HTTP", []generation{overHTTP}},
	} {
		w.t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			e := newEnrolments(t, w, far, way.versions)
			for _, kind := range []struct {
				name  string
				enrol func(e *enrolments, number int)
			}{{"USER", (*enrolments).user}, {"DEVICE", (*enrolments).device}, {"SHAMIR_RECOVERY", (*enrolments).recovery}} {
				t.Run(kind.name, func(t *testing.T) {
					t.Parallel()
					e := e.of(t)
					for number := range each {
						e.g = e.versions[number%len(e.versions)]
						kind.enrol(e, number)
					}
					t.Logf("%d enrolments, %d lost; %d of %d requests cut", each, e.lost, e.cuts, e.requests)
				})
			}
		})
	}
}

var overHTTP = generations[4]

// enrolments are those of one kind, one after the other.
type enrolments struct {
	near, far *world
	versions  []generation
	// g is how this one is done.
	g generation
	// alice is an administrator; bob has shared his key between alice and carol,
	// whose shares are those of shares.
	alice, bob, carol *parsec2.Device
	shares            map[parsec.UserID][]byte
	requests, cuts    int
	lost              int
}

// lose reports an enrolment that is lost.
func (e *enrolments) lose(format string, args ...any) {
	e.near.t.Helper()
	e.lost++
	e.near.t.Errorf(format, args...)
}

func newEnrolments(t *testing.T, near, far *world, versions []generation) *enrolments {
	e := &enrolments{near: near, far: far, versions: versions, g: versions[0]}
	e = e.of(t)
	e.alice = e.g.foundByREST(e.near, "Org"+parsec.NewUUID().Hex()[:8], "alice@laptop")
	alice := e.g.connect(e.near, e.alice)
	add := func(device string) *parsec2.Device {
		return e.g.addUser(e.near, e.g, alice, e.g.person(device), parsec.ProfileStandard)
	}
	e.bob, e.carol = add("bob@desk"), add("carol@desk")
	bob, carol := e.g.connect(e.near, e.bob), e.g.connect(e.near, e.carol)
	e.near.shareOut(bob, []*peer{alice, carol})
	e.shares = map[parsec.UserID][]byte{}
	for _, recipient := range []*peer{alice, carol} {
		held := ok(e.near, recipient, protocol.ShamirRecoveryOthersList, &protocol.ShamirRecoveryOthersListRequest{})
		share := must(certificate.LoadShamirShare(held.ShareCertificates[0], bob.device.VerifyKey(), e.bob.ID))
		e.shares[recipient.user()] = share.CipheredShare
	}
	return e
}

// of is for a test of its own, with enough time for all.
func (e *enrolments) of(t *testing.T) *enrolments {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	own, near, far := *e, *e.near, *e.far
	near.t, far.t = t, t
	near.ctx, far.ctx = ctx, ctx
	own.near, own.far = &near, &far
	return &own
}

// line is how one side of an enrolment is connected.
type line struct {
	parsec2.Transport
	w       *world
	dial    func() (parsec2.Transport, func(), error)
	hangUp  func()
	dialErr error
	// cuttable reports whether requests are cut at random.
	cuttable       bool
	requests, cuts int
}

func (l *line) connect() {
	if l.hangUp != nil {
		l.hangUp()
	}
	l.Transport, l.hangUp, l.dialErr = l.dial()
}

// lineOf returns the line of a device.
func (e *enrolments) lineOf(device *parsec2.Device) *line {
	l := &line{w: e.near, dial: func() (parsec2.Transport, func(), error) {
		if e.g.overHTTP {
			return e.near.client.AuthenticatedRPC(device, e.g.version), func() {}, nil
		}
		conn, err := e.near.client.DialAuthenticated(e.near.ctx, device, e.g.version)
		if err != nil {
			return nil, nil, err
		}
		return conn, conn.CloseNow, nil
	}}
	l.connect()
	return l
}

// lineTo returns the line of a claimer.
func (e *enrolments) lineTo(kind parsec.InvitationType, token parsec.InvitationToken) *line {
	address := e.far.Address.InvitationAddress(e.alice.Organization, kind, token)
	l := &line{w: e.far, dial: func() (parsec2.Transport, func(), error) {
		if e.g.overHTTP {
			return e.far.client.InvitedRPC(address, e.g.version), func() {}, nil
		}
		conn, err := e.far.client.DialInvited(e.far.ctx, address, e.g.version)
		if err != nil {
			return nil, nil, err
		}
		return conn, conn.CloseNow, nil
	}}
	l.connect()
	return l
}

// request sends a command until it is answered: again over a new connection
// whenever the one before is cut.
func request[Request, Reply any](l *line, command *rpc.Command[Request, Reply], request *Request) (*Reply, error) {
	for {
		if l.dialErr != nil {
			return nil, fmt.Errorf("connect: %w", l.dialErr)
		}
		ctx, cancel := l.w.ctx, context.CancelFunc(func() {})
		cut := l.cuttable && rand.IntN(2) == 0
		if cut {
			ctx, cancel = context.WithTimeout(ctx, rand.N(100*time.Microsecond<<rand.IntN(7)))
		}
		l.requests++
		reply, err := parsec2.Call(ctx, l.Transport, command, request)
		over := ctx.Err() != nil
		cancel()
		if cut { // The reply may have come before.
			l.connect()
		}
		if err == nil || !cut || !over || l.w.ctx.Err() != nil {
			return reply, err
		}
		l.cuts++
	}
}

// greet has a greeter come to trust its claimer, then say things, one after
// each that it hears. It finishes the invitation at once, if that is for it.
func (e *enrolments) greet(l *line, token parsec.InvitationToken, say func(heard string) (said string, goOn bool), finish bool) error {
	trust := func(testclient.Codes) error { return nil }
	if _, err := testclient.Greet(l.w.ctx, l.Transport, token, trust); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	l.cuttable = true
	heard := ""
	for said, goOn := say(heard); goOn; said, goOn = say(heard) {
		reply, err := request(l, protocol.Invite4GreeterCommunicate, &protocol.Invite4GreeterCommunicateRequest{Token: token, Payload: []byte(said)})
		if err != nil {
			return fmt.Errorf("say %q: %w", said, err)
		}
		heard = string(reply.Payload)
	}
	if !finish {
		return nil
	}
	return e.finish(l, token)
}

func (e *enrolments) finish(l *line, token parsec.InvitationToken) error {
	l.cuttable = false
	_, err := request(l, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationFinished})
	return err
}

// claim has a claimer come to trust a greeter, then say things.
func (e *enrolments) claim(l *line, greeter parsec.UserID, say ...string) (heard []string, err error) {
	trust := func(testclient.Codes) error { return nil }
	if l.dialErr != nil {
		return nil, l.dialErr
	}
	l.cuttable = false
	if _, err := testclient.Claim(l.w.ctx, l.Transport, greeter, trust); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	l.cuttable = true
	for _, said := range say {
		reply, err := request(l, protocol.Invite4ClaimerCommunicate, &protocol.Invite4ClaimerCommunicateRequest{
			ClaimerRequest: protocol.ClaimerRequest{GreeterUserID: greeter}, Payload: []byte(said),
		})
		if err != nil {
			return heard, fmt.Errorf("say %q after %q: %w", said, heard, err)
		}
		heard = append(heard, string(reply.Payload))
	}
	return heard, nil
}

// close hangs up, and counts.
func (e *enrolments) close(lines ...*line) {
	for _, l := range lines {
		if l.hangUp != nil {
			l.hangUp()
		}
		e.requests += l.requests
		e.cuts += l.cuts
	}
}

// through has a claimer ask for what create makes, and be welcomed.
func (e *enrolments) through(number int, invitation *protocol.InviteNewRequest, create func(alice *peer, name string)) {
	alice := e.g.connect(e.near, e.alice)
	if alice.conn != nil {
		defer alice.conn.CloseNow()
	}
	token := ok(e.near, alice, protocol.InviteNew, invitation).Token
	greeter, claimer := e.lineOf(e.alice), e.lineTo(invitation.Type, token)
	name := fmt.Sprintf("n%d", number)
	type outcome struct {
		heard []string
		err   error
	}
	claimed := make(chan outcome, 1)
	go func() {
		heard, err := e.claim(claimer, parsec.UserID{}, name, "")
		claimed <- outcome{heard, err}
	}()
	round := 0
	err := e.greet(greeter, token, func(heard string) (string, bool) {
		round++
		switch round {
		case 1:
			return "", true
		case 2:
			create(alice, heard)
			return "welcome " + heard, true
		default:
			return "", false
		}
	}, true)
	got := <-claimed
	if err != nil || got.err != nil || len(got.heard) != 2 || got.heard[1] != "welcome "+name {
		e.lose("%s %d is lost: the greeter: %v, the claimer: %q, %v", invitation.Type, number, err, got.heard, got.err)
	}
	e.close(greeter, claimer)
}

func (e *enrolments) user(number int) {
	invitation := &protocol.InviteNewRequest{Type: parsec.InvitationUser, ClaimerEmail: fmt.Sprintf("n%d@example.com", number)}
	e.through(number, invitation, func(alice *peer, name string) {
		createUser(e.near, e.g, alice, e.g.person(name+"@desk"), parsec.ProfileStandard)
	})
}

func (e *enrolments) device(number int) {
	e.through(number, &protocol.InviteNewRequest{Type: parsec.InvitationDevice}, func(alice *peer, name string) {
		createDevice(e.near, e.g, alice, deviceID("alice@"+name).Name())
	})
}

// recovery has bob's new device finish the invitation, the moment it has what
// it came for, whatever the two others still wait for.
func (e *enrolments) recovery(number int) {
	bob := e.g.connect(e.near, e.bob)
	if bob.conn != nil {
		defer bob.conn.CloseNow()
	}
	alice, carol := e.lineOf(e.alice), e.lineOf(e.carol)
	invited, err := request(alice, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationShamirRecovery, ClaimerUserID: e.bob.ID.User()})
	if err != nil {
		e.near.t.Fatal(err)
	}
	token := invited.Token
	claimer := e.lineTo(parsec.InvitationShamirRecovery, token)
	greeted := make(chan error, 2)
	for _, l := range []struct {
		line *line
		user parsec.UserID
	}{{alice, e.alice.ID.User()}, {carol, e.carol.ID.User()}} {
		go func() {
			rounds := 0
			greeted <- e.greet(l.line, token, func(string) (string, bool) {
				rounds++
				return string(e.shares[l.user]), rounds == 1
			}, false)
		}()
	}
	var shares [][]byte
	for _, recipient := range []parsec.UserID{e.carol.ID.User(), e.alice.ID.User()} {
		heard, err := e.claim(claimer, recipient, "")
		if err != nil {
			e.lose("recovery %d is lost: %v", number, err)
			return
		}
		shares = append(shares, []byte(heard[0]))
	}
	claimer.cuttable = false
	revealed, err := request(claimer, protocol.InviteShamirRecoveryReveal, &protocol.InviteShamirRecoveryRevealRequest{
		RevealToken: parsec.UUID(combine(shares)[:16]),
	})
	if err != nil || len(revealed.CipheredData) == 0 {
		e.lose("recovery %d is lost: %v", number, err)
		return
	}
	createDevice(e.near, e.g, bob, deviceID(fmt.Sprintf("bob@n%d", number)).Name())
	ok(e.near, bob, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationFinished})
	if err := errors.Join(<-greeted, <-greeted); err != nil {
		e.lose("recovery %d: the greeters: %v", number, err)
	}
	e.close(alice, carol, claimer)
}
