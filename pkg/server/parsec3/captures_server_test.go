package parsec3_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"sync"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/wire"
)

// webApplicationKey stands for the recorded one, of which only the public half is known.
var webApplicationKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// recordedKey reads the first public key of a text.
func recordedKey(t testing.TB, text string) *rsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no key")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PublicKey)
}

// configured are the options of the server whose server_config is recorded.
func (c *captured) configured(t testing.TB, options rules.Options) rules.Options {
	t.Helper()
	options.DeviceFileProtection = []string{"PKI+TOTP", "KEYRING"}
	options.CryptpadServerURL = "https://pad.test"
	options.OpenBao = &protocol.OpenBaoConfig{
		Type: protocol.FeatureEnabled, ServerURL: new("https://bao.test"), TransitMountPath: new("tra"),
		Secret: &protocol.OpenBaoSecret{Type: protocol.OpenBaoKV2, MountPath: "sec"},
		Auths:  []protocol.OpenBaoAuth{{ID: protocol.OpenBaoHexagone, MountPath: "hx"}, {ID: protocol.OpenBaoProConnect, MountPath: "pc"}},
	}
	options.SCWS = &rules.SCWS{Services: []*rsa.PublicKey{recordedKey(t, c.SCWS.Services)}, WebApplication: webApplicationKey()}
	return options
}

// TestRecordedSCWS has the recorded signature be one of the form of ours.
func TestRecordedSCWS(t *testing.T) {
	recorded := vectors.Load[captured](t, "v5/captures.json")
	for _, e := range recorded.Exchanges {
		if e.Name != "scws_service_mutual_challenges" {
			continue
		}
		var request protocol.SCWSServiceMutualChallengesRequest
		if err := wire.Microseconds.Unmarshal(e.Request.Raw, &request); err != nil {
			t.Fatal(err)
		}
		signature := e.Reply.Decoded.fields(t)["web_application_challenge_signature"].([]byte)
		if err := rsa.VerifyPKCS1v15(recordedKey(t, recorded.SCWS.WebApplication), 0, request.WebApplicationChallengePayload, signature); err != nil {
			t.Error(err)
		}
		return
	}
	t.Error("no exchange")
}
