//go:build !without_postgresql

package invariants3_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// patience bounds what a test waits for.
const patience = 4 * time.Minute

// world is a home, with an organization of the test whose first user is alice, an
// ADMIN. It is sequestered, so that every lock counts, and begins without service.
type world struct {
	testing.TB
	*home
	ctx          context.Context
	organization parsec.OrganizationID
	alice        *member
}

func newWorld(t testing.TB, on *home) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{TB: t, home: on, ctx: ctx}
	return w.another()
}

// another returns another organization of the same home.
func (w *world) another() *world {
	w.Helper()
	other := w.unfounded()
	device, request, err := parsec3.NewOrganization(parsec3.Founding{
		Organization: other.organization, Token: other.create(), AuthorityVerifyKey: rsaKeys(w)["sequester_authority"].Public,
	}, person("alice"), now())
	w.no(err)
	other.ok(send(other.clients[1].Anonymous(other.organization), protocol.OrganizationBootstrap, request))
	other.alice = other.member(device)
	return other
}

// unfounded returns an organization that does not exist.
func (w *world) unfounded() *world {
	other := *w
	other.organization = must(parsec.ParseOrganizationID("Org" + parsec.NewUUID().Hex()[:20]))
	return &other
}

// create has an administrator create the organization, and returns the token of its
// bootstrap.
func (w *world) create() *vocabulary.AccessToken {
	w.Helper()
	token, err := w.administration.Create(w.ctx, organization.Administrator{}, w.organization, organization.Change{})
	w.no(err)
	return new(must(vocabulary.ParseAccessToken(token)))
}

// settle has an administrator change settings.
func (w *world) settle(change organization.Change) {
	w.Helper()
	w.no(w.administration.Update(w.ctx, organization.Administrator{}, w.organization, change))
}

// keyPair is an RSA key of the vectors.
type keyPair struct {
	Public  []byte `json:"public_der"`
	Private []byte `json:"private_pkcs8_der"`
}

func rsaKeys(t testing.TB) map[string]keyPair {
	t.Helper()
	return vectors.Load[struct {
		Keys struct {
			RSA map[string]keyPair `json:"rsa"`
		} `json:"keys"`
	}](t, "v5/certificates.json").Keys.RSA
}

func authorityKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	return must(x509.ParsePKCS8PrivateKey(rsaKeys(t)["sequester_authority"].Private)).(*rsa.PrivateKey)
}

// service is a sequester service that an administrator creates; webhook is "" for one
// of type storage.
func (w *world) createsService(id parsec.SequesterServiceID, webhook string, date parsec.DateTime) call {
	signed := must(certificate.SequesterService{
		Timestamp: date, ServiceID: id, ServiceLabel: "service", EncryptionKeyDER: rsaKeys(w)["sequester_service"].Public,
	}.Sign(authorityKey(w)))
	return func(ctx context.Context) error {
		return w.rules.CreateSequesterService(ctx, w.organization, signed, webhook)
	}
}

func (w *world) revokesService(id parsec.SequesterServiceID, date parsec.DateTime) call {
	signed := must(certificate.SequesterRevokedService{Timestamp: date, ServiceID: id}.Sign(authorityKey(w)))
	return func(ctx context.Context) error { return w.rules.RevokeSequesterService(ctx, w.organization, signed) }
}

// member is a device that sends commands to both instances.
type member struct {
	*parsec3.Device
	w  *world
	on [2]*parsec3.RPC
}

func (w *world) member(device *parsec3.Device) *member {
	m := &member{Device: device, w: w}
	for i := range m.on {
		m.on[i] = w.clients[i].Authenticated(device)
	}
	return m
}

var people atomic.Int64

// person has an e-mail of its own.
func person(name string) parsec3.Person {
	return personWith(fmt.Sprintf("%s%d@example.com", name, people.Add(1)), name)
}

func personWith(email, name string) parsec3.Person {
	return parsec3.Person{
		Label:       must(vocabulary.ParseDeviceLabel("device of " + name)),
		HumanHandle: must(vocabulary.ParseHumanHandle(email, name)),
	}
}

// addUser has alice create a user.
func (w *world) addUser(name string, profile parsec.UserProfile) *member {
	w.Helper()
	user, create := w.alice.creates(0, person(name), profile, anytime)
	w.ok(create)
	return user
}

// knowledge polls everything through an instance, and verifies it as official clients
// do.
func (m *member) knowledge(instance int) *testclient3.Knowledge {
	m.w.Helper()
	known := testclient3.NewKnowledge(m.Device)
	next, err := m.learn(known, instance)
	if err != nil {
		m.w.Fatalf("certificates of %s: %v", m.Label, err)
	}
	return next
}

func (m *member) learn(known *testclient3.Knowledge, instance int) (*testclient3.Knowledge, error) {
	reply, err := parsec3.Call(m.w.ctx, m.on[instance], protocol.CertificateGet, known.After())
	if err != nil {
		return nil, err
	}
	return known.Learn(reply)
}

// coherent has members verify what they are told.
func (w *world) coherent(members ...*member) *testclient3.Knowledge {
	w.Helper()
	for i, m := range members {
		m.knowledge(i % 2)
	}
	return w.alice.knowledge(1)
}

var lastDate atomic.Int64

// now returns the time, later at each call.
func now() parsec.DateTime {
	for {
		last := lastDate.Load()
		next := max(int64(systemClock()), last+1)
		if lastDate.CompareAndSwap(last, next) {
			return parsec.DateTime(next)
		}
	}
}

// ahead returns a date that a clock which is fast gives.
func ahead(seconds int) parsec.DateTime { return now().Add(time.Duration(seconds) * time.Second) }

// must is for what does not depend on the servers.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newRealmID() parsec.RealmID              { return parsec.RealmID(parsec.NewUUID()) }
func newVlobID() parsec.VlobID                { return parsec.VlobID(parsec.NewUUID()) }
func newBlockID() parsec.BlockID              { return parsec.BlockID(parsec.NewUUID()) }
func newServiceID() parsec.SequesterServiceID { return parsec.SequesterServiceID(parsec.NewUUID()) }
