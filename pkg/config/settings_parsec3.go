package config

import (
	"crypto/rsa"
	"fmt"
	"strings"

	"parsec-server/pkg/parsec"
)

// parsec3Settings are those that only official releases of Parsec 3 have
// (docs/protocol/v5/administration.md §2).
var parsec3Settings = []Setting{
	{
		Name: corsOption, Variable: "PARSEC_CORS_ALLOW_ORIGINS", Kind: List, Repeatable: true, Since: "3.4", Group: groupServer,
		Development: "*", development: always("*"),
		Help:  "Origins, separated by spaces or commas, whose web pages may use this server in browsers, such as https://app.example.com; * is all.",
		parse: parseOrigins,
	}, {
		Name: proxiesOption, Variable: "PARSEC_PROXY_TRUSTED_ADDRESSES", Kind: List, Default: loopbackProxies, fallback: fallbackProxies, Since: "3.1", Group: groupServer,
		Help:  "As --trusted-proxies, to which it adds; also host names, which are looked up again each 30 seconds, and * for every address. With neither of them, proxies of this machine are believed.",
		parse: parseProxies,
		Aliases: []Alias{
			{Variable: "PARSEC_PROXY_TRUSTED_ADDRESS", Since: "3.1"},
			{Variable: "FORWARDED_ALLOW_IPS", Since: "3.1"},
		},
	}, {
		Name: "ssl-ciphers", Variable: "PARSEC_SSL_CIPHERS", Kind: Text, Since: "3.5", Group: groupServer,
		Help:  "Cipher suites of TLS 1.2 by their names of OpenSSL, between commas or colons; those that are not named are refused then. Those of TLS 1.3 are always served. Without it, those with forward secrecy and authenticated encryption.",
		parse: parseSuites,
	}, {
		Name: "organization-initial-realm-deletion-min-archiving-period", Variable: "PARSEC_ORGANIZATION_INITIAL_REALM_DELETION_MIN_ARCHIVING_PERIOD", Kind: Integer, Default: "2592000", Since: "3.9", Group: groupOrganization,
		Help:  "Seconds that a workspace of a new organization stays archived before it may be deleted.",
		parse: into(func(c *Config) *uint64 { return &c.Organization.InitialMinimumArchivingPeriod }, parseWholeSeconds),
	}, {
		Name: "organization-initial-tos", Variable: "PARSEC_ORGANIZATION_INITIAL_TOS", Kind: Text, Since: "3.1", Group: groupOrganization,
		Help:  `Terms of service that users of new organizations of Parsec 3 must accept: <locale>:<url>,<locale>:<url>; a comma in a URL is written \,.`,
		parse: into(func(c *Config) *map[string]string { return &c.Organization.InitialTOS }, parseTOS),
	},
	{
		Name: "invitation-online-status", Variable: "PARSEC_INVITATION_ONLINE_STATUS", Kind: Boolean, Default: "true", Since: own, Group: groupOrganization,
		Help:  "Tell whoever has the link of an invitation of Parsec 3, of a user or to recover a device, which of the people that may greet them are connected.",
		parse: into(func(c *Config) *bool { return &c.Organization.InvitationOnlineStatus }, parseBoolean),
	},
	{
		Name: "advisory-device-file-protection", Variable: "PARSEC_ADVISORY_DEVICE_FILE_PROTECTION", Kind: List, Repeatable: true, Choices: protections, Since: "3.9", Group: groupOrganization,
		Help: "How clients are advised to protect the keys of devices: PASSWORD, KEYRING, PKI, OPENBAO or ACCOUNT_VAULT, each also with +TOTP. Several are given one by one, or in the variable separated by spaces. No advice if not given.",
		parse: func(c *Config, texts []string) error {
			for _, text := range texts {
				protection, err := parseProtection(text)
				if err != nil {
					return err
				}
				c.Organization.DeviceFileProtection = append(c.Organization.DeviceFileProtection, protection)
			}
			return nil
		},
	},
	inert("organization-initial-account-vault-strategy", Choice, "3.5", groupOrganization, checked(parseChoice(vaultStrategies...)), "Whether new organizations let keys be kept in accounts; --account-config says it for all.").until("3.6").choose(vaultStrategies),
	inert("organization-initial-allowed-client-agent", Choice, "3.5", groupOrganization, checked(parseChoice(clientAgents...)), "Which clients new organizations let in: all may come.").until("3.6").choose(clientAgents),
	inert("skip-database-migrations-check", Flag, "3.6", groupStorage, checked(parseBoolean), "Whether to serve on a database whose schema is of another release: a server waits for an older one to be migrated, and does not start on a newer one."),
	{
		Name: "account-config", Variable: "PARSEC_ACCOUNT_CONFIG", Kind: Choice, Default: "DISABLED", Since: "3.7", Group: groupOrganization,
		Help:  "Whether people may have accounts on this server: DISABLED, ENABLED_WITH_VAULT or ENABLED_WITHOUT_VAULT. With DISABLED the commands of accounts are refused; clients alone respect the difference between the other two.",
		parse: into(func(c *Config) *string { return &c.Account.Config }, parseChoice(accountConfigs...)), Choices: accountConfigs,
	}, {
		Name: rateLimitOption, Variable: "PARSEC_VALIDATION_EMAIL_RATE_LIMIT", Kind: Text, Default: "60 3", Since: "3.5", Group: groupEmail,
		Help:  "Seconds between two e-mails about accounts, and how many may be sent in an hour, to one mailbox and for one network address, by all servers on one database; 0 is no limit.",
		parse: into(func(c *Config) *[2]int { return &c.Account.MailLimit }, parseRateLimit),
	}, {
		Name: "fake-account-password-algorithm-seed", Variable: "PARSEC_FAKE_ACCOUNT_PASSWORD_ALGORITHM_SEED", Kind: Text, Secret: true, Since: "3.5", Group: groupOrganization,
		Help:  "A secret that all servers on one database share. The codes that e-mails about accounts bring are kept as hashes by it. Without it, by the administration token.",
		parse: into(func(c *Config) *Secret { return &c.Account.Secret }, parseSecret),
	},
	{
		Name: "trusted-x509-root-dir", Variable: "PARSEC_TRUSTED_X509_ROOT_DIR", Kind: File, Repeatable: true, Since: "3.8", Group: groupOrganization,
		Help: "Folder below which every X.509 certificate in PEM is a root by which requests to join are trusted: with it, the server checks their chains and signatures. The folder is read at the start. Without it, it looks at their form, and anybody may send some.",
		parse: func(c *Config, texts []string) error {
			for _, text := range texts {
				folder, err := parseExistingFolder(text)
				if err != nil {
					return err
				}
				c.Organization.TrustedRootFolders = append(c.Organization.TrustedRootFolders, folder)
			}
			return nil
		},
	},
	{
		Name: "openbao-server-url", Variable: "PARSEC_OPENBAO_SERVER_URL", Kind: URL, Since: "3.7", Group: groupOrganization,
		Help:  "OpenBao server where clients keep the keys of devices, behind single sign-on. At least one of --openbao-auth-hexagone and --openbao-auth-pro-connect goes with it.",
		parse: into(func(c *Config) *string { return &c.Organization.OpenBao.ServerURL }, parseHTTPURL),
	}, {
		Name: "openbao-secret-mount-path", Variable: "PARSEC_OPENBAO_SECRET_MOUNT_PATH", Kind: Text, Default: "secret", Since: "3.7", Group: groupOrganization,
		Help:  "Where OpenBao keeps secrets.",
		parse: into(func(c *Config) *string { return &c.Organization.OpenBao.SecretMountPath }, parseText),
	}, {
		Name: "openbao-transit-mount-path", Variable: "PARSEC_OPENBAO_TRANSIT_MOUNT_PATH", Kind: Text, Default: "transit", Since: "3.8", Group: groupOrganization,
		Help:  "Where OpenBao signs.",
		parse: into(func(c *Config) *string { return &c.Organization.OpenBao.TransitMountPath }, parseText),
	}, {
		Name: "openbao-auth-pro-connect", Variable: "PARSEC_OPENBAO_AUTH_PRO_CONNECT_MOUNT_PATH", Kind: Text, Since: "3.7", Group: groupOrganization,
		Help:  "Where OpenBao lets people in by ProConnect.",
		parse: into(func(c *Config) *string { return &c.Organization.OpenBao.ProConnectMountPath }, parseText),
	}, {
		Name: "openbao-auth-hexagone", Variable: "PARSEC_OPENBAO_AUTH_HEXAGONE_MOUNT_PATH", Kind: Text, Since: "3.7", Group: groupOrganization,
		Help:  "Where OpenBao lets people in by Hexagone.",
		parse: into(func(c *Config) *string { return &c.Organization.OpenBao.HexagoneMountPath }, parseText),
	}, {
		Name: "cryptpad-server-url", Variable: "PARSEC_CRYPTPAD_SERVER_URL", Kind: URL, Since: "3.9", Group: groupOrganization,
		Help:  "CryptPad server where clients edit documents together.",
		parse: into(func(c *Config) *string { return &c.Organization.CryptpadServerURL }, parseHTTPURL),
	}, {
		Name: "scws-idopte-public-keys-file", Variable: "PARSEC_SCWS_IDOPTE_PUBLIC_KEYS_FILE", Kind: File, Since: "3.9", Group: groupOrganization,
		Help:  "Public keys of the smart-card middleware, in PEM. The order is that of their numbers, from 0; one whose block says !REVOKED! is not accepted, and keeps its number. The private key of the web application goes with it.",
		parse: into(func(c *Config) *[]*rsa.PublicKey { return &c.Organization.SCWS.Services }, parsePublicKeysFile),
	}, {
		Name: "scws-web-application-private-key-file", Variable: "PARSEC_SCWS_WEB_APPLICATION_PRIVATE_KEY_FILE", Kind: File, Since: "3.9", Group: groupOrganization,
		Help:  "RSA private key of the web application, which the smart-card middleware knows, in PEM (PKCS#8).",
		parse: keeps(func(l *later) *bool { return &l.scwsFile }, scwsKey, parsePrivateKeyFile),
	}, {
		Name: "scws-web-application-private-key-content", Variable: "PARSEC_SCWS_WEB_APPLICATION_PRIVATE_KEY_CONTENT", Kind: Text, Secret: true, Since: "3.9", Group: groupOrganization,
		Help:  "The same, not in a file.",
		parse: keeps(func(l *later) *bool { return &l.scwsContent }, scwsKey, parsePrivateKey),
	},
	{
		Name: templateOption, Variable: "PARSEC_TEMPLATE_DIR", Kind: File, Since: "3.5", Group: groupEmail,
		Help:  "Folder of texts that replace those of e-mails (docs/email.md), read at the start. Templates of official servers (*.j2) have no effect; pages are not replaced.",
		parse: into(func(c *Config) *string { return &c.Email.TemplateFolder }, parseExistingFolder),
	},
	{
		Name: webAppOption, Variable: "PARSEC_WITH_CLIENT_WEB_APP", Kind: File, Since: "3.4", Group: groupServer,
		Help:  "Folder of the web application, served below /client/, where / and links then lead. Its files may change while the server runs.",
		parse: into(func(c *Config) *string { return &c.WebApp }, parseExistingFolder),
	},
	inert("sentry-traces-sample-rate", Text, "3.9", groupObservation, checked(parseRate), "The part of the requests that Sentry is told of, 0 to 1; traces go to OpenTelemetry."),
	inert("sentry-profiles-sample-rate", Text, "3.9", groupObservation, checked(parseRate), "The part of these whose profile Sentry is told, 0 to 1; --metrics-profiles has profiles."),
}

const (
	corsOption          = "cors-allow-origins"
	backendAddressName  = "backend-addr"
	serverAddressOption = "server-addr"
	rateLimitOption     = "validation-email-rate-limit"
	proxiesOption       = "proxy-trusted-addresses"
	webAppOption        = "with-client-web-app"
	templateOption      = "template-dir"

	loopbackProxies = "127.0.0.0/8,::1"
)

// inert makes a setting of official servers that is read and checked, and has no
// effect here.
func inert(name string, kind Kind, since, group string, parse func(*Config, []string) error, help string) Setting {
	return Setting{
		Name: name, Variable: variableOf(name), Kind: kind, Since: since, Group: group, Inert: true,
		Help: help + " It has no effect here.", parse: parse,
	}
}

// fallbackProxies follows --trusted-proxies, which comes before in the table: whoever
// sets that has said all.
func fallbackProxies(c *Config) string {
	if len(c.TrustedProxies) > 0 {
		return ""
	}
	return loopbackProxies
}

// until is of a setting that later releases do not have.
func (s Setting) until(release string) Setting {
	s.Until = release
	return s
}

// choose names the values of a setting.
func (s Setting) choose(choices []string) Setting {
	s.Choices = choices
	return s
}

// The values of settings of Parsec 3 (docs/protocol/v5/types.md §4).
var (
	accountConfigs  = []string{"DISABLED", "ENABLED_WITH_VAULT", "ENABLED_WITHOUT_VAULT"}
	protections     = []string{"PASSWORD", "KEYRING", "PKI", "OPENBAO", "ACCOUNT_VAULT"}
	vaultStrategies = []string{"ALLOWED", "FORBIDDEN"}
	clientAgents    = []string{"NATIVE_ONLY", "NATIVE_OR_WEB"}
)

// later is what settings tell that are compared with each other.
type later struct{ scwsFile, scwsContent bool }

// checkThirdParties wants the settings of each third party to go together.
func (c *Config) checkThirdParties() error {
	of := &c.Organization
	switch {
	case of.OpenBao.ServerURL != "" && of.OpenBao.HexagoneMountPath == "" && of.OpenBao.ProConnectMountPath == "":
		return &UsageError{Message: "--openbao-server-url needs --openbao-auth-pro-connect or --openbao-auth-hexagone."}
	case c.later.scwsFile && c.later.scwsContent:
		return &UsageError{Message: "--scws-web-application-private-key-file and --scws-web-application-private-key-content are both given."}
	case (of.SCWS.Services != nil) != (of.SCWS.WebApplication != nil):
		return &UsageError{Message: "--scws-idopte-public-keys-file and --scws-web-application-private-key-file go together."}
	}
	return nil
}

func scwsKey(c *Config) **rsa.PrivateKey { return &c.Organization.SCWS.WebApplication }

// checked makes the parse function of a setting whose values are not kept.
func checked[T any](parse func(string) (T, error)) func(*Config, []string) error {
	return func(_ *Config, texts []string) error {
		for _, text := range texts {
			if _, err := parse(text); err != nil {
				return err
			}
		}
		return nil
	}
}

// keeps is into, and keeps that there is a value.
func keeps[T any](given func(*later) *bool, field func(*Config) *T, parse func(string) (T, error)) func(*Config, []string) error {
	return func(c *Config, texts []string) error {
		*given(&c.later) = true
		return into(field, parse)(c, texts)
	}
}

// configuredAddress is an address of the server, and the scheme that it is written in.
type configuredAddress struct {
	server parsec.ServerAddress
	scheme parsec.Scheme
}

func parseAddress(text string) (configuredAddress, error) {
	address := configuredAddress{scheme: parsec.Parsec2Scheme}
	if parsec.Parsec3Scheme.Begins(text) {
		address.scheme = parsec.Parsec3Scheme
	}
	var err error
	if address.server, err = parsec.ParseAnyServerAddress(text); err != nil {
		return address, fmt.Errorf("%w%s", err, AddressHint(text))
	}
	return address, nil
}

// AddressHint returns which address of a server is meant by that of a web page, or by a
// name alone, after what is wrong with it; "" for none.
func AddressHint(text string) string {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "https", text
	}
	rest, _, _ = strings.Cut(rest, "/")
	hint := "parsec://" + rest
	switch strings.ToLower(scheme) {
	case "http":
		if !strings.Contains(rest, ":") {
			hint += ":80"
		}
		hint += "?no_ssl=true"
	case "https":
	default:
		return ""
	}
	if _, err := parsec.ParseServerAddress(hint); err != nil {
		return ""
	}
	return "; perhaps " + hint
}

// settleAddress takes the one address of the server from the settings of both
// generations.
func (c *Config) settleAddress() error {
	ours, theirs := c.serverAddress, c.backendAddress
	c.AddressScheme = parsec.Parsec2Scheme
	switch {
	case ours.server == (parsec.ServerAddress{}):
		ours = theirs
	case theirs.server != (parsec.ServerAddress{}) && theirs.server != ours.server:
		return &UsageError{Message: "--" + serverAddressOption + " (" + ours.scheme.PrintServerAddress(ours.server) + ") and --" + backendAddressName +
			" (" + theirs.scheme.PrintServerAddress(theirs.server) + ") differ: host, port and TLS of the server are one for all clients."}
	case theirs.server != (parsec.ServerAddress{}):
		ours.scheme = parsec.Parsec3Scheme // each clients have theirs
	}
	c.ServerAddress = ours.server
	if ours.scheme != "" {
		c.AddressScheme = ours.scheme
	}
	return nil
}
