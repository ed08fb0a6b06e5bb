package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"parsec-server/pkg/parsec"
)

// maxSecretFileBytes bounds what is read of a secret file.
const maxSecretFileBytes = 64 << 10

// UsageError is a mistake of the one who wrote the command line or a variable:
// exit code 2. The message holds no secret.
type UsageError struct {
	Message string
	// setting is the one whose value the message is about, "" where the message says
	// where that is from.
	setting string
}

// wrongValue returns why the value of a setting is wrong.
func wrongValue(setting, reason string) *UsageError {
	return &UsageError{"Invalid value for '--" + setting + "': " + reason, setting}
}

// Error returns the message.
func (e *UsageError) Error() string { return e.Message }

// Source is the kind of place that a setting came from.
type Source string

// The sources, from the strongest; --data and --dev take the place of the defaults
// of the settings that they set.
const (
	FromCommandArguments Source = "PARSEC_CMD_ARGS"
	FromCommandLine      Source = "command line"
	FromVariable         Source = "variable"
	FromFile             Source = "file"
	FromData             Source = "--data"
	FromDevelopment      Source = "--dev"
	FromDefault          Source = "default"
)

// Effective is a setting as it was resolved.
type Effective struct {
	Setting Setting
	// Text is masked if secret, and empty for none.
	Text   string
	Source Source
	// Name is the option or variable that gave the text, Path the file.
	Name string
	Path string
}

// Origin describes in words where the setting came from.
func (e Effective) Origin() string {
	switch e.Source {
	case FromVariable:
		return "variable " + e.Name
	case FromFile:
		return "file " + e.Path + " (" + e.Name + fileSuffix + ")"
	default:
		return string(e.Source)
	}
}

// Loaded is what Load found.
type Loaded struct {
	Config Config
	// Effective follows the table of settings.
	Effective []Effective
	// Warnings are one line each, without secrets.
	Warnings []string
}

// Load resolves every setting: PARSEC_CMD_ARGS, then the command line, then
// variables or their files, then --dev, then what platforms set, then defaults. An
// error is a *UsageError.
func Load(arguments []Argument, environment Environment) (Loaded, error) {
	l := newLoader(arguments, environment)
	if err := l.readDevelopment(); err != nil {
		return Loaded{}, err
	}
	effective, err := l.load()
	if err != nil {
		return Loaded{}, err
	}
	l.note(effective)
	if err := l.config.settleAddress(); err != nil {
		return Loaded{}, err
	}
	l.config.TrustedProxies = append(l.config.TrustedProxies, l.config.proxies...)
	if err := l.config.checkAndRead(); err != nil {
		return Loaded{}, withOrigin(err, effective)
	}
	return Loaded{l.config, effective, slices.Concat(environment.unknownVariables(), inertWarning(effective), l.warnings())}, nil
}

// withOrigin adds to what is wrong with a value where that was set, if not on the command
// line.
func withOrigin(err error, effective []Effective) error {
	usage, is := errors.AsType[*UsageError](err)
	if !is {
		return err
	}
	for _, of := range effective {
		if isSet := of.Source == FromVariable || of.Source == FromFile; isSet && of.Setting.Name == usage.setting {
			return &UsageError{Message: usage.Message + " (" + of.Origin() + ")"}
		}
	}
	return err
}

// LoadDSN resolves the database alone, for the commands that need no other
// setting. It is a PostgreSQL database.
func LoadDSN(arguments []Argument, environment Environment) (Secret, error) {
	l := newLoader(arguments, environment)
	err := l.loadDSN()
	return l.config.Database.DSN, err
}

// LoadGivenDSN is LoadDSN for a command that may do without a database.
func LoadGivenDSN(arguments []Argument, environment Environment) (dsn Secret, given bool, err error) {
	if given, err = isGiven("db", arguments, environment); err != nil || !given {
		return Secret{}, false, err
	}
	dsn, err = LoadDSN(arguments, environment)
	return dsn, err == nil, err
}

// LoadDatabase resolves the database and its pool alone. It is a PostgreSQL
// database.
func LoadDatabase(arguments []Argument, environment Environment) (Database, error) {
	l := newLoader(arguments, environment)
	if err := l.loadDSN(); err != nil {
		return Database{}, err
	}
	if _, err := l.load("db-max-connections", "db-min-connections"); err != nil {
		return Database{}, err
	}
	return l.config.Database, l.config.Database.checkPool()
}

// LoadRetry resolves how often, and with what pause, what is not reached at start
// is tried again.
func LoadRetry(arguments []Argument, environment Environment) (attempts int, pause time.Duration, err error) {
	// Not newLoader: with --data it is the server that waits long, for a database that it
	// starts. A command finds that only while the server runs.
	l := loader{arguments: arguments, environment: environment}
	_, err = l.load("maximum-database-connection-attempts", "pause-before-retry-database-connection")
	return l.config.Database.ConnectionAttempts, l.config.Database.ConnectionPause, err
}

// LoadBlockstore resolves the block store alone, for the commands that need no
// other setting.
func LoadBlockstore(arguments []Argument, environment Environment) (Blockstore, error) {
	l := newLoader(arguments, environment)
	_, err := l.load("blockstore")
	return l.config.Blockstore, err
}

// LoadEmail resolves what e-mails say and who sends them, and the address of the server
// that their links lead to, zero for none: it judges no other setting, and not whether
// an e-mail could be sent.
func LoadEmail(arguments []Argument, environment Environment) (Email, parsec.ServerAddress, error) {
	l := newLoader(arguments, environment)
	if _, err := l.load(serverAddressOption, backendAddressName, "email-host", "email-sender", templateOption); err != nil {
		return Email{}, parsec.ServerAddress{}, err
	}
	err := l.config.settleAddress()
	return l.config.Email, l.config.ServerAddress, err
}

// MailSettings are the names of the settings by which e-mails are handed over.
func MailSettings() []string {
	return []string{"email-host", "email-port", "email-host-user", emailPasswordOption, "email-use-ssl", "email-use-tls", "email-sender", "email-language"}
}

// LoadMail is LoadEmail for who sends e-mails: with all that says how.
func LoadMail(arguments []Argument, environment Environment) (Email, parsec.ServerAddress, error) {
	l := newLoader(arguments, environment)
	if _, err := l.load(append(MailSettings(), serverAddressOption, backendAddressName)...); err != nil {
		return Email{}, parsec.ServerAddress{}, err
	}
	err := l.config.settleAddress()
	return l.config.Email, l.config.ServerAddress, err
}

// LoadGivenBlockstore is LoadBlockstore for commands that can do without one: given is
// false where none is configured.
func LoadGivenBlockstore(arguments []Argument, environment Environment) (settings Blockstore, given bool, err error) {
	if given, err = isGiven("blockstore", arguments, environment); err != nil || !given {
		return Blockstore{}, false, err
	}
	settings, err = LoadBlockstore(arguments, environment)
	return settings, err == nil, err
}

// isGiven reports whether a setting is not left to its default.
func isGiven(name string, arguments []Argument, environment Environment) (bool, error) {
	l := newLoader(arguments, environment)
	for _, setting := range Settings() {
		if setting.Name == name {
			found, err := l.resolve(setting)
			return err == nil && found.given(), err
		}
	}
	return false, nil
}

// Listening is where a server listens.
type Listening struct {
	Host string
	Port int // 1 to 65535
	TLS  TLS
}

// LoadListening resolves where the server of these settings listens, and judges
// no other setting.
func LoadListening(arguments []Argument, environment Environment) (Listening, error) {
	l := newLoader(arguments, environment)
	if _, err := l.load("host", "port", "ssl-certfile"); err != nil {
		return Listening{}, err
	}
	if l.config.Port < 1 || l.config.Port > maxPort {
		return Listening{}, wrongValue("port", "the server must listen on a known one, 1 to 65535.")
	}
	return Listening{l.config.Host, l.config.Port, l.config.TLS}, nil
}

type loader struct {
	arguments   []Argument
	environment Environment
	config      Config
	development bool
	// data is the absolute path of the folder of data, "" for none.
	data string
	// foreign are variables without our prefix whose values are meant for other
	// programs.
	foreign []string
}

// resolved is what a setting is given, before it is parsed. No text is no value.
type resolved struct {
	texts  []string
	source Source
	name   string // the option or variable
	path   string // the file
}

func (r resolved) given() bool { return len(r.texts) > 0 }

func (r resolved) effective(setting Setting) Effective {
	effective := Effective{Setting: setting, Source: r.source, Name: r.name, Path: r.path}
	if r.given() {
		effective.Text = setting.show(r.texts)
	}
	return effective
}

// load resolves the settings of these names, or all of them for none, in the
// order of the table, and keeps their values. A required one must be given.
func (l *loader) load(names ...string) ([]Effective, error) {
	var loaded []Effective
	for _, setting := range settings {
		if len(names) > 0 && !slices.Contains(names, setting.Name) {
			continue
		}
		found, err := l.resolve(setting)
		if err != nil {
			return nil, err
		}
		if err := l.parse(setting, found); err != nil {
			return nil, err
		}
		loaded = append(loaded, found.effective(setting))
	}
	return loaded, missing(loaded, len(names) == 0 && l.config.Email.wantsSender())
}

// loadDSN resolves the database, which must be one of PostgreSQL.
func (l *loader) loadDSN() error {
	if _, err := l.load(databaseOption); err != nil {
		return err
	}
	if l.config.Database.Mocked() {
		return wrongValue(databaseOption, "this command needs a PostgreSQL database.")
	}
	return nil
}

// readDevelopment looks for --dev first: other settings depend on it.
func (l *loader) readDevelopment() error {
	for _, argument := range l.arguments {
		if argument.Name != developmentOption {
			continue
		}
		var err error
		if l.development, err = parseBoolean(argument.Text); err != nil {
			return wrongValue(developmentOption, err.Error())
		}
	}
	return nil
}

func (l *loader) resolve(setting Setting) (resolved, error) {
	if found := l.fromArguments(setting); found.given() {
		return found, nil
	}
	for _, variable := range setting.variables() {
		if found, err := l.fromVariable(setting, variable); err != nil || found.given() {
			return found, err
		}
	}
	if l.data != "" && setting.data != nil {
		found := resolved{source: FromData}
		if text := setting.data(l.data, &l.config); text != "" {
			found.texts = []string{text}
		}
		return found, nil
	}
	if l.development && setting.development != nil {
		found := resolved{source: FromDevelopment}
		if text := setting.development(&l.config); text != "" {
			found.texts = []string{text}
		}
		return found, nil
	}
	for _, variable := range setting.platformVariables() {
		if found, err := l.fromVariable(setting, variable); err != nil || found.given() {
			return found, err
		}
	}
	found := resolved{source: FromDefault, name: setting.Name}
	text := setting.Default
	if setting.fallback != nil {
		text = setting.fallback(&l.config)
	}
	if text != "" {
		found.texts = []string{text}
	}
	return found, nil
}

// parse keeps what was found for a setting. Only values on the command line
// are where the reader of a message looks first; others say where they are.
func (l *loader) parse(setting Setting, found resolved) error {
	if !found.given() {
		return nil
	}
	err := setting.parser(found.name)(&l.config, found.texts)
	if err == nil {
		switch setting.Name {
		case databaseOption:
			l.config.Database.DSNFile = found.path
		case tokenOption:
			l.config.AdministrationTokenFile = found.path
		case tokensOption:
			l.config.AdministrationTokensFile = found.path
		case emailPasswordOption:
			l.config.Email.PasswordFile = found.path
		}
		return nil
	}
	name := found.name
	if !setting.named(name) {
		name = setting.Name
	}
	text := fmt.Sprintf("Invalid value for %s: %s", setting.option(name), err)
	if found.source != FromCommandLine {
		text += " (" + found.effective(setting).Origin() + ")"
	}
	return &UsageError{Message: text}
}

func (l *loader) fromArguments(setting Setting) (found resolved) {
	for _, argument := range l.arguments {
		if !setting.named(argument.Name) {
			continue
		}
		if !setting.Repeatable {
			found.texts = nil
		}
		found.texts = append(found.texts, argument.Text)
		found.name = argument.Name
		found.source = FromCommandLine
		if argument.Expanded {
			found.source = FromCommandArguments
		}
	}
	return found
}

func (l *loader) fromVariable(setting Setting, variable string) (resolved, error) {
	text := l.environment.Variables[variable]
	var path string
	if setting.readsFile(variable) {
		path = l.environment.Variables[variable+fileSuffix]
	}
	switch {
	case text != "" && path != "":
		return resolved{}, &UsageError{Message: fmt.Sprintf("%s and %s are both set.", variable, variable+fileSuffix)}
	case path != "":
		text, err := readSecretFile(path)
		if err != nil {
			return resolved{}, &UsageError{Message: fmt.Sprintf("Invalid value for %s: %s", variable+fileSuffix, err)}
		}
		return resolved{texts: setting.split(text, isLineEnd), source: FromFile, name: variable, path: path}, nil
	case text != "" && isForeign(setting, variable, text):
		l.foreign = append(l.foreign, variable)
		return resolved{}, nil
	case text != "":
		return resolved{texts: setting.split(text, unicode.IsSpace), source: FromVariable, name: variable}, nil
	default:
		return resolved{}, nil
	}
}

// isForeign reports whether a variable without our prefix has a value that only
// another program can mean.
func isForeign(setting Setting, variable, text string) bool {
	return !strings.HasPrefix(variable, variablePrefix) && setting.parser(variable)(&Config{}, []string{text}) != nil
}

// readSecretFile returns the value that a file holds, cleaned.
func readSecretFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFileBytes+1))
	switch {
	case err != nil:
		return "", err
	case len(content) > maxSecretFileBytes:
		return "", messagef("File '%s' is longer than %d bytes.", path, maxSecretFileBytes)
	}
	if isWide(content) {
		return "", messagef("File '%s' is not text in UTF-8.", path)
	}
	text := clean(string(content))
	if text == "" {
		return "", messagef("File '%s' is empty.", path)
	}
	return text, nil
}

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }

// inertWarning returns one line for all settings that are given and have no effect.
func inertWarning(effective []Effective) []string {
	var names []string
	for _, found := range effective {
		if found.Setting.Inert && found.Source != FromDefault {
			names = append(names, "--"+found.Setting.Name)
		}
	}
	if names == nil {
		return nil
	}
	return []string{"settings without effect here: " + strings.Join(names, ", ")}
}

// warnings returns a line for each thing that is accepted and yet may surprise.
func (l *loader) warnings() []string {
	var warnings []string
	if links := l.environment.ServiceLinks; len(links) > 0 {
		warnings = append(warnings, "variables of Kubernetes service links are ignored, `enableServiceLinks: false` keeps them out: "+strings.Join(links, ", "))
	}
	for _, variable := range l.foreign {
		warnings = append(warnings, "variable "+variable+" is ignored: its value is for another program")
	}
	if names := l.config.unknownCiphers; len(names) > 0 {
		warnings = append(warnings, "--ssl-ciphers: unknown names have no effect: "+strings.Join(names, ", "))
	}
	if kind := l.config.Blockstore.Kind; l.config.BlockstoreDegradedWrites && kind != BlockstoreRAID1 && kind != BlockstoreRAID5 {
		warnings = append(warnings, "--blockstore-degraded-writes has no effect without RAID1 or RAID5")
	}
	switch {
	case l.development, l.data != "":
	case l.config.ServerAddress == (parsec.ServerAddress{}):
		warnings = append(warnings, "without --server-addr or --backend-addr no e-mail is sent, and links and redirections have host and scheme of the request")
	case l.config.Email.Host == "":
		warnings = append(warnings, "without --email-host no e-mail is sent")
	}
	return warnings
}
