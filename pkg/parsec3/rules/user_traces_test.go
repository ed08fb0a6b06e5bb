package rules_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// ahead is a date some seconds ahead of the clock, as of a client that is fast.
func (c *realmCommand) ahead(seconds int) parsec.DateTime {
	return c.clock.now().Add(time.Duration(seconds) * time.Second)
}

// changeRoleAt gives carol a role some seconds ahead, or takes it.
func (c *realmCommand) changeRoleAt(seconds int, role parsec.RealmRole) {
	c.t.Helper()
	change := c.roleChange(c.alice(), c.realm, carolID, role)
	change.Timestamp = c.ahead(seconds)
	if role == parsec.RoleNone {
		c.ok(c.RealmUnshare(c.t.Context(), c.alice(), change.unshareRequest()))
		return
	}
	c.ok(c.RealmShare(c.t.Context(), c.alice(), change.shareRequest()))
}

// renameAt names the realm some seconds ahead.
func (c *realmCommand) renameAt(seconds int) {
	c.t.Helper()
	name := c.naming(c.alice())
	name.Timestamp = c.ahead(seconds)
	c.ok(c.RealmRename(c.t.Context(), c.alice(), name.request()))
}

// writeAt writes a vlob some seconds ahead.
func (c *realmCommand) writeAt(seconds int, device parsec3.DeviceID) {
	c.t.Helper()
	creation := c.vlobCreation("ahead")
	creation.Timestamp = c.ahead(seconds)
	c.ok(c.VlobCreate(c.t.Context(), c.device(device), creation))
}

// A revocation follows all that clients would find signed by, or meant for, a user that
// is revoked, also in realms that it has left; what others do there then is no obstacle
// (docs/protocol/v5/commands.md §8.5).
func TestUserRevokeFollowsTheTracesOfTheUser(t *testing.T) {
	for name, test := range map[string]struct {
		leave func(c *realmCommand)
		// after is the last date to exceed, in seconds ahead; -1 for the common topic.
		after int
	}{
		"no realm":                   {func(*realmCommand) {}, -1},
		"a role":                     {func(c *realmCommand) { c.changeRoleAt(10, parsec.RoleReader) }, 10},
		"a certificate of its realm": {func(c *realmCommand) { c.changeRoleAt(10, parsec.RoleReader); c.renameAt(20) }, 20},
		"a vlob of its realm":        {func(c *realmCommand) { c.changeRoleAt(10, parsec.RoleReader); c.writeAt(20, aliceLaptop) }, 20},
		"a role in a realm left":     {func(c *realmCommand) { c.changeRoleAt(10, parsec.RoleReader); c.changeRoleAt(20, parsec.RoleNone) }, 10},
		"another's certificate then": {func(c *realmCommand) {
			c.changeRoleAt(10, parsec.RoleReader)
			c.changeRoleAt(20, parsec.RoleNone)
			c.renameAt(30)
		}, 10},
		"another's vlob then": {func(c *realmCommand) {
			c.changeRoleAt(10, parsec.RoleReader)
			c.changeRoleAt(20, parsec.RoleNone)
			c.writeAt(30, aliceLaptop)
		}, 10},
		"its vlob in a realm left": {func(c *realmCommand) {
			c.changeRoleAt(10, parsec.RoleContributor)
			c.writeAt(20, carolDesk)
			c.changeRoleAt(30, parsec.RoleNone)
		}, 20},
		"its certificate in a realm left": {func(c *realmCommand) {
			c.changeRoleAt(10, parsec.RoleManager)
			carol := c.device(carolDesk)
			share := c.roleChange(carol, c.realm, daveID, parsec.RoleReader)
			share.Timestamp = c.ahead(20)
			c.ok(c.RealmShare(c.t.Context(), carol, share.shareRequest()))
			c.changeRoleAt(30, parsec.RoleNone)
		}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			c := newRealmCommand(t)
			test.leave(&c)
			last := c.ahead(test.after)
			if test.after < 0 {
				last = c.lastCommon()
			}
			revocation := c.revocation(c.alice(), carolID)
			c.checkFollows(last, &revocation.revoked.Timestamp, func() error {
				return failure(c.UserRevoke(t.Context(), c.alice(), revocation.request()))
			})
		})
	}
}

// Who becomes OUTSIDER does so after every certificate that made it OWNER or MANAGER, in
// realms that it has left too (docs/protocol/v5/commands.md §8.4).
func TestUserUpdateFollowsTheRolesOfTheUser(t *testing.T) {
	managed := func(c *realmCommand) { c.changeRoleAt(10, parsec.RoleManager) }
	left := func(c *realmCommand) { managed(c); c.changeRoleAt(20, parsec.RoleNone) }
	lowered := func(c *realmCommand) { managed(c); c.changeRoleAt(20, parsec.RoleReader) }
	for name, test := range map[string]struct {
		leave   func(c *realmCommand)
		profile parsec.UserProfile
		after   int
	}{
		"MANAGER":            {managed, parsec.ProfileOutsider, 10},
		"MANAGER no more":    {left, parsec.ProfileOutsider, 10},
		"MANAGER, then less": {lowered, parsec.ProfileOutsider, 10},
		"CONTRIBUTOR":        {func(c *realmCommand) { c.changeRoleAt(10, parsec.RoleContributor) }, parsec.ProfileOutsider, -1},
		"MANAGER to ADMIN":   {managed, parsec.ProfileAdmin, -1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newRealmCommand(t)
			test.leave(&c)
			last := c.ahead(test.after)
			if test.after < 0 {
				last = c.lastCommon()
			}
			update := c.userUpdate(c.alice(), carolID, test.profile)
			c.checkFollows(last, &update.update.Timestamp, func() error {
				return failure(c.UserUpdate(t.Context(), c.alice(), update.request()))
			})
		})
	}
}

// checkFollows wants a date to be refused that is not after last, whose clients are told
// it, and to be right a microsecond later.
func (c *realmCommand) checkFollows(last parsec.DateTime, date *parsec.DateTime, run func() error) {
	c.t.Helper()
	c.events.take()
	*date = last
	checkGreater(c.t, run(), last)
	c.checkEvents()
	*date = last + 1
	c.ok(nil, run())
}

// An e-mail that is used again names its new user, not the one of before
// (docs/protocol/v5/commands.md §8.2).
func TestLabelOfAnEmailUsedAgain(t *testing.T) {
	f := newFixture(t)
	f.revoke(bobID)
	robert := f.userCreation(f.alice(), deviceID("robert@laptop"), parsec.ProfileStandard)
	robert.user.HumanHandle = must(parsec3.ParseHumanHandle(human(bobID).Email(), "Robert"))
	f.ok(f.UserCreate(t.Context(), f.alice(), robert.request()))
	people, err := f.People(t.Context(), acme)
	f.ok(nil, err)
	if got := people[len(people)-1].HumanHandle; got != robert.user.HumanHandle {
		t.Errorf("got %v", got)
	}
}

// Nobody but the operator can know which realm older clients have lost.
func TestSelfPromotionIsLogged(t *testing.T) {
	s := newSelfPromotion(t)
	var logs bytes.Buffer
	s.Rules = rules.New(s.store, s.blocks, s.bus, s.webhooks, s.clock.now, slog.New(slog.NewTextHandler(&logs, nil)), rules.Options{})
	s.clock.advance(time.Millisecond)
	s.Timestamp = s.clock.now()
	s.Role = parsec.RoleManager
	if got := status(nil, s.run()); got != protocol.StatusInvalidCertificate || logs.Len() > 0 {
		t.Errorf("refused with %s, and logged %s", got, &logs)
	}
	s.Role = parsec.RoleOwner
	s.ok(nil, s.run())
	if got := logs.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "realm="+s.realm.String()) {
		t.Errorf("logged %s", got)
	}
}
