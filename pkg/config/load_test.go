package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/telemetry"
)

// typed returns the arguments of "name=text" words, expanded those of
// PARSEC_CMD_ARGS.
func typed(words ...string) []Argument {
	arguments := make([]Argument, len(words))
	for i, word := range words {
		name, text, found := strings.Cut(word, "=")
		if !found {
			text = "true"
		}
		arguments[i] = Argument{Name: name, Text: text}
	}
	return arguments
}

func expanded(words ...string) []Argument {
	arguments := typed(words...)
	for i := range arguments {
		arguments[i].Expanded = true
	}
	return arguments
}

// goodToken is what an administrator made at random.
const goodToken = "8cmLbv02Kf7YxTqp"

// required are the arguments without which nothing loads.
var required = []string{"db=MOCKED", "blockstore=MOCKED", "administration-token=" + goodToken}

func mustLoad(t *testing.T, arguments []Argument, variables map[string]string) Loaded {
	t.Helper()
	loaded, err := Load(arguments, environmentOf(variables))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func effective(t *testing.T, loaded Loaded, name string) Effective {
	t.Helper()
	for _, effective := range loaded.Effective {
		if effective.Setting.Name == name {
			return effective
		}
	}
	t.Fatalf("no setting %s", name)
	return Effective{}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadPrecedence(t *testing.T) {
	secretFile := writeFile(t, "from file\r\n")
	for _, row := range []struct {
		name      string
		arguments []Argument
		variables map[string]string
		setting   string
		text      string
		origin    string
	}{
		{"default", nil, nil, "port", "6777", "default"},
		{"variable", nil, map[string]string{"PARSEC_PORT": "1"}, "port", "1", "variable PARSEC_PORT"},
		{"empty variable", nil, map[string]string{"PARSEC_PORT": ""}, "port", "6777", "default"},
		{"command line over variable", typed("port=2"), map[string]string{"PARSEC_PORT": "1"}, "port", "2", "command line"},
		{"command line over wrong variable", typed("port=2"), map[string]string{"PARSEC_PORT": "one"}, "port", "2", "command line"},
		{"last of the command line", typed("port=2", "port=3"), nil, "port", "3", "command line"},
		{"PARSEC_CMD_ARGS over command line", slices.Concat(typed("port=2"), expanded("port=4")), nil, "port", "4", "PARSEC_CMD_ARGS"},
		{"wrong text that another overrides", slices.Concat(typed("port=two"), expanded("port=4")), nil, "port", "4", "PARSEC_CMD_ARGS"},
		{"variable over --dev", typed("dev"), map[string]string{"PARSEC_EMAIL_HOST": "mail"}, "email-host", "mail", "variable PARSEC_EMAIL_HOST"},
		{"--dev over empty variable", typed("dev"), map[string]string{"PARSEC_EMAIL_HOST": ""}, "email-host", "MOCKED", "--dev"},
		{"command line over --dev", typed("dev", "email-host=mail"), nil, "email-host", "mail", "command line"},
		{"variable that --dev leaves alone", typed("dev"), map[string]string{"PARSEC_PORT": "1"}, "port", "1", "variable PARSEC_PORT"},
		{"secret file", nil, map[string]string{"PARSEC_EMAIL_HOST_PASSWORD_FILE": secretFile}, "email-host-password", mask, "file " + secretFile + " (PARSEC_EMAIL_HOST_PASSWORD_FILE)"},
		{"command line over both variable and file", typed("email-host-password=p"), map[string]string{"PARSEC_EMAIL_HOST_PASSWORD": "v", "PARSEC_EMAIL_HOST_PASSWORD_FILE": "/nowhere"}, "email-host-password", mask, "command line"},
		{"alias", nil, map[string]string{"DEBUG": "yes"}, "debug", "yes", "variable DEBUG"},
		{"name before alias", nil, map[string]string{"DEBUG": "yes", "PARSEC_DEBUG": "no"}, "debug", "no", "variable PARSEC_DEBUG"},
		{"alias on the command line over variable", typed("sentry-url=https://a@b/1"), map[string]string{"PARSEC_SENTRY_DSN": "https://c@d/1"}, "sentry-dsn", "https://********@b/1", "command line"},
		{"last of name and alias", typed("db-first-tries-number=3", "maximum-database-connection-attempts=4"), nil, "maximum-database-connection-attempts", "4", "command line"},
		{"every block store of the command line, none of the variable", typed("blockstore=RAID0:1:MOCKED", "blockstore=RAID0:0:MOCKED"), map[string]string{"PARSEC_BLOCKSTORE": "MOCKED"}, "blockstore", "RAID0:0:MOCKED RAID0:1:MOCKED", "command line"},
		{"block stores of both kinds of arguments", slices.Concat(typed("blockstore=RAID0:0:MOCKED"), expanded("blockstore=RAID0:1:MOCKED")), nil, "blockstore", "RAID0:0:MOCKED RAID0:1:MOCKED", "PARSEC_CMD_ARGS"},
	} {
		t.Run(row.name, func(t *testing.T) {
			variables := map[string]string{
				"PARSEC_DB": "MOCKED", "PARSEC_BLOCKSTORE": "MOCKED", "PARSEC_ADMINISTRATION_TOKEN": goodToken, "PARSEC_EMAIL_SENDER": "a@b.c",
			}
			for name, text := range row.variables {
				variables[name] = text
			}
			got := effective(t, mustLoad(t, row.arguments, variables), row.setting)
			if got.Text != row.text || got.Origin() != row.origin {
				t.Errorf("got %s from %s, want %s from %s", got.Text, got.Origin(), row.text, row.origin)
			}
		})
	}
}

func TestLoadDefaults(t *testing.T) {
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	got := mustLoad(t, typed(required...), nil)
	want := Config{
		Host:                                    "127.0.0.1",
		Port:                                    6777,
		Data:                                    Data{User: "postgres"},
		Database:                                Database{DSN: NewSecret(Mocked), MinConnections: 5, MaxConnections: 7, ConnectionAttempts: 10, ConnectionPause: time.Second},
		Blockstore:                              memoryNode,
		AdministrationToken:                     NewSecret(goodToken),
		SSEKeepalive:                            30 * time.Second,
		IdleConnectionTimeout:                   150 * time.Second,
		StrictTransport:                         true,
		MaxUnauthenticatedConnectionsPerAddress: 100,
		ShutdownGracePeriod:                     30 * time.Second,
		Clients:                                 parsec.DefaultClients(),
		AddressScheme:                           parsec.Parsec2Scheme,
		Organization:                            Organization{InitialOutsiderAllowed: true, InvitationOnlineStatus: true, InitialMinimumArchivingPeriod: 2592000, OpenBao: OpenBao{SecretMountPath: "secret", TransitMountPath: "transit"}},
		TrustedProxies:                          loopback,
		proxies:                                 loopback,
		Account:                                 Account{Config: "DISABLED", MailLimit: [2]int{60, 3}},
		Email:                                   Email{Port: 25, Language: "en"},
		Log:                                     telemetry.LogOptions{Level: slog.LevelInfo, Format: telemetry.Console},
		Sentry:                                  Sentry{Environment: "production"},
	}
	if !reflect.DeepEqual(got.Config, want) {
		t.Errorf("got %+v, want %+v", got.Config, want)
	}
	if want := []string{"without --server-addr or --backend-addr no e-mail is sent, and links and redirections have host and scheme of the request"}; !slices.Equal(got.Warnings, want) {
		t.Errorf("warnings %q, want %q", got.Warnings, want)
	}
}

// TestLoadTexts checks one setting each, on top of the required ones.
func TestLoadTexts(t *testing.T) {
	limit := uint64(3)
	for _, row := range []struct {
		argument string
		got      func(Config) any
		want     any
	}{
		{"port= 7000 ", func(c Config) any { return c.Port }, 7000},
		{"maximum-database-connection-attempts=0", func(c Config) any { return c.Database.ConnectionAttempts }, 0},
		{"db-first-tries-number=0", func(c Config) any { return c.Database.ConnectionAttempts }, UnlimitedConnectionAttempts},
		{"db-first-tries-number=20", func(c Config) any { return c.Database.ConnectionAttempts }, 20},
		{"db-first-tries-sleep=2", func(c Config) any { return c.Database.ConnectionPause }, 2 * time.Second},
		{"pause-before-retry-database-connection=0.25", func(c Config) any { return c.Database.ConnectionPause }, 250 * time.Millisecond},
		{"db-max-connections=2", func(c Config) any { return c.Database.MinConnections }, int32(2)},
		{"db-max-connections=20", func(c Config) any { return c.Database.MinConnections }, int32(5)},
		{"sse-keepalive=-1", func(c Config) any { return c.SSEKeepalive }, time.Duration(0)},
		{"sse-keepalive=0", func(c Config) any { return c.SSEKeepalive }, time.Duration(0)},
		{"idle-connection-timeout=620", func(c Config) any { return c.IdleConnectionTimeout }, 620 * time.Second},
		{"strict-transport-security=false", func(c Config) any { return c.StrictTransport }, false},
		{"shutdown-grace-period=0", func(c Config) any { return c.ShutdownGracePeriod }, time.Duration(0)},
		{"shutdown-delay=8", func(c Config) any { return c.ShutdownDelay }, 8 * time.Second},
		{"handover-socket=/run/parsec/handover", func(c Config) any { return c.HandoverSocket }, "/run/parsec/handover"},
		{"max-unauthenticated-connections-per-address=0", func(c Config) any { return c.MaxUnauthenticatedConnectionsPerAddress }, 0},
		{"organization-initial-active-users-limit=3", func(c Config) any { return c.Organization.InitialActiveUsersLimit }, &limit},
		{"organization-initial-user-profile-outsider-allowed=no", func(c Config) any { return c.Organization.InitialOutsiderAllowed }, false},
		{"organization-bootstrap-webhook=https://u:p@h/x", func(c Config) any { return c.Organization.BootstrapWebhook.Reveal() }, "https://u:p@h/x"},
		{"spontaneous-organization-bootstrap", func(c Config) any { return c.Organization.SpontaneousBootstrap }, true},
		{"backend-addr=parsec://Example.com:8443", func(c Config) any { return c.ServerAddress.String() }, "parsec://example.com:8443"},
		{"forward-proto-enforce-https=x-forwarded-proto:https", func(c Config) any { return c.ForwardProto }, ForwardProto{"X-Forwarded-Proto", "https"}},
		{"email-sender=Acme, Inc. <no-reply@acme.example>", func(c Config) any { return c.Email.Sender.Name + "|" + c.Email.Sender.Address }, "Acme, Inc.|no-reply@acme.example"},
		{`email-sender="Acme, Inc." <no-reply@acme.example>`, func(c Config) any { return c.Email.Sender.Name }, "Acme, Inc."},
		{"email-sender=Müller (Köln); Söhne <a@b.c>", func(c Config) any { return c.Email.Sender.Name }, "Müller (Köln); Söhne"},
		{"trusted-proxies=10.1.2.3/8, ::1", func(c Config) any { return fmt.Sprint(c.TrustedProxies) }, "[10.0.0.0/8 ::1/128]"},
		{`trusted-proxies="192.0.2.1:443",[fd00::]/8 ::ffff:10.1.2.3/104 [::1]:80`, func(c Config) any { return fmt.Sprint(c.TrustedProxies) }, "[192.0.2.1/32 fd00::/8 10.0.0.0/8 ::1/128]"},
		{"log-level=critical", func(c Config) any { return c.Log.Level }, telemetry.LevelCritical},
		{"log-level=WARNING", func(c Config) any { return c.Log.Level }, slog.LevelWarn},
		{"log-format=console_no_timestamp", func(c Config) any { return c.Log.Format }, telemetry.ConsoleNoTimestamp},
		{"log-format=json", func(c Config) any { return c.Log.Format }, telemetry.JSON},
		{"log-file=/var/log/parsec", func(c Config) any { return c.Log.File }, "/var/log/parsec"},
		{"log-filter=a|b", func(c Config) any { return c.Log.Filter.String() }, "a|b"},
		{"sentry-url=https://k@s/1", func(c Config) any { return c.Sentry.DSN.Reveal() }, "https://k@s/1"},
		{"sentry-dsn=", func(c Config) any { return c.Sentry.DSN.IsZero() }, true},
		{"metrics-address=:9100", func(c Config) any { return c.Metrics.Address }, ":9100"},
		{"metrics-address=[::1]:0", func(c Config) any { return c.Metrics.Address }, "[::1]:0"},
		{"email-host=MOCKED", func(c Config) any { return c.Email.Sender.Address }, "no-reply@parsec.com"},
		{"email-sender=Parsec <p@example.com>", func(c Config) any { return c.Email.Sender.Name + "/" + c.Email.Sender.Address }, "Parsec/p@example.com"},
		{"email-language=FR", func(c Config) any { return c.Email.Language }, "fr"},
		{"email-use-ssl", func(c Config) any { return c.Email.Encryption() }, EmailTLS},
		{"email-use-tls", func(c Config) any { return c.Email.Encryption() }, EmailSTARTTLS},
		{"email-port=587", func(c Config) any { return c.Email.Encryption() }, EmailClear},
	} {
		t.Run(row.argument, func(t *testing.T) {
			loaded := mustLoad(t, typed(append(slices.Clone(required), row.argument)...), nil)
			if got := row.got(loaded.Config); !reflect.DeepEqual(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
	both := mustLoad(t, typed(append(slices.Clone(required), "email-use-tls", "email-use-ssl")...), nil)
	if got := both.Config.Email.Encryption(); got != EmailTLS {
		t.Errorf("SSL and TLS: got %s", got)
	}
}

func TestLoadBooleanVariables(t *testing.T) {
	for want, texts := range map[bool][]string{
		true:  {"true", "t", "1", "yes", "y", "on", "True", "YES", "On"},
		false: {"false", "f", "0", "no", "n", "off", "FALSE", "Off", ""},
	} {
		for _, text := range texts {
			loaded := mustLoad(t, typed(required...), map[string]string{"PARSEC_EMAIL_USE_SSL": text})
			if got := loaded.Config.Email.UseSSL; got != want {
				t.Errorf("%q: got %t", text, got)
			}
		}
	}
}

func TestLoadUsageErrors(t *testing.T) {
	directory := t.TempDir()
	emptyFile := writeFile(t, "\n")
	tokensFile := writeFile(t, "# first\nalice\n")
	wideFile := writeFile(t, "\xff\xfed\x00b\x00")
	for _, row := range []struct {
		arguments []string
		variables map[string]string
		want      string
	}{
		{[]string{"db="}, nil, "Invalid value for '--db': Invalid db type: must be `postgresql://<user>:<password>@<host>/<database>`, `postgres://…` or `MOCKED`."},
		{[]string{"db=mysql://u:p@h/db?a=b"}, nil, "Invalid value for '--db': Invalid db type: must be `postgresql://<user>:<password>@<host>/<database>`, `postgres://…` or `MOCKED`. mysql:// is another kind of database, which this server does not use."},
		{[]string{"db=mocked"}, nil, "Invalid value for '--db': Invalid db type: must be `postgresql://<user>:<password>@<host>/<database>`, `postgres://…` or `MOCKED`."},
		{nil, nil, missingDB + "\n" + missingBlockstore + "\n" + missingToken},
		{[]string{"db=MOCKED"}, nil, missingBlockstore + "\n" + missingToken},
		{nil, map[string]string{"PARSEC_EMAIL_HOST": "mail", "PARSEC_DB": "MOCKED", "PARSEC_BLOCKSTORE": "MOCKED"}, missingToken + "\nMissing option '--email-sender'. Or set PARSEC_EMAIL_SENDER."},
		{[]string{"db=MOCKED", "administration-token=" + goodToken}, map[string]string{"PARSEC_BLOCKSTORE": "  "}, missingBlockstore},
		{[]string{"db=MOCKED", "blockstore=MOCKED"}, map[string]string{"PARSEC_ADMINISTRATION_TOKEN": ""}, missingToken},
		{[]string{"port=abc"}, nil, "Invalid value for '--port' / '-P': 'abc' is not a valid integer."},
		{[]string{"port="}, nil, "Invalid value for '--port' / '-P': '' is not a valid integer."},
		{nil, map[string]string{"PARSEC_PORT": "abc"}, "Invalid value for '--port' / '-P': 'abc' is not a valid integer. (variable PARSEC_PORT)"},
		{nil, map[string]string{"PARSEC_EMAIL_USE_TLS": "maybe"}, "Invalid value for '--email-use-tls': 'maybe' is not a valid boolean. (variable PARSEC_EMAIL_USE_TLS)"},
		{nil, map[string]string{"PARSEC_DEBUG": "*"}, "Invalid value for '--debug': '*' is not a valid boolean. (variable PARSEC_DEBUG)"},
		{[]string{"db=MOCKED", "blockstore=MOCKED"}, map[string]string{"PARSEC_ADMINISTRATION_TOKEN": "short"}, "Invalid value for '--administration-token': anybody could guess it, as it has 5 characters; at least 16 are needed. Make one with: openssl rand -base64 48 (variable PARSEC_ADMINISTRATION_TOKEN)"},
		{required, map[string]string{"PARSEC_ADMINISTRATION_TOKENS_FILE": tokensFile}, "Invalid value for '--administration-tokens': line 2: neither name:token nor name:token:read (file " + tokensFile + " (PARSEC_ADMINISTRATION_TOKENS_FILE))"},
		{[]string{"log-level=loud"}, nil, "Invalid value for '--log-level' / '-l': 'loud' is not one of 'DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'."},
		{[]string{"log-format=XML"}, nil, "Invalid value for '--log-format' / '-f': 'XML' is not one of 'CONSOLE', 'CONSOLE_NO_TIMESTAMP', 'JSON'."},
		{[]string{"email-language=de"}, nil, "Invalid value for '--email-language': 'de' is not one of 'en', 'fr'."},
		{[]string{"email-sender=nobody"}, nil, "Invalid value for '--email-sender': 'nobody' is not an e-mail address, such as no-reply@example.com or Example, Inc. <no-reply@example.com>."},
		{[]string{"email-sender=a@b.c, d@e.f"}, nil, "Invalid value for '--email-sender': 'a@b.c, d@e.f' is not an e-mail address, such as no-reply@example.com or Example, Inc. <no-reply@example.com>."},
		{[]string{"email-sender=A <a@b.c>, D <d@e.f>"}, nil, "Invalid value for '--email-sender': 'A <a@b.c>, D <d@e.f>' is not an e-mail address, such as no-reply@example.com or Example, Inc. <no-reply@example.com>."},
		{[]string{"blockstore=postgres"}, nil, "Invalid value for '--blockstore' / '-b': Invalid blockstore type `postgres`, did you mean POSTGRESQL?"},
		{[]string{"backend-addr=https://example.com"}, nil, "Invalid value for '--backend-addr': must start with `parsec://`; perhaps parsec://example.com"},
		{[]string{"ssl-certfile=/does/not/exist"}, nil, "Invalid value for '--ssl-certfile': File '/does/not/exist' does not exist."},
		{[]string{"ssl-certfile=" + directory}, nil, "Invalid value for '--ssl-certfile': File '" + directory + "' is a directory."},
		{append(slices.Clone(required), "ssl-keyfile="+emptyFile), nil, "--ssl-keyfile needs --ssl-certfile."},
		{[]string{"forward-proto-enforce-https=a:b:c"}, nil, "Invalid value for '--forward-proto-enforce-https': must be `<header>:<value>`"},
		{[]string{"forward-proto-enforce-https=a"}, nil, "Invalid value for '--forward-proto-enforce-https': must be `<header>:<value>`"},
		{[]string{"forward-proto-enforce-https=:a"}, nil, "Invalid value for '--forward-proto-enforce-https': must be `<header>:<value>`"},
		{[]string{"trusted-proxies=10.0.0.0/33"}, nil, "Invalid value for '--trusted-proxies': '10.0.0.0/33' is neither an address nor a network."},
		{[]string{"organization-bootstrap-webhook=hunter2"}, nil, "Invalid value for '--organization-bootstrap-webhook': must be an http or https URL"},
		{[]string{"organization-initial-active-users-limit=-1"}, nil, "Invalid value for '--organization-initial-active-users-limit': must not be negative."},
		{[]string{"maximum-database-connection-attempts=-1"}, nil, "Invalid value for '--maximum-database-connection-attempts': must not be negative."},
		{[]string{"db-first-tries-number=x"}, nil, "Invalid value for '--db-first-tries-number': 'x' is not a valid integer."},
		{[]string{"sse-keepalive=NaN"}, nil, "Invalid value for '--sse-keepalive': 'NaN' is not a valid float."},
		{[]string{"sse-keepalive=inf"}, nil, "Invalid value for '--sse-keepalive': out of range."},
		{[]string{"idle-connection-timeout=0"}, nil, "Invalid value for '--idle-connection-timeout': must be at least 1 second."},
		{[]string{"shutdown-grace-period=-1"}, nil, "Invalid value for '--shutdown-grace-period': must not be negative."},
		{[]string{"shutdown-delay=-1"}, nil, "Invalid value for '--shutdown-delay': must not be negative."},
		{[]string{"handover-socket=/" + strings.Repeat("x", 98)}, nil, "Invalid value for '--handover-socket': the path of a socket has at most 98 bytes."},
		{[]string{"metrics-address=9100"}, nil, "Invalid value for '--metrics-address': '9100' is not `<host>:<port>`."},
		{[]string{"metrics-address=localhost:http"}, nil, "Invalid value for '--metrics-address': 'localhost:http' is not `<host>:<port>`."},
		{append(slices.Clone(required), "metrics-profiles"), nil, "--metrics-profiles needs --metrics-address."},
		{[]string{"dev=maybe"}, nil, "Invalid value for '--dev': 'maybe' is not a valid boolean."},
		{nil, map[string]string{"PARSEC_DB": "a", "PARSEC_DB_FILE": "b"}, "PARSEC_DB and PARSEC_DB_FILE are both set."},
		{nil, map[string]string{"PARSEC_DB_FILE": "/does/not/exist"}, "Invalid value for PARSEC_DB_FILE: open /does/not/exist: no such file or directory"},
		{nil, map[string]string{"PARSEC_DB_FILE": wideFile}, "Invalid value for PARSEC_DB_FILE: File '" + wideFile + "' is not text in UTF-8."},
		{nil, map[string]string{"PARSEC_DB_FILE": emptyFile}, "Invalid value for PARSEC_DB_FILE: File '" + emptyFile + "' is empty."},
	} {
		_, err := Load(typed(row.arguments...), environmentOf(row.variables))
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%q %q: got %v, want a usage error", row.arguments, row.variables, err)
		} else if usage.Message != row.want {
			t.Errorf("got %q, want %q", usage.Message, row.want)
		}
	}
}

const (
	missingDB         = "Missing option '--db'. Or set PARSEC_DB, PARSEC_DB_FILE or DATABASE_URL."
	missingBlockstore = "Missing option '--blockstore'. Or set PARSEC_BLOCKSTORE or PARSEC_BLOCKSTORE_FILE."
	missingToken      = "Missing option '--administration-token'. Or set PARSEC_ADMINISTRATION_TOKEN or PARSEC_ADMINISTRATION_TOKEN_FILE."
)

// TestLoadFailures is about settings that are well written, yet cannot start: official
// servers notice that late.
func TestLoadFailures(t *testing.T) {
	for _, row := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"port=65536"}, "Invalid value for '--port' / '-P': must be 0 to 65535."},
		{[]string{"port=-1"}, "Invalid value for '--port' / '-P': must be 0 to 65535."},
		{[]string{"email-port=0"}, "Invalid value for '--email-port': must be 1 to 65535."},
		{[]string{"db-min-connections=8"}, "--db-min-connections must not be greater than --db-max-connections."},
		{[]string{"db-max-connections=1"}, "--db-max-connections must be at least 2."},
		{[]string{"db-max-connections=4294967296"}, "Invalid value for '--db-max-connections': out of range."},
		{[]string{"blockstore=POSTGRESQL"}, "--blockstore is POSTGRESQL, and --db is MOCKED: a block store in a database needs one."},
		{[]string{"blockstore=RAID1:0:MOCKED", "blockstore=RAID1:1:POSTGRESQL"}, "--blockstore is POSTGRESQL, and --db is MOCKED: a block store in a database needs one."},
		{[]string{"blockstore=RAID5:0:MOCKED", "blockstore=RAID5:1:MOCKED"}, "A RAID5 block store needs at least 3 nodes."},
		{[]string{"blockstore=MOCKED", "email-host=mail"}, "Missing option '--email-sender'. Or set PARSEC_EMAIL_SENDER."},
		{[]string{"log-filter=("}, "Invalid value for '--log-filter': error parsing regexp: missing closing ): `(`"},
		{[]string{"sentry-dsn=hunter2"}, "Invalid value for '--sentry-dsn': must be `https://<key>@<host>/<project>`"},
	} {
		arguments := append([]string{"db=MOCKED", "administration-token=" + goodToken}, row.arguments...)
		if !strings.HasPrefix(row.arguments[0], "blockstore=") {
			arguments = append(arguments, "blockstore=MOCKED")
		}
		_, err := Load(typed(arguments...), environmentOf(nil))
		if usage := (*UsageError)(nil); !errors.As(err, &usage) {
			t.Errorf("%q: got %v, want a usage error", row.arguments, err)
		} else if err.Error() != row.want {
			t.Errorf("got %q, want %q", err, row.want)
		}
	}
}

// TestForeignDebug has the variable that other programs read, too.
func TestForeignDebug(t *testing.T) {
	for text, told := range map[string]int{"release": 1, "express:*": 1, "*": 1, "1": 0, "false": 0} {
		loaded := mustLoad(t, typed(required...), map[string]string{"DEBUG": text})
		found := 0
		for _, warning := range loaded.Warnings {
			if strings.HasPrefix(warning, "variable DEBUG is ignored") {
				found++
			}
		}
		if found != told || loaded.Config.Debug != (text == "1") {
			t.Errorf("DEBUG=%s: debug %t, %q", text, loaded.Config.Debug, loaded.Warnings)
		}
	}
}

func TestLoadSecretFiles(t *testing.T) {
	loaded := mustLoad(t, nil, map[string]string{
		"PARSEC_DB_FILE":                   writeFile(t, "postgresql://parsec:hunter2@db/parsec\n"),
		"PARSEC_BLOCKSTORE_FILE":           writeFile(t, "RAID1:0:s3::r:b:k:s p a c e\r\nRAID1:1:POSTGRESQL\r\n"),
		"PARSEC_ADMINISTRATION_TOKEN_FILE": writeFile(t, " "+goodToken+" \n\n"),
		"PARSEC_SENTRY_URL_FILE":           writeFile(t, "https://hunter2@s/1"),
	})
	config := loaded.Config
	if got := config.Database.DSN.Reveal(); got != "postgresql://parsec:hunter2@db/parsec" {
		t.Errorf("DSN %q", got)
	}
	if got := config.AdministrationToken.Reveal(); got != goodToken {
		t.Errorf("token %q", got)
	}
	if want := raid(BlockstoreRAID1, s3Node("", "r", "b", "k", "s p a c e"), postgreSQLNode); !reflect.DeepEqual(config.Blockstore, want) {
		t.Errorf("block store %v", config.Blockstore)
	}
	if got := config.Sentry.DSN.Reveal(); got != "https://hunter2@s/1" {
		t.Errorf("Sentry %q", got)
	}
	for _, effective := range loaded.Effective {
		if strings.Contains(effective.Text, "hunter2") || strings.Contains(effective.Text, "p a c e") {
			t.Errorf("%s shows %s", effective.Setting.Name, effective.Text)
		}
	}
}

func TestLoadRefusesLongSecretFiles(t *testing.T) {
	for length, wanted := range map[int]bool{maxSecretFileBytes: true, maxSecretFileBytes + 1: false} {
		path := writeFile(t, strings.Repeat("x", length-len(goodToken))+goodToken)
		_, err := Load(typed("db=MOCKED", "blockstore=MOCKED"), environmentOf(map[string]string{"PARSEC_ADMINISTRATION_TOKEN_FILE": path}))
		if (err == nil) != wanted {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func TestLoadDevelopment(t *testing.T) {
	config := mustLoad(t, typed("dev"), map[string]string{"PARSEC_PORT": "7000"}).Config
	if !config.Development || !config.Debug || !config.Database.Mocked() || config.Blockstore.Kind != BlockstoreMemory ||
		config.AdministrationToken.Reveal() != "s3cr3t" || config.Email.Host != Mocked || config.Email.Sender.Address != "no-reply@parsec.com" ||
		config.ServerAddress.String() != "parsec://localhost:7000?no_ssl=true" {
		t.Errorf("got %+v", config)
	}
	// Each of these yields to what was asked for, by itself.
	for variable, item := range map[string]struct {
		text string
		kept func(Config) bool
	}{
		"PARSEC_DB":                   {"postgresql://db", func(c Config) bool { return !c.Database.Mocked() }},
		"PARSEC_ADMINISTRATION_TOKEN": {goodToken, func(c Config) bool { return c.AdministrationToken.Reveal() == goodToken }},
		"PARSEC_DEBUG":                {"no", func(c Config) bool { return !c.Debug }},
		"PARSEC_BACKEND_ADDR":         {"parsec://example.com", func(c Config) bool { return c.ServerAddress.String() == "parsec://example.com" }},
		"PARSEC_BLOCKSTORE":           {"s3::region:bucket:key:secret", func(c Config) bool { return c.Blockstore.Kind == BlockstoreS3 }},
		"PARSEC_EMAIL_HOST":           {"mail.example.com", func(c Config) bool { return c.Email.Host == "mail.example.com" }},
		"PARSEC_EMAIL_SENDER":         {"a@b.c", func(c Config) bool { return c.Email.Sender.Address == "a@b.c" }},
	} {
		config := mustLoad(t, typed("dev"), map[string]string{variable: item.text}).Config
		if !item.kept(config) {
			t.Errorf("%s: not kept", variable)
		}
		others := 0
		for _, setting := range []bool{
			config.Database.Mocked(), config.AdministrationToken.Reveal() == "s3cr3t", config.Debug, config.Blockstore.Kind == BlockstoreMemory,
			config.ServerAddress.String() == "parsec://localhost:6777?no_ssl=true", config.Email.Host == Mocked,
			config.Email.Sender.Address == "no-reply@parsec.com",
		} {
			if setting {
				others++
			}
		}
		if others != 6 {
			t.Errorf("%s: --dev sets %d others", variable, others)
		}
	}
	certificate := writeFile(t, "certificate")
	for _, row := range []struct {
		arguments []Argument
		want      string // of AnnouncedAddress, listening on port 1234
	}{
		{typed("dev"), "parsec://localhost:6777?no_ssl=true"},
		{typed("dev", "port=80"), "parsec://localhost?no_ssl=true"},
		{typed("dev", "ssl-certfile="+certificate), "parsec://localhost:6777"},
		{typed("dev", "port=0"), "parsec://localhost:1234?no_ssl=true"},
		{typed("dev", "port=0", "backend-addr=parsec://example.com"), "parsec://example.com"},
		{typed(append(slices.Clone(required), "port=0")...), ""},
	} {
		config := mustLoad(t, row.arguments, nil).Config
		if got := config.AnnouncedAddress(1234).String(); got != row.want {
			t.Errorf("%v: got %s, want %s", row.arguments, got, row.want)
		}
	}
	if warnings := mustLoad(t, typed("dev"), nil).Warnings; len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
}

func TestLoadWarnings(t *testing.T) {
	loaded := mustLoad(t, typed(append(slices.Clone(required), "backend-addr=parsec://h", "db-drop-deleted-data", "blockstore-degraded-writes")...), map[string]string{"PARSEC_DBB": "x"})
	want := []string{
		"unknown variable PARSEC_DBB is ignored, did you mean PARSEC_DB?",
		"settings without effect here: --db-drop-deleted-data",
		"--blockstore-degraded-writes has no effect without RAID1 or RAID5",
		"without --email-host no e-mail is sent",
	}
	if !slices.Equal(loaded.Warnings, want) {
		t.Errorf("got %q, want %q", loaded.Warnings, want)
	}
}

func TestTypesOfTheStartLine(t *testing.T) {
	mocked := mustLoad(t, typed("dev"), nil).Config
	if mocked.Database.Type() != "MOCKED" || mocked.Blockstore.Type() != "MOCKED" || mocked.Email.Type() != "MOCKED" {
		t.Errorf("got %s, %s, %s", mocked.Database.Type(), mocked.Blockstore.Type(), mocked.Email.Type())
	}
	deployed := mustLoad(t, typed("db=postgresql://h", "blockstore=POSTGRESQL", "administration-token="+goodToken, "email-host=mail", "email-sender=a@b.c"), nil).Config
	if deployed.Database.Type() != "POSTGRESQL" || deployed.Blockstore.Type() != "POSTGRESQL" || deployed.Email.Type() != "SMTP" {
		t.Errorf("got %s, %s, %s", deployed.Database.Type(), deployed.Blockstore.Type(), deployed.Email.Type())
	}
}

// TestCurrentDSN has the file of the DSN replaced while the server runs.
func TestCurrentDSN(t *testing.T) {
	file := filepath.Join(t.TempDir(), "db")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("password=first\n")
	inFile := map[string]string{"PARSEC_DB_FILE": file}
	whole := mustLoad(t, typed("blockstore=MOCKED", "administration-token="+goodToken), inFile).Config.Database
	alone, err := LoadDatabase(nil, environmentOf(inFile))
	if err != nil {
		t.Fatal(err)
	}
	write("password=second\n")
	for _, database := range []Database{whole, alone} {
		if dsn, err := database.CurrentDSN(); dsn != "password=second" || err != nil || database.DSN.Reveal() != "password=first" {
			t.Errorf("%q, %v, at first %q", dsn, err, database.DSN.Reveal())
		}
	}
	given := mustLoad(t, typed(required...), inFile).Config.Database
	if dsn, err := given.CurrentDSN(); dsn != Mocked || err != nil {
		t.Errorf("given on the command line: %q, %v", dsn, err)
	}
}

// TestSecretsInFilesThatChange has them replaced while the server runs.
func TestSecretsInFilesThatChange(t *testing.T) {
	const next = "XqY4r2bC9vLw8pTz1mNd"
	folder := t.TempDir()
	token, password := filepath.Join(folder, "token"), filepath.Join(folder, "password")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token, goodToken)
	write(password, "first")
	got := mustLoad(t, typed("db=MOCKED", "blockstore=MOCKED"), map[string]string{
		"PARSEC_ADMINISTRATION_TOKEN_FILE": token, "PARSEC_EMAIL_HOST_PASSWORD_FILE": password,
	}).Config
	check := func(wantToken, wantPassword string) {
		t.Helper()
		found, err := got.CurrentAdministrationToken()
		if err != nil {
			found = "refused"
		}
		if found != wantToken || got.Email.CurrentPassword() != wantPassword {
			t.Errorf("%q and %q, want %q and %q", found, got.Email.CurrentPassword(), wantToken, wantPassword)
		}
	}
	check(goodToken, "first")
	write(token, next+"\n")
	write(password, "second\n")
	check(next, "second")
	write(token, "s3cr3t")
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	check("refused", "first")
}
