package parsec3_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// administrator speaks REST to a server, as a script would.
type administrator struct {
	t        *testing.T
	instance *testkit.Generations
}

// ask wants a status, and returns the answer.
func (a *administrator) ask(method, path, body string, status int) string {
	a.t.Helper()
	request := must(http.NewRequestWithContext(a.t.Context(), method, a.instance.Address.HTTPOrigin()+"/administration/"+path, strings.NewReader(body)))
	request.Header.Set("Authorization", "Bearer "+testkit.AdministrationToken)
	request.Header.Set("Content-Type", "application/json")
	response := must(http.DefaultClient.Do(request))
	defer response.Body.Close()
	answer := string(must(io.ReadAll(response.Body)))
	if response.StatusCode != status {
		a.t.Fatalf("%s %s %s: HTTP %d %s, want %d", method, path, body, response.StatusCode, answer, status)
	}
	return answer
}

// foundSequestered creates an organization and bootstraps it by the link of the answer.
func (a *administrator) foundSequestered(authority *rsa.PrivateKey) {
	a.t.Helper()
	var created struct {
		URL string `json:"bootstrap_url_as_http_redirection"`
	}
	if err := json.Unmarshal([]byte(a.ask("POST", "organizations", `{"organization_id": "Acme", "tos": {"en": "https://example.com"}}`, 200)), &created); err != nil {
		a.t.Fatal(err)
	}
	address := must(parsec3.ParseAddress(created.URL))
	founding := client3.Founding{
		Organization: address.Organization(), Token: address.Target.(parsec3.BootstrapTarget).Token,
		AuthorityVerifyKey: must(x509.MarshalPKIXPublicKey(&authority.PublicKey)),
	}
	device, request, err := client3.NewOrganization(founding, person("alice"), now())
	if err != nil {
		a.t.Fatal(err)
	}
	reached := client3.New(address.Server(), client3.LatestVersion, client.Options{})
	defer reached.Close()
	must(client3.Call(a.t.Context(), reached.Anonymous(device.Organization), protocol.OrganizationBootstrap, request))
}

// TestSequesterByREST manages the services of an organization with certificates that its
// authority signs.
func TestSequesterByREST(t *testing.T) {
	a := &administrator{t, testkit.StartGenerations(t, testkit.GenerationsOptions{})}
	authority, stranger := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	a.foundSequestered(authority)
	if got := a.ask("GET", "organizations/Acme", "", 200); !strings.Contains(got, `"tos":{"per_locale_urls":{"en":"https://example.com"}`) {
		t.Errorf("terms of before the bootstrap: %s", got)
	}
	const services = "organizations/Acme/sequester/services"
	id := parsec.SequesterServiceID(parsec.NewUUID())
	service := certificate.SequesterService{
		Timestamp: now(), ServiceID: id, ServiceLabel: "Archive", EncryptionKeyDER: must(x509.MarshalPKIXPublicKey(&stranger.PublicKey)),
	}
	creation := func(service certificate.SequesterService, by *rsa.PrivateKey) string {
		return fmt.Sprintf(`{"service_certificate": %q, "config": {"type": "storage"}}`, base64.StdEncoding.EncodeToString(must(service.Sign(by))))
	}
	revocation := func() string {
		revoked := certificate.SequesterRevokedService{Timestamp: now(), ServiceID: id}
		return fmt.Sprintf(`{"revoked_service_certificate": %q}`, base64.StdEncoding.EncodeToString(must(revoked.Sign(authority))))
	}
	ahead := service
	ahead.Timestamp = now().Add(time.Hour)
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", services, "", 200, `{"services":[]}`},
		{"POST", services, creation(service, stranger), 400, `{"detail":"Invalid certificate"}`},
		{"POST", services, creation(ahead, authority), 400, `{"detail":"Timestamp too far in the future"}`},
		{"POST", services + "/revoke", revocation(), 404, `{"detail":"Sequester service not found"}`},
		{"POST", services, creation(service, authority), 200, `{}`},
		{"POST", services, creation(service, authority), 400, `{"detail":{"msg":"Require greater timestamp","strictly_greater_than":"` + service.Timestamp.String() + `"}}`},
		{"PUT", services + "/config", fmt.Sprintf(`{"service_id": %q, "config": {"type": "webhook", "webhook_url": "https://example.com/"}}`, id), 200, `{}`},
	} {
		if got := a.ask(step.method, step.path, step.body, step.status); got != step.want {
			t.Errorf("%s %s: %s, want %s", step.method, step.path, got, step.want)
		}
	}
	a.ask("POST", services+"/revoke", revocation(), 200)
	if got := a.ask("POST", services+"/revoke", revocation(), 400); got != `{"detail":"Sequester service already revoked"}` {
		t.Errorf("revoked twice: %s", got)
	}
	var listed struct {
		Services []map[string]any `json:"services"`
	}
	if err := json.Unmarshal([]byte(a.ask("GET", services, "", 200)), &listed); err != nil || len(listed.Services) != 1 {
		t.Fatalf("%v, %v", listed, err)
	}
	got := listed.Services[0]
	if got["service_id"] != parsec.UUID(id).Hex() || got["service_label"] != "Archive" || got["type"] != "webhook" ||
		got["webhook_url"] != "https://example.com/" || got["created_on"] != service.Timestamp.String() || got["revoked_on"] == nil {
		t.Errorf("listed %v", got)
	}
}
