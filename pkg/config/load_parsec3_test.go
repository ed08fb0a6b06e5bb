package config

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec"
)

func TestLoadServerAddress(t *testing.T) {
	for _, row := range []struct {
		server, backend string
		want            string
		scheme          parsec.Scheme
	}{
		{"parsec3://Example.com:8443", "", "parsec://example.com:8443", parsec.Parsec3Scheme},
		{"parsec://example.com", "", "parsec://example.com", parsec.Parsec2Scheme},
		{"", "parsec://example.com?no_ssl=true", "parsec://example.com?no_ssl=true", parsec.Parsec2Scheme},
		{"", "parsec3://example.com", "parsec://example.com", parsec.Parsec3Scheme},
		{"parsec3://example.com", "parsec://example.com:443", "parsec://example.com", parsec.Parsec3Scheme},
		{"parsec3://example.com", "parsec3://example.com", "parsec://example.com", parsec.Parsec3Scheme},
		{"", "", "", parsec.Parsec2Scheme},
	} {
		variables := map[string]string{"PARSEC_SERVER_ADDR": row.server, "PARSEC_BACKEND_ADDR": row.backend}
		config := mustLoad(t, typed(required...), variables).Config
		if got := parsec.Parsec2Scheme.PrintServerAddress(config.ServerAddress); got != row.want || config.AddressScheme != row.scheme {
			t.Errorf("%q and %q: %s in %s", row.server, row.backend, got, config.AddressScheme)
		}
	}
	for _, other := range []string{"parsec://example.org", "parsec://example.com:8443", "parsec://example.com?no_ssl=true"} {
		_, err := Load(typed(append(slices.Clone(required), "backend-addr="+other)...), environmentOf(map[string]string{"PARSEC_SERVER_ADDR": "parsec3://example.com"}))
		if err == nil || !strings.Contains(err.Error(), "--server-addr (parsec3://example.com) and --backend-addr ("+other+") differ") {
			t.Errorf("%s: %v", other, err)
		}
	}
	config := mustLoad(t, typed("dev", "server-addr=parsec3://example.com"), nil).Config
	if got := config.AnnouncedAddress(1234).String(); got != "parsec://example.com" {
		t.Errorf("--dev overrides: %s", got)
	}
}

func TestLoadOrganizationsOfParsec3(t *testing.T) {
	got := mustLoad(t, typed(required...), map[string]string{
		"PARSEC_ORGANIZATION_INITIAL_REALM_DELETION_MIN_ARCHIVING_PERIOD": "0",
		"PARSEC_ORGANIZATION_INITIAL_TOS":                                 `en_US:https://example.com/a\,b, fr_FR:https://example.com/fr`,
	}).Config.Organization
	want := map[string]string{"en_US": "https://example.com/a,b", "fr_FR": "https://example.com/fr"}
	if got.InitialMinimumArchivingPeriod != 0 || !reflect.DeepEqual(got.InitialTOS, want) {
		t.Errorf("got %+v", got)
	}
}

func TestLoadOrigins(t *testing.T) {
	for _, row := range []struct {
		arguments []string
		variable  string
		want      []parsec.Origin
	}{
		{nil, "https://B.example/ https://a.example:443,http://c.example:80", []parsec.Origin{"https://b.example", "https://a.example", "http://c.example"}},
		{[]string{"cors-allow-origins=https://a.example", "cors-allow-origins=https://b.example"}, "", []parsec.Origin{"https://a.example", "https://b.example"}},
		{[]string{"dev"}, "", []parsec.Origin{"*"}},
		{[]string{"dev"}, "https://a.example", []parsec.Origin{"https://a.example"}},
		{nil, "", nil},
	} {
		config := mustLoad(t, typed(append(slices.Clone(required), row.arguments...)...), map[string]string{"PARSEC_CORS_ALLOW_ORIGINS": row.variable}).Config
		if !slices.Equal(config.CORSOrigins, row.want) {
			t.Errorf("%v %s: got %q", row.arguments, row.variable, config.CORSOrigins)
		}
	}
}

// Settings without effect are named in one line, and checked all the same.
func TestLoadInert(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "key")
	if err := os.WriteFile(file, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	right := map[string]string{
		"skip-database-migrations-check": "true", "db-drop-deleted-data": "true",
		"organization-initial-account-vault-strategy": "ALLOWED", "organization-initial-allowed-client-agent": "NATIVE_ONLY",
		"sentry-traces-sample-rate": "0.5", "sentry-profiles-sample-rate": "1",
	}
	variables, named := map[string]string{"PARSEC_SERVER_ADDR": "parsec3://h"}, []string{}
	for _, setting := range settings {
		if !setting.Inert {
			continue
		}
		text, known := right[setting.Name]
		if !known {
			t.Errorf("%s is not tested", setting.Name)
		}
		if text != "" {
			variables[setting.Variable] = text
			named = append(named, "--"+setting.Name)
		}
	}
	want := []string{"settings without effect here: " + strings.Join(named, ", "), "without --email-host no e-mail is sent"}
	if got := mustLoad(t, typed(required...), variables).Warnings; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, wrong := range [][]string{
		{"account-config=YES"}, {"advisory-device-file-protection=PAPER"}, {"validation-email-rate-limit=60"}, {"validation-email-rate-limit=60 -3"}, {"validation-email-rate-limit=86401 3"},
		{"trusted-x509-root-dir=" + file}, {"openbao-server-url=bao", "openbao-auth-hexagone=x"}, {"openbao-server-url=https://bao.example"},
		{"cryptpad-server-url=pad"}, {"download-url=ours.example"}, {"v2-documentation-url=javascript:alert(1)"}, {"scws-idopte-public-keys-file=" + file}, {"scws-web-application-private-key-content=key"},
		{"template-dir=" + file}, {"with-client-web-app=/nowhere"}, {"sentry-traces-sample-rate=1.5"}, {"sentry-profiles-sample-rate=NaN"},
		{"cors-allow-origins=https://a.example/path"}, {"cors-allow-origins=a.example"}, {"cors-allow-origins=null"},
		{"organization-initial-tos=en"}, {"organization-initial-tos=en:https://a,en:https://b"},
		{"organization-initial-realm-deletion-min-archiving-period=-1"}, {"server-addr=http://h"}, {"server-addr=parsec3://h/Org"},
	} {
		if _, err := Load(typed(append(slices.Clone(required), wrong...)...), environmentOf(nil)); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

// Accounts are off unless the settings say otherwise.
func TestLoadAccount(t *testing.T) {
	account := mustLoad(t, typed(required...), nil).Config.Account
	if account.Config != "DISABLED" || account.MailLimit != [2]int{60, 3} || account.Secret.Reveal() != "" {
		t.Errorf("by default: %+v", account)
	}
	account = mustLoad(t, typed(required...), map[string]string{
		"PARSEC_ACCOUNT_CONFIG": "enabled_with_vault", "PARSEC_VALIDATION_EMAIL_RATE_LIMIT": "0 10",
		"PARSEC_FAKE_ACCOUNT_PASSWORD_ALGORITHM_SEED": "F4k3",
	}).Config.Account
	if account.Config != "ENABLED_WITH_VAULT" || account.MailLimit != [2]int{0, 10} || account.Secret.Reveal() != "F4k3" {
		t.Errorf("%+v", account)
	}
}

// Whoever is invited is told who is online, unless the setting says otherwise.
func TestLoadInvitationOnlineStatus(t *testing.T) {
	if !mustLoad(t, typed(required...), nil).Config.Organization.InvitationOnlineStatus {
		t.Error("not by default")
	}
	if mustLoad(t, typed(required...), map[string]string{"PARSEC_INVITATION_ONLINE_STATUS": "false"}).Config.Organization.InvitationOnlineStatus {
		t.Error("not turned off")
	}
}

// The advice is kept in the words that clients know.
func TestLoadDeviceFileProtection(t *testing.T) {
	for _, row := range []struct {
		arguments []string
		variable  string
		want      []string
	}{
		{nil, "", nil},
		{nil, "password+TOTP PKI", []string{"PASSWORD+TOTP", "PKI"}},
		{[]string{"advisory-device-file-protection=KEYRING", "advisory-device-file-protection=account_vault"}, "PKI", []string{"KEYRING", "ACCOUNT_VAULT"}},
	} {
		got := mustLoad(t, typed(append(slices.Clone(required), row.arguments...)...), map[string]string{"PARSEC_ADVISORY_DEVICE_FILE_PROTECTION": row.variable})
		if !slices.Equal(got.Config.Organization.DeviceFileProtection, row.want) {
			t.Errorf("%+v: got %q", row, got.Config.Organization.DeviceFileProtection)
		}
	}
}

// The two numbers of a rate are one text, as official servers take them.
func TestJoinWords(t *testing.T) {
	for line, want := range map[string]string{
		"run --validation-email-rate-limit 60 3 --dev": "run|--validation-email-rate-limit|60 3|--dev",
		"--validation-email-rate-limit 60":             "--validation-email-rate-limit|60",
		"--validation-email-rate-limit 60 --dev":       "--validation-email-rate-limit|60|--dev",
		"--validation-email-rate-limit=60 3 --dev":     "--validation-email-rate-limit=60 3|--dev",
		"--validation-email-rate-limit=60 --dev":       "--validation-email-rate-limit=60|--dev",
		"-- --validation-email-rate-limit 60 3":        "--|--validation-email-rate-limit|60|3",
		"--port 60 3":                                  "--port|60|3",
		"":                                             "",
	} {
		if got := strings.Join(JoinWords(strings.Fields(line)), "|"); got != want {
			t.Errorf("%q: got %q", line, got)
		}
	}
	environment := environmentOf(map[string]string{ArgumentsVariable: "--validation-email-rate-limit 60 3"})
	if got := environment.Arguments(); !slices.Equal(got, []string{"--validation-email-rate-limit", "60 3"}) {
		t.Errorf("from the variable: %q", got)
	}
}

// officialVariables are of the options of docs/protocol/v5/administration.md §2 that have
// another variable than their name says, or none.
var officialVariables = map[string]string{
	"openbao-auth-pro-connect": "PARSEC_OPENBAO_AUTH_PRO_CONNECT_MOUNT_PATH", "openbao-auth-hexagone": "PARSEC_OPENBAO_AUTH_HEXAGONE_MOUNT_PATH",
	"debug": "DEBUG", "dev": "",
}

// Every official option of the specification is known, by its variable too.
func TestOfficialSettings(t *testing.T) {
	document, err := os.ReadFile("../../docs/protocol/v5/administration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## 2. Server options\n")
	section, _, _ = strings.Cut(section, "\n## 3. ")
	option := regexp.MustCompile("`--([a-z0-9-]+)(?:[` ]|$)")
	known := knownVariables()
	found := map[string]bool{}
	for line := range strings.Lines(section) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "- Removed on the way") {
			continue
		}
		for _, match := range option.FindAllStringSubmatch(cell, -1) {
			name := match[1]
			found[name] = true
			if !slices.ContainsFunc(settings, func(s Setting) bool { return s.named(name) }) {
				t.Errorf("--%s is not known", name)
			}
			variable, other := officialVariables[name]
			if !other {
				variable = variableOf(name)
			}
			if variable != "" && !slices.Contains(known, variable) {
				t.Errorf("%s of --%s is not known", variable, name)
			}
		}
	}
	const least = 55
	if len(found) < least {
		t.Errorf("only %d options are found: %v", len(found), found)
	}
}

// The trusted addresses of official servers add to ours.
func TestLoadTrustedProxies(t *testing.T) {
	for _, variable := range []string{"PARSEC_PROXY_TRUSTED_ADDRESSES", "PARSEC_PROXY_TRUSTED_ADDRESS", "FORWARDED_ALLOW_IPS"} {
		loaded := mustLoad(t, typed(append(slices.Clone(required), "server-addr=parsec://h", "email-host=MOCKED")...), map[string]string{
			variable: "192.0.2.1,10.0.0.0/8, parsec-proxy", "PARSEC_TRUSTED_PROXIES": "198.51.100.1",
		})
		var got []string
		for _, network := range loaded.Config.TrustedProxies {
			got = append(got, network.String())
		}
		if want := []string{"198.51.100.1/32", "192.0.2.1/32", "10.0.0.0/8"}; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", variable, got, want)
		}
		if names := loaded.Config.TrustedProxyNames; !slices.Equal(names, []string{"parsec-proxy"}) || len(loaded.Warnings) > 0 {
			t.Errorf("%s: names %q, warnings %q", variable, names, loaded.Warnings)
		}
	}
	for setting, want := range map[string]string{
		"proxy-trusted-addresses=*": "[0.0.0.0/0 ::/0]", "proxy-trusted-addresses=proxy": "[]",
		"trusted-proxies=192.0.2.1": "[192.0.2.1/32]", "port=1": "[127.0.0.0/8 ::1/128]",
	} {
		got := mustLoad(t, typed(append(slices.Clone(required), setting)...), nil).Config.TrustedProxies
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", setting, got, want)
		}
	}
}

func TestLoadCiphers(t *testing.T) {
	loaded := mustLoad(t, typed(append(slices.Clone(required), "server-addr=parsec://h", "email-host=MOCKED")...), map[string]string{
		"PARSEC_SSL_CIPHERS": "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-CCM",
	})
	want := []string{"--ssl-ciphers: unknown names have no effect: ECDHE-ECDSA-AES128-CCM"}
	if len(loaded.Config.TLS.Ciphers.Suites) != 1 || !slices.Equal(loaded.Warnings, want) {
		t.Errorf("got %+v, %q", loaded.Config.TLS, loaded.Warnings)
	}
	if _, err := Load(typed(append(slices.Clone(required), "ssl-ciphers=HIGH")...), environmentOf(nil)); err == nil {
		t.Error("no suite is accepted")
	}
}

func TestLoadThirdParties(t *testing.T) {
	of := mustLoad(t, typed(required...), nil).Config.Organization
	if of.OpenBao.ServerURL != "" || of.CryptpadServerURL != "" || of.SCWS.Services != nil || of.SCWS.WebApplication != nil {
		t.Errorf("by default: %+v", of)
	}
	of = mustLoad(t, typed(required...), map[string]string{
		"PARSEC_OPENBAO_SERVER_URL": "https://bao.example", "PARSEC_OPENBAO_AUTH_HEXAGONE_MOUNT_PATH": "hexagone",
		"PARSEC_CRYPTPAD_SERVER_URL": "https://pad.example",
	}).Config.Organization
	want := OpenBao{ServerURL: "https://bao.example", SecretMountPath: "secret", TransitMountPath: "transit", HexagoneMountPath: "hexagone"}
	if of.OpenBao != want || of.CryptpadServerURL != "https://pad.example" {
		t.Errorf("got %+v", of)
	}
	of = mustLoad(t, typed(append(slices.Clone(required), "openbao-server-url=https://bao.example", "openbao-auth-pro-connect=pro",
		"openbao-secret-mount-path=kv", "openbao-transit-mount-path=sign")...), nil).Config.Organization
	if of.OpenBao != (OpenBao{"https://bao.example", "kv", "sign", "", "pro"}) {
		t.Errorf("got %+v", of.OpenBao)
	}
}

// scwsFiles have the recorded public keys, of which the second is revoked, and a private
// key.
func scwsFiles(t *testing.T) (public, private, content string) {
	t.Helper()
	const bits = 2048
	recorded := vectors.Load[struct {
		Keys struct {
			Services string `json:"vendor_public_keys_pem"`
		} `json:"scws_keys"`
	}](t, "v5/captures.json").Keys.Services
	content = privateKey(t, bits)
	folder := t.TempDir()
	public, private = filepath.Join(folder, "public.pem"), filepath.Join(folder, "private.pem")
	for path, text := range map[string]string{public: "Keys of the vendor:\n" + recorded, private: content} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return public, private, content
}

// privateKey makes one of RSA, in PEM.
func privateKey(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// A private key that nothing would be signed with is refused at the start.
func TestLoadShortSCWSKey(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	public, _, _ := scwsFiles(t)
	for bits, taken := range map[int]bool{512: false, 1023: false, 1024: true} {
		key := "scws-web-application-private-key-content=" + privateKey(t, bits)
		_, err := Load(typed(append(slices.Clone(required), "scws-idopte-public-keys-file="+public, key)...), environmentOf(nil))
		if (err == nil) != taken {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// The number of a public key is its place in the file, among revoked ones too.
func TestLoadSCWS(t *testing.T) {
	public, private, content := scwsFiles(t)
	for _, option := range []string{"scws-web-application-private-key-file=" + private, "scws-web-application-private-key-content=" + content} {
		got := mustLoad(t, typed(append(slices.Clone(required), "scws-idopte-public-keys-file="+public, option)...), nil).Config.Organization.SCWS
		if len(got.Services) != 3 || got.Services[0] == nil || got.Services[1] != nil || got.Services[2] == nil || got.WebApplication == nil {
			t.Errorf("got %+v", got)
		}
	}
	spoilt := filepath.Join(t.TempDir(), "spoilt.pem")
	for name, text := range map[string]string{
		"no key": "hello", "no end": "-----BEGIN PUBLIC KEY-----\nMIIB", "no PEM": "-----BEGIN PUBLIC KEY-----\n*\n-----END PUBLIC KEY-----\n",
		"another kind": "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
	} {
		if err := os.WriteFile(spoilt, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(typed(append(slices.Clone(required), "scws-idopte-public-keys-file="+spoilt, "scws-web-application-private-key-file="+private)...), environmentOf(nil)); err == nil {
			t.Errorf("%s is accepted", name)
		}
		if _, err := Load(typed(append(slices.Clone(required), "scws-idopte-public-keys-file="+public, "scws-web-application-private-key-file="+spoilt)...), environmentOf(nil)); err == nil {
			t.Errorf("%s is accepted as a private key", name)
		}
	}
	for _, wrong := range [][]string{
		{"scws-idopte-public-keys-file=" + public}, {"scws-web-application-private-key-file=" + private},
		{"scws-idopte-public-keys-file=" + public, "scws-web-application-private-key-file=" + private, "scws-web-application-private-key-content=" + content},
		{"scws-idopte-public-keys-file=" + filepath.Dir(public), "scws-web-application-private-key-file=" + private},
		{"scws-idopte-public-keys-file=" + public, "scws-web-application-private-key-file=/nowhere"},
	} {
		if _, err := Load(typed(append(slices.Clone(required), wrong...)...), environmentOf(nil)); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
