package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/config"
)

// officialToken is made at random, as the guide of official servers says.
const officialToken = "8cmLbv02Kf7YxTqpW3nR"

// officialSetting is an option of docs/protocol/v5/administration.md §2.
type officialSetting struct {
	// right is what an operator gives, several one by one, or with blanks between them in
	// the variable.
	right []string
	// effect is what that changes, and want what it is then. Without it nothing changes,
	// and a line says so.
	effect func(config.Config) any
	want   any
	// wrong are refused, by the name of the option.
	wrong []string
	// beside are options that go with it.
	beside []string
	// variable is another than that of its name, "-" for none.
	variable string
}

func effective(effect func(config.Config) any, want any, right ...string) officialSetting {
	return officialSetting{right: right, effect: effect, want: want}
}

func inert(right string) officialSetting { return officialSetting{right: []string{right}} }

func (s officialSetting) not(wrong ...string) officialSetting {
	s.wrong = wrong
	return s
}

func (s officialSetting) with(beside ...string) officialSetting {
	s.beside = beside
	return s
}

func (s officialSetting) by(variable string) officialSetting {
	s.variable = variable
	return s
}

// officialFiles are what settings name.
type officialFiles struct{ folder, public, private, key string }

func newOfficialFiles(t *testing.T) officialFiles {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	f := officialFiles{folder: folder, public: filepath.Join(folder, "public.pem"), private: filepath.Join(folder, "private.pem")}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	f.key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	for path, content := range map[string]string{
		f.private: f.key, f.public: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// officialSettings are all of them: that of another part of the tables is a line here.
func officialSettings(f officialFiles) map[string]officialSetting {
	sections := []map[string]officialSetting{
		requiredOfficialSettings(), listeningOfficialSettings(f), storageOfficialSettings(), organizationOfficialSettings(f),
		emailOfficialSettings(f), observationOfficialSettings(),
	}
	all := map[string]officialSetting{}
	for _, section := range sections {
		maps.Copy(all, section)
	}
	return all
}

func requiredOfficialSettings() map[string]officialSetting {
	return map[string]officialSetting{
		"db": effective(func(c config.Config) any { return c.Database.DSN.Reveal() }, "postgres://u:p@h/d", "postgres://u:p@h/d").not("mysql://h/d", "sqlite"),
		"blockstore": effective(func(c config.Config) any { return len(c.Blockstore.Nodes) }, 2, "RAID1:0:MOCKED", `RAID1:1:s3:https\://h:r:b:k:s`).
			not("disk", "s3:x"),
		"administration-token": effective(func(c config.Config) any { return c.AdministrationToken.Reveal() }, officialToken, officialToken).
			not("", "s3cr3t"),
		"server-addr": effective(func(c config.Config) any { return c.ServerAddress.HTTPOrigin() }, "http://h:1", "parsec3://h:1?no_ssl=true").
			not("https://h", "parsec3://", "parsec3://h/Org", "parsec3://h?no_ssl=maybe"),
		"email-host":                           effective(func(c config.Config) any { return c.Email.Host }, "smtp", "smtp").with("--email-sender=p@example.com"),
		"email-sender":                         effective(func(c config.Config) any { return c.Email.Sender.Address }, "p@example.com", "Parsec <p@example.com>").not("nobody"),
		"fake-account-password-algorithm-seed": effective(func(c config.Config) any { return c.Account.Secret.Reveal() }, "F4k3", "F4k3"),
	}
}

func listeningOfficialSettings(f officialFiles) map[string]officialSetting {
	const ciphers = "TLS_AES_256_GCM_SHA384,TLS_AES_128_CCM_SHA256,ECDHE-RSA-AES128-GCM-SHA256,DHE-RSA-AES256-CCM"
	return map[string]officialSetting{
		"host":                        effective(func(c config.Config) any { return c.Host }, "0.0.0.0", "0.0.0.0"),
		"port":                        effective(func(c config.Config) any { return c.Port }, 7000, "7000").not("x", "70000"),
		"ssl-keyfile":                 effective(func(c config.Config) any { return c.TLS.KeyFile }, f.private, f.private).not("/nowhere").with("--ssl-certfile=" + f.private),
		"ssl-certfile":                effective(func(c config.Config) any { return c.TLS.CertificateFile }, f.private, f.private).not("/nowhere"),
		"ssl-ciphers":                 effective(func(c config.Config) any { return len(c.TLS.Ciphers.Suites) }, 1, ciphers).not("RC4-MD5"),
		"sse-keepalive":               effective(func(c config.Config) any { return c.SSEKeepalive.Seconds() }, 0.0, "-1").not("x"),
		"with-client-web-app":         effective(func(c config.Config) any { return c.WebApp }, f.folder, f.folder).not("/nowhere", f.private),
		"forward-proto-enforce-https": effective(func(c config.Config) any { return c.ForwardProto.Value }, "https", "X-Forwarded-Proto:https").not("x"),
		"proxy-trusted-addresses": effective(func(c config.Config) any { return fmt.Sprint(c.TrustedProxies, c.TrustedProxyNames) },
			"[10.0.0.0/8] [parsec-proxy]", "10.0.0.0/8,parsec-proxy"),
		"cors-allow-origins": effective(func(c config.Config) any { return fmt.Sprint(c.CORSOrigins) }, "[https://a.example https://b.example]",
			"https://a.example", "https://B.example:443/").not("a.example", "https://a.example/x", "null"),
		"dev":   effective(func(c config.Config) any { return c.Development }, true, "true").not("maybe").by("-"),
		"debug": effective(func(c config.Config) any { return c.Debug }, true, "true").not("maybe").by("DEBUG"),
	}
}

func storageOfficialSettings() map[string]officialSetting {
	return map[string]officialSetting{
		"db-min-connections":                     effective(func(c config.Config) any { return c.Database.MinConnections }, int32(3), "3").not("x", "8", "-1"),
		"db-max-connections":                     effective(func(c config.Config) any { return c.Database.MaxConnections }, int32(2), "2").not("x", "1", "-1"),
		"maximum-database-connection-attempts":   effective(func(c config.Config) any { return c.Database.ConnectionAttempts }, 3, "3").not("x", "-1"),
		"pause-before-retry-database-connection": effective(func(c config.Config) any { return c.Database.ConnectionPause.Seconds() }, 0.5, "0.5").not("x", "-1"),
		"skip-database-migrations-check":         inert("true").not("maybe"),
	}
}

func organizationOfficialSettings(f officialFiles) map[string]officialSetting {
	const bao = "--openbao-server-url=https://bao.example"
	const pro, hexagone = "PARSEC_OPENBAO_AUTH_PRO_CONNECT_MOUNT_PATH", "PARSEC_OPENBAO_AUTH_HEXAGONE_MOUNT_PATH"
	public, private := "--scws-idopte-public-keys-file="+f.public, "--scws-web-application-private-key-file="+f.private
	type of = config.Config
	return map[string]officialSetting{
		"spontaneous-organization-bootstrap":                       effective(func(c of) any { return c.Organization.SpontaneousBootstrap }, true, "true").not("maybe"),
		"organization-bootstrap-webhook":                           effective(func(c of) any { return c.Organization.BootstrapWebhook.Reveal() }, "https://h/x", "https://h/x").not("x"),
		"organization-initial-active-users-limit":                  effective(func(c of) any { return *c.Organization.InitialActiveUsersLimit }, uint64(3), "3").not("-1", "x"),
		"organization-initial-user-profile-outsider-allowed":       effective(func(c of) any { return c.Organization.InitialOutsiderAllowed }, false, "false").not("maybe"),
		"organization-initial-realm-deletion-min-archiving-period": effective(func(c of) any { return c.Organization.InitialMinimumArchivingPeriod }, uint64(60), "60").not("-1", "x"),
		"organization-initial-tos":                                 effective(func(c of) any { return c.Organization.InitialTOS["fr"] }, "https://h/a,b", `en:https://h,fr:https://h/a\,b`).not("en", "en:https://h,en:https://h"),
		"organization-initial-account-vault-strategy":              inert("ALLOWED").not("MAYBE"),
		"organization-initial-allowed-client-agent":                inert("NATIVE_ONLY").not("MAYBE"),
		"account-config":                           effective(func(c of) any { return c.Account.Config }, "ENABLED_WITHOUT_VAULT", "ENABLED_WITHOUT_VAULT").not("YES"),
		"advisory-device-file-protection":          effective(func(c of) any { return len(c.Organization.DeviceFileProtection) }, 2, "PASSWORD+TOTP", "PKI").not("PAPER"),
		"trusted-x509-root-dir":                    effective(func(c of) any { return len(c.Organization.TrustedRootFolders) }, 2, f.folder, f.folder).not("/nowhere"),
		"cryptpad-server-url":                      effective(func(c of) any { return c.Organization.CryptpadServerURL }, "https://pad.example", "https://pad.example").not("pad"),
		"openbao-server-url":                       effective(func(c of) any { return c.Organization.OpenBao.ServerURL }, "https://b", "https://b").not("bao").with("--openbao-auth-hexagone=h"),
		"openbao-secret-mount-path":                effective(func(c of) any { return c.Organization.OpenBao.SecretMountPath }, "kv", "kv"),
		"openbao-transit-mount-path":               effective(func(c of) any { return c.Organization.OpenBao.TransitMountPath }, "t", "t"),
		"openbao-auth-pro-connect":                 effective(func(c of) any { return c.Organization.OpenBao.ProConnectMountPath }, "p", "p").with(bao).by(pro),
		"openbao-auth-hexagone":                    effective(func(c of) any { return c.Organization.OpenBao.HexagoneMountPath }, "h", "h").with(bao).by(hexagone),
		"scws-idopte-public-keys-file":             effective(func(c of) any { return len(c.Organization.SCWS.Services) }, 1, f.public).not("/nowhere", f.private).with(private),
		"scws-web-application-private-key-file":    effective(func(c of) any { return c.Organization.SCWS.WebApplication != nil }, true, f.private).not("/nowhere", f.public).with(public),
		"scws-web-application-private-key-content": effective(func(c of) any { return c.Organization.SCWS.WebApplication != nil }, true, f.key).not("key").with(public),
	}
}

func emailOfficialSettings(f officialFiles) map[string]officialSetting {
	return map[string]officialSetting{
		"email-port":                  effective(func(c config.Config) any { return c.Email.Port }, 587, "587").not("x", "0"),
		"email-host-user":             effective(func(c config.Config) any { return c.Email.User }, "u", "u"),
		"email-host-password":         effective(func(c config.Config) any { return c.Email.Password.Reveal() }, "p", "p"),
		"email-use-ssl":               effective(func(c config.Config) any { return c.Email.Encryption() }, config.EmailTLS, "true").not("maybe"),
		"email-use-tls":               effective(func(c config.Config) any { return c.Email.Encryption() }, config.EmailSTARTTLS, "true").not("maybe"),
		"validation-email-rate-limit": effective(func(c config.Config) any { return c.Account.MailLimit }, [2]int{0, 10}, "0 10").not("60", "a b", "-1 3"),
		"template-dir":                effective(func(c config.Config) any { return c.Email.TemplateFolder }, f.folder, f.folder).not("/nowhere"),
	}
}

func observationOfficialSettings() map[string]officialSetting {
	return map[string]officialSetting{
		"log-level":                   effective(func(c config.Config) any { return c.Log.Level.String() }, "WARN", "WARNING").not("LOUD"),
		"log-format":                  effective(func(c config.Config) any { return string(c.Log.Format) }, "CONSOLE_NO_TIMESTAMP", "console_no_timestamp").not("XML"),
		"log-file":                    effective(func(c config.Config) any { return c.Log.File }, "-", "-"),
		"sentry-dsn":                  effective(func(c config.Config) any { return c.Sentry.DSN.Reveal() }, "https://k@s.example/1", "https://k@s.example/1").not("x"),
		"sentry-environment":          effective(func(c config.Config) any { return c.Sentry.Environment }, "staging", "staging"),
		"sentry-traces-sample-rate":   inert("0.5").not("2", "x"),
		"sentry-profiles-sample-rate": inert("1").not("-1", "x"),
	}
}

// officialBase is the least that a server starts with, by variables.
func officialBase() map[string]string {
	return map[string]string{"PARSEC_DB": config.Mocked, "PARSEC_BLOCKSTORE": config.Mocked, "PARSEC_ADMINISTRATION_TOKEN": officialToken}
}

// TestOfficialSettings tries every option of the tables by its option and by its
// variable, alone: each starts the server, and has its effect or is said to have none.
func TestOfficialSettings(t *testing.T) {
	all := officialSettings(newOfficialFiles(t))
	for name, setting := range all {
		t.Run(name, func(t *testing.T) {
			var options []string
			for _, text := range setting.right {
				options = append(options, "--"+name+"="+text)
			}
			setting.check(t, name, executeWith(t.Context(), idle, officialBase(), slices.Concat([]string{"run"}, setting.beside, options)...))
			if setting.variable != "-" {
				variables := officialBase()
				variables[setting.variableOf(name)] = strings.Join(setting.right, " ")
				setting.check(t, name, executeWith(t.Context(), idle, variables, append([]string{"run"}, setting.beside...)...))
				// None stops the start by being there and empty.
				variables = officialBase()
				if variable := setting.variableOf(name); variables[variable] == "" {
					variables[variable] = ""
				}
				if got := executeWith(t.Context(), idle, variables, "run"); got.code != 0 {
					t.Errorf("empty: got %+v", got)
				}
			}
			for _, wrong := range setting.wrong {
				got := executeWith(t.Context(), idle, officialBase(), slices.Concat([]string{"run"}, setting.beside, []string{"--" + name + "=" + wrong})...)
				if told := got.stdout + got.stderr; got.code == 0 || got.settings != nil || !strings.Contains(told, "--"+name) {
					t.Errorf("%q: got %+v", wrong, got)
				}
			}
		})
	}
	guide, err := os.ReadFile("../../docs/from-official-v3.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range officialOptions(t, "## 2. Server options", "## 3. ") {
		if _, tried := all[name]; !tried {
			t.Errorf("--%s is not tried", name)
		}
		if !strings.Contains(string(guide), "`--"+name+"`") {
			t.Errorf("docs/from-official-v3.md says nothing of --%s", name)
		}
	}
}

func (s officialSetting) variableOf(name string) string {
	if s.variable != "" {
		return s.variable
	}
	return "PARSEC_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func (s officialSetting) check(t *testing.T, name string, got outcome) {
	t.Helper()
	if got.code != 0 || got.settings == nil {
		t.Errorf("got %+v", got)
		return
	}
	lines := 0
	for line := range strings.Lines(got.stderr) {
		if strings.Contains(line, "settings without effect here:") && strings.Contains(line, "--"+name) {
			lines++
		}
	}
	if isInert := s.effect == nil; isInert != (lines == 1) {
		t.Errorf("logged %q", got.stderr)
	} else if !isInert && s.effect(*got.settings) != s.want {
		t.Errorf("got %v, want %v", s.effect(*got.settings), s.want)
	}
}

var (
	officialOption = regexp.MustCompile("`--([a-z0-9-]+)[` ]")
	// officialShort is the end of an option whose beginning is before it: -file or -content.
	officialShort = regexp.MustCompile("`(--[a-z0-9-]+)-file` or `-(content)`")
)

// officialOptions returns the options of the rows of a part of the specification.
func officialOptions(t *testing.T, begin, end string) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(officialSection(t, begin, end)) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "- Removed on the way") {
			continue
		}
		cell = officialShort.ReplaceAllString(cell, "`$1-file` or `$1-$2`")
		for _, match := range officialOption.FindAllStringSubmatch(cell, -1) {
			names = append(names, match[1])
		}
	}
	const least = 55
	if len(names) < least {
		t.Errorf("only %d options are found: %q", len(names), names)
	}
	return names
}

func officialSection(t *testing.T, begin, end string) string {
	t.Helper()
	document, err := os.ReadFile("../../docs/protocol/v5/administration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(document), "\n"+begin)
	section, _, ends := strings.Cut(section, "\n"+end)
	if !found || !ends {
		t.Fatalf("there is no %s", begin)
	}
	return section
}
