package testkit

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/erasure"
	erasurememory "parsec-server/pkg/erasure/memory"
	erasurepostgres "parsec-server/pkg/erasure/postgres"
	"parsec-server/pkg/event"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/organization"
	organizationmemory "parsec-server/pkg/organization/memory"
	organizationpostgres "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	parsec2memory "parsec-server/pkg/parsec2/memory"
	parsec2postgres "parsec-server/pkg/parsec2/postgres"
	parsec2rules "parsec-server/pkg/parsec2/rules"
	parsec2webhook "parsec-server/pkg/parsec2/webhook"
	parsec3memory "parsec-server/pkg/parsec3/memory"
	parsec3postgres "parsec-server/pkg/parsec3/postgres"
	parsec3rules "parsec-server/pkg/parsec3/rules"
	parsec3webhook "parsec-server/pkg/parsec3/webhook"
	"parsec-server/pkg/server"
	"parsec-server/pkg/server/parsec2"
	"parsec-server/pkg/server/parsec3"
)

// Generations is a whole server of both generations on a real port.
type Generations struct {
	Address parsec.ServerAddress
	Server  *server.Server
	// Organizations are those of both.
	Organizations *organization.Administration
	Parsec2       *parsec2rules.Rules
	Parsec3       *parsec3rules.Rules
	Store2        parsec2rules.Store
	Store3        parsec3rules.Store
	Bus           *event.Bus
	// erasing is what is to be erased.
	erasing erasure.List
}

// GenerationsOptions differ from the defaults of tests where set.
type GenerationsOptions struct {
	// Parsec3 has the Founding of both generations.
	Parsec3 parsec3rules.Options
	Server  server.Options
	// BootstrapWebhook is told of new organizations; nobody is if it is "".
	BootstrapWebhook string
	// NamedTokens are tokens beside AdministrationToken.
	NamedTokens func() ([]organization.NamedToken, error)
	// Now is the clock; the real one if nil.
	Now func() parsec.DateTime
	// Logger discards if nil.
	Logger *slog.Logger
	// Database is the DSN of a PostgreSQL database, which several instances may
	// share; "" is a store of the instance, in memory unless the environment says
	// otherwise.
	Database string
	// WrapStore3 stands between the rules of Parsec 3 and the store; nil for nothing.
	WrapStore3 func(parsec3rules.Store) parsec3rules.Store
	// Blocks keep the bytes of blocks; a memory of the instance if nil.
	Blocks blockstore.Store
	// Listener is where clients come from; a free port if nil.
	Listener net.Listener
}

// StartGenerations runs a server of both generations until the test ends.
func StartGenerations(t testing.TB, options GenerationsOptions) *Generations {
	t.Helper()
	begun := time.Now()
	if options.Now == nil {
		options.Now = now
	} else if options.Server.Elapsed == nil { // what tests move moves the other clock too
		begin := options.Now()
		options.Server.Elapsed = func() time.Duration { return options.Now().Sub(begin) }
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Blocks == nil {
		options.Blocks = blockstore.NewMemory()
	}
	g := &Generations{Bus: event.NewBus()}
	g.openStores(t, options)
	if options.WrapStore3 != nil {
		g.Store3 = options.WrapStore3(g.Store3)
	}
	listener := listen(t, options.Listener, options.Logger)
	g.listenAt(t, listener.Addr().String())
	webhooks2 := parsec2webhook.New(options.BootstrapWebhook, options.Logger)
	webhooks3 := parsec3webhook.New(options.BootstrapWebhook, options.Logger)
	founding := options.Parsec3.Founding
	g.Parsec2 = parsec2rules.New(g.Store2, options.Blocks, g.Bus, webhooks2, options.Now, options.Logger, parsec2rules.Options{
		Founding: founding, Elapsed: func() time.Duration { return time.Since(begun) },
	})
	g.Parsec3 = parsec3rules.New(g.Store3, options.Blocks, g.Bus, webhooks3, options.Now, options.Logger, options.Parsec3)
	janitor, endJanitor := g.startJanitor(t, options)
	g.Organizations = organization.New(g.Parsec3.Organizations(),
		organization.Wings{organization.Parsec2: g.Parsec2, organization.Parsec3: g.Parsec3}, options.Now, options.Logger,
		organization.Options{Founding: founding, Token: AdministrationToken, Elapsed: options.Server.Elapsed, Eraser: janitor, NamedTokens: options.NamedTokens})
	if options.Server.Address == nil {
		options.Server.Address = &g.Address
	}
	g.Server = server.New(g.Organizations, options.Now, options.Logger, options.Server,
		func(s *server.Server) server.Wing {
			return parsec2.New(s, g.Parsec2, g.Organizations, parsec2.Options{})
		},
		func(s *server.Server) server.Wing { return parsec3.New(s, g.Parsec3) },
	)
	process := lifecycle.New(instanceGrace, options.Logger)
	process.OnEnd("events", func(context.Context) { g.Bus.Close() })
	process.OnEnd("janitor", func(context.Context) { endJanitor() })
	process.OnEnd("webhooks", func(ctx context.Context) {
		if err := errors.Join(webhooks2.Close(ctx), webhooks3.Close(ctx), g.Parsec3.Close(ctx)); err != nil {
			t.Errorf("close webhooks: %v", err)
		}
	})
	serve(t, process, g.Server, listener)
	return g
}

func (g *Generations) listenAt(t testing.TB, address string) {
	t.Helper()
	var err error
	if g.Address, err = parsec.Parsec3Scheme.ParseServerAddress("parsec3://" + address + "?no_ssl=true"); err != nil {
		t.Fatalf("address: %v", err)
	}
}

// openStores opens the stores of both generations on one store of organizations.
func (g *Generations) openStores(t testing.TB, options GenerationsOptions) {
	t.Helper()
	if options.Database == "" && onPostgres(t) {
		options.Database = NewPostgres(t)
	}
	if options.Database == "" {
		organizations := organizationmemory.New(g.Bus)
		second, third := parsec2memory.New(organizations), parsec3memory.New(organizations)
		g.Store2, g.Store3 = second, third
		g.erasing = erasurememory.New(organizations, map[organization.Generation]erasurememory.Wing{organization.Parsec2: second, organization.Parsec3: third})
		return
	}
	opened := OpenDatabase(t, options.Database, g.Bus)
	organizations := organizationpostgres.New(opened)
	second, third := parsec2postgres.New(opened, organizations, now), parsec3postgres.New(opened, organizations, now)
	g.Store2, g.Store3 = &prompt{second, g.Bus}, &promptParsec3{third, g.Bus}
	g.erasing = &erasurepostgres.List{Database: opened, Wings: map[organization.Generation]erasurepostgres.Wing{organization.Parsec2: second, organization.Parsec3: third}}
}

// startJanitor begins to erase what is deleted, with the objects of a block store that
// lists them.
func (g *Generations) startJanitor(t testing.TB, options GenerationsOptions) (janitor *erasure.Janitor, end func()) {
	t.Helper()
	blocks := options.Blocks
	if _, lists := blocks.(blockstore.Inventory); !lists {
		blocks = blockstore.NewMemory()
	}
	array, err := blockstore.NewArray(0, []blockstore.Store{blocks})
	if err != nil {
		t.Fatal(err)
	}
	janitor = erasure.NewJanitor(g.erasing, array, options.Now, options.Logger)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { janitor.Run(ctx) })
	return janitor, func() {
		cancel()
		running.Wait()
	}
}
