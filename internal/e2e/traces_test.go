//go:build !without_postgresql

package e2e_test

import (
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	parsec2mail "parsec-server/pkg/parsec2/mail"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/server"
	"parsec-server/pkg/traces"
)

// TestChildrenOfSpans has a collector receive the spans of commands, and below
// them those of what they waited for: the database, the block store, the server
// of e-mails.
func TestChildrenOfSpans(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var spans []*tracepb.Span
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var data tracepb.TracesData
		if body, err := io.ReadAll(r.Body); err != nil || proto.Unmarshal(body, &data) != nil {
			t.Error("no spans were sent")
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range data.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
	}))
	t.Cleanup(collector.Close)
	tracer, err := traces.New(t.Context(), func(name string) (string, bool) {
		return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}[name], true
	}, "v9", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mails := testkit.StartSMTP(t, testkit.SMTPOptions{})
	w := newWorld(t, testkit.InstanceOptions{
		Server: server.Options{Observer: tracer.Observer(nil)},
		Blocks: tracer.Blocks(3, blockstore.NewMemory()),
		Store: func(t testing.TB, bus *event.Bus) rules.Store {
			return testkit.OpenPostgres(t, testkit.NewPostgres(t), bus)
		},
		Mailer: func(address parsec.ServerAddress) rules.Mailer {
			return parsec2mail.New(mailOptions(mails.Settings()), address, slog.New(slog.DiscardHandler))
		},
	})
	alice := inAPI3.connect(w, inAPI3.found(w, "CoolOrg", "alice@laptop"))
	realm, vlob, block := newRealmID(), newVlobID(), parsec.BlockID(parsec.NewUUID())
	ok(w, alice, protocol.RealmCreate, must(alice.device.NewRealm(realm, w.tick())))
	ok(w, alice, protocol.VlobCreate, &protocol.VlobCreateRequest{RealmID: realm, EncryptionRevision: 1, VlobID: vlob, Timestamp: w.tick(), Blob: []byte("blob")})
	ok(w, alice, protocol.VlobRead, &protocol.VlobReadRequest{EncryptionRevision: 1, VlobID: vlob})
	ok(w, alice, protocol.BlockCreate, &protocol.BlockCreateRequest{BlockID: block, RealmID: realm, Block: []byte("block")})
	ok(w, alice, protocol.BlockRead, &protocol.BlockReadRequest{BlockID: block})
	ok(w, alice, protocol.InviteNew, &protocol.InviteNewRequest{Type: parsec.InvitationUser, ClaimerEmail: "bob@example.com", SendEmail: true})
	ok(w, alice, protocol.Ping, &protocol.PingRequest{})
	tracer.Close()

	children := map[string]map[string]bool{} // names by the names of their parents
	byID := map[string]*tracepb.Span{}
	for _, span := range spans {
		byID[string(span.SpanId)] = span
		if span.Kind == tracepb.Span_SPAN_KIND_SERVER {
			children[span.Name] = map[string]bool{}
		}
	}
	for _, span := range spans {
		if span.Kind == tracepb.Span_SPAN_KIND_SERVER {
			continue
		}
		parent := byID[string(span.ParentSpanId)]
		if parent == nil || string(parent.TraceId) != string(span.TraceId) || span.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR ||
			span.StartTimeUnixNano < parent.StartTimeUnixNano || span.EndTimeUnixNano > parent.EndTimeUnixNano {
			t.Errorf("%v is below %v", span, parent)
			continue
		}
		children[parent.Name][span.Name] = true
	}
	for command, want := range map[string]map[string]bool{
		"ping":         {"database": true}, // for its event
		"realm_create": {"database": true},
		"vlob_create":  {"database": true},
		"vlob_read":    {"database": true},
		"block_create": {"database": true, "block store create": true},
		"block_read":   {"database": true, "block store read": true},
		"invite_new":   {"database": true, "e-mail": true},
	} {
		if got := children[command]; got == nil || !maps.Equal(got, want) {
			t.Errorf("below %s there is %v, want %v", command, got, want)
		}
	}
}
