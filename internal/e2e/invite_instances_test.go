//go:build !without_postgresql

package e2e_test

import (
	"fmt"
	"sync"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// TestRendezvousOnTwoInstances has many pairs meet at once, greeters on one
// server and claimers on another.
func TestRendezvousOnTwoInstances(t *testing.T) {
	t.Parallel()
	dsn := testkit.NewPostgres(t)
	open := func(t testing.TB, bus *event.Bus) rules.Store { return testkit.OpenPostgres(t, dsn, bus) }
	w, other := newWorld(t, testkit.InstanceOptions{Store: open}), newWorld(t, testkit.InstanceOptions{Store: open})
	g := inAPI3
	founder := g.found(w, "CoolOrg", "alice@laptop")
	author := g.connect(w, founder)
	const pairs = 20
	var all sync.WaitGroup
	for i := range pairs {
		token := ok(w, author, protocol.InviteNew, &protocol.InviteNewRequest{
			Type: parsec.InvitationUser, ClaimerEmail: fmt.Sprintf("%d@example.com", i),
		}).Token
		greeter := g.connect(w, founder)
		claimer := g.claim(other, other.Address.InvitationAddress(founder.Organization, parsec.InvitationUser, token))
		all.Go(func() {
			greeting, claiming := meet(w, greeter.Transport, token, claimer.Transport)
			if got := tell(w, claiming, greeting, "hello"); got != "hello" {
				t.Errorf("heard %q", got)
			}
		})
	}
	for _, item := range ok(w, author, protocol.InviteList, &protocol.InviteListRequest{}).Invitations {
		if item.Status != parsec.InvitationReady {
			t.Errorf("%s is %s", *item.ClaimerEmail, item.Status)
		}
	}
	all.Wait()
}
