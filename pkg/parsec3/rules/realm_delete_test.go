package rules_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// wantDeletable asks for the realm, and for all of them; a nil error is for one that may
// be deleted as kind, since a date.
func (c *realmCommand) wantDeletable(want error, kind organization.DeletionKind, on parsec.DateTime) {
	c.t.Helper()
	realm := organization.DeletableRealm{ID: c.realm, Kind: kind, On: on}
	got, err := c.DeletableRealm(c.t.Context(), acme, c.realm)
	if !sameError(err, want) || err == nil && got != realm {
		c.t.Errorf("%+v, %v, want %+v, %v", got, err, realm, want)
	}
	all, err := c.DeletableRealms(c.t.Context(), acme)
	if err != nil || slices.Contains(all, realm) != (want == nil) {
		c.t.Errorf("listed %+v, %v, want %+v: %t", all, err, realm, want == nil)
	}
}

// sameError compares errors of organization.Deleting.
func sameError(got, want error) bool {
	gotDue, one := errors.AsType[*organization.RealmNotDueError](got)
	wantDue, other := errors.AsType[*organization.RealmNotDueError](want)
	return one == other && (one && *gotDue == *wantDue || !one && errors.Is(got, want))
}

// TestDeleteRealm has a realm be deleted once its owner has planned it and the date has
// come, not before, and for ever.
func TestDeleteRealm(t *testing.T) {
	c := newRealmCommand(t)
	ctx := t.Context()
	realms := func() uint64 {
		return must(c.StatisticsOf(ctx, []parsec.OrganizationID{acme}, nil))[0].Realms
	}
	before := realms()
	del := func(want error, orphaned bool) {
		t.Helper()
		if _, err := c.DeleteRealm(ctx, acme, c.realm, orphaned); !sameError(err, want) {
			t.Errorf("delete: %v, want %v", err, want)
		}
	}
	c.wantDeletable(organization.ErrRealmInUse, "", 0)
	del(organization.ErrRealmInUse, true)
	c.archive(c.alice(), parsec.ArchivingArchived)
	c.wantDeletable(organization.ErrRealmInUse, "", 0)
	planned := c.archiving(c.alice(), parsec.ArchivingDeletionPlanned)
	c.ok(c.RealmUpdateArchiving(ctx, c.alice(), planned.request()))
	notDue := &organization.RealmNotDueError{On: *planned.DeletionDate}
	c.clock.advance(time.Duration(notDue.On-c.clock.now()-1) * time.Microsecond)
	c.wantDeletable(notDue, "", 0)
	del(notDue, true)
	c.clock.advance(time.Microsecond)
	c.wantDeletable(nil, organization.DeletionPlanned, notDue.On)

	// Nothing changes by the date alone: the owner may think again.
	c.archive(c.alice(), parsec.ArchivingAvailable)
	c.wantDeletable(organization.ErrRealmInUse, "", 0)
	del(organization.ErrRealmInUse, true)
	planned = c.archiving(c.alice(), parsec.ArchivingDeletionPlanned)
	c.ok(c.RealmUpdateArchiving(ctx, c.alice(), planned.request()))
	c.clock.advance(31 * 24 * time.Hour)
	del(nil, false)
	c.wantDeletable(organization.ErrRealmDeleted, "", 0)
	del(organization.ErrRealmDeleted, true)
	_, err := c.RealmUpdateArchiving(ctx, c.alice(), c.archiving(c.alice(), parsec.ArchivingAvailable).request())
	wantStatus(t, "archiving of a deleted realm", err, protocol.StatusRealmDeleted)
	if got := realms(); got != before-1 {
		t.Errorf("%d realms are counted, of %d", got, before)
	}

	unknown := must(parsec.ParseOrganizationID("Unknown"))
	_, err1 := c.DeletableRealms(ctx, unknown)
	_, err2 := c.DeletableRealm(ctx, unknown, c.realm)
	_, err3 := c.DeleteRealm(ctx, unknown, c.realm, true)
	for _, err := range []error{err1, err2, err3} {
		if !errors.Is(err, organization.ErrNotFound) {
			t.Errorf("an organization that is not there: %v", err)
		}
	}
	c.realm = realmID("unknown")
	c.wantDeletable(organization.ErrRealmNotFound, "", 0)
	del(organization.ErrRealmNotFound, true)
}

// TestDeleteOrphan has a realm be orphaned once everybody with a role is revoked, and
// deleted only by who asks for it.
func TestDeleteOrphan(t *testing.T) {
	c := newRealmCommand(t)
	ctx := t.Context()
	c.forceRole(carolID, parsec.RoleReader)
	for _, user := range []parsec3.UserID{carolID, bobID} {
		c.forceRevoked(user)
		c.wantDeletable(organization.ErrRealmInUse, "", 0)
	}
	c.forceRevoked(aliceID)
	since := c.clock.now()
	c.wantDeletable(nil, organization.Orphaned, since)
	c.clock.advance(time.Hour)
	if _, err := c.DeleteRealm(ctx, acme, c.realm, false); !errors.Is(err, organization.ErrRealmInUse) {
		t.Errorf("deleted unasked: %v", err)
	}
	deleted, err := c.DeleteRealm(ctx, acme, c.realm, true)
	if want := (organization.DeletableRealm{ID: c.realm, Kind: organization.Orphaned, On: since}); err != nil || deleted != want {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	c.wantDeletable(organization.ErrRealmDeleted, "", 0)
}

// TestDeleteRealmWhileMembersWrite has who writes meanwhile be stored before, or be told
// that the realm is deleted.
func TestDeleteRealmWhileMembersWrite(t *testing.T) {
	c := newRealmCommand(t)
	ctx := t.Context()
	const writers = 8
	ends := make(chan error, writers)
	for i := range writers {
		go func() {
			for n := 0; ; n++ {
				_, err := c.VlobCreate(ctx, c.bob(), c.vlobCreation(fmt.Sprint(i, " ", n)))
				if err != nil {
					ends <- err
					return
				}
			}
		}()
	}
	c.change(rules.Tx.MarkRealmDeleted)
	for range writers {
		if err := <-ends; status(nil, err) != protocol.StatusRealmDeleted {
			t.Errorf("a writer is told %v", err)
		}
	}
	usage, err := c.OrganizationInfo(ctx, c.alice(), &protocol.OrganizationInfoRequest{})
	if err != nil || usage.TotalMetadataBytes != 0 {
		t.Errorf("%+v, %v", usage, err)
	}
}
