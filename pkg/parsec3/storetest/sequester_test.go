package storetest

import (
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

var sequesterChecks = []check{
	{"services", services},
	{"other organizations", servicesApart},
}

func serviceName(id parsec.SequesterServiceID) string { return fmt.Sprint("service ", id[0]) }

func newService(id parsec.SequesterServiceID, date parsec.DateTime) rules.SequesterService {
	return rules.SequesterService{ID: id, Label: "The " + serviceName(id), CreatedOn: date}
}

func (f *fixture) createService(id parsec.SequesterServiceID) {
	f.Helper()
	date := f.next()
	f.queue(onSequester(), func(tx rules.Tx) { createServiceIn(tx, id, date) })
}

func createServiceIn(tx rules.Tx, id parsec.SequesterServiceID, date parsec.DateTime) {
	tx.CreateService(newService(id, date), rules.Certificate{Timestamp: date, Bytes: []byte(serviceName(id))})
}

func (f *fixture) revokeService(id parsec.SequesterServiceID) {
	f.Helper()
	date := f.next()
	f.queue(onSequester(), func(tx rules.Tx) {
		tx.RevokeService(id, rules.Certificate{Timestamp: date, Bytes: []byte("revoked " + serviceName(id))})
	})
}

// wantServices asks a reader, and transactions.
func (f *fixture) wantServices(want ...rules.SequesterService) {
	f.Helper()
	got, err := f.store.SequesterServices(f.Context(), f.organization)
	f.no(err)
	equalList(f, "services", got, want)
	for _, scope := range []rules.Scope{onSequester(), onRealm(newRealmID()), {}} {
		f.update(scope, func(tx rules.Tx) error {
			got, err := tx.Services(f.Context())
			equalList(f, "services in a transaction", got, want)
			return err
		})
	}
}

func services(f *fixture) {
	f.wantServices()
	f.bootstrapSequestered() // at 1
	f.wantServices()
	first, second := parsec.SequesterServiceID{9}, parsec.SequesterServiceID{1}
	f.createService(first)
	f.update(onSequester(), func(tx rules.Tx) error {
		hooked := newService(second, at(3))
		hooked.WebhookURL = "https://example.com/?a=b"
		tx.CreateService(hooked, rules.Certificate{Timestamp: at(3), Bytes: []byte("service")})
		list, err := tx.Services(f.Context())
		equal(f, "services before the end of the rule", len(list), 1)
		return err
	})
	f.next()
	one, two := newService(first, at(2)), newService(second, at(3))
	two.WebhookURL = "https://example.com/?a=b"
	f.wantServices(one, two)
	f.queue(rules.Scope{}, func(tx rules.Tx) { tx.ConfigureService(first, "http://localhost") })
	one.WebhookURL = "http://localhost"
	f.wantServices(one, two)
	f.queue(rules.Scope{}, func(tx rules.Tx) { tx.ConfigureService(second, "") })
	two.WebhookURL = ""
	f.wantServices(one, two)
	f.revokeService(first)
	one.RevokedOn = new(at(4))
	f.wantServices(one, two)
	got, err := f.store.SequesterServices(f.Context(), f.organization)
	f.no(err)
	*got[0].RevokedOn++
	f.wantServices(one, two)
}

func servicesApart(f *fixture) {
	other := f.another()
	other.bootstrapSequestered()
	other.createService(parsec.SequesterServiceID{1})
	f.bootstrapSequestered()
	f.wantServices()
	f.createService(parsec.SequesterServiceID{1})
	other.revokeService(parsec.SequesterServiceID{1})
	f.wantServices(newService(parsec.SequesterServiceID{1}, at(2)))
}
