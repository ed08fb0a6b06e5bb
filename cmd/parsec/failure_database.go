package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"parsec-server/pkg/datafolder/layout"
	"parsec-server/pkg/parsec"
)

// explainDatabase puts in words why no connection to the database of the server was
// made; other errors stay as they are.
func explainDatabase(err error) error { return explainConnection(err, "--db, or PARSEC_DB") }

// explainConnection is for a database that an option or a variable names.
func explainConnection(err error, named string) error {
	if _, explained := errors.AsType[*sentence](err); explained {
		return err
	}
	connecting, is := errors.AsType[*pgconn.ConnectError](err)
	if !is || connecting.Config == nil {
		return err
	}
	at, name, user := databasePlace(connecting.Config), connecting.Config.Database, connecting.Config.User
	if name == "" {
		name = user
	}
	refusal, _ := errors.AsType[*pgconn.PgError](err)
	resolving, _ := errors.AsType[*net.DNSError](err)
	switch {
	case refusal != nil && (refusal.Code == "28P01" || refusal.Code == "28000"):
		return say(err, "The database at %s refused the user %s: %s. Correct the user or the password in %s.", at, user, refusal.Message, named)
	case refusal != nil && refusal.Code == "3D000":
		return say(err, "PostgreSQL at %s has no database %s. Create it (createdb %[2]s), or correct %[3]s.", at, name, named)
	case refusal != nil:
		return say(err, "The database %s at %s refused: %s.", name, at, refusal.Message)
	case resolving != nil:
		return say(err, "There is no host %s, which %s, names: %s.", resolving.Name, named, resolving.Err)
	case errors.Is(err, syscall.ENOENT) && isInData(connecting.Config):
		return say(err, "No server runs with the folder of data %s. Start it (parsec backend run --data %[1]s), or correct --data, or PARSEC_DATA.", filepath.Dir(at))
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return say(err, "The database %s at %s does not answer: connection refused. Start PostgreSQL there, or correct %s.", name, at, named)
	case errors.Is(err, context.DeadlineExceeded):
		return say(err, "The database %s at %s does not answer in time. Look at PostgreSQL and at the network, or correct %s.", name, at, named)
	default:
		return say(err, "The database %s at %s is not reached: %s", name, at, lastCause(err))
	}
}

// isInData reports whether a database is that of a folder of data, which the server of the
// folder starts.
func isInData(of *pgconn.Config) bool {
	return filepath.Base(of.Host) == layout.SocketsName && of.User == layout.DatabaseName && of.Database == layout.DatabaseName
}

func databasePlace(of *pgconn.Config) string {
	if strings.HasPrefix(of.Host, "/") {
		return of.Host
	}
	return net.JoinHostPort(of.Host, strconv.Itoa(int(of.Port)))
}

func lastCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// inDatabase names a database in a sentence, without what is secret of its DSN.
func inDatabase(dsn string) string {
	parsed, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "in the database"
	}
	return fmt.Sprintf("in the database %s at %s", parsed.Database, databasePlace(parsed))
}

// noOrganization is of an organization that a database does not have.
func noOrganization(cause error, id parsec.OrganizationID, dsn string) error {
	return say(cause, "There is no organization %s %s.", id, inDatabase(dsn))
}
