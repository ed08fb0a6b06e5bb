package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/telemetry"
)

// maxSeconds bounds every period, so that it fits in a time.Duration: 31 years.
const maxSeconds = 1e9

// message is an error in the words of the official server, which people read
// as they are.
type message string

func (m message) Error() string { return string(m) }

func messagef(format string, arguments ...any) error {
	return message(fmt.Sprintf(format, arguments...))
}

func parseText(text string) (string, error) { return text, nil }

func parseSecret(text string) (Secret, error) { return NewSecret(text), nil }

// parseDSN takes the URL of a PostgreSQL database, its parameters by keyword, or Mocked.
func parseDSN(text string) (Secret, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	isURL = isURL && !strings.ContainsAny(scheme, "= ")
	switch {
	case text == Mocked, isURL && (scheme == "postgresql" || scheme == "postgres"), !isURL && strings.Contains(text, "="):
		return NewSecret(text), nil
	}
	hint := ""
	if isURL && slices.Contains(otherDatabases, strings.ToLower(scheme)) {
		hint = " " + scheme + ":// is another kind of database, which this server does not use."
	}
	return Secret{}, messagef("Invalid db type: must be `postgresql://<user>:<password>@<host>/<database>`, `postgres://…` or `%s`.%s", Mocked, hint)
}

// otherDatabases are the schemes of databases that servers of other programs use. What
// looks like the scheme of anything else may be a password.
var otherDatabases = []string{"mysql", "mysql2", "mariadb", "sqlite", "sqlite3", "mongodb", "sqlserver", "mssql", "oracle", "redis", "file"}

func parseBoolean(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "t", "1", "yes", "y", "on":
		return true, nil
	case "false", "f", "0", "no", "n", "off":
		return false, nil
	}
	return false, messagef("'%s' is not a valid boolean.", text)
}

func parseInteger(text string) (int, error) {
	number, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, messagef("'%s' is not a valid integer.", text)
	}
	return number, nil
}

// parsePort takes 0, too, which is any free one.
func parsePort(text string) (int, error) {
	port, err := parseInteger(text)
	if err == nil && (port < 0 || port > maxPort) {
		return 0, messagef("must be 0 to %d.", maxPort)
	}
	return port, err
}

func parseKnownPort(text string) (int, error) {
	port, err := parsePort(text)
	if err == nil && port == 0 {
		return 0, messagef("must be 1 to %d.", maxPort)
	}
	return port, err
}

func parseCount(text string) (int, error) {
	number, err := parseInteger(text)
	if err == nil && number < 0 {
		return 0, errNegative
	}
	return number, err
}

var errNegative = messagef("must not be negative.")

// parseFirstTries counts as v1.14 did: 0 is unlimited, and 1 is the least.
func parseFirstTries(text string) (int, error) {
	number, err := parseCount(text)
	if err == nil && number == 0 {
		return UnlimitedConnectionAttempts, nil
	}
	return number, err
}

func parsePoolSize(text string) (int32, error) {
	number, err := parseInteger(text)
	if err != nil {
		return 0, err
	}
	if number < 0 || number > math.MaxInt32 {
		return 0, messagef("out of range.")
	}
	return int32(number), nil
}

func parseUsersLimit(text string) (*uint64, error) {
	number, err := parseCount(text)
	if err != nil {
		return nil, err
	}
	limit := uint64(number)
	return &limit, nil
}

func parseSeconds(text string) (time.Duration, error) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(seconds) {
		return 0, messagef("'%s' is not a valid float.", text)
	}
	if math.Abs(seconds) > maxSeconds {
		return 0, messagef("out of range.")
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

func parsePeriod(text string) (time.Duration, error) {
	period, err := parseSeconds(text)
	if err == nil && period < 0 {
		return 0, errNegative
	}
	return period, err
}

// parseIdlePeriod takes a second at least: less leaves no time for a second
// request.
func parseIdlePeriod(text string) (time.Duration, error) {
	period, err := parseSeconds(text)
	if err == nil && period < time.Second {
		return 0, messagef("must be at least 1 second.")
	}
	return period, err
}

func parseKeepalive(text string) (time.Duration, error) {
	period, err := parseSeconds(text)
	return max(period, 0), err
}

// parseChoice takes one of the choices in any case, and returns it as listed.
func parseChoice(choices ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		for _, choice := range choices {
			if strings.EqualFold(text, choice) {
				return choice, nil
			}
		}
		return "", notOneOf(text, choices)
	}
}

// OneOf wants the value of an option of a command to be one of these.
func OneOf(option, text string, choices []string) error {
	if slices.Contains(choices, text) {
		return nil
	}
	return &UsageError{Message: "Invalid value for '" + option + "': " + notOneOf(text, choices).Error()}
}

// notOneOf says what could be meant.
func notOneOf(text string, choices []string) error {
	hint := ""
	if nearest, found := Nearest(strings.ToUpper(text), upper(choices)); found {
		hint = " Did you mean " + choices[slices.Index(upper(choices), nearest)] + "?"
	}
	return messagef("'%s' is not one of '%s'.%s", text, strings.Join(choices, "', '"), hint)
}

func upper(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = strings.ToUpper(text)
	}
	return all
}

// maxSocketPath is what Linux takes as the name of a Unix socket, 107 bytes, less what
// the name of one that is being made has more.
const maxSocketPath = 98

func parseSocketPath(text string) (string, error) {
	if len(text) > maxSocketPath {
		return "", messagef("the path of a socket has at most %d bytes.", maxSocketPath)
	}
	return text, nil
}

// parseExistingFile takes the path of a file, or nothing.
func parseExistingFile(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	switch information, err := os.Stat(text); {
	case errors.Is(err, os.ErrNotExist):
		return "", messagef("File '%s' does not exist.", text)
	case err != nil:
		return "", messagef("File '%s' is not readable.", text)
	case information.IsDir():
		return "", messagef("File '%s' is a directory.", text)
	}
	return text, nil
}

func parseListenAddress(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	_, port, err := net.SplitHostPort(text)
	if number, portErr := strconv.Atoi(port); err != nil || portErr != nil || number < 0 || number > maxPort {
		return "", messagef("'%s' is not `<host>:<port>`.", text)
	}
	return text, nil
}

// headerName is the token of RFC 9110 §5.6.2.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func parseForwardProto(text string) (ForwardProto, error) {
	header, value, _ := strings.Cut(text, ":")
	header, value = strings.TrimSpace(header), strings.TrimSpace(value)
	if strings.Count(text, ":") != 1 || !headerName.MatchString(header) {
		return ForwardProto{}, errors.New("must be `<header>:<value>`")
	}
	return ForwardProto{Header: http.CanonicalHeaderKey(header), Value: value}, nil
}

func parseNetworks(text string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		network, err := parsec.ParsePeerNetwork(field)
		if err != nil {
			return nil, messagef("'%s' is neither an address nor a network.", field)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseWebhook(text string) (Secret, error) {
	if text != "" && !parsec.IsHTTPURL(text) {
		return Secret{}, errors.New("must be an http or https URL")
	}
	return NewSecret(text), nil
}

func parseSentryDSN(text string) (Secret, error) {
	if text != "" {
		dsn, err := url.Parse(text)
		if err != nil || !parsec.IsHTTPURL(text) || dsn.User.Username() == "" || strings.Trim(dsn.Path, "/") == "" {
			return Secret{}, errors.New("must be `https://<key>@<host>/<project>`")
		}
	}
	return NewSecret(text), nil
}

func parseSender(text string) (mail.Address, error) {
	if text == "" {
		return mail.Address{}, nil
	}
	address, err := mail.ParseAddress(text)
	if err != nil {
		address, err = mail.ParseAddress(quoteName(text))
	}
	if err != nil {
		return mail.Address{}, messagef("'%s' is not an e-mail address, such as no-reply@example.com or Example, Inc. <no-reply@example.com>.", text)
	}
	return *address, nil
}

// quoteName puts the name before an address in the quotes that a comma and the
// like in it need (RFC 5322 §3.2.4), unless there are some.
func quoteName(text string) string {
	open := strings.LastIndexByte(text, '<')
	if open < 0 || strings.ContainsAny(text[:open], `"\\<>`) {
		return text
	}
	return strconv.Quote(strings.TrimSpace(text[:open])) + " " + text[open:]
}

// parseLogFilter takes the expression as it is: wrapped in another one, a
// wrong one might become right.
func parseLogFilter(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, nil
	}
	filter, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return filter, nil
}

// logLevels are in the order in which messages list them.
var logLevels = []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, telemetry.LevelCritical}

func logLevelNames() []string {
	names := make([]string, len(logLevels))
	for i, level := range logLevels {
		names[i] = telemetry.LevelName(level)
	}
	return names
}

func parseLogLevel(text string) (slog.Level, error) {
	names := logLevelNames()
	name, err := parseChoice(names...)(text)
	if err != nil {
		return 0, err
	}
	return logLevels[slices.Index(names, name)], nil
}

var logFormats = []string{string(telemetry.Console), string(telemetry.ConsoleNoTimestamp), string(telemetry.JSON)}

// languages are those of e-mails.
var languages = []string{"en", "fr"}

func parseLogFormat(text string) (telemetry.Format, error) {
	name, err := parseChoice(logFormats...)(text)
	return telemetry.Format(name), err
}

// parseFolder returns the absolute path of a folder, which need not exist.
func parseFolder(text string) (string, error) {
	if text == "" {
		return "", messagef("a folder has a name.")
	}
	return absolute(text), nil
}
