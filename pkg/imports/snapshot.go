package imports

import (
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
)

// Snapshot is a database of the official server, as it is at one instant. It is not safe
// for concurrent use.
type Snapshot struct {
	*database.Inspection
	connection *pgx.Conn
	// Identity tells this database from every other one, whatever name it is reached by.
	Identity string
	// Generation is that of its clients, and Step its last migration.
	Generation organization.Generation
	Step       int
}

// OpenSnapshot begins to read a database of the official server that one of the wings
// knows, or fails with what it is instead. The caller closes it.
func OpenSnapshot(ctx context.Context, source database.Source, wings []Wing) (*Snapshot, Wing, error) {
	connection, err := database.Connect(ctx, source)
	if err != nil {
		return nil, nil, fmt.Errorf("the database to import from: %w", err)
	}
	s := &Snapshot{connection: connection}
	wing, err := s.begin(ctx, wings)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return s, wing, nil
}

func (s *Snapshot) begin(ctx context.Context, wings []Wing) (wing Wing, err error) {
	if s.Inspection, err = database.BeginSnapshot(ctx, s.connection); err != nil {
		return nil, err
	}
	if wing, err = s.recognize(ctx, wings); err != nil {
		return nil, err
	}
	s.Generation = wing.Generation()
	if s.Identity, err = s.identify(ctx); err != nil {
		return nil, fmt.Errorf("ask which database it is: %w", err)
	}
	return wing, nil
}

// identify returns the number of the cluster, which is that of its standbys too, or its
// address where its user may not know that, and the name of the database.
func (s *Snapshot) identify(ctx context.Context) (identity string, err error) {
	var permitted bool
	if err := s.Ask(ctx, database.Only("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')", nil, &permitted)); err != nil {
		return "", err
	}
	cluster := "coalesce(host(inet_server_addr()), 'here') || ':' || current_setting('port')"
	if permitted {
		cluster = "(SELECT c.system_identifier FROM pg_control_system() c)::text"
	}
	err = s.Ask(ctx, database.Only("SELECT "+cluster+" || '/' || current_database()", nil, &identity))
	return identity, err
}

// Close ends the transaction and the connection.
func (s *Snapshot) Close() { _ = s.connection.Close(context.Background()) } // It has only read.

// Since returns an expression for sources from a step on, and another one for those of
// before.
func (s *Snapshot) Since(step int, expression, before string) string {
	if s.Step >= step {
		return expression
	}
	return before
}

// Number returns the only number that a statement answers.
func (s *Snapshot) Number(ctx context.Context, sql string, args ...any) (number int64, err error) {
	err = s.Ask(ctx, database.Only(sql, args, &number))
	return number, err
}

// copyTo writes what a SELECT returns, in the binary form of COPY.
func (s *Snapshot) copyTo(ctx context.Context, w io.Writer, query string) error {
	_, err := s.connection.PgConn().CopyTo(ctx, w, "COPY ("+query+") TO STDOUT (FORMAT binary)")
	return err
}
