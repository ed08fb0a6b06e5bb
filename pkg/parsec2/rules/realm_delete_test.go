package rules_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// TestDeleteRealm has a realm be deleted for good once its date has come, for servers
// whose clock is behind as well.
func TestDeleteRealm(t *testing.T) {
	s := newRealmScenario(t)
	ctx := t.Context()
	want := func(want error) (realm organization.DeletableRealm) {
		t.Helper()
		realm, err := s.DeletableRealm(ctx, acme, s.realm)
		same := errors.Is(err, want)
		if notDue, is := errors.AsType[*organization.RealmNotDueError](want); is {
			got, is := errors.AsType[*organization.RealmNotDueError](err)
			same = is && *got == *notDue
		}
		if !same {
			t.Errorf("%v, want %v", err, want)
		}
		all, err := s.DeletableRealms(ctx, acme)
		if err != nil || slices.ContainsFunc(all, func(r organization.DeletableRealm) bool { return r.ID == s.realm }) != (want == nil) {
			t.Errorf("listed %+v, %v", all, err)
		}
		if want != nil {
			if _, err := s.DeleteRealm(ctx, acme, s.realm, true); err == nil {
				t.Error("deleted")
			}
		}
		return realm
	}
	s.setBlock(1)
	s.setVlob(1)
	want(organization.ErrRealmInUse)
	s.breakArchived()
	want(organization.ErrRealmInUse)
	date := s.clock.now().Add(time.Hour)
	s.setArchiving(parsec.ArchivingDeletionPlanned, time.Hour)
	want(&organization.RealmNotDueError{On: date})
	s.clock.advance(time.Hour)
	if got := want(nil); got != (organization.DeletableRealm{ID: s.realm, Kind: organization.DeletionPlanned, On: date}) {
		t.Errorf("got %+v", got)
	}
	if deleted, err := s.DeleteRealm(ctx, acme, s.realm, false); err != nil || deleted.On != date {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	s.clock.advance(-time.Minute)
	want(organization.ErrRealmDeleted)
	stats, err := s.RealmStats(ctx, s.alice(), &protocol.RealmStatsRequest{RealmID: s.realm})
	if status(stats, err) != protocol.StatusRealmDeleted {
		t.Errorf("stats of a deleted realm: %v", err)
	}
	_, err = s.RealmUpdateArchiving(ctx, s.alice(), s.archivingChange(s.alice(), s.realm, parsec.ArchivingAvailable).request())
	if status(stats, err) != protocol.StatusRealmDeleted {
		t.Errorf("archiving of a deleted realm: %v", err)
	}
	statistics, err := s.StatisticsOf(ctx, []parsec.OrganizationID{acme}, nil)
	if err != nil || statistics[0].DataSize != 0 || statistics[0].MetadataSize != 0 {
		t.Errorf("counted %+v, %v", statistics, err)
	}
	s.realm = unknownRealm
	want(organization.ErrRealmNotFound)
	if _, err := s.DeletableRealms(ctx, must(parsec.ParseOrganizationID("Unknown"))); !errors.Is(err, organization.ErrNotFound) {
		t.Errorf("an organization that is not there: %v", err)
	}
}
