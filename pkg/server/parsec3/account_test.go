package parsec3_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/commands"
	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/wire"
)

// withAccounts has the server have accounts.
func withAccounts(o *testkit.GenerationsOptions) {
	o.Parsec3.Accounts = protocol.AccountEnabledWithVault
}

// addAccount puts an account into the store.
func (f *fixture) addAccount(email string, method parsec3.AuthMethodID, key protocol.MACKey) {
	f.t.Helper()
	scope := rules.AccountScope{Email: must(parsec3.ParseEmailAddress(email)), Methods: []parsec3.AuthMethodID{method}}
	f.ok(f.Store3.UpdateAccount(f.ctx, scope, func(tx rules.AccountTx) error {
		tx.CreateAccount(rules.Account{HumanHandle: must(parsec3.ParseHumanHandle(email, "Zoe")), ID: rules.AccountID(parsec.NewUUID())},
			rules.AuthMethod{ID: method, MACKey: key, VaultKeyAccess: []byte("access")})
		return nil
	}))
}

// accountToken is a header of an instant.
func accountToken(method parsec3.AuthMethodID, key protocol.MACKey, on parsec.DateTime) string {
	text := "PARSEC-MAC-BLAKE2B." + method.String() + "." + strconv.FormatInt(on.Time().Unix(), 10)
	hash := must(blake2b.New512(key[:]))
	hash.Write([]byte(text))
	return "Bearer " + text + "." + base64.URLEncoding.EncodeToString(hash.Sum(nil))
}

var (
	zoeMethod = parsec3.AuthMethodID{0xe0}
	zoeKey    = protocol.MACKey{0xe1}
)

// accountRequest is a good one of zoe.
func (f *fixture) accountRequest(command string, fields any) *request {
	r := f.newRequest(http.MethodPost, "/authenticated_account", nil)
	r.header.Set("Authorization", accountToken(zoeMethod, zoeKey, f.clock.Now()))
	r.body = message(command, fields)
	return r
}

// The account tokens of the vectors, at their instant.
func TestAccountTokenVectors(t *testing.T) {
	loaded := vectors.Load[struct {
		tokenVectors
		Account struct {
			MethodID string      `json:"method_id"`
			Key      []byte      `json:"mac_key"`
			Cases    []tokenCase `json:"cases"`
		} `json:"account"`
	}](t, "v5/auth_tokens.json")
	f := newFixture(t, withAccounts)
	f.addAccount("zoe@example.com", parsec3.AuthMethodID(must(parsec.ParseUUID(loaded.Account.MethodID))), protocol.MACKey(loaded.Account.Key))
	f.clock.Advance(reference.Sub(f.clock.Now()))
	for _, item := range loaded.Account.Cases {
		r := f.newRequest(http.MethodPost, "/authenticated_account", nil)
		for name, values := range item.header() {
			r.header[name] = values
		}
		if got := f.open(r).StatusCode; !item.mayBe(got) {
			t.Errorf("%s: status %d, want %d", item.Name, got, item.Status)
		}
	}
}

// Each check of the route has its answer, and of two neighbours that fail the first one
// has.
func TestChecksOfAccountsAreInOrder(t *testing.T) {
	type check struct {
		name   string
		status int
		spoil  func(f *fixture, r *request)
	}
	checks := []check{
		{"version", 422, func(_ *fixture, r *request) { r.header.Set("Api-Version", "4.0") }},
		{"content type", 415, func(_ *fixture, r *request) { r.header.Set("Content-Type", "text/plain") }},
		{"token", 401, func(_ *fixture, r *request) { r.header.Set("Authorization", "Bearer x") }},
		{"length", 413, func(_ *fixture, r *request) { r.tooLong(16<<20 + 1) }},
		{"method", 403, func(f *fixture, r *request) {
			r.header.Set("Authorization", accountToken(parsec3.AuthMethodID{1}, zoeKey, f.clock.Now()))
		}},
		{"MAC", 403, func(f *fixture, r *request) {
			r.header.Set("Authorization", accountToken(zoeMethod, protocol.MACKey{}, f.clock.Now()))
		}},
		{"window", 498, func(f *fixture, r *request) {
			r.header.Set("Authorization", accountToken(zoeMethod, zoeKey, f.clock.Now().Add(-320*time.Second)))
		}},
		{"body", 415, func(_ *fixture, r *request) { r.body = []byte{0xc0} }},
	}
	f := newFixture(t, withAccounts)
	f.addAccount("zoe@example.com", zoeMethod, zoeKey)
	good := func() *request { return f.accountRequest(protocol.AccountInfo.Name, nil) }
	if got := f.send(good()).status; got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	for i, first := range checks {
		for _, second := range append([]check{first}, checks[i+1:]...) {
			r := good()
			second.spoil(f, r)
			first.spoil(f, r)
			if got := f.send(r).status; got != first.status {
				t.Errorf("%s with %s: status %d, want %d", first.name, second.name, got, first.status)
			}
		}
	}
}

// aboutNobody are good requests of the commands that strangers send about an account.
func aboutNobody() map[string]any {
	email, code := must(parsec3.ParseEmailAddress("nobody@example.com")), parsec3.NewValidationCode()
	return map[string]any{
		"account_create_send_validation_email": &protocol.AccountCreateSendValidationEmailRequest{Email: email},
		"account_create_proceed": &protocol.AccountCreateProceedRequest{AccountCreateStep: protocol.AccountCreateStep{
			Step: protocol.AccountCheckCode, Email: email, ValidationCode: code,
		}},
		"account_recover_send_validation_email": &protocol.AccountRecoverSendValidationEmailRequest{Email: email},
		"account_recover_proceed":               &protocol.AccountRecoverProceedRequest{Email: email, ValidationCode: code},
		"auth_method_password_get_algorithm":    &protocol.AuthMethodPasswordGetAlgorithmRequest{Email: email},
	}
}

// Without accounts each of their commands is unknown, but ping and server_config.
func TestWithoutAccounts(t *testing.T) {
	f := newFixture(t)
	f.addAccount("zoe@example.com", zoeMethod, zoeKey)
	const family = rpc.Kinds(protocol.AnonymousServer | protocol.AuthenticatedAccount)
	checked := 0
	for _, form := range commands.Parsec3() {
		if form.Kinds&family == 0 || form == protocol.Ping.Form || form == protocol.ServerConfig.Form || form.Name == "scws_service_mutual_challenges" {
			continue
		}
		checked++
		paths := []string{"/anonymous_server", "/anonymous_account"}
		fields := emptyRequest(form)
		if good, found := aboutNobody()[form.Name]; found { // what is not understood is 415 anyway
			fields = good
		}
		r := f.accountRequest(form.Name, fields)
		if form.Kinds&rpc.Kinds(protocol.AuthenticatedAccount) != 0 {
			paths = []string{"/authenticated_account"}
		}
		for _, r.path = range paths {
			if got := f.send(r).status; got != http.StatusUnsupportedMediaType {
				t.Errorf("%s: status %d", form.Name, got)
			}
		}
	}
	const all = 17
	if checked != all {
		t.Errorf("%d commands, want %d", checked, all)
	}
	if got := f.send(f.accountRequest(protocol.Ping.Name, &protocol.PingRequest{Ping: "hello"})).status; got != http.StatusOK {
		t.Errorf("ping: status %d", got)
	}
}

// With accounts the server says so, and both names of the route serve strangers.
func TestWithAccounts(t *testing.T) {
	f := newFixture(t, withAccounts)
	for _, path := range []string{"/anonymous_server", "/anonymous_account"} {
		r := f.newRequest(http.MethodPost, path, nil)
		r.body = message(protocol.ServerConfig.Name, nil)
		if got := f.send(r); got.status != http.StatusOK || !bytes.Contains(got.body, []byte(protocol.AccountEnabledWithVault)) {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
		r.body = message(protocol.AuthMethodPasswordGetAlgorithm.Name, &protocol.AuthMethodPasswordGetAlgorithmRequest{
			Email: must(parsec3.ParseEmailAddress("nobody@example.com")),
		})
		if got := f.send(r); got.status != http.StatusOK {
			t.Errorf("%s: status %d", path, got.status)
		}
		// No e-mail leaves this server.
		r.body = message(protocol.AccountCreateSendValidationEmail.Name, &protocol.AccountCreateSendValidationEmailRequest{
			Email: must(parsec3.ParseEmailAddress("nobody@example.com")),
		})
		if got := f.send(r); !bytes.Contains(got.body, []byte(protocol.StatusEmailServerUnavailable)) {
			t.Errorf("%s: status %d, %s", path, got.status, got.body)
		}
		// A stranger who asks too often is told to wait.
		refused := 0
		for range 110 {
			if f.send(r).status == http.StatusServiceUnavailable {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("%s: nobody is told to wait", path)
		}
		f.clock.Advance(time.Hour)
	}
}

// A method is known by the client that made it, which need not say what it is.
func TestAgentsOfMethods(t *testing.T) {
	f := newFixture(t, withAccounts)
	f.addAccount("zoe@example.com", zoeMethod, zoeKey)
	for i, agent := range []string{"Agent/1", ""} {
		r := f.accountRequest(protocol.AuthMethodCreate.Name, &protocol.AuthMethodCreateRequest{AuthMethodID: parsec3.AuthMethodID{byte(i)}})
		r.header.Set("User-Agent", agent) // "" is not sent
		if got := f.send(r); got.status != http.StatusOK {
			t.Errorf("%q: status %d", agent, got.status)
		}
	}
	list := f.send(f.accountRequest(protocol.AuthMethodList.Name, &protocol.AuthMethodListRequest{})).body
	for _, agent := range []string{"Agent/1", "unknown"} {
		if want := append([]byte{0xa0 | byte(len(agent))}, agent...); !bytes.Contains(list, want) {
			t.Errorf("no method by %s in %q", agent, list)
		}
	}
}

// Requests that are no request of the command are 415.
func TestMalformedRequestsOfAccounts(t *testing.T) {
	f := newFixture(t, withAccounts)
	f.addAccount("zoe@example.com", zoeMethod, zoeKey)
	weak := map[string]any{"type": "ARGON2ID", "memlimit_kb": 131071, "opslimit": 3, "parallelism": 1}
	step := func(changes ...any) map[string]any {
		fields := map[string]any{
			"step": "NUMBER_1_CREATE", "validation_code": "AAAAAA", "human_handle": []any{"zoe@example.com", "Zoe"},
			"auth_method_password_algorithm": nil, "auth_method_mac_key": make([]byte, 32), "auth_method_id": parsec.UUID{}, "vault_key_access": []byte{},
		}
		for i := 0; i < len(changes); i += 2 {
			fields[changes[i].(string)] = changes[i+1]
		}
		return map[string]any{"cmd": "account_create_proceed", "account_create_step": fields}
	}
	without := step()
	delete(without["account_create_step"].(map[string]any), "auth_method_password_algorithm")
	for name, fields := range map[string]map[string]any{
		"lower case":        step("validation_code", "aaaaaa"),
		"an O":              step("validation_code", "AAAAAO"),
		"five characters":   step("validation_code", "AAAAA"),
		"a weak password":   step("auth_method_password_algorithm", weak),
		"no algorithm":      without,
		"another algorithm": step("auth_method_password_algorithm", map[string]any{"type": "SCRYPT", "memlimit_kb": 131072, "opslimit": 3, "parallelism": 1}),
		"a large access":    step("vault_key_access", make([]byte, 4<<10+1)),
		"a short key":       step("auth_method_mac_key", make([]byte, 31)),
		"another step":      step("step", "NUMBER_2"),
		"no e-mail address": step("human_handle", []any{"zoe", "Zoe"}),
		"one not of ASCII":  step("human_handle", []any{"zoé@example.com", "Zoe"}),
		"a reserved one":    step("human_handle", []any{"zoe@redacted.invalid", "Zoe"}),
	} {
		r := f.newRequest(http.MethodPost, "/anonymous_server", nil)
		r.body = mustMessage(fields)
		if got := f.send(r).status; got != http.StatusUnsupportedMediaType {
			t.Errorf("%s: status %d", name, got)
		}
	}
	r := f.newRequest(http.MethodPost, "/anonymous_server", nil)
	r.body = mustMessage(step())
	if got := f.send(r); got.status != http.StatusOK || !bytes.Contains(got.body, []byte(protocol.StatusSendValidationEmailRequired)) {
		t.Errorf("status %d, %s", got.status, got.body)
	}
}

// A large vault is rotated in one request, and a full one is 413.
func TestLargeVault(t *testing.T) {
	f := newFixture(t, withAccounts)
	f.addAccount("zoe@example.com", zoeMethod, zoeKey)
	items := protocol.VaultItems{}
	for i := range 14 {
		item := protocol.Fingerprint{byte(i)}
		items[item] = bytes.Repeat([]byte{byte(i)}, 1<<20)
		if got := f.send(f.accountRequest(protocol.VaultItemUpload.Name, &protocol.VaultItemUploadRequest{ItemFingerprint: item, Item: items[item]})).status; got != http.StatusOK {
			t.Fatalf("upload: status %d", got)
		}
	}
	listed := f.send(f.accountRequest(protocol.VaultItemList.Name, nil))
	if len(listed.body) < 14<<20 {
		t.Errorf("a list of %d bytes", len(listed.body))
	}
	rotation := &protocol.VaultKeyRotationRequest{NewAuthMethodID: parsec3.AuthMethodID{2}, NewAuthMethodMACKey: zoeKey, Items: items}
	if got := f.send(f.accountRequest(protocol.VaultKeyRotation.Name, rotation)); got.status != http.StatusOK || !strings.Contains(string(got.body), "ok") {
		t.Fatalf("rotation: status %d, %s", got.status, got.body)
	}
	r := f.accountRequest(protocol.VaultItemUpload.Name, &protocol.VaultItemUploadRequest{ItemFingerprint: protocol.Fingerprint{99}, Item: make([]byte, 512<<10)})
	var got []int
	for i := range 4 {
		r.header.Set("Authorization", accountToken(rotation.NewAuthMethodID, zoeKey, f.clock.Now()))
		r.body = message(protocol.VaultItemUpload.Name, &protocol.VaultItemUploadRequest{ItemFingerprint: protocol.Fingerprint{100 + byte(i)}, Item: make([]byte, 512<<10)})
		got = append(got, f.send(r).status)
	}
	if want := []int{200, 200, 413, 413}; !slices.Equal(got, want) {
		t.Errorf("uploads: %v, want %v", got, want)
	}
}

// mustMessage is a message of any fields.
func mustMessage(fields map[string]any) []byte {
	return must(wire.Microseconds.Append(nil, fields))
}
