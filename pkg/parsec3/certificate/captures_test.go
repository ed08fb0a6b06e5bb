package certificate_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"parsec-server/internal/testkit/msgpack"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/wire"
)

// capture has what captures.json says of the certificates that were recorded
// (docs/protocol/v5/vectors.md).
type capture struct {
	Keys map[string]struct {
		VerifyKey []byte `json:"verify_key"`
	} `json:"keys"`
	Authorities map[string]struct {
		Public []byte `json:"public_der"`
	} `json:"sequester_authorities"`
	Exchanges []struct {
		Name           string `json:"name"`
		Request, Reply capturedBody
	} `json:"exchanges"`
}

type capturedBody struct {
	Raw          []byte          `json:"raw"`
	JSON         json.RawMessage `json:"json"`
	Certificates []struct {
		Path     string          `json:"path"`
		SignedBy string          `json:"signed_by"`
		Content  vectors.Decoded `json:"content"`
	} `json:"certificates"`
}

// Every recorded certificate verifies, and is written again with the same content.
func TestCapturedCertificates(t *testing.T) {
	loaded := vectors.Load[capture](t, "v5/captures.json")
	checked := 0
	for _, exchange := range loaded.Exchanges {
		for _, body := range []capturedBody{exchange.Request, exchange.Reply} {
			for _, item := range body.Certificates {
				checked++
				t.Run(fmt.Sprintf("%s/%s", exchange.Name, item.Path), func(t *testing.T) {
					signed := body.find(t, item.Path)
					content := item.Content.Value.(map[any]any)
					if authority, found := loaded.Authorities[item.SignedBy]; found {
						checkOfAuthority(t, signed, authority.Public, content)
						return
					}
					checkOfDevice(t, signed, parsec.VerifyKey(loaded.Keys[item.SignedBy].VerifyKey), content)
				})
			}
		}
	}
	if checked < 100 {
		t.Errorf("%d certificates", checked)
	}
}

func checkOfDevice(t *testing.T, signed []byte, key parsec.VerifyKey, content map[any]any) {
	t.Helper()
	kind, found := kinds[content["type"].(string)]
	if !found {
		t.Fatalf("no type %q", content["type"])
	}
	author, _ := content["author"].(parsec.UUID)
	value, err := kind.load(signed, key, parsec3.DeviceID(author))
	if err != nil {
		t.Fatal(err)
	}
	again, err := kind.sign(value, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	checkContent(t, again[ed25519.SignatureSize:], content)
	checkContent(t, signed[ed25519.SignatureSize:], content)
}

func checkOfAuthority(t *testing.T, signed, public []byte, content map[any]any) {
	t.Helper()
	parsed, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	key := parsed.(*rsa.PublicKey)
	if content["type"] == revokedServiceType {
		_, err = certificate.LoadSequesterRevokedService(signed, key)
	} else {
		_, err = certificate.LoadSequesterService(signed, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	checkContent(t, openPSS(t, signed, key), content)
}

func checkContent(t *testing.T, packed []byte, content map[any]any) {
	t.Helper()
	if got := decodePayload(t, packed); !reflect.DeepEqual(got, any(content)) {
		t.Errorf("got %v\nwant %v", got, content)
	}
}

// find returns the bytes at a path such as realm_certificates.<id>[0].
func (b *capturedBody) find(t *testing.T, path string) []byte {
	t.Helper()
	var value any
	var err error
	if b.JSON != nil {
		err = json.NewDecoder(bytes.NewReader(b.JSON)).Decode(&value)
	} else {
		value, err = msgpack.DecodeProfile(wire.Microseconds, b.Raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range strings.Split(strings.ReplaceAll(path, "[", ".["), ".") {
		value = follow(t, value, step)
	}
	if text, encoded := value.(string); encoded {
		if value, err = base64.StdEncoding.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	return value.([]byte)
}

func follow(t *testing.T, value any, step string) any {
	t.Helper()
	switch value := value.(type) {
	case []any:
		index, err := strconv.Atoi(strings.Trim(step, "[]"))
		if err != nil {
			t.Fatal(err)
		}
		return value[index]
	case map[string]any:
		return value[step]
	case map[any]any:
		for key, item := range value {
			if id, isID := key.(parsec.UUID); key == step || isID && id.Hex() == step {
				return item
			}
		}
	}
	t.Fatalf("no %s in %T", step, value)
	return nil
}
