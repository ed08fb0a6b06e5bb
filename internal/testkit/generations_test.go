package testkit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// bound stores an organization of a generation, with its root key.
func bound(t *testing.T, g *testkit.Generations, name string, generation organization.Generation) parsec.OrganizationID {
	t.Helper()
	id, err := parsec.ParseOrganizationID(name)
	if err != nil {
		t.Fatal(err)
	}
	err = g.Store3.ChangeOrganization(t.Context(), id, func(tx organization.Tx) error {
		created := organization.Founding{}.New(id, 0)
		created.BootstrappedOn, created.RootVerifyKey, created.Generation = new(parsec.DateTime(1)), &parsec.VerifyKey{1}, generation
		tx.PutOrganization(created)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// credentials are headers that authenticate somebody in each generation.
func credentials(t *testing.T, r *http.Request) {
	t.Helper()
	switch r.Header.Get("Api-Version")[0] {
	case '5':
		r.Header.Set("Authorization", "Bearer PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.1745151120."+strings.Repeat("A", 86)+"==")
		if strings.HasPrefix(r.URL.Path, "/invited/") {
			r.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 32))
		}
	default:
		r.Header.Set("Authorization", "PARSEC-SIGN-ED25519")
		r.Header.Set("Author", base64.StdEncoding.EncodeToString([]byte("alice@dev1")))
		r.Header.Set("Signature", base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize)))
		r.Header.Set("Invitation-Token", strings.Repeat("a", 32))
	}
}

// A client of one generation is told which versions an organization of the other
// needs, on every route that both have; in its own it is not.
func TestGenerationsRefuseEachOther(t *testing.T) {
	g := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	of2, of3 := bound(t, g, "OldOrg", organization.Parsec2), bound(t, g, "NewOrg", organization.Parsec3)
	none := bound(t, g, "EmptyOrg", 0)
	for version, organizations := range map[string]map[parsec.OrganizationID]string{
		"5.5": {of2: "2.10;3.4", of3: "", none: "2.10;3.4"}, // before generations, all were of the old one
		"3.4": {of3: "5.6", of2: "", none: ""},
		"2.5": {of3: "5.6", of2: "", none: ""},
	} {
		for id, supported := range organizations {
			for _, route := range []string{
				"POST /anonymous/", "GET /anonymous/", "POST /invited/", "POST /authenticated/", "GET /authenticated/ /events", "POST /authenticated/ /tos",
			} {
				method, path, _ := strings.Cut(route, " ")
				if strings.HasSuffix(path, "/tos") && version != "5.5" {
					continue
				}
				path = strings.Replace(path+" ", " ", id.String(), 1)
				r, err := http.NewRequestWithContext(t.Context(), method, g.Address.HTTPOrigin()+strings.TrimSpace(path), bytes.NewReader([]byte("\x80")))
				if err != nil {
					t.Fatal(err)
				}
				r.Header = http.Header{"Api-Version": {version}, "Content-Type": {"application/msgpack"}, "Accept": {"text/event-stream"}}
				credentials(t, r)
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				refused := response.StatusCode == http.StatusUnprocessableEntity
				if got := response.Header.Get("Supported-Api-Versions"); refused != (supported != "") || got != supported {
					t.Errorf("API %s: %s %s: status %d, versions %q, want %q", version, method, path, response.StatusCode, got, supported)
				}
			}
		}
	}
}

// Over WebSocket the client stops, and shows what to install.
func TestWebSocketsOfAnotherGeneration(t *testing.T) {
	g := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	id := bound(t, g, "NewOrg", organization.Parsec3)
	old := parsec2.New(g.Address, client.Options{})
	defer old.Close()
	user, err := parsec.ParseDeviceID("alice@dev1")
	if err != nil {
		t.Fatal(err)
	}
	device := &parsec2.Device{Organization: id, ID: user, SigningKey: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for kind, dial := range map[string]func() (*parsec2.Conn, error){
		"authenticated": func() (*parsec2.Conn, error) { return old.DialAuthenticated(ctx, device) },
		"invited": func() (*parsec2.Conn, error) {
			return old.DialInvited(ctx, g.Address.InvitationAddress(id, parsec.InvitationUser, parsec.InvitationToken{1}))
		},
		"anonymous": func() (*parsec2.Conn, error) { return old.DialAnonymous(ctx, id, nil) },
	} {
		_, err := dial()
		refusal, refused := errors.AsType[*parsec2.HandshakeError](err)
		if !refused || refusal.Result != "bad_protocol" || !strings.Contains(refusal.Help, "Parsec 3") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// What authenticates in one generation is nothing in the other.
func TestCredentialsOfAnotherGeneration(t *testing.T) {
	g := testkit.StartGenerations(t, testkit.GenerationsOptions{})
	of2, of3 := bound(t, g, "OldOrg", organization.Parsec2), bound(t, g, "NewOrg", organization.Parsec3)
	for version, id := range map[string]parsec.OrganizationID{"5.5": of3, "3.4": of2} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.Address.HTTPOrigin()+"/authenticated/"+id.String(), bytes.NewReader([]byte("\x80")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Api-Version": {map[string]string{"5.5": "3.4", "3.4": "5.5"}[version]}, "Content-Type": {"application/msgpack"}}
		credentials(t, r)
		r.Header.Set("Api-Version", version)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("API %s: status %d", version, response.StatusCode)
		}
	}
}
