package e2e_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// newcomer makes the first device of an organization that nobody created.
func newcomer(w *world, g generation, organization string) (*parsec2.Device, *protocol.OrganizationBootstrapRequest) {
	w.t.Helper()
	address := w.Address.BootstrapAddress(must(parsec.ParseOrganizationID(organization)), "")
	device, request, err := parsec2.NewOrganization(address, g.person("alice@laptop"), w.tick())
	if err != nil {
		w.t.Fatal(err)
	}
	return device, request
}

func TestSpontaneousBootstrap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{
		Organizations: organization.Options{Token: testkit.AdministrationToken},
		Rules:         rules.Options{Founding: organization.Founding{SpontaneousBootstrap: true}},
	})
	for _, item := range []struct {
		organization string
		generation   generation
	}{{"First", inAPI1}, {"Second", inAPI2}, {"Third", inAPI3}} {
		g := item.generation
		device, request := newcomer(w, g, item.organization)
		status := &protocol.AdministrationStatusRequest{OrganizationID: device.Organization}
		probe, err := w.client.DialAnonymous(w.ctx, device.Organization, nil)
		if err != nil {
			t.Fatalf("%s: %v", item.organization, err)
		}
		ok(w, probe, protocol.Ping, &protocol.PingRequest{Ping: "x"})
		probe.Close()
		// A probe stores nothing.
		refused(w, protocol.StatusNotFound, w.administration(), protocol.AdministrationStatus, status)

		g.bootstrap(w, g, device.Organization, request)
		g.connect(w, device)
		if !ok(w, w.administration(), protocol.AdministrationStatus, status).IsBootstrapped {
			t.Errorf("%s is not bootstrapped", item.organization)
		}
		_, again := newcomer(w, g, item.organization)
		if err := w.client.Bootstrap(w.ctx, device.Organization, again); !errors.Is(err, protocol.Refuse(protocol.StatusAlreadyBootstrapped, "")) {
			t.Errorf("%s again: %v", item.organization, err)
		}
	}
	// An administrator who creates it first keeps it.
	address := w.create("Reserved")
	device, request := newcomer(w, inAPI3, "Reserved")
	if err := w.client.Bootstrap(w.ctx, device.Organization, request); !errors.Is(err, protocol.Refuse(protocol.StatusNotFound, "")) {
		t.Errorf("a reserved organization without token: %v", err)
	}
	request.BootstrapToken = address.Token()
	if err := w.client.Bootstrap(w.ctx, device.Organization, request); err != nil {
		t.Errorf("a reserved organization: %v", err)
	}
}

func TestNoSpontaneousBootstrap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testkit.InstanceOptions{})
	device, request := newcomer(w, inAPI3, "Unknown")
	_, err := parsec2.Call(w.ctx, w.client.AnonymousRPC(device.Organization, inAPI3.version), protocol.OrganizationBootstrap, request)
	if failure, found := errors.AsType[*client.HTTPError](err); !found || failure.Status != http.StatusNotFound {
		t.Errorf("over HTTP: %v", err)
	}
	// The client then tries the other way.
	err = w.client.Bootstrap(w.ctx, device.Organization, request)
	if refusal, found := errors.AsType[*parsec2.HandshakeError](err); !found || refusal.Result != "bad_identity" {
		t.Errorf("over WebSocket: %v", err)
	}
}

func TestBootstrapWebhook(t *testing.T) {
	t.Parallel()
	type call struct{ contentType, body string }
	calls := make(chan call, 2)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Errorf("webhook: %v", err)
		}
		// Encoded again, its keys are in order.
		calls <- call{r.Header.Get("Content-Type"), string(must(json.Marshal(body)))}
	}))
	t.Cleanup(hook.Close)
	w := newWorld(t, testkit.InstanceOptions{BootstrapWebhook: hook.URL})
	for _, item := range []struct {
		organization string
		generation   generation
		want         string
	}{
		{"First", inAPI1, `{"device_id":"alice@laptop","device_label":null,"human_email":null,"human_label":null,"organization_id":"First"}`},
		{"Third", inAPI3, `{"device_id":"alice@laptop","device_label":"The laptop","human_email":"alice@example.com","human_label":"alice","organization_id":"Third"}`},
	} {
		item.generation.found(w, item.organization, "alice@laptop")
		select {
		case got := <-calls:
			if want := (call{"application/json; charset=utf-8", item.want}); got != want {
				t.Errorf("%s: %+v", item.organization, got)
			}
		case <-w.ctx.Done():
			t.Fatalf("%s: no call", item.organization)
		}
	}
}
