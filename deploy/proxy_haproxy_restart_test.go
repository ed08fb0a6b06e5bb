//go:build !without_postgresql && !without_haproxy

package deploy_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHAProxyHoldsRequests(t *testing.T) {
	t.Parallel()
	replaceOne(t, (*proxied).haproxy)
}

// TestHAProxyReplacesInstances restarts two servers one after the other while clients
// upload, as the guide says.
func TestHAProxyReplacesInstances(t *testing.T) {
	t.Parallel()
	p := newProxy(t)
	servers := p.instances(2)
	p.upstream = hostAndPort(servers[0].Address)
	proxy := p.haproxyOf([]string{hostAndPort(servers[0].Address), hostAndPort(servers[1].Address)})
	p.awaitProxy(proxy)
	u := p.uploading(servers[0])
	for range replacements {
		for i, server := range servers {
			u.await()
			name := fmt.Sprintf("parsec%d", i+1)
			p.administer("set server servers/" + name + " state drain")
			proxy.Await(t, func(context.Context) error { return p.wantStat(name, "scur", "0") })
			if err := server.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
			server.Start()
			p.administer("set server servers/" + name + " state ready")
			proxy.Await(t, func(context.Context) error { return p.wantStat(name, "status", "UP") })
		}
	}
	u.await()
	u.end()
}

// administer has HAProxy execute a command, and returns what it prints.
func (p *proxied) administer(command string) string {
	p.t.Helper()
	conn, err := new(net.Dialer).DialContext(p.ctx, "unix", filepath.Join(p.folder, "admin"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		p.t.Fatal(err)
	}
	printed, err := io.ReadAll(conn)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(printed)
}

// wantStat fails unless HAProxy says that of a server.
func (p *proxied) wantStat(server, column, want string) error {
	p.t.Helper()
	rows, err := csv.NewReader(strings.NewReader(p.administer("show stat"))).ReadAll()
	if err != nil {
		return err
	}
	name, wanted := slices.Index(rows[0], "svname"), slices.Index(rows[0], column)
	for _, row := range rows[1:] {
		if row[name] == server && row[wanted] == want {
			return nil
		}
	}
	return fmt.Errorf("%s of %s is not %s", column, server, want)
}
