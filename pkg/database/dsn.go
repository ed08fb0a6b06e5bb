package database

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dsnForm is what every refusal of a DSN ends with.
const dsnForm = "expected is postgresql://<user>:<password>@<host>:<port>/<database>?<parameter>=<value>, or host=<host> port=<port> user=<user> password=<password> dbname=<database>"

var (
	// otherScheme finds the schemes of URLs, and of JDBC, of which the URL is a
	// part. What looks like the scheme of anything else may be a password.
	otherScheme = regexp.MustCompile(`^(?i:(jdbc):|([a-z][a-z0-9+.-]*)://)`)
	// semicolons is how ADO.NET separates pairs.
	semicolons = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z ]*=[^;]*;\s*[A-Za-z][A-Za-z ]*=`)
	// parameterName has room for those of extensions (auto_explain.log_format).
	parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

// DSNError is of a DSN by which no database can be asked for. It tells no secret.
type DSNError struct{ reason string }

func (e *DSNError) Error() string { return e.reason }

// readDSN reads a DSN in every form that pgx reads. Its errors name the cause,
// and never quote what may be part of a password.
func readDSN(dsn string) (*pgxpool.Config, error) {
	if found := otherScheme.FindStringSubmatch(dsn); found != nil {
		switch scheme := strings.ToLower(found[1] + found[2]); scheme {
		case "postgres", "postgresql":
			dsn = scheme + dsn[len(scheme):]
		default:
			return nil, &DSNError{fmt.Sprintf("the DSN of the database begins with %q: %s", found[0], dsnForm)}
		}
	} else if semicolons.MatchString(dsn) {
		return nil, &DSNError{"the DSN of the database has semicolons between its parameters, as those of ADO.NET: " + dsnForm}
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, &DSNError{"the DSN of the database is not valid: " + reasonAgainst(err)}
	}
	for name := range config.ConnConfig.RuntimeParams {
		if !parameterName.MatchString(name) {
			return nil, &DSNError{"the DSN of the database is not valid: the name of a parameter has characters that none has; in the password of a URL write ? as %3F and & as %26, and a password with blanks between single quotes"}
		}
	}
	return config, nil
}

// reasonAgainst returns what pgx says of a DSN, without the DSN.
func reasonAgainst(err error) string {
	text := err.Error()
	reason := text[strings.LastIndex(text, "`: ")+len("`: "):]
	_, escape := errors.AsType[url.EscapeError](err)
	switch {
	case escape:
		return "a % in it begins no escape; in the password of a URL write % as %25"
	case strings.HasPrefix(reason, "failed to parse as keyword/value"):
		return "it is neither a URL nor parameters with values (a value with blanks is written between single quotes); " + dsnForm
	case reason == "invalid port":
		return "the port is no number; in the password of a URL write : as %3A and / as %2F"
	case strings.HasPrefix(reason, "failed to parse as URL"):
		return "it is no URL; in the password write : as %3A, / as %2F, @ as %40, ? as %3F, # as %23, [ as %5B and % as %25; " + dsnForm
	default:
		// Of the value of a parameter that is no secret.
		return reason
	}
}

// atStartup are the parameters that are sent to begin a session: those that
// every pooler takes, and what only can be sent then.
var atStartup = map[string]bool{
	"application_name": true, "client_encoding": true, "datestyle": true, "timezone": true,
	"standard_conforming_strings": true, "options": true, "replication": true,
}

// takeSettings takes the parameters out of the configuration that are set
// once a session has begun.
func takeSettings(config *pgx.ConnConfig) map[string]string {
	settings := map[string]string{}
	for name, value := range config.RuntimeParams {
		if lower := strings.ToLower(name); !atStartup[lower] {
			settings[lower] = value
			delete(config.RuntimeParams, name)
		}
	}
	return settings
}
