package config

import (
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
		Name: "proxy-trusted-addresses", Variable: "PARSEC_PROXY_TRUSTED_ADDRESSES", Kind: List, Since: "3.1", Group: groupServer,
		Help:  "As --trusted-proxies, to which it adds; also host names, which are looked up again and again, and * for every address.",
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
		Name: "advisory-device-file-protection", Variable: "PARSEC_ADVISORY_DEVICE_FILE_PROTECTION", Kind: List, Repeatable: true, Since: "3.9", Group: groupOrganization,
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
	pending("organization-initial-account-vault-strategy", Choice, "3.5", groupOrganization, checked(parseChoice("ALLOWED", "FORBIDDEN")), "Whether new organizations let keys be kept in accounts.").until("3.6"),
	pending("organization-initial-allowed-client-agent", Choice, "3.5", groupOrganization, checked(parseChoice("NATIVE_ONLY", "NATIVE_OR_WEB")), "Which clients new organizations let in.").until("3.6"),
	pending("skip-database-migrations-check", Flag, "3.6", groupStorage, checked(parseBoolean), "Start on a database whose schema is of another release."),
	pending("account-config", Choice, "3.7", groupOrganization, checked(parseChoice("DISABLED", "ENABLED_WITH_VAULT", "ENABLED_WITHOUT_VAULT")), "Whether people may have accounts."),
	pending(rateLimitOption, Text, "3.5", groupEmail, checked(parseRateLimit), "Seconds between two e-mails about accounts to one recipient, and how many an hour, such as 60 3."),
	pending("fake-account-password-algorithm-seed", Text, "3.5", groupOrganization, checked(parseText), "A secret of official servers.").secret(),
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
	pending("openbao-server-url", URL, "3.7", groupOrganization, keeps(func(l *later) *bool { return &l.openBao }, parseHTTPURL), "OpenBao server that keeps keys of devices."),
	pending("openbao-secret-mount-path", Text, "3.7", groupOrganization, checked(parseText), "Where OpenBao keeps secrets; secret if not given."),
	pending("openbao-transit-mount-path", Text, "3.8", groupOrganization, checked(parseText), "Where OpenBao signs; transit if not given."),
	pending("openbao-auth-pro-connect", Text, "3.7", groupOrganization, keeps(func(l *later) *bool { return &l.openBaoAuth }, parseText), "Where OpenBao lets people in by ProConnect.").under("PARSEC_OPENBAO_AUTH_PRO_CONNECT_MOUNT_PATH"),
	pending("openbao-auth-hexagone", Text, "3.7", groupOrganization, keeps(func(l *later) *bool { return &l.openBaoAuth }, parseText), "Where OpenBao lets people in by Hexagone.").under("PARSEC_OPENBAO_AUTH_HEXAGONE_MOUNT_PATH"),
	pending("cryptpad-server-url", URL, "3.9", groupOrganization, checked(parseHTTPURL), "CryptPad server where documents are edited together."),
	pending("scws-idopte-public-keys-file", File, "3.9", groupOrganization, keeps(func(l *later) *bool { return &l.scwsPublic }, parseExistingFile), "Public keys of the smart-card middleware, in PEM."),
	pending("scws-web-application-private-key-file", File, "3.9", groupOrganization, keeps(func(l *later) *bool { return &l.scwsFile }, parseExistingFile), "Private key that the smart-card middleware knows, in PEM."),
	pending("scws-web-application-private-key-content", Text, "3.9", groupOrganization, keeps(func(l *later) *bool { return &l.scwsContent }, parseText), "The same, not in a file.").secret(),
	pending("template-dir", File, "3.5", groupEmail, checked(parseExistingFolder), "Folder of templates for pages and e-mails."),
	pending("with-client-web-app", File, "3.4", groupServer, checked(parseExistingFolder), "Folder of the web application."),
	pending("sentry-traces-sample-rate", Text, "3.9", groupObservation, checked(parseRate), "The part of the requests that Sentry is told of, 0 to 1."),
	pending("sentry-profiles-sample-rate", Text, "3.9", groupObservation, checked(parseRate), "The part of these whose profile Sentry is told, 0 to 1."),
}

const (
	corsOption          = "cors-allow-origins"
	backendAddressName  = "backend-addr"
	serverAddressOption = "server-addr"
	rateLimitOption     = "validation-email-rate-limit"
)

// pending makes a setting of official servers that is read and checked, and has no
// effect yet.
func pending(name string, kind Kind, since, group string, parse func(*Config, []string) error, help string) Setting {
	return Setting{
		Name: name, Variable: variableOf(name), Kind: kind, Since: since, Group: group, Pending: true,
		Help: help + " It has no effect yet.", parse: parse,
	}
}

func (s Setting) secret() Setting {
	s.Secret = true
	return s
}

// until is of a setting that later releases do not have.
func (s Setting) until(release string) Setting {
	s.Until = release
	return s
}

// under gives a setting a variable that its name does not tell.
func (s Setting) under(variable string) Setting {
	s.Variable = variable
	return s
}

// later is what is known of settings without effect, to compare them with each other.
type later struct{ openBao, openBaoAuth, scwsPublic, scwsFile, scwsContent bool }

func (l later) check() error {
	private := l.scwsFile || l.scwsContent
	switch {
	case l.openBao && !l.openBaoAuth:
		return messagef("--openbao-server-url needs --openbao-auth-pro-connect or --openbao-auth-hexagone")
	case l.scwsFile && l.scwsContent:
		return messagef("--scws-web-application-private-key-file and --scws-web-application-private-key-content are both given")
	case l.scwsPublic != private:
		return messagef("--scws-idopte-public-keys-file and --scws-web-application-private-key-file go together")
	}
	return nil
}

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

// keeps is checked, and keeps that there is a value.
func keeps[T any](given func(*later) *bool, parse func(string) (T, error)) func(*Config, []string) error {
	return func(c *Config, texts []string) error {
		*given(&c.later) = true
		return checked(parse)(c, texts)
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
	address.server, err = parsec.ParseAnyServerAddress(text)
	return address, err
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
		return &UsageError{"--" + serverAddressOption + " (" + ours.scheme.PrintServerAddress(ours.server) + ") and --" + backendAddressName +
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
