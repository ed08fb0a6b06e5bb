//go:build !without_postgresql

package deploy_test

import (
	"context"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/parsec"
)

const (
	// uploaders is how many clients upload at the same time.
	uploaders = 6
	// replacements is how often a server is replaced meanwhile.
	replacements = 3
)

// instances are servers of one database.
func (p *proxied) instances(count int) []*testkit.Parsec {
	p.t.Helper()
	dsn := testkit.NewPostgres(p.t)
	var servers []*testkit.Parsec
	for range count {
		servers = append(servers, testkit.StartParsec(p.t, program(), "--db", dsn, "--blockstore", "POSTGRESQL"))
	}
	return servers
}

// uploading are clients of one organization that upload all the time, through a
// proxy. As official ones do, they stop where a new file is refused or cut.
type uploading struct {
	p       *proxied
	ctx     context.Context
	stop    context.CancelFunc
	working sync.WaitGroup
	// done has something for each file.
	done chan struct{}
}

// upload begins to, once a server is behind the proxy.
func (p *proxied) uploading(server *testkit.Parsec) *uploading {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.ctx)
	u := &uploading{p: p, ctx: ctx, stop: stop, done: make(chan struct{})}
	p.t.Cleanup(u.end)
	device := p.found3(server.Address)
	for range uploaders {
		alice := testclient3.NewResident(p.modern(), device)
		if err := alice.Poll(ctx); err != nil {
			p.t.Fatalf("poll: %v", err)
		}
		realm, err := alice.NewWorkspace(ctx, "work")
		if err != nil {
			p.t.Fatalf("create a workspace: %v", err)
		}
		u.working.Go(func() { u.work(alice, realm) })
	}
	return u
}

func (u *uploading) work(alice *testclient3.Resident, realm parsec.RealmID) {
	const fileBytes = 100_000
	for {
		err := upload(u.ctx, alice, realm, fileBytes)
		if u.ctx.Err() != nil {
			return
		}
		if err != nil {
			u.p.t.Error(err)
			u.stop()
			return
		}
		select {
		case u.done <- struct{}{}:
		case <-u.ctx.Done():
		}
	}
}

// await waits until every client has uploaded some more.
func (u *uploading) await() {
	u.p.t.Helper()
	for range 2 * uploaders {
		select {
		case <-u.done:
		case <-u.ctx.Done():
			u.p.t.Fatal("nothing is uploaded any more")
		}
	}
}

func (u *uploading) end() {
	u.stop()
	u.working.Wait()
}

// replaceOne restarts the one server behind a sample while clients upload: the proxy
// holds what they send meanwhile.
func replaceOne(t *testing.T, start func(*proxied) *testkit.Process) {
	t.Helper()
	p := newProxy(t)
	server := p.instances(1)[0]
	p.upstream = hostAndPort(server.Address)
	p.awaitProxy(start(p))
	u := p.uploading(server)
	for range replacements {
		u.await()
		if err := server.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		server.Start()
	}
	u.await()
	u.end()
}
