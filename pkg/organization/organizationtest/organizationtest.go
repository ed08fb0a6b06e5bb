// Package organizationtest is the suite that every store of organizations
// passes: the contract of organization.Store, checked.
package organizationtest

import (
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Exercise checks the store that open returns, which publishes to bus. The
// checks run in parallel on that one store, each on organizations of its own;
// open may register its end with t.Cleanup.
func Exercise(t *testing.T, open func(t *testing.T, bus *event.Bus) organization.Store) {
	bus := event.NewBus()
	t.Cleanup(bus.Close)
	store := open(t, bus)
	for _, check := range []struct {
		name string
		run  func(f *fixture)
	}{
		{"unknown", unknown},
		{"create and replace", put},
		{"facts are copies", copies},
		{"refused change", refusedChange},
		{"concurrent creations", concurrentCreations},
		{"events", events},
		{"pages", pages},
	} {
		t.Run(check.name, func(t *testing.T) {
			t.Parallel()
			check.run(&fixture{T: t, store: store, bus: bus, id: organizationID("Org" + parsec.NewUUID().Hex()[:20])})
		})
	}
}

// Full returns an organization that has a value in every field.
func Full(id parsec.OrganizationID) organization.Organization {
	return organization.Organization{
		ID:                         id,
		BootstrapToken:             "token",
		RootVerifyKey:              &parsec.VerifyKey{1, 2, 3},
		ExpirationDate:             new(at(100)),
		UserProfileOutsiderAllowed: true,
		ActiveUsersLimit:           new(uint64(10)),
		MinimumArchivingPeriod:     2592000,
		TOS: &organization.TOS{
			PerLocaleURLs: map[string]string{"en_US": "https://example.com/en?a=\"b\"", "fr_FR": "https://example.com/fr\x00é"},
			UpdatedOn:     at(3),
		},
		SequesterAuthorityCertificate: []byte("authority"),
		SequesterVerifyKeyDER:         []byte("key"),
		CreatedOn:                     at(1),
		BootstrappedOn:                new(at(2)),
		Generation:                    organization.Parsec2,
	}
}

// Spoil changes what the pointers of a full organization point to.
func Spoil(organization *organization.Organization) {
	organization.BootstrapToken = "spoiled"
	organization.RootVerifyKey[0]++
	*organization.ExpirationDate++
	*organization.ActiveUsersLimit++
	organization.TOS.UpdatedOn++
	*organization.BootstrappedOn++
}

// at returns a date of the checks, in seconds from an arbitrary one.
func at(seconds int) parsec.DateTime {
	return 1_700_000_000_123_456 + parsec.DateTime(seconds)*1_000_000
}

func organizationID(text string) parsec.OrganizationID {
	id, err := parsec.ParseOrganizationID(text)
	if err != nil {
		panic(err)
	}
	return id
}

// fixture is a store and the id of an organization that does not exist yet.
type fixture struct {
	*testing.T
	store organization.Store
	bus   *event.Bus
	id    parsec.OrganizationID
}

// no ends the check on a failure of the store.
func (f *fixture) no(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("unexpected error: %v", err)
	}
}

func equal[T any](f *fixture, what string, got, want T) {
	f.Helper()
	if !reflect.DeepEqual(got, want) {
		f.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func (f *fixture) put(stored organization.Organization) {
	f.Helper()
	f.no(f.store.ChangeOrganization(f.Context(), stored.ID, func(tx organization.Tx) error {
		tx.PutOrganization(stored)
		return nil
	}))
}

// want compares what is stored, read and in a transaction; nil is nothing.
func (f *fixture) want(want *organization.Organization) {
	f.Helper()
	got, found, err := f.store.Organization(f.Context(), f.id)
	f.no(err)
	equal(f, "found", found, want != nil)
	equal(f, "organization", got, want)
	f.no(f.store.ChangeOrganization(f.Context(), f.id, func(tx organization.Tx) error {
		got, found := tx.Organization()
		equal(f, "found by a transaction", found, want != nil)
		equal(f, "organization of a transaction", got, want)
		return nil
	}))
}

func unknown(f *fixture) {
	f.want(nil)
	f.want(nil) // a transaction without effect leaves nothing
}

func put(f *fixture) {
	minimal := organization.Organization{ID: f.id, CreatedOn: at(3)}
	zeroLimit := minimal
	zeroLimit.ActiveUsersLimit = new(uint64(0))
	for _, stored := range []organization.Organization{minimal, Full(f.id), minimal, zeroLimit} {
		f.put(stored)
		f.want(&stored)
	}
}

func copies(f *fixture) {
	given, want := Full(f.id), Full(f.id)
	f.put(given)
	Spoil(&given)
	clear(given.SequesterAuthorityCertificate)
	clear(given.SequesterVerifyKeyDER)
	f.want(&want)

	read, _, err := f.store.Organization(f.Context(), f.id)
	f.no(err)
	Spoil(read)
	f.no(f.store.ChangeOrganization(f.Context(), f.id, func(tx organization.Tx) error {
		stored, _ := tx.Organization()
		Spoil(stored)
		return nil
	}))
	f.want(&want)
}

func refusedChange(f *fixture) {
	refusal := errors.New("refused")
	change := func(changed organization.Organization) {
		heard := f.hear()
		err := f.store.ChangeOrganization(f.Context(), f.id, func(tx organization.Tx) error {
			tx.PutOrganization(changed)
			tx.Emit(expiration(f.id, nil))
			return refusal
		})
		if !errors.Is(err, refusal) {
			f.Errorf("error %v, want that of the rule", err)
		}
		equal(f, "events", heard(), nil)
	}
	change(Full(f.id))
	f.want(nil)
	minimal := organization.Organization{ID: f.id, CreatedOn: at(3)}
	f.put(minimal)
	change(Full(f.id))
	f.want(&minimal)
}

func concurrentCreations(f *fixture) {
	const rounds, workers = 10, 8
	lost := errors.New("lost")
	for range rounds {
		f := &fixture{T: f.T, store: f.store, bus: f.bus, id: organizationID("Org" + parsec.NewUUID().Hex()[:20])}
		winners := make(chan int, workers)
		var working sync.WaitGroup
		for worker := range workers {
			working.Go(func() {
				err := f.store.ChangeOrganization(f.Context(), f.id, func(tx organization.Tx) error {
					if _, found := tx.Organization(); found {
						return lost
					}
					runtime.Gosched() // Others get the time to come in.
					tx.PutOrganization(organization.Organization{ID: f.id, CreatedOn: at(worker)})
					return nil
				})
				switch {
				case err == nil:
					winners <- worker
				case !errors.Is(err, lost):
					f.Errorf("worker %d: %v", worker, err)
				}
			})
		}
		working.Wait()
		equal(f, "number of winners", len(winners), 1)
		f.want(&organization.Organization{ID: f.id, CreatedOn: at(<-winners)})
	}
}

func expiration(id parsec.OrganizationID, date *parsec.DateTime) event.Event {
	return event.Event{Organization: id, Body: event.OrganizationExpiration{Date: date}}
}

// hear begins to listen to the organization. The function that it returns
// returns what was published until it is called.
func (f *fixture) hear() func() []event.Event {
	heard := make(chan event.Event, 100) // more than any check emits
	subscription := f.bus.Subscribe(func(e event.Event) { heard <- e }, event.OrganizationTopic(f.id))
	f.Cleanup(subscription.Close)
	return func() (events []event.Event) {
		last := new(at(1000))
		f.no(f.store.ChangeOrganization(f.Context(), f.id, func(tx organization.Tx) error {
			tx.Emit(expiration(f.id, last))
			return nil
		}))
		for e := range heard {
			if reflect.DeepEqual(e, expiration(f.id, last)) {
				return events
			}
			events = append(events, e)
		}
		return events
	}
}

func events(f *fixture) {
	heard := f.hear()
	var want []event.Event
	for i := range 3 {
		date := at(i)
		f.no(f.store.ChangeOrganization(f.Context(), f.id, func(tx organization.Tx) error {
			tx.PutOrganization(organization.Organization{ID: f.id, CreatedOn: at(0), ExpirationDate: &date})
			tx.Emit(expiration(f.id, &date))
			tx.Emit(expiration(f.id, nil))
			return nil
		}))
		want = append(want, expiration(f.id, &date), expiration(f.id, nil))
	}
	equal(f, "events", heard(), want)
}

func pages(f *fixture) {
	prefix := f.id.String()
	// In byte order, whatever the language of the database.
	for i, name := range []string{"-B", "-a", "-b", "_a", "é"} {
		f.put(organization.Organization{ID: organizationID(prefix + name), CreatedOn: at(i)})
	}
	full := Full(organizationID(prefix + "é"))
	full.CreatedOn = at(4)
	f.put(full)
	page := func(after string, limit int, until *parsec.DateTime) string {
		f.Helper()
		page, err := f.store.Organizations(f.Context(), organizationID(after), limit, until)
		f.no(err)
		if len(page) > limit {
			f.Errorf("%d organizations, more than %d", len(page), limit)
		}
		var names []string
		for _, found := range page {
			if name, mine := strings.CutPrefix(found.ID.String(), prefix); mine {
				names = append(names, name)
			}
			if found.ID == full.ID {
				equal(f, "organization of a page", found, full)
			}
		}
		return strings.Join(names, " ")
	}
	equal(f, "first page", page(prefix, 3, nil), "-B -a -b")
	equal(f, "second page", page(prefix+"-b", 3, nil), "_a é")
	equal(f, "page after one that does not exist", page(prefix+"-c", 1, nil), "_a")
	equal(f, "page of the past", page(prefix, 3, new(at(1))), "-B -a")
	equal(f, "page of just before", page(prefix, 3, new(at(1)-1)), "-B")
	equal(f, "page before all", page(prefix, 3, new(at(0)-1)), "")
	beginning, err := f.store.Organizations(f.Context(), parsec.OrganizationID{}, 1, nil)
	f.no(err)
	equal(f, "organizations of a page from the beginning", len(beginning), 1)
}
