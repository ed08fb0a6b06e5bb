package database

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// setForSession sets the parameters of a JSON object that any session of
	// the database may set, and returns their names. Poolers refuse most of them
	// in the message that begins a session.
	setForSession = `
SELECT key, set_config(key, value, false) FROM ` + settable
	// findSettable returns the same names.
	findSettable = `
SELECT key FROM ` + settable
	settable = `json_each_text($1::json) JOIN pg_settings ON lower(name) = key AND context IN ('user', 'superuser')`

	setForTransaction = "SELECT set_config(key, value, true) FROM json_each_text($1::json)"
)

// session is what the connections of one configuration are set to.
type session struct {
	settings map[string]string
	// kept reports whether a session lasts as long as its connection. Behind a
	// pooler that has another session for each transaction, nothing is set for
	// longer than a transaction.
	kept bool
	// ignored is told the name of each setting that no session has.
	ignored func(ctx context.Context, name string)
}

// keepsSessions reports whether statements are prepared for the session, which
// no DSN for a pooler of transactions asks for.
func keepsSessions(config *pgx.ConnConfig) bool {
	return config.DefaultQueryExecMode != pgx.QueryExecModeExec && config.DefaultQueryExecMode != pgx.QueryExecModeSimpleProtocol
}

// transactionSettings is the key of what connections remember to set at each
// transaction.
const transactionSettings = "settings of each transaction"

// begin sets what is to be set on a new connection, or finds out what is to be
// set for each of its transactions.
func (s *session) begin(ctx context.Context, connection *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	object, err := json.Marshal(s.settings)
	if err != nil {
		return fmt.Errorf("the parameters of the session: %w", err)
	}
	sql := setForSession
	if !s.kept {
		sql = findSettable
	}
	result := connection.ExecParams(ctx, sql, [][]byte{object}, nil, nil, nil).Read()
	if result.Err != nil {
		return fmt.Errorf("set the parameters of the session: %w", result.Err)
	}
	known := map[string]string{}
	for _, row := range result.Rows {
		known[string(row[0])] = s.settings[string(row[0])]
	}
	if !s.kept {
		if object, err = json.Marshal(known); err != nil {
			return fmt.Errorf("the parameters of each transaction: %w", err)
		}
		connection.CustomData()[transactionSettings] = string(object)
	}
	for _, name := range slices.Sorted(maps.Keys(s.settings)) {
		if _, found := known[name]; !found {
			s.ignored(ctx, name)
		}
	}
	return nil
}

// keepsSession reports whether what is set on a connection lasts as long as it.
func keepsSession(connection *pgx.Conn) bool {
	_, transactions := connection.PgConn().CustomData()[transactionSettings]
	return !transactions
}

// withSettings adds, to statements that begin a transaction or are one by
// themselves, what their session does not keep.
func withSettings(connection *pgx.Conn, statements []Statement) []Statement {
	settings, transactions := connection.PgConn().CustomData()[transactionSettings].(string)
	if !transactions || connection.PgConn().TxStatus() != idle {
		return statements
	}
	first := 0
	if strings.HasPrefix(statements[0].SQL, "BEGIN") {
		first = 1
	}
	return slices.Insert(slices.Clone(statements), first, Statement{SQL: setForTransaction, Args: []any{settings}})
}
