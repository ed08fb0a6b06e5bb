//go:build !without_postgresql

package invariants3_test

import (
	"context"

	"parsec-server/internal/testkit/testclient3"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	vocabulary "parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// bootstraps returns a device with the call that founds the organization with it.
func (w *world) bootstraps(instance int, token *vocabulary.AccessToken) (*member, call) {
	device, request, err := parsec3.NewOrganization(parsec3.Founding{Organization: w.organization, Token: token}, person("founder"), now())
	w.no(err)
	return w.member(device), send(w.clients[instance].Anonymous(w.organization), protocol.OrganizationBootstrap, request)
}

func concurrentBootstraps(w *world) {
	for range rounds / 2 {
		w := w.unfounded()
		token := w.create()
		var founders []*member
		calls := each(4, func(_, instance int) call {
			founder, bootstrap := w.bootstraps(instance, token)
			founders = append(founders, founder)
			return bootstrap
		})
		got := w.collide(calls...)
		w.wantOutcomes(got, outcomes{protocol.StatusOK: 1, protocol.StatusOrganizationAlreadyBootstrapped: 3})
		w.eachGenerationBootstraps()
		_, again := w.bootstraps(0, token)
		w.want(protocol.StatusOrganizationAlreadyBootstrapped, again)
		stored, err := w.administration.Find(w.ctx, w.organization)
		w.no(err)
		for i, founder := range founders {
			if got[i] != protocol.StatusOK {
				w.want(onHTTP(403), founder.createsRealm(i%2, newRealmID(), now()))
				continue
			}
			if *stored.RootVerifyKey != founder.RootVerifyKey {
				w.Error("the root key is not that of the first")
			}
			reply := ask(founder, 1, protocol.CertificateGet, testclient3.NewKnowledge(founder.Device).After())
			if len(reply.CommonCertificates) != 2 {
				w.Errorf("%d common certificates, want a user and a device", len(reply.CommonCertificates))
			}
			founder.knowledge(0)
		}
	}
}

// eachGenerationBootstraps has clients of both generations bootstrap another
// organization with its one token.
func (w *world) eachGenerationBootstraps() {
	w.Helper()
	w = w.unfounded()
	got := w.collide(w.bootstrapsOfBoth(0)...)
	w.neverBoth("the bootstraps of both generations")(got[0], got[1])
	w.wantBound(got[0])
}

// bootstrapsOfBoth creates the organization, and returns its bootstraps: that of API 5
// through an instance, and that of API 3 through the other one.
func (w *world) bootstrapsOfBoth(instance int) []call {
	w.Helper()
	token := w.create()
	_, bootstrap := w.bootstraps(instance, token)
	older := w.older[1-instance]
	address := older.Address().BootstrapAddress(w.organization, token.String())
	_, request, err := parsec2.NewOrganization(address, parsec2.Person{
		ID:          must(parsec.ParseDeviceID("alice@laptop")),
		Label:       must(parsec.ParseDeviceLabel("laptop")),
		HumanHandle: must(parsec.ParseHumanHandle("alice@example.com", "alice")),
	}, now())
	w.no(err)
	return []call{bootstrap, func(ctx context.Context) error { return older.Bootstrap(ctx, w.organization, request) }}
}

// wantBound wants the organization to be of the generation whose bootstrap was
// accepted: how that of API 5 ended says which.
func (w *world) wantBound(ofParsec3 protocol.Status) {
	w.Helper()
	stored, err := w.administration.Find(w.ctx, w.organization)
	w.no(err)
	want := organization.Parsec2
	if ofParsec3 == protocol.StatusOK {
		want = organization.Parsec3
	}
	if stored.Bound() != want {
		w.Errorf("the organization is of generation %d, want %d", stored.Bound(), want)
	}
}
