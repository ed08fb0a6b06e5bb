package parsec3_test

import (
	"crypto/ed25519"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/rules"
	serverparsec3 "parsec-server/pkg/server/parsec3"
)

type tokenCase struct {
	Name          string  `json:"name"`
	Authorization *string `json:"authorization"`
	Status        int     `json:"status"`
	Either        []int   `json:"status_either"`
}

func (c *tokenCase) header() http.Header {
	header := http.Header{}
	if c.Authorization != nil {
		header.Set("Authorization", *c.Authorization)
	}
	return header
}

// mayBe reports whether the vectors take the status.
func (c *tokenCase) mayBe(status int) bool {
	return status == c.Status || slices.Contains(c.Either, status)
}

type tokenVectors struct {
	NowUnix int64 `json:"now_unix"`
	Device  struct {
		ID         string      `json:"device_id"`
		Seed       []byte      `json:"signing_seed"`
		SignedText string      `json:"signed_text"`
		Signature  []byte      `json:"signature"`
		Token      string      `json:"token"`
		Cases      []tokenCase `json:"cases"`
	} `json:"device"`
	Account struct {
		MethodID string      `json:"method_id"`
		Text     string      `json:"mac_text"`
		MAC      []byte      `json:"mac"`
		Token    string      `json:"token"`
		Cases    []tokenCase `json:"cases"`
	} `json:"account"`
	Invitation struct {
		Token string      `json:"token"`
		Cases []tokenCase `json:"cases"`
	} `json:"invitation"`
}

func loadTokens(t testing.TB) tokenVectors {
	t.Helper()
	loaded := vectors.Load[tokenVectors](t, "v5/auth_tokens.json")
	if len(loaded.Device.Cases) == 0 || len(loaded.Account.Cases) == 0 || len(loaded.Invitation.Cases) == 0 {
		t.Fatal("no vectors")
	}
	return loaded
}

// withVectorDevice gives bob the device of the vectors.
func (f *fixture) withVectorDevice(loaded *tokenVectors) {
	f.t.Helper()
	key := ed25519.NewKeyFromSeed(loaded.Device.Seed)
	f.ok(f.Store3.Update(f.ctx, rules.Scope{Organization: coolOrg, Common: rules.Exclusive}, func(tx rules.Tx) error {
		tx.CreateDevice(rules.Device{
			ID: parsec3.DeviceID(must(parsec.ParseUUID(loaded.Device.ID))), User: f.bob.User,
			VerifyKey: parsec.VerifyKey(key.Public().(ed25519.PublicKey)), CreatedOn: f.clock.Now(),
		}, rules.Certificate{Timestamp: f.clock.Now(), Author: f.alice.ID, Bytes: []byte("full"), Redacted: []byte("redacted")})
		return nil
	}))
}

// The device tokens of the vectors, at their instant and on each of their routes.
func TestDeviceTokenVectors(t *testing.T) {
	loaded := loadTokens(t)
	f := newFixture(t)
	f.withVectorDevice(&loaded)
	f.clock.Advance(reference.Sub(f.clock.Now()))
	if f.clock.Now().Time().Unix() != loaded.NowUnix {
		t.Fatalf("the clock is at %v", f.clock.Now())
	}
	for _, item := range loaded.Device.Cases {
		for _, r := range []*request{
			f.newRequest(http.MethodPost, "/authenticated/CoolOrg", nil), f.newRequest(http.MethodPost, "/authenticated/CoolOrg/tos", nil),
			f.newRequest(http.MethodGet, "/authenticated/CoolOrg/events", nil),
		} {
			if strings.HasSuffix(r.path, "/tos") {
				r.body = message("tos_get", nil)
			}
			for name, values := range item.header() {
				r.header[name] = values
			}
			if got := f.open(r).StatusCode; !item.mayBe(got) {
				t.Errorf("%s: %s: status %d, want %d", r.path, item.Name, got, item.Status)
			}
		}
	}
}

func TestDeviceTokenIsSigned(t *testing.T) {
	loaded := loadTokens(t)
	signature := ed25519.Sign(ed25519.NewKeyFromSeed(loaded.Device.Seed), []byte(loaded.Device.SignedText))
	if string(signature) != string(loaded.Device.Signature) {
		t.Errorf("signature %x", signature)
	}
	token, ok := serverparsec3.ParseDeviceToken(http.Header{"Authorization": {"Bearer " + loaded.Device.Token}})
	if !ok || string(token.Signed) != loaded.Device.SignedText || string(token.Signature) != string(signature) ||
		token.Device.String() != loaded.Device.ID || token.Date != parsec.DateTime(loaded.NowUnix*1_000_000) {
		t.Errorf("token %+v, %t", token, ok)
	}
}

// Of accounts and invitations, the form of the token.
func TestOtherTokenVectors(t *testing.T) {
	loaded := loadTokens(t)
	for _, item := range loaded.Account.Cases {
		if _, ok := serverparsec3.ParseAccountToken(item.header()); ok == item.mayBe(http.StatusUnauthorized) {
			t.Errorf("account: %s: %t", item.Name, ok)
		}
	}
	account, ok := serverparsec3.ParseAccountToken(http.Header{"Authorization": {"Bearer " + loaded.Account.Token}})
	want := rules.MACToken{
		Method: parsec3.AuthMethodID(must(parsec.ParseUUID(loaded.Account.MethodID))), Date: parsec.DateTime(loaded.NowUnix * 1_000_000),
		Text: []byte(loaded.Account.Text), MAC: loaded.Account.MAC,
	}
	if !ok || !reflect.DeepEqual(account, want) {
		t.Errorf("account: got %+v, want %+v", account, want)
	}
	for _, item := range loaded.Invitation.Cases {
		token, ok := serverparsec3.ParseInvitationToken(item.header())
		if ok == item.mayBe(http.StatusUnauthorized) || item.Status == http.StatusOK && token.String() != loaded.Invitation.Token {
			t.Errorf("invitation: %s: %v, %t", item.Name, token, ok)
		}
	}
}

// Each part of a token has one form.
func TestMalformedTokens(t *testing.T) {
	const good = "PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.1745151120."
	signature := strings.Repeat("A", 86) + "=="
	for token, want := range map[string]bool{
		good + signature:                                                    true,
		good + strings.Repeat("-", 85) + "A==":                              true,
		good + strings.Repeat("A", 85) + "B==":                              false, // bits that are lost
		good + strings.Repeat("A", 86):                                      false,
		good + signature + "=":                                              false,
		good + signature + "A":                                              false,
		good + strings.Repeat("+", 85) + "A==":                              false,
		good + signature[:40] + "\n" + signature[40:]:                       false,
		good + strings.Repeat("A", 84):                                      false,
		good + "." + signature:                                              false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000." + signature: false,
		"parsec-sign-ed25519.de10a11cec0010000000000000000000.1745151120." + signature:            false,
		"PARSEC-SIGN-ED25519.de10a11cec001000000000000000000.1745151120." + signature:             false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.." + signature:                      false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.+745151120." + signature:            false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.-745151120." + signature:            false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.1_0." + signature:                   false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.1745151120.5." + signature:          false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.0," + signature:                     false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.000000000007." + signature:          true,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.0000000000007." + signature:         false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.999999999999." + signature:          false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.9223372036854775808." + signature:   false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.99999999999999999999." + signature:  false,
		"PARSEC-SIGN-ED25519.de10a11cec0010000000000000000000.1745151120." + signature + " twice": false,
	} {
		if got, ok := serverparsec3.ParseDeviceToken(http.Header{"Authorization": {"Bearer " + token}}); ok != want {
			t.Errorf("%q: %+v, %t", token, got, ok)
		}
	}
}

// FuzzDeviceToken wants what is read to be the text that was signed, and its parts.
func FuzzDeviceToken(f *testing.F) {
	for _, item := range loadTokens(f).Device.Cases {
		if item.Authorization != nil {
			f.Add(*item.Authorization)
		}
	}
	f.Fuzz(func(t *testing.T, authorization string) {
		token, ok := serverparsec3.ParseDeviceToken(http.Header{"Authorization": {authorization}})
		if !ok {
			return
		}
		if len(token.Signature) != ed25519.SignatureSize || !strings.Contains(authorization, string(token.Signed)+".") {
			t.Errorf("%q is read as %+v", authorization, token)
		}
		if token.Date < 0 || token.Date > parsec.MaxDateTime {
			t.Errorf("%q is of %d", authorization, token.Date)
		}
	})
}

// Every recorded device token verifies, but the one that is wrong on purpose.
func TestCapturedTokens(t *testing.T) {
	loaded := vectors.Load[struct {
		Keys map[string]struct {
			VerifyKey []byte `json:"verify_key"`
			ID        string `json:"id"`
		} `json:"keys"`
		Exchanges []struct {
			Name    string
			Request struct{ Headers map[string]string }
		}
	}](t, "v5/captures.json")
	keys := map[string]parsec.VerifyKey{}
	for _, key := range loaded.Keys {
		keys[key.ID] = parsec.VerifyKey(key.VerifyKey)
	}
	checked, wrong := 0, 0
	for _, exchange := range loaded.Exchanges {
		authorization := exchange.Request.Headers["authorization"]
		if !strings.Contains(authorization, "PARSEC-SIGN-ED25519.") {
			continue
		}
		token, ok := serverparsec3.ParseDeviceToken(http.Header{"Authorization": {authorization}})
		key, known := keys[token.Device.String()]
		switch {
		case !ok:
			t.Errorf("%s: malformed", exchange.Name)
		case !known:
			t.Errorf("%s: unknown device %s", exchange.Name, token.Device)
		case key.VerifyStrict(token.Signed, token.Signature):
			checked++
		default:
			wrong++
		}
	}
	if checked < 60 || wrong != 1 {
		t.Errorf("%d tokens verify, %d do not", checked, wrong)
	}
}
