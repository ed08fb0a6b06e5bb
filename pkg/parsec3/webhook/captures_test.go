package webhook

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/rules"
)

// officialDefects are those of the values (docs/protocol/v5/commands.md §11.8).
var officialDefects = strings.NewReplacer("BLAKE2B_XSALSA20_POLY1305", "BLAKE2_XSALSA20_POLY1305", "b%27", "", "%27", "")

// What services are asked is what the official server was recorded to ask, but for the
// defects of its values.
func TestCapturedQuestions(t *testing.T) {
	recorded := vectors.Load[struct {
		Webhooks []struct {
			Name   string          `json:"name"`
			Method string          `json:"method"`
			Path   string          `json:"path"`
			Body   vectors.Decoded `json:"body"`
		} `json:"webhooks"`
	}](t, "v5/captures.json").Webhooks
	if len(recorded) != 2 {
		t.Fatalf("%d questions", len(recorded))
	}
	for _, item := range recorded {
		t.Run(item.Name, func(t *testing.T) {
			var method, uri, body string
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				content, _ := io.ReadAll(r.Body)
				method, uri, body = r.Method, r.RequestURI, string(content)
			}))
			want := officialDefects.Replace(item.Path)
			address := must(url.Parse(want))
			q := question{address.Query()}
			asked := rules.SequesterService{ID: parsec.SequesterServiceID(q.id("service_id")), WebhookURL: server.URL + address.Path}
			w := New("", quiet)
			err := q.ask(t.Context(), w, asked, item.Body.Value.([]byte))
			if closing := w.Close(t.Context()); err != nil || closing != nil {
				t.Fatal(err, closing)
			}
			server.Close() // The handler has ended.
			if method != item.Method || uri != want || body != string(item.Body.Value.([]byte)) {
				t.Errorf("got %s %s %q\nwant %s %s", method, uri, body, item.Method, want)
			}
		})
	}
}

// question is the parameters of a recorded one.
type question struct{ url.Values }

func (q question) id(name string) parsec.UUID { return must(parsec.ParseUUID(q.Get(name))) }

func (q question) number(name string) uint64 { return must(strconv.ParseUint(q.Get(name), 10, 32)) }

func (q question) bytes(name string) []byte {
	return must(base64.StdEncoding.DecodeString(q.Get(name)))
}

func (q question) ask(ctx context.Context, w *Webhooks, service rules.SequesterService, body []byte) error {
	of := must(parsec.ParseOrganizationID(q.Get("organization_id")))
	realm, author := parsec.RealmID(q.id("realm_id")), parsec3.DeviceID(q.id("author"))
	on := must(parsec.ParseDateTime(q.Get("timestamp")))
	if q.Get("type") == "realm_rotate_key" {
		return w.AskKeyRotation(ctx, service, &rules.KeyRotationQuestion{
			Organization: of,
			Rotation: certificate.RealmKeyRotation{
				Author: author, Timestamp: on, RealmID: realm, KeyIndex: q.number("key_index"), KeyCanary: q.bytes("key_canary"),
			},
			KeysBundle: q.bytes("keys_bundle"), Access: q.bytes("keys_bundle_access"),
		})
	}
	return w.AskVlob(ctx, service, &rules.VlobQuestion{Organization: of, Realm: realm, Version: &rules.VlobVersion{
		Vlob: parsec.VlobID(q.id("vlob_id")), Version: uint32(q.number("version")), KeyIndex: q.number("key_index"),
		Author: author, Timestamp: on, Blob: body,
	}})
}
