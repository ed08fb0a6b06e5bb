package database

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"parsec-server/pkg/outage"
)

var errNotServing = errors.New("the database is not ready")

// unavailableError makes an error an outage.ErrUnavailable.
type unavailableError struct{ cause error }

func (e *unavailableError) Error() string   { return e.cause.Error() }
func (e *unavailableError) Unwrap() []error { return []error{outage.ErrUnavailable, e.cause} }

// codeOf returns the code of what PostgreSQL has refused, "" for other errors.
func codeOf(err error) string {
	if refusal, refused := errors.AsType[*pgconn.PgError](err); refused {
		return refusal.Code
	}
	return ""
}

// lostError reports that the connection was lost.
type lostError struct{ err error }

func (e *lostError) Error() string { return "database connection lost: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// IsLost reports whether an error is that the connection was lost.
func IsLost(err error) bool {
	_, lost := errors.AsType[*lostError](err)
	return lost
}

// isDeadlock reports whether a transaction was ended for others to go on: each waited for
// the other.
func isDeadlock(err error) bool { return codeOf(err) == deadlockDetected }

const deadlockDetected = "40P01"

// isRace reports whether the transaction failed only because of others.
func isRace(err error) bool {
	switch codeOf(err) {
	case "40001", deadlockDetected, "23505": // serialization_failure, unique_violation
		return true
	default:
		return errors.Is(err, ErrRaced)
	}
}

// classified makes the errors that are no fault of the command, and may be over
// when it is sent again, an outage.ErrUnavailable.
func classified(err error) error {
	if err == nil || !isUnavailable(err) {
		return explained(err)
	}
	return &unavailableError{err}
}

// explained says what to do about an error that only poolers cause.
func explained(err error) error {
	switch codeOf(err) {
	case "26000", "42P05": // invalid_sql_statement_name, duplicate_prepared_statement
		return fmt.Errorf("%w: a pooler gives each transaction another session, so add default_query_exec_mode=exec to the DSN", err)
	default:
		return err
	}
}

func isUnavailable(err error) bool {
	if IsLost(err) || isReadOnly(err) || errors.Is(err, errNotServing) || errors.Is(err, ErrRaced) {
		return true
	}
	if code := codeOf(err); code != "" {
		return isUnavailableCode(code)
	}
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return connecting || isTransient(err)
}

// isUnavailableCode judges what PostgreSQL answers.
func isUnavailableCode(code string) bool {
	switch code {
	case "55P03", "25P03", "25P04", // lock_not_available, idle_in_transaction_session_timeout, transaction_timeout
		"40001", deadlockDetected: // serialization_failure: again and again
		return true
	}
	for _, class := range []string{
		"08", // connection_exception
		"28", // invalid_authorization_specification: of new connections, while a password is replaced
		"53", // insufficient_resources, disk_full among them
		"57", // operator_intervention: the server stops, a statement takes too long
		"58", // system_error, io_error among them
	} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}
