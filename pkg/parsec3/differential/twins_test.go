// Package differential has the rules answer the same on every store, whatever they
// are asked: random commands of many users and devices.
package differential

import (
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// twin is one of two servers that are asked the same.
type twin struct {
	*rules.Rules
	store  rules.Store
	bus    *event.Bus
	office postOffice
}

// certificateGet returns what a client is answered: nothing of a play is too long
// for a reply.
func (t *twin) certificateGet(ctx context.Context, author *rules.Author, request *protocol.CertificateGetRequest) (*protocol.CertificateGetReply, error) {
	reply, _, err := t.CertificateGet(ctx, author, request)
	return reply, err
}

// twins are two servers over stores of two kinds, with one clock. Commands are drawn
// at random, good ones more often than not, and both must answer the same.
type twins struct {
	*rapid.T
	ctx   context.Context
	sides [2]*twin
	// now is the clock of both, and clock the same for those who read it at any time.
	now   *parsec.DateTime
	clock *atomic.Int64
	// organization is of one play; the same ids stand for other things in others.
	organization parsec.OrganizationID
	// dice draw what a command is like.
	dice *rand.Rand
	// authority signs sequester services, nil where there is no sequester.
	authority *rsa.PrivateKey
	keys      sequesterKeys

	// devices are those that were created, in order.
	devices []parsec3.DeviceID
	// versions are those of the vlobs that were written.
	versions map[writtenVlob]uint32
	// required is what the last refusal for a date asked for.
	required parsec.DateTime
	// closed reports whether the organization is expired.
	closed bool
	// tokens are those of invitations, attempts those to greet, resets and opaqueKeys of
	// one-time passwords, secrets what those are made of.
	tokens     madeUp[parsec3.AccessToken]
	attempts   madeUp[parsec3.GreetingAttemptID]
	resets     madeUp[parsec3.TOTPResetTarget]
	opaqueKeys madeUp[playKey]
	secrets    [2]map[parsec3.UserID][]byte
	// names are what things that the sides have made up are called on both.
	names [2][]string
	// codes are the last ones that an e-mail has brought, methods those that accounts have
	// or had, accounts those that were made.
	codes     [2]map[parsec3.EmailAddress]parsec3.ValidationCode
	methods   []parsec3.AuthMethodID
	accounts  []parsec3.EmailAddress
	greetings []playAttempt
	setups    []playSetup
	// answered counts the commands by their outcome, over all plays.
	answered map[string]int
}

type writtenVlob struct {
	realm parsec.RealmID
	vlob  parsec.VlobID
}

// sequesterKeys are RSA keys of the vectors.
type sequesterKeys struct {
	authority, service struct {
		private *rsa.PrivateKey
		public  []byte
	}
}

func loadSequesterKeys(t *testing.T) (keys sequesterKeys) {
	t.Helper()
	stored := vectors.Load[struct {
		Keys struct {
			RSA map[string]struct {
				Public  []byte `json:"public_der"`
				Private []byte `json:"private_pkcs8_der"`
			} `json:"rsa"`
		} `json:"keys"`
	}](t, "v5/certificates.json").Keys.RSA
	keys.authority.private = must(x509.ParsePKCS8PrivateKey(stored["sequester_authority"].Private)).(*rsa.PrivateKey)
	keys.authority.public = stored["sequester_authority"].Public
	keys.service.public = stored["sequester_service"].Public
	return keys
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// begin is the date of the first commands of a play.
const begin parsec.DateTime = 1_700_000_000_123_456

// root is the author of what the root key signs.
var root parsec3.DeviceID

// The things of the plays, few so that commands meet.
const (
	playUsers    = 5
	playRealms   = 2
	playVlobs    = 3
	playBlocks   = 3
	playServices = 3
	// length is the number of commands of a play.
	length = 100
)

func playUser(i int) parsec3.UserID                { return parsec3.UserID{0xe0, byte(i)} }
func playDevice(user, n int) parsec3.DeviceID      { return parsec3.DeviceID{0xd0, byte(user), byte(n)} }
func playRealm(i int) parsec.RealmID               { return parsec.RealmID{0xa0, byte(i)} }
func playVlob(i int) parsec.VlobID                 { return parsec.VlobID{0x60, byte(i)} }
func playBlock(i int) parsec.BlockID               { return parsec.BlockID{0xb0, byte(i)} }
func playOwner(id parsec3.DeviceID) parsec3.UserID { return playUser(int(id[1])) }

func playService(i int) parsec.SequesterServiceID { return parsec.SequesterServiceID{0x5e, byte(i)} }

// signingKey is always the same for a device; the zero device has the root key.
func signingKey(id parsec3.DeviceID) ed25519.PrivateKey {
	seed := sha256.Sum256(id[:])
	return ed25519.NewKeyFromSeed(seed[:])
}

func verifyKey(id parsec3.DeviceID) parsec.VerifyKey {
	return parsec.VerifyKey(signingKey(id).Public().(ed25519.PublicKey))
}

// consenting accepts what the webhooks of all services but one are asked.
type consenting struct{}

func (consenting) answer(service parsec.SequesterServiceID) error {
	if service == playService(0) {
		return protocol.RefuseForSequester(service, new("refused"))
	}
	return nil
}

func (c consenting) AskVlob(_ context.Context, service rules.SequesterService, _ *rules.VlobQuestion) error {
	return c.answer(service.ID)
}

func (c consenting) AskKeyRotation(_ context.Context, service rules.SequesterService, _ *rules.KeyRotationQuestion) error {
	return c.answer(service.ID)
}

func (consenting) Bootstrapped(parsec.OrganizationID, parsec3.DeviceID, parsec3.DeviceLabel, parsec.HumanHandle) {
}

// compareTwins plays random sequences of commands on both stores.
func compareTwins(t *testing.T, stores ...func(*testing.T, *event.Bus) rules.Store) {
	now := begin
	clock := &atomic.Int64{}
	shared := twins{ctx: t.Context(), now: &now, clock: clock, keys: loadSequesterKeys(t), answered: map[string]int{}}
	for i, open := range stores {
		bus := event.NewBus()
		t.Cleanup(bus.Close)
		store := open(t, bus)
		office := make(postOffice, 1)
		shared.sides[i] = &twin{
			Rules: rules.New(store, blockstore.NewMemory(), bus, consenting{}, func() parsec.DateTime { return parsec.DateTime(clock.Load()) },
				slog.New(slog.DiscardHandler), rules.Options{
					Debug: true, GreetingPatience: time.Nanosecond,
					Accounts: protocol.AccountEnabledWithVault, Mailer: office, Secret: []byte("secret"),
				}),
			store: store, bus: bus, office: office,
		}
	}
	const most = 10
	least := 1
	if testkit.Long() {
		least = most
	}
	// The plays are random: some commands are answered ok in few of them.
	for round := 0; round < least || round < most && len(shared.neverOK()) > 0; round++ {
		rapid.Check(t, func(rt *rapid.T) {
			play := shared
			play.T, play.organization, play.versions = rt, must(parsec.ParseOrganizationID("Org"+parsec.NewUUID().Hex()[:20])), map[writtenVlob]uint32{}
			play.tokens.kind, play.attempts.kind, play.resets.kind, play.opaqueKeys.kind = "token", "attempt", "reset", "key"
			play.codes = [2]map[parsec3.EmailAddress]parsec3.ValidationCode{{}, {}}
			play.secrets = [2]map[parsec3.UserID][]byte{{}, {}}
			play.run()
		})
		t.Logf("never answered ok so far: %q", shared.neverOK())
	}
	for _, name := range shared.neverOK() {
		t.Errorf("no %s was ever answered ok", name)
	}
	t.Logf("%d outcomes", len(shared.answered))
}

// neverOK returns the names of the commands that no play was answered ok.
func (w *twins) neverOK() []string {
	var names []string
	for _, command := range commands {
		if w.answered[command.name+" ok"] == 0 {
			names = append(names, command.name)
		}
	}
	return names
}

// run plays one organization from before its bootstrap on, and compares what is left.
func (w *twins) run() {
	*w.now, w.dice = begin, rand.New(rand.NewPCG(seedOf(rapid.SliceOfN(rapid.Bool(), 16, 16).Draw(w.T, "bootstrap")), 0))
	w.clock.Store(int64(*w.now))
	recorders := [2]chan event.Event{w.record(0), w.record(1)}
	w.found()
	// Each seed is one command. Rapid makes a play that fails smaller: a seed of zero
	// is none.
	for i, bits := range rapid.SliceOfN(rapid.SliceOfN(rapid.Bool(), 16, 16), length, length).Draw(w.T, "seeds") {
		seed := seedOf(bits)
		if seed == 0 {
			continue
		}
		w.dice = rand.New(rand.NewPCG(seed, uint64(i)))
		*w.now += parsec.DateTime(w.number(1, 2_000_000))
		w.clock.Store(int64(*w.now))
		command := commands[w.weighted()]
		if i < len(beginning) {
			command = named(beginning[i])
		}
		w.ask(command.name, command.draw(w))
		if w.closed && w.chance(3) {
			w.ask("change of the organization", w.changeOrganization())
		}
	}
	for _, device := range append(slices.Clone(w.devices), playDevice(9, 9)) {
		author := w.author(device)
		w.ask("final certificate_get", func(side *twin) (any, error) {
			return side.certificateGet(w.ctx, author, &protocol.CertificateGetRequest{})
		})
		w.ask("final registration", func(side *twin) (any, error) {
			standing, realms, err := side.store.Registration(w.ctx, w.organization, device)
			return []any{standing.User, standing.Device, slices.SortedFunc(slices.Values(realms), func(a, b parsec.RealmID) int { return slices.Compare(a[:], b[:]) })}, err
		})
	}
	w.ask("final users", func(side *twin) (any, error) { return side.store.Users(w.ctx, w.organization) })
	w.ask("final services", func(side *twin) (any, error) { return side.store.SequesterServices(w.ctx, w.organization) })
	for _, instant := range []*parsec.DateTime{nil, new(*w.now - 20_000_000)} {
		w.ask("final statistics", func(side *twin) (any, error) {
			all, err := side.StatisticsOf(w.ctx, []parsec.OrganizationID{w.organization}, instant)
			var people []uint64 // a profile that nobody has may be left out
			for _, profile := range parsec.UserProfiles {
				people = append(people, all[0].Active[profile], all[0].Revoked[profile])
			}
			return []any{all[0].DataSize, all[0].MetadataSize, all[0].Realms, people}, err
		})
	}
	w.compareEvents(recorders)
}

// seedOf returns a number of so many bits, each number as often: rapid's own numbers
// are small more often than not.
func seedOf(bits []bool) (seed uint64) {
	for _, bit := range bits {
		seed <<= 1
		if bit {
			seed++
		}
	}
	return seed
}

// ask has both sides answer.
func (w *twins) ask(name string, question func(side *twin) (any, error)) {
	var told [2]string
	for i, side := range w.sides {
		reply, err := question(side)
		told[i] = w.alike(i, w.tell(reply, err))
		if i == 0 {
			w.note(name, err)
		}
	}
	w.Logf("%s: %s", name, told[0])
	if told[0] != told[1] {
		w.Fatalf("%s is answered\n%s\n%s", name, told[0], told[1])
	}
	if strings.HasPrefix(told[0], "failure") {
		w.Fatalf("%s: %s", name, told[0])
	}
}

// note remembers the outcome of a command.
func (w *twins) note(name string, err error) {
	var refusal *protocol.Refusal
	switch {
	case err == nil:
		w.answered[name+" ok"]++
	case errors.As(err, &refusal):
		w.answered[name+" "+string(refusal.Status)]++
		if details, ok := refusal.Details.(*protocol.RequireGreaterTimestampDetails); ok {
			w.required = details.StrictlyGreaterThan
		}
	case errors.As(err, new(*organization.GreaterTimestampError)):
		w.answered[name+" too early"]++
	default:
		w.answered[name+" "+err.Error()]++
	}
}

// expected are the errors of the rules that are neither a refusal nor an abort.
var expected = []error{
	organization.ErrNotFound, organization.ErrUserNotFound, organization.ErrUserRevoked, organization.ErrNotSequestered,
	organization.ErrInvalidCertificate, organization.ErrServiceExists, organization.ErrServiceNotFound, organization.ErrServiceRevoked,
	organization.ErrDateAhead, rules.ErrOldClient,
}

// tell shows an outcome.
func (w *twins) tell(reply any, err error) string {
	var refusal *protocol.Refusal
	var abort rules.Abort
	var greater *organization.GreaterTimestampError
	switch {
	case err == nil:
		return "ok " + show(reply)
	case errors.As(err, &refusal):
		return string(refusal.Status) + " " + show(refusal.Details)
	case errors.As(err, &abort), errors.As(err, &greater), slices.ContainsFunc(expected, func(one error) bool { return errors.Is(err, one) }):
		return err.Error()
	default:
		return "failure: " + err.Error()
	}
}

// show follows pointers; nothing and an empty list look the same.
func show(value any) string { return string(appendShown(nil, reflect.ValueOf(value))) }

func appendShown(text []byte, value reflect.Value) []byte {
	switch value.Kind() {
	case reflect.Invalid:
		return append(text, "nothing"...)
	case reflect.Pointer, reflect.Interface:
		return appendShown(text, value.Elem())
	case reflect.Struct:
		text = append(text, '{')
		for i := range value.NumField() {
			if value.Type().Field(i).Name != "_" {
				text = append(append(text, value.Type().Field(i).Name...), ':')
				text = append(appendShown(text, value.Field(i)), ' ')
			}
		}
		return append(text, '}')
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return fmt.Appendf(text, "%x", value.Bytes())
		}
		text = append(text, '[')
		for i := range value.Len() {
			text = append(appendShown(text, value.Index(i)), ' ')
		}
		return append(text, ']')
	case reflect.Map:
		var entries []string
		for key, element := range value.Seq2() {
			entries = append(entries, fmt.Sprintf("%v:%s ", key, appendShown(nil, element)))
		}
		slices.Sort(entries)
		return fmt.Appendf(text, "%v", entries)
	default:
		return fmt.Appendf(text, "%v", value)
	}
}

// record begins to record all events of the play on one side.
func (w *twins) record(side int) chan event.Event {
	const most = 10_000 // more than any play emits
	events := make(chan event.Event, most)
	topics := []event.Topic{event.OrganizationTopic(w.organization), notice.AdministratorsTopic(w.organization)}
	for i := range playUsers {
		topics = append(topics, notice.UserTopic(w.organization, playUser(i)))
	}
	for i := range playRealms {
		topics = append(topics, notice.RealmTopic(w.organization, playRealm(i)))
	}
	subscription := w.sides[side].bus.Subscribe(func(e event.Event) { events <- e }, topics...)
	w.Cleanup(subscription.Close)
	return events
}

// compareEvents wants the same of both sides, in the same order, but for their ids. How
// often a greeter hears that a claimer goes on waiting depends on when the side has heard
// of the last time.
func (w *twins) compareEvents(recorders [2]chan event.Event) {
	var told [2][]string
	for i, side := range w.sides {
		end := event.Event{Organization: w.organization, Body: notice.Pinged{ID: notice.NewID()}}
		if err := side.store.Publish(w.ctx, end); err != nil {
			w.Fatalf("publish: %v", err)
		}
		for e := range recorders[i] {
			if e.Body == end.Body {
				break
			}
			body := reflect.New(reflect.TypeOf(e.Body)).Elem()
			body.Set(reflect.ValueOf(e.Body))
			if id := body.FieldByName("ID"); id.IsValid() {
				id.SetZero()
			}
			line := w.alike(i, fmt.Sprintf("%T %s", e.Body, show(body.Interface())))
			if _, ready := e.Body.(notice.GreetingAttemptReady); !ready || !slices.Contains(told[i], line) {
				told[i] = append(told[i], line)
			}
		}
	}
	if !slices.Equal(told[0], told[1]) {
		w.Fatalf("told of\n%s\nand of\n%s", strings.Join(told[0], "\n"), strings.Join(told[1], "\n"))
	}
	w.answered["events ok"] += len(told[0])
}
