package testkit

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/parsec2/webhook"
	"parsec-server/pkg/server"
	"parsec-server/pkg/server/parsec2"
)

// instanceGrace is what test instances give to what runs when the test ends.
const instanceGrace = 5 * time.Second

// Instance is a whole server on a real port.
type Instance struct {
	Address parsec.ServerAddress
	Server  *server.Server
	Parsec2 *parsec2.Wing
	Rules   *rules.Rules
	// Organizations are those of Rules.
	Organizations *organization.Administration
	Store         rules.Store
	Bus           *event.Bus
}

// InstanceOptions differ from the defaults of tests where set.
type InstanceOptions struct {
	Rules   rules.Options
	Server  server.Options
	Parsec2 parsec2.Options
	// Organizations are founded as Rules says.
	Organizations organization.Options
	// BootstrapWebhook is told of new organizations; nobody is if it is "".
	BootstrapWebhook string
	// Mailer sends the e-mails of the server at address; none are sent if nil.
	Mailer func(address parsec.ServerAddress) rules.Mailer
	// Now is the clock; the real one if nil.
	Now func() parsec.DateTime
	// Logger discards if nil.
	Logger *slog.Logger
	// Listener is where clients come from; a free port if nil.
	Listener net.Listener
	// Store opens the store that publishes to the bus; NewStore if nil.
	// Several instances may open one database.
	Store func(t testing.TB, bus *event.Bus) rules.Store
	// WrapStore stands between the rules and the store; nil for nothing.
	WrapStore func(rules.Store) rules.Store
	// Blocks keep the bytes of blocks; a memory of the instance if nil.
	Blocks blockstore.Store
}

// Start runs an instance until the test ends.
func Start(t testing.TB, options InstanceOptions) *Instance {
	t.Helper()
	if options.Organizations.Token == "" {
		options.Organizations.Token = AdministrationToken
		options.Rules.InitialOutsiderAllowed = true
	}
	if options.Now != nil { // what tests move moves the other clock too
		begin := options.Now()
		elapsed := func() time.Duration { return options.Now().Sub(begin) }
		if options.Rules.Elapsed == nil {
			options.Rules.Elapsed = elapsed
		}
		if options.Organizations.Elapsed == nil {
			options.Organizations.Elapsed = elapsed
		}
		if options.Server.Elapsed == nil {
			options.Server.Elapsed = elapsed
		}
	} else {
		options.Now = now
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	bus := event.NewBus()
	if options.Store == nil {
		options.Store = NewStore
	}
	store := options.Store(t, bus)
	if options.WrapStore != nil {
		store = options.WrapStore(store)
	}
	listener := listen(t, options.Listener, options.Logger)
	address, err := parsec.ParseServerAddress("parsec://" + listener.Addr().String() + "?no_ssl=true")
	if err != nil {
		t.Fatalf("address: %v", err)
	}
	if options.Server.Address == nil {
		options.Server.Address = &address
	}
	if options.Mailer != nil {
		options.Rules.Mailer = options.Mailer(address)
	}
	if options.Blocks == nil {
		options.Blocks = blockstore.NewMemory()
	}
	webhooks := webhook.New(options.BootstrapWebhook, options.Logger)
	commands := rules.New(store, options.Blocks, bus, webhooks, options.Now, options.Logger, options.Rules)
	options.Organizations.Founding = options.Rules.Founding
	organizations := organization.New(store, organization.Wings{organization.Parsec2: commands}, options.Now, options.Logger, options.Organizations)
	var wing *parsec2.Wing
	front := server.New(organizations, options.Now, options.Logger, options.Server, func(s *server.Server) server.Wing {
		wing = parsec2.New(s, commands, organizations, options.Parsec2)
		return wing
	})
	process := lifecycle.New(instanceGrace, options.Logger)
	process.OnEnd("events", func(context.Context) { bus.Close() })
	process.OnEnd("webhooks", func(ctx context.Context) {
		if err := webhooks.Close(ctx); err != nil {
			t.Errorf("close webhooks: %v", err)
		}
	})
	serve(t, process, front, listener)
	return &Instance{Address: address, Server: front, Parsec2: wing, Rules: commands, Organizations: organizations, Store: store, Bus: bus}
}

// listen returns a listener, or one on a free port for nil.
func listen(t testing.TB, listener net.Listener, logger *slog.Logger) net.Listener {
	t.Helper()
	if listener != nil {
		return listener
	}
	listener, err := lifecycle.Listen(t.Context(), "127.0.0.1:0", logger)
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	return listener
}

// serve has a server serve until the test ends.
func serve(t testing.TB, process *lifecycle.Process, front *server.Server, listener net.Listener) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- process.Serve(ctx, front, listener) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections() // or the server waits for what may come over them
		stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		process.End()
	})
}
