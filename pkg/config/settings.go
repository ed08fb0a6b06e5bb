package config

import (
	"log/slog"
	"net/mail"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/telemetry"
)

// The groups of the table, in the order of docs/configuration.md.
const (
	groupServer       = "Server"
	groupStorage      = "Database and block storage"
	groupOrganization = "Organizations"
	groupEmail        = "E-mail"
	groupObservation  = "Logs and errors"
)

// own marks the settings that no official release has.
const own = "own"

// settings is the table.
var settings = slices.Concat(commonSettings, parsec3Settings, clientSettings)

// commonSettings are those that official releases before Parsec 3 have too, and ours.
// The required ones come in the order in which a missing one is reported
// (docs/protocol/configuration.md §1).
var commonSettings = []Setting{
	{
		Name: "host", Short: "H", Variable: "PARSEC_HOST", Kind: Text, Default: "127.0.0.1", Since: "1.13", Group: groupServer,
		Help:  "Address or host name to listen on.",
		parse: into(func(c *Config) *string { return &c.Host }, parseText),
	}, {
		Name: "port", Short: "P", Variable: "PARSEC_PORT", Kind: Integer, Default: "6777", Since: "1.13", Group: groupServer,
		Help:    "Port to listen on; 0 takes any free one.",
		parse:   into(func(c *Config) *int { return &c.Port }, parsePort),
		Aliases: []Alias{{Variable: "PORT", Since: own, Platform: true}},
	}, {
		Name: dataOption, Variable: "PARSEC_DATA", Kind: File, Since: own, Group: groupStorage,
		Help: "Folder of a server that keeps everything on this machine: a PostgreSQL of its own without --db, made of the programs that are installed, " +
			"blocks without --blockstore, and an administration token. It is made if there is none.",
		parse: into(func(c *Config) *string { return &c.Data.Folder }, parseFolder),
	}, {
		Name: "data-user", Variable: "PARSEC_DATA_USER", Kind: Text, Default: "postgres", Since: own, Group: groupStorage,
		Help:  "Who runs the PostgreSQL of --data where root starts the server.",
		parse: into(func(c *Config) *string { return &c.Data.User }, parseText),
	}, {
		Name: databaseOption, Variable: "PARSEC_DB", Kind: Text, Required: true, Secret: true, mask: masked(maskDSN), Since: "1.13", Group: groupStorage,
		data: databaseIn, Development: Mocked, development: always(Mocked),
		Help:    "DSN of a PostgreSQL database, or MOCKED to keep everything in memory.",
		parse:   into(func(c *Config) *Secret { return &c.Database.DSN }, parseDSN),
		Aliases: []Alias{{Variable: "DATABASE_URL", Since: own, Platform: true}},
	},
	inert("db-drop-deleted-data", Flag, "1.13", groupStorage, checked(parseBoolean), "Whether deleted data is dropped.").until("1.13"),
	{
		Name: "db-max-connections", Variable: "PARSEC_DB_MAX_CONNECTIONS", Kind: Integer, Default: "7", Since: "1.13", Group: groupStorage,
		Help:  "Connections that the pool may open, at least 2. One more is held for notifications.",
		parse: into(func(c *Config) *int32 { return &c.Database.MaxConnections }, parsePoolSize),
	}, {
		Name: "db-min-connections", Variable: "PARSEC_DB_MIN_CONNECTIONS", Kind: Integer, Default: defaultMinConnections, fallback: fittingMinConnections, Since: "1.13", Group: groupStorage,
		Help:  "Connections that the pool keeps open. If not given, no more than --db-max-connections.",
		parse: into(func(c *Config) *int32 { return &c.Database.MinConnections }, parsePoolSize),
	}, {
		Name: "maximum-database-connection-attempts", Variable: "PARSEC_MAXIMUM_DATABASE_CONNECTION_ATTEMPTS", Kind: Integer, Default: "10", data: attemptsIn, Since: "2.2.4", Group: groupStorage,
		Help:  "Failed attempts in a row, at start or after a loss, before the server gives up; 0 gives up at the first loss.",
		parse: into(func(c *Config) *int { return &c.Database.ConnectionAttempts }, parseCount),
		Aliases: []Alias{{
			Name: "db-first-tries-number", Variable: "PARSEC_DB_FIRST_TRIES_NUMBER", Since: "1.14", Until: "2.2.3",
			Help:  "Alias of --maximum-database-connection-attempts, where 0 is unlimited.",
			parse: into(func(c *Config) *int { return &c.Database.ConnectionAttempts }, parseFirstTries),
		}},
	}, {
		Name: "pause-before-retry-database-connection", Variable: "PARSEC_PAUSE_BEFORE_RETRY_DATABASE_CONNECTION", Kind: Seconds, Default: "1.0", Since: "2.2.4", Group: groupStorage,
		Help:  "Time between two attempts to connect to the database.",
		parse: into(func(c *Config) *time.Duration { return &c.Database.ConnectionPause }, parsePeriod),
		Aliases: []Alias{{
			Name: "db-first-tries-sleep", Variable: "PARSEC_DB_FIRST_TRIES_SLEEP", Since: "1.14", Until: "2.2.3",
			Help: "Alias of --pause-before-retry-database-connection.",
		}},
	}, {
		Name: "migrate", Variable: "PARSEC_MIGRATE", Kind: Flag, Default: "false", data: migrateIn, Since: own, Group: groupStorage,
		Help:  "Bring the schema of the database to the version of this server when it starts, as `parsec backend migrate` does.",
		parse: into(func(c *Config) *bool { return &c.Database.Migrate }, parseBoolean),
	}, {
		Name: "blockstore", Short: "b", Variable: "PARSEC_BLOCKSTORE", Kind: Text, Required: true, Repeatable: true, Secret: true, mask: maskBlockstore, Since: "1.13", Group: groupStorage,
		data: blocksIn, Development: Mocked, development: always(Mocked),
		Help: "Where blocks are kept: MOCKED, POSTGRESQL, file:<folder>, s3:[<endpoint_url>]:<region>:<bucket>:<key>:<secret> or swift:<auth_url>:<tenant>:<container>:<user>:<password>. " +
			`A colon in a part is written \: and a backslash \\. ` +
			"For RAID, given once for each node: <RAID0|RAID1|RAID5>:<index>:<one of the above>.",
		parse: func(c *Config, texts []string) (err error) {
			c.Blockstore, err = ParseBlockstore(texts)
			return err
		},
	}, {
		Name: "blockstore-degraded-writes", Variable: "PARSEC_BLOCKSTORE_DEGRADED_WRITES", Kind: Flag, Default: "false", Since: own, Group: groupStorage,
		Help:  "With RAID1 or RAID5, accept a block that all nodes but one have stored. Until it is repaired, losing another node loses it.",
		parse: into(func(c *Config) *bool { return &c.BlockstoreDegradedWrites }, parseBoolean),
	}, {
		Name: tokenOption, Variable: "PARSEC_ADMINISTRATION_TOKEN", Kind: Text, Required: true, Secret: true, Since: "1.13", Group: groupServer,
		data: tokenIn, Development: "s3cr3t", development: always("s3cr3t"),
		Help:  "What administrators authenticate with. One that can be guessed is refused, except with --dev.",
		parse: into(func(c *Config) *Secret { return &c.AdministrationToken }, parseSecret),
	}, {
		Name: tokensOption, Variable: "PARSEC_ADMINISTRATION_TOKENS", Kind: Text, Secret: true, Since: own, Group: groupServer,
		Help:  "More tokens, each of an administrator whom the audit log names: a line name:token, or name:token:read for one that may only read. A file is read again when it changes.",
		parse: into(func(c *Config) *Secret { return &c.administrationTokens }, parseSecret),
	}, {
		Name: "ssl-keyfile", Variable: "PARSEC_SSL_KEYFILE", Kind: File, Since: "1.13", Group: groupServer,
		Help:  "Private key of the certificate, in PEM. Not needed when the certificate file holds it.",
		parse: into(func(c *Config) *string { return &c.TLS.KeyFile }, parseExistingFile),
	}, {
		Name: "ssl-certfile", Variable: "PARSEC_SSL_CERTFILE", Kind: File, Since: "1.13", Group: groupServer,
		Help:  "Certificate with its chain, in PEM, to serve TLS with. Taken again within seconds when the files change. Without it the server speaks in clear.",
		parse: into(func(c *Config) *string { return &c.TLS.CertificateFile }, parseExistingFile),
	}, {
		Name: serverAddressOption, Variable: "PARSEC_SERVER_ADDR", Kind: URL, Since: "3.0", Group: groupServer,
		Help:  "Address of this server in e-mails, links and redirections, for clients of every generation: parsec3://<host>[:<port>][?no_ssl=true], or parsec://…. Without it no e-mail is sent, and links and redirections have host and scheme of the request.",
		parse: into(func(c *Config) *configuredAddress { return &c.serverAddress }, parseAddress),
	}, {
		Name: backendAddressName, Variable: "PARSEC_BACKEND_ADDR", Kind: URL, Since: "1.14", Group: groupServer,
		data: addressIn, Development: "parsec://localhost:<port>?no_ssl=true", development: developmentAddress,
		Help:  "The same, by its name before Parsec 3. If both are given they must be the same but for the scheme.",
		parse: into(func(c *Config) *configuredAddress { return &c.backendAddress }, parseAddress),
	}, {
		Name: "forward-proto-enforce-https", Variable: "PARSEC_FORWARD_PROTO_ENFORCE_HTTPS", Kind: Text, Since: "2.2", Group: groupServer,
		Help:  "<header>:<value>. Requests that have this header with another value are redirected to https.",
		parse: into(func(c *Config) *ForwardProto { return &c.ForwardProto }, parseForwardProto),
	}, {
		Name: "trusted-proxies", Variable: "PARSEC_TRUSTED_PROXIES", Kind: List, Since: own, Group: groupServer,
		Help:  "Addresses or networks (CIDR), separated by commas or spaces, of the proxies whose X-Forwarded-For, or else Forwarded, is believed.",
		parse: into(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies }, parseNetworks),
	}, {
		Name: "max-unauthenticated-connections-per-address", Variable: "PARSEC_MAX_UNAUTHENTICATED_CONNECTIONS_PER_ADDRESS", Kind: Integer, Default: "100", Since: own, Group: groupServer,
		Help:  "WebSockets that one client address, or the /64 of an IPv6 address, may hold without being authenticated: in their handshake, anonymous or invited; 0 is no limit.",
		parse: into(func(c *Config) *int { return &c.MaxUnauthenticatedConnectionsPerAddress }, parseCount),
	}, {
		Name: "sse-keepalive", Variable: "PARSEC_SSE_KEEPALIVE", Kind: Seconds, Default: "30", Since: "2.16", Group: groupServer,
		Help:  "The longest silence of an event stream: a keep-alive comes before; 0 or less disables them.",
		parse: into(func(c *Config) *time.Duration { return &c.SSEKeepalive }, parseKeepalive),
	}, {
		Name: "idle-connection-timeout", Variable: "PARSEC_IDLE_CONNECTION_TIMEOUT", Kind: Seconds, Default: "150", Since: own, Group: groupServer,
		Help:  "How long an HTTP connection may wait for another request. It must be longer than the proxy in front keeps idle connections, or some requests meet the end of one: a 502.",
		parse: into(func(c *Config) *time.Duration { return &c.IdleConnectionTimeout }, parseIdlePeriod),
	}, {
		Name: "strict-transport-security", Variable: "PARSEC_STRICT_TRANSPORT_SECURITY", Kind: Boolean, Default: "true", Since: own, Group: groupServer,
		Help:  "Whether browsers that came by TLS are told to come by nothing else, for a year.",
		parse: into(func(c *Config) *bool { return &c.StrictTransport }, parseBoolean),
	}, {
		Name: "shutdown-grace-period", Variable: "PARSEC_SHUTDOWN_GRACE_PERIOD", Kind: Seconds, Default: "30", Since: own, Group: groupServer,
		Help:  "How long running requests may go on after the order to stop, or after another process took over. A second later the process has ended, whatever hangs.",
		parse: into(func(c *Config) *time.Duration { return &c.ShutdownGracePeriod }, parsePeriod),
	}, {
		Name: "shutdown-delay", Variable: "PARSEC_SHUTDOWN_DELAY", Kind: Seconds, Default: "0", Since: own, Group: groupServer,
		Help:  "How long the server goes on serving after the order to stop, before the grace period, while /readyz answers 503: with several servers, as long as the balancer in front takes to notice.",
		parse: into(func(c *Config) *time.Duration { return &c.ShutdownDelay }, parsePeriod),
	}, {
		Name: "handover-socket", Variable: "PARSEC_HANDOVER_SOCKET", Kind: File, Since: own, Group: groupServer,
		Help:  "Path of a Unix socket, in a folder that no other user may write to. A server that is started with it takes over the listening sockets of the one that runs, once it is ready; that one then ends, and no client is refused. Without effect where systemd passes the sockets.",
		parse: into(func(c *Config) *string { return &c.HandoverSocket }, parseSocketPath),
	}, {
		Name: "spontaneous-organization-bootstrap", Variable: "PARSEC_SPONTANEOUS_ORGANIZATION_BOOTSTRAP", Kind: Flag, Default: "false", Since: "1.14", Group: groupOrganization,
		Help:  "Let anyone create an organization, without an administrator.",
		parse: into(func(c *Config) *bool { return &c.Organization.SpontaneousBootstrap }, parseBoolean),
	}, {
		Name: "organization-bootstrap-webhook", Variable: "PARSEC_ORGANIZATION_BOOTSTRAP_WEBHOOK", Kind: URL, Secret: true, mask: masked(maskWebhook), Since: "1.14", Group: groupOrganization,
		Help:  "URL to POST to after each bootstrap of an organization.",
		parse: into(func(c *Config) *Secret { return &c.Organization.BootstrapWebhook }, parseWebhook),
	}, {
		Name: "organization-initial-active-users-limit", Variable: "PARSEC_ORGANIZATION_INITIAL_ACTIVE_USERS_LIMIT", Kind: Integer, Since: "2.5", Group: groupOrganization,
		Help:  "Limit of active users of new organizations. None if not given.",
		parse: into(func(c *Config) **uint64 { return &c.Organization.InitialActiveUsersLimit }, parseUsersLimit),
	}, {
		Name: "organization-initial-user-profile-outsider-allowed", Variable: "PARSEC_ORGANIZATION_INITIAL_USER_PROFILE_OUTSIDER_ALLOWED", Kind: Boolean, Default: "true", Since: "2.5", Group: groupOrganization,
		Help:  "Whether new organizations may have users of profile OUTSIDER.",
		parse: into(func(c *Config) *bool { return &c.Organization.InitialOutsiderAllowed }, parseBoolean),
	}, {
		Name: "email-host", Variable: "PARSEC_EMAIL_HOST", Kind: Text, Since: "1.14", Group: groupEmail,
		Development: Mocked, development: always(Mocked),
		Help:  "SMTP server, or MOCKED to write e-mails in temporary files. Without it no e-mail is sent.",
		parse: into(func(c *Config) *string { return &c.Email.Host }, parseText),
	}, {
		Name: "email-port", Variable: "PARSEC_EMAIL_PORT", Kind: Integer, Default: "25", Since: "1.14", Group: groupEmail,
		Help:  "Port of the SMTP server.",
		parse: into(func(c *Config) *int { return &c.Email.Port }, parseKnownPort),
	}, {
		Name: "email-host-user", Variable: "PARSEC_EMAIL_HOST_USER", Kind: Text, Since: "1.14", Group: groupEmail,
		Help:  "Login on the SMTP server. Used only with a password.",
		parse: into(func(c *Config) *string { return &c.Email.User }, parseText),
	}, {
		Name: emailPasswordOption, Variable: "PARSEC_EMAIL_HOST_PASSWORD", Kind: Text, Secret: true, Since: "1.14", Group: groupEmail,
		Help:  "Password on the SMTP server. Used only with a user.",
		parse: into(func(c *Config) *Secret { return &c.Email.Password }, parseSecret),
	}, {
		Name: "email-use-ssl", Variable: "PARSEC_EMAIL_USE_SSL", Kind: Flag, Default: "false", Since: "1.14", Group: groupEmail,
		Help:  "Speak TLS to the SMTP server from the first byte (usual port: 465). Wins over --email-use-tls.",
		parse: into(func(c *Config) *bool { return &c.Email.UseSSL }, parseBoolean),
	}, {
		Name: "email-use-tls", Variable: "PARSEC_EMAIL_USE_TLS", Kind: Flag, Default: "false", Since: "1.14", Group: groupEmail,
		Help:  "Connect to the SMTP server in clear, then STARTTLS (usual port: 587).",
		parse: into(func(c *Config) *bool { return &c.Email.UseTLS }, parseBoolean),
	}, {
		Name: "email-sender", Variable: "PARSEC_EMAIL_SENDER", Kind: Text, Since: "1.14", Group: groupEmail,
		Development: mockedSender, development: always(mockedSender), fallback: defaultSender,
		Help:  "Sender of e-mails. Required with an SMTP server; " + mockedSender + " when the host is MOCKED.",
		parse: into(func(c *Config) *mail.Address { return &c.Email.Sender }, parseSender),
	}, {
		Name: "email-language", Variable: "PARSEC_EMAIL_LANGUAGE", Kind: Choice, Default: "en", Since: own, Group: groupEmail,
		Help:  "Language of e-mails: en or fr.",
		parse: into(func(c *Config) *string { return &c.Email.Language }, parseChoice(languages...)), Choices: languages,
	}, {
		Name: "log-level", Short: "l", Variable: "PARSEC_LOG_LEVEL", Kind: Choice, Default: "INFO", Since: "1.13", Group: groupObservation,
		Help:  "DEBUG, INFO, WARNING, ERROR or CRITICAL, in any case: what is below is not logged.",
		parse: into(func(c *Config) *slog.Level { return &c.Log.Level }, parseLogLevel), Choices: logLevelNames(),
	}, {
		Name: "log-format", Short: "f", Variable: "PARSEC_LOG_FORMAT", Kind: Choice, Default: "CONSOLE", Since: "1.13", Group: groupObservation,
		Help:  "CONSOLE, CONSOLE_NO_TIMESTAMP or JSON, in any case.",
		parse: into(func(c *Config) *telemetry.Format { return &c.Log.Format }, parseLogFormat), Choices: logFormats,
	}, {
		Name: "log-file", Short: "o", Variable: "PARSEC_LOG_FILE", Kind: File, Since: "1.13", Group: groupObservation,
		Help:  "File that logs are appended to, opened again at SIGHUP, and within a second or two when it was moved away. The standard error if not given, or if it is - (a dash).",
		parse: into(func(c *Config) *string { return &c.Log.File }, parseText),
	}, {
		Name: "log-filter", Variable: "PARSEC_LOG_FILTER", Kind: Text, Since: "1.13", Until: "2.2.3", Group: groupObservation,
		Help:  "Regular expression: events whose text does not match it at its start are not logged.",
		parse: into(func(c *Config) **regexp.Regexp { return &c.Log.Filter }, parseLogFilter),
	}, {
		Name: "sentry-dsn", Variable: "PARSEC_SENTRY_DSN", Kind: URL, Secret: true, mask: masked(maskUserInformation), Since: "2.7", Group: groupObservation,
		Help:  "DSN of a Sentry project to report errors to.",
		parse: into(func(c *Config) *Secret { return &c.Sentry.DSN }, parseSentryDSN),
		Aliases: []Alias{{
			Name: "sentry-url", Variable: "PARSEC_SENTRY_URL", Since: "1.13", Until: "2.6",
			Help: "Alias of --sentry-dsn.",
		}},
	}, {
		Name: "sentry-environment", Variable: "PARSEC_SENTRY_ENVIRONMENT", Kind: Text, Default: "production", Since: "2.7", Group: groupObservation,
		Help:  "Environment named in the reports.",
		parse: into(func(c *Config) *string { return &c.Sentry.Environment }, parseText),
	}, {
		Name: "metrics-address", Variable: "PARSEC_METRICS_ADDRESS", Kind: Text, Since: own, Group: groupObservation,
		Help:  "<host>:<port> to serve /metrics for Prometheus on, in clear and without authentication: a private one. Not served if not given.",
		parse: into(func(c *Config) *string { return &c.Metrics.Address }, parseListenAddress),
	}, {
		Name: "metrics-profiles", Variable: "PARSEC_METRICS_PROFILES", Kind: Flag, Default: "false", Since: own, Group: groupObservation,
		Help:  "Serve the profiles of the process (pprof) on --metrics-address, too.",
		parse: into(func(c *Config) *bool { return &c.Metrics.Profiles }, parseBoolean),
	}, {
		Name: "debug", Variable: "PARSEC_DEBUG", Kind: Flag, Default: "false", Since: "1.13", Group: groupObservation,
		Development: "true", development: always("true"),
		Help:    "Show more about failures.",
		parse:   into(func(c *Config) *bool { return &c.Debug }, parseBoolean),
		Aliases: []Alias{{Variable: "DEBUG", Since: "2.5"}},
	}, {
		Name: developmentOption, Kind: Flag, Default: "false", Since: "1.13", Group: groupServer,
		Help:  "Run a server to develop with: in memory, and with a known administration token. What is set otherwise stays: --dev overrides nothing.",
		parse: into(func(c *Config) *bool { return &c.Development }, parseBoolean),
	},
}

// developmentAddress follows --port and --server-addr.
func developmentAddress(c *Config) string {
	if c.serverAddress.server != (parsec.ServerAddress{}) {
		return ""
	}
	return c.developmentAddress(c.Port)
}

// fittingMinConnections follows --db-max-connections, which comes before in the table:
// whoever sets that alone means to have few.
func fittingMinConnections(c *Config) string {
	if number, err := parsePoolSize(defaultMinConnections); err == nil && number > c.Database.MaxConnections {
		return strconv.Itoa(int(c.Database.MaxConnections))
	}
	return defaultMinConnections
}

// defaultSender follows --email-host, which comes before in the table.
func defaultSender(c *Config) string {
	if c.Email.Host == Mocked {
		return mockedSender
	}
	return ""
}

const (
	databaseOption      = "db"
	tokenOption         = "administration-token"
	tokensOption        = "administration-tokens"
	emailPasswordOption = "email-host-password"
	developmentOption   = "dev"
	mockedSender        = "no-reply@parsec.com"

	defaultMinConnections = "5"
)
