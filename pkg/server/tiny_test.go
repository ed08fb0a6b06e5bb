package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
	"parsec-server/pkg/wire"
)

// strangerBytes is the longest body of strangers in a tinyWing.
const strangerBytes = 64 << 10

// tinyWing serves a generation of which it knows what the server asks for, and
// no more. It implements server.Wing and organization.Wing.
type tinyWing struct {
	generation organization.Generation
	versions   []parsec.APIVersion
	// rule answers what is posted.
	rule func(ctx context.Context) (any, error)
	// ready is nil for a wing that is.
	ready func(ctx context.Context) error
	// patient are the routes that it serves while no command can run.
	patient []string
	// told are the events of every stream.
	told chan string
	// drained and cut are closed by Drain and Cut.
	drained, cut       chan struct{}
	drainOnce, cutOnce sync.Once

	server        *server.Server
	organizations *organization.Administration

	mu     sync.Mutex
	people map[parsec.OrganizationID][]person
}

// person is a user of an organization, whose realms it has made.
type person struct {
	organization.User
	profile   parsec.UserProfile
	createdOn parsec.DateTime
	revokedOn *parsec.DateTime
	realms    []parsec.DateTime
}

func newTinyWing(generation organization.Generation, versions ...parsec.APIVersion) *tinyWing {
	return &tinyWing{
		generation: generation, versions: versions,
		rule:    func(context.Context) (any, error) { return nil, nil },
		told:    make(chan string, 10),
		drained: make(chan struct{}), cut: make(chan struct{}),
		people: map[parsec.OrganizationID][]person{},
	}
}

// Generation implements server.Wing.
func (w *tinyWing) Generation() organization.Generation { return w.generation }

// Versions implements server.Wing.
func (w *tinyWing) Versions() []parsec.APIVersion { return w.versions }

// Routes implements server.Wing.
func (w *tinyWing) Routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /ws":                                  w.upgrade,
		"/anonymous/{organization}":                server.Only(w.serve(w.stranger), http.MethodPost, http.MethodGet),
		"/invited/{organization}":                  server.Only(w.serve(w.stranger), http.MethodPost),
		"/authenticated/{organization}":            server.Only(w.serve(w.user), http.MethodPost),
		"/authenticated/{organization}/events":     server.Only(w.serve(w.events), http.MethodGet),
		fmt.Sprintf("/generation%d", w.generation): server.Only(w.serve(func(http.ResponseWriter, *http.Request) error { return nil }), http.MethodGet),
	}
}

// Unavailable implements server.Wing. It tells who answers, as serve does.
func (w *tinyWing) Unavailable(answer http.ResponseWriter, _ *http.Request) {
	answer.Header().Set("Generation", fmt.Sprint(w.generation))
	server.RefuseBusy(answer)
}

// Patient implements server.Wing.
func (w *tinyWing) Patient() []string { return w.patient }

// Ready implements server.Wing.
func (w *tinyWing) Ready(ctx context.Context) error {
	if w.ready == nil {
		return nil
	}
	return w.ready(ctx)
}

// Drain implements server.Wing.
func (w *tinyWing) Drain() { w.drainOnce.Do(func() { close(w.drained) }) }

// Cut implements server.Wing.
func (w *tinyWing) Cut() { w.cutOnce.Do(func() { close(w.cut) }) }

// serve tells in a header who answers, and answers 422 to the versions of
// others, and what is wrong with the status that it has.
func (w *tinyWing) serve(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(answer http.ResponseWriter, r *http.Request) {
		answer.Header().Set("Generation", fmt.Sprint(w.generation))
		if !w.knows(r.Header) {
			w.server.RefuseVersion(answer, 0)
			return
		}
		err := handle(answer, r)
		var status server.StatusError
		var hasty *server.HastyError
		switch {
		case err == nil:
		case errors.As(err, &status):
			answer.WriteHeader(int(status))
		case errors.As(err, &hasty):
			hasty.Refuse(answer)
		case errors.Is(err, organization.ErrNotFound):
			answer.WriteHeader(http.StatusNotFound)
		case errors.Is(err, server.ErrNoRoom), w.server.Commands().Err() != nil:
			server.RefuseBusy(answer)
		default:
			answer.WriteHeader(http.StatusInternalServerError)
		}
	}
}

func (w *tinyWing) knows(header http.Header) bool {
	if len(header.Values("Api-Version")) == 0 {
		return w.generation == organization.Parsec2
	}
	major, _, found := strings.Cut(header.Get("Api-Version"), ".")
	return found && slices.ContainsFunc(w.versions, func(v parsec.APIVersion) bool { return fmt.Sprint(v.Major) == major })
}

// organization finds that of the path. It refuses clients of another generation,
// and then returns false.
func (w *tinyWing) organization(answer http.ResponseWriter, r *http.Request) (bool, error) {
	id, valid := server.PathOrganization(r)
	if !valid {
		return false, organization.ErrNotFound
	}
	found, err := w.organizations.Find(r.Context(), id)
	if err != nil {
		return false, err
	}
	if bound := found.Bound(); bound != 0 && bound != w.generation {
		w.server.RefuseVersion(answer, bound)
		return false, nil
	}
	return true, nil
}

// upgrade ends the HTTP of a connection that asks for a WebSocket.
func (*tinyWing) upgrade(answer http.ResponseWriter, r *http.Request) {
	if !server.IsUpgrade(r) {
		answer.WriteHeader(http.StatusBadRequest)
		return
	}
	answer.WriteHeader(http.StatusSwitchingProtocols)
}

// stranger answers who is not known.
func (w *tinyWing) stranger(answer http.ResponseWriter, r *http.Request) error {
	if serves, err := w.organization(answer, r); err != nil || !serves || r.Method == http.MethodGet {
		return err
	}
	held := w.server.StrangersShare(w.server.ClientAddress(r))
	defer held.Release()
	body, err := server.ReadBody(answer, r, strangerBytes, held)
	if err != nil {
		return err
	}
	defer server.PutBuffer(body)
	command := &rpc.Form{Limited: r.Header.Get("Limited") != "", SpontaneousOnly: r.Header.Get("Limited") == "if spontaneous"}
	if err := w.server.Limit(command, false, w.server.ClientAddress(r)); err != nil {
		return err
	}
	return w.run(answer, r, nil)
}

// user answers whom the header User names.
func (w *tinyWing) user(answer http.ResponseWriter, r *http.Request) error {
	if serves, err := w.organization(answer, r); err != nil || !serves {
		return err
	}
	name := r.Header.Get("User")
	if name == "" {
		return server.StatusError(http.StatusUnauthorized)
	}
	held := w.server.StrangersShare(w.server.ClientAddress(r))
	defer held.Release()
	body, err := server.ReadBody(answer, r, server.MaxBodyBytes, held)
	if err != nil {
		return err
	}
	defer server.PutBuffer(body)
	own := w.server.UsersShare(name)
	defer own.Release()
	if err := own.Await(r.Context(), cap(*body)); err != nil {
		return err
	}
	held.Release()
	return w.run(answer, r, own)
}

// run has the rule answer.
func (w *tinyWing) run(answer http.ResponseWriter, r *http.Request, held *server.Share) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(w.server.Commands(), cancel)()
	reply, err := w.server.Run(ctx, tinyCaller{w.server.Logger()}, server.Task{Form: tinyForm, Call: tinyRule(w.rule)})
	if err != nil {
		return err
	}
	defer server.PutBuffer(reply.Encoded)
	held.Settle(cap(*reply.Encoded))
	if _, err := answer.Write(*reply.Encoded); err != nil {
		w.server.Logger().Debug("reply not delivered", "error", err)
	}
	return nil
}

// events streams what the test tells.
func (w *tinyWing) events(answer http.ResponseWriter, r *http.Request) error {
	if serves, err := w.organization(answer, r); err != nil || !serves {
		return err
	}
	if !server.Accepts(r.Header, server.EventStreamType) {
		return server.StatusError(http.StatusNotAcceptable)
	}
	if r.URL.RawQuery == "last" {
		answer.Header().Set("Connection", "close")
	}
	stream := w.server.NewStream()
	told := w.follow(stream.Wake)
	err := stream.Serve(answer, r, server.Stream{Opening: tinyKeepAlive, KeepAlive: tinyKeepAlive, Next: told.next, Close: func() {
		told.close()
		w.server.Logger().Debug("event stream ended")
	}})
	if err != nil {
		told.close()
	}
	return err
}

var tinyKeepAlive = server.NewStreamMessage(":keepalive\n\n")

// tinyEvents are those of one stream.
type tinyEvents struct {
	mu      sync.Mutex
	waiting []string
	ended   chan struct{}
}

// follow takes what the test tells.
func (w *tinyWing) follow(wake func()) *tinyEvents {
	e := &tinyEvents{ended: make(chan struct{})}
	go func() {
		for {
			select {
			case text := <-w.told:
				e.mu.Lock()
				e.waiting = append(e.waiting, text)
				e.mu.Unlock()
				wake()
				if text == endOfStream || text == panicking {
					return // what is told next is for another stream
				}
			case <-e.ended:
				return
			}
		}
	}()
	return e
}

func (e *tinyEvents) close() { close(e.ended) }

func (e *tinyEvents) next() (server.StreamMessage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) == 0 {
		return nil, nil
	}
	switch e.waiting[0] {
	case endOfStream:
		return nil, io.EOF
	case panicking:
		panic("out of order")
	}
	reply, err := server.Encode(wire.Microseconds, 0, nil, &struct {
		Told string `wire:"told"`
	}{e.waiting[0]})
	if err != nil {
		return nil, err
	}
	e.waiting = e.waiting[1:]
	return server.StreamedEvent{Reply: *reply}.Message(), nil
}

var tinyForm = &rpc.Form{Name: "tiny"}

// tinyRule implements rpc.Call.
type tinyRule func(ctx context.Context) (any, error)

func (r tinyRule) Run(ctx context.Context) (any, error) { return r(ctx) }

// tinyCaller implements server.Caller.
type tinyCaller struct{ logger *slog.Logger }

func (tinyCaller) Kind() string           { return "tiny" }
func (tinyCaller) API() parsec.APIVersion { return parsec.APIVersion{} }
func (tinyCaller) Dates() *wire.Profile   { return wire.Microseconds }
func (c tinyCaller) Logger() *slog.Logger { return c.logger }
func (tinyCaller) IsOver(error) bool      { return false }
func (tinyCaller) Told(_ *rpc.Form, _ parsec.DateTime, refusal *rpc.Refusal) *rpc.Refusal {
	return refusal
}

// StatisticsOf implements organization.Wing.
func (w *tinyWing) StatisticsOf(_ context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]organization.Statistics, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := func(date parsec.DateTime) bool { return at == nil || date <= *at }
	var all []organization.Statistics
	for _, id := range organizations {
		statistics := organization.NewStatistics()
		for _, p := range w.people[id] {
			switch {
			case !was(p.createdOn):
			case p.revokedOn != nil && was(*p.revokedOn):
				statistics.Revoked[p.profile]++
			default:
				statistics.Active[p.profile]++
			}
			for _, created := range p.realms {
				if was(created) {
					statistics.Realms++
				}
			}
		}
		all = append(all, statistics)
	}
	return all, nil
}

// People implements organization.Wing.
func (w *tinyWing) People(_ context.Context, id parsec.OrganizationID) ([]organization.User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var users []organization.User
	for _, p := range w.people[id] {
		if p.revokedOn == nil || w.generation == organization.Parsec2 {
			users = append(users, p.User)
		}
	}
	return users, nil
}

// BootstrapLink implements organization.Wing.
func (w *tinyWing) BootstrapLink(location parsec.Location, token string) organization.Link {
	parameters := parsec.Parameters{{Name: "generation", Value: fmt.Sprint(w.generation)}, {Name: "token", Value: token}}
	return organization.Link{URL: location.Print(parameters), HTTPRedirection: location.PrintHTTP(parameters)}
}

// SetFrozen implements organization.Wing.
func (w *tinyWing) SetFrozen(_ context.Context, id parsec.OrganizationID, choice organization.UserChoice, frozen bool) (organization.User, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, p := range w.people[id] {
		chosen := p.ID == choice.ID
		if choice.Email != nil {
			chosen = p.HumanHandle.Email() == *choice.Email
		}
		if chosen && p.revokedOn == nil {
			w.people[id][i].Frozen = frozen
			return p.User, nil
		}
		if chosen && choice.Email == nil && w.generation == organization.Parsec3 {
			return organization.User{}, organization.ErrUserRevoked
		}
	}
	return organization.User{}, organization.ErrUserNotFound
}
