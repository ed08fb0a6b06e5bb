package config

import (
	"crypto/rsa"
	"math"
	"net/mail"
	"net/netip"
	"strconv"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/telemetry"
	"parsec-server/pkg/tlsfile"
)

// Mocked as a database or e-mail host stands for memory and temporary files.
const Mocked = "MOCKED"

// Config is what a server runs with. The fields are in the order of the table
// of settings; docs/configuration.md says what each one means.
type Config struct {
	// Host and Port, 0 to 65535, are where to listen; 0 takes any free port.
	Host string
	Port int

	// Data is where everything is kept that is not set otherwise.
	Data       Data
	Database   Database
	Blockstore Blockstore
	// BlockstoreDegradedWrites accepts blocks that one node of a RAID1 or RAID5
	// has not stored.
	BlockstoreDegradedWrites bool
	AdministrationToken      Secret
	// AdministrationTokenFile is the file that the token was read from, "" for
	// none. It may get another content.
	AdministrationTokenFile string
	// AdministrationTokens are those of several administrators, beside the single one,
	// and AdministrationTokensFile what they were read from, "" for none.
	AdministrationTokens     []NamedToken
	AdministrationTokensFile string

	// ServerAddress is announced to clients. Zero means none: no e-mail is
	// sent, and links have host and scheme of the request; but see
	// AnnouncedAddress.
	ServerAddress parsec.ServerAddress
	// AddressScheme is that of ServerAddress as it was given, of Parsec 3 if it was
	// given for both generations.
	AddressScheme parsec.Scheme
	// CORSOrigins are those whose pages may use the server in browsers.
	CORSOrigins  []parsec.Origin
	TLS          TLS
	ForwardProto ForwardProto
	// TrustedProxies are those whose X-Forwarded-For, or else Forwarded, is believed.
	TrustedProxies []netip.Prefix
	// TrustedProxyNames are host names of more of them.
	TrustedProxyNames []string
	// WebApp is the folder of the web application, "" for none.
	WebApp string
	// Clients are the pages about the applications.
	Clients parsec.Clients
	// SSEKeepalive is the longest silence of an event stream; it has no limit
	// if 0.
	SSEKeepalive time.Duration
	// IdleConnectionTimeout is how long an HTTP connection may wait for another
	// request.
	IdleConnectionTimeout time.Duration
	// StrictTransport has browsers that came by TLS come by nothing else.
	StrictTransport bool
	// MaxUnauthenticatedConnectionsPerAddress has no limit if 0.
	MaxUnauthenticatedConnectionsPerAddress int
	// ShutdownDelay is how long the server goes on after the order to stop, before
	// the grace period.
	ShutdownDelay time.Duration
	// ShutdownGracePeriod is how long running requests may go on after the
	// order to stop.
	ShutdownGracePeriod time.Duration

	// HandoverSocket is the path of the Unix socket by which a process hands its
	// listening sockets over to the next, "" for none.
	HandoverSocket string

	Organization Organization
	Account      Account
	Email        Email
	Log          telemetry.LogOptions
	Sentry       Sentry
	Metrics      Metrics

	// Debug shows more about failures, to the administrator only.
	Debug bool
	// Development is --dev.
	Development bool

	// serverAddress and backendAddress are what ServerAddress is made of.
	serverAddress, backendAddress configuredAddress
	later                         later
	// administrationTokens are the lines of AdministrationTokens.
	administrationTokens Secret
	// proxies are TrustedProxies by another setting.
	proxies []netip.Prefix
	// unknownCiphers are names that have no effect.
	unknownCiphers []string
}

// CurrentAdministrationToken returns the token of the moment: what the file
// holds now, if it is in one.
func (c *Config) CurrentAdministrationToken() (string, error) {
	if c.AdministrationTokenFile == "" {
		return c.AdministrationToken.Reveal(), nil
	}
	token, err := readSecretFile(c.AdministrationTokenFile)
	if err == nil {
		err = weakness(token, c.Development)
	}
	return token, err
}

const (
	maxPort       = 65535
	minRAID5Nodes = 3
	// minPool is the least of --db-max-connections.
	minPool = 2
)

// UnlimitedConnectionAttempts is a Database.ConnectionAttempts without end.
const UnlimitedConnectionAttempts = math.MaxInt

// Database is where the state is kept.
type Database struct {
	// DSN is of PostgreSQL, or Mocked.
	DSN Secret
	// DSNFile is the file that the DSN was read from, "" for none. It may get
	// another content, with another password.
	DSNFile string
	// MinConnections and MaxConnections bound the pool; MaxConnections is at
	// least 2 and no less than MinConnections.
	MinConnections int32
	MaxConnections int32
	// ConnectionAttempts is how many may fail in a row, at start or after a
	// loss; 0 gives up at the first loss.
	ConnectionAttempts int
	// ConnectionPause comes before each new attempt.
	ConnectionPause time.Duration
	// Migrate brings the schema to the version of the server at start.
	Migrate bool
}

// Mocked reports whether the state is kept in memory.
func (d Database) Mocked() bool { return d.DSN.Reveal() == Mocked }

// CurrentDSN returns the DSN of the moment: what the file holds now, if it is
// in one.
func (d Database) CurrentDSN() (string, error) {
	if d.DSNFile == "" {
		return d.DSN.Reveal(), nil
	}
	return readSecretFile(d.DSNFile)
}

// Type names the database in the start-up line.
func (d Database) Type() string {
	if d.Mocked() {
		return Mocked
	}
	return "POSTGRESQL"
}

// TLS names the files of the server's certificate and key, in PEM. The key may
// be in the file of the certificate, KeyFile is then empty.
type TLS struct {
	CertificateFile string
	KeyFile         string
	Ciphers         tlsfile.Ciphers
}

// Enabled is false for a server in clear.
func (t TLS) Enabled() bool { return t.CertificateFile != "" }

// ForwardProto makes requests go to https: those that have Header, in its
// canonical form, with another value than Value. No header, no rule.
type ForwardProto struct {
	Header string
	Value  string
}

// Organization is about organizations to come.
type Organization struct {
	// SpontaneousBootstrap lets anyone create one.
	SpontaneousBootstrap bool
	// BootstrapWebhook is an http or https URL, called after each bootstrap.
	BootstrapWebhook Secret
	// InitialActiveUsersLimit is nil for no limit.
	InitialActiveUsersLimit *uint64
	InitialOutsiderAllowed  bool
	// InitialMinimumArchivingPeriod is in seconds.
	InitialMinimumArchivingPeriod uint64
	// InitialTOS has the address of the terms of service in each language; nil is none.
	InitialTOS map[string]string
	// InvitationOnlineStatus tells whoever is invited to one of Parsec 3 who is connected.
	InvitationOnlineStatus bool
	// DeviceFileProtection is what clients of Parsec 3 are advised, in the words of
	// docs/protocol/v5/types.md §4.
	DeviceFileProtection []string
	// TrustedRootFolders have the roots of the PKI that enrollments of Parsec 3 are
	// signed in; nil is for none.
	TrustedRootFolders []string
	// OpenBao is where clients of Parsec 3 keep the keys of devices.
	OpenBao OpenBao
	// CryptpadServerURL is where they edit documents together, "" for nowhere.
	CryptpadServerURL string
	// SCWS are the keys of the smart-card middleware, none without.
	SCWS SCWS
}

// OpenBao is a server of that name, none if ServerURL is empty. Mount paths are of
// OpenBao; one of the last two may be empty.
type OpenBao struct {
	ServerURL        string
	SecretMountPath  string
	TransitMountPath string

	HexagoneMountPath   string
	ProConnectMountPath string
}

// SCWS are the keys by which web applications and the smart-card middleware know each
// other.
type SCWS struct {
	// Services has nil for a key that is revoked.
	Services       []*rsa.PublicKey
	WebApplication *rsa.PrivateKey
}

// Account is about the accounts of people, across organizations.
type Account struct {
	// Config is in the words of docs/protocol/v5/types.md §4.
	Config string
	// MailLimit is how many seconds are between two e-mails, and how many are sent in an
	// hour; 0 is no limit.
	MailLimit [2]int
	// Secret is what the hashes of codes are made with, empty for the administration
	// token.
	Secret Secret
}

// Email is how e-mails go out. An empty Host means that none do; Mocked writes
// them in temporary files.
type Email struct {
	Host string
	Port int // 1 to 65535
	// User and Password: no login unless both are set.
	User     string
	Password Secret
	// PasswordFile is the file that the password was read from, "" for none. It
	// may get another content.
	PasswordFile string
	UseSSL       bool
	UseTLS       bool
	Sender       mail.Address
	// Language is en or fr.
	Language string
	// TemplateFolder holds texts that replace built-in ones, "" for none.
	TemplateFolder string
}

// wantsSender reports whether there is an SMTP server, and nobody who sends to it.
func (e Email) wantsSender() bool {
	return e.Host != "" && e.Host != Mocked && e.Sender == (mail.Address{})
}

// CurrentPassword returns the password of the moment: what the file holds now,
// if it is in one that can be read.
func (e Email) CurrentPassword() string {
	if e.PasswordFile != "" {
		if password, err := readSecretFile(e.PasswordFile); err == nil {
			return password
		}
	}
	return e.Password.Reveal()
}

// EmailEncryption is how the connection to an SMTP server is protected.
type EmailEncryption string

// The ways to protect a connection to an SMTP server.
const (
	EmailClear    EmailEncryption = "none"
	EmailTLS      EmailEncryption = "TLS"
	EmailSTARTTLS EmailEncryption = "STARTTLS"
)

// Encryption settles UseSSL and UseTLS: the first wins.
func (e Email) Encryption() EmailEncryption {
	switch {
	case e.UseSSL:
		return EmailTLS
	case e.UseTLS:
		return EmailSTARTTLS
	default:
		return EmailClear
	}
}

// Type names the way of e-mails in the start-up line.
func (e Email) Type() string {
	switch e.Host {
	case "":
		return "NONE"
	case Mocked:
		return Mocked
	default:
		return "SMTP"
	}
}

// Sentry is where errors are reported. A zero DSN means nowhere.
type Sentry struct {
	DSN         Secret
	Environment string
}

// Metrics is where Prometheus finds what the server counts. An empty Address
// means nowhere.
type Metrics struct {
	// Address is host:port.
	Address string
	// Profiles serves the profiles of the process, too.
	Profiles bool
}

// AnnouncedAddress is ServerAddress, or the one that --dev makes of the port
// that the server listens on when it had to take any free one.
func (c Config) AnnouncedAddress(port uint16) parsec.ServerAddress {
	if c.ServerAddress != (parsec.ServerAddress{}) || !c.Development && c.Data.Folder == "" {
		return c.ServerAddress
	}
	address, err := parsec.ParseServerAddress(c.developmentAddress(int(port)))
	if err != nil {
		return parsec.ServerAddress{} // port 0 is not listened on
	}
	return address
}

func (c Config) developmentAddress(port int) string {
	if port < 1 || port > maxPort {
		return "" // 0 is known once the server listens, others are refused by check
	}
	address := "parsec://localhost:" + strconv.Itoa(port)
	if !c.TLS.Enabled() {
		address += "?no_ssl=true"
	}
	return address
}

// check compares settings with each other.
func (c Config) check() error {
	if err := checkToken(c.AdministrationToken.Reveal(), c.Development); err != nil {
		return err
	}
	switch {
	case c.TLS.KeyFile != "" && c.TLS.CertificateFile == "":
		return &UsageError{Message: "--ssl-keyfile needs --ssl-certfile."}
	case c.Metrics.Profiles && c.Metrics.Address == "":
		return &UsageError{Message: "--metrics-profiles needs --metrics-address."}
	case c.Database.Mocked() && c.Blockstore.Uses(BlockstorePostgreSQL):
		return &UsageError{Message: "--blockstore is POSTGRESQL, and --db is MOCKED: a block store in a database needs one."}
	case c.Blockstore.Kind == BlockstoreRAID5 && len(c.Blockstore.Nodes) < minRAID5Nodes:
		return &UsageError{Message: "A RAID5 block store needs at least 3 nodes."}
	}
	if err := c.checkThirdParties(); err != nil {
		return err
	}
	return c.Database.checkPool()
}

func (d Database) checkPool() error {
	switch {
	case d.MaxConnections < minPool:
		return &UsageError{Message: "--db-max-connections must be at least 2."}
	case d.MinConnections > d.MaxConnections:
		return &UsageError{Message: "--db-min-connections must not be greater than --db-max-connections."}
	default:
		return nil
	}
}
