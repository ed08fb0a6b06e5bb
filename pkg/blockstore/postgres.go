package blockstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"parsec-server/pkg/parsec"
)

var _ Inventory = (*Postgres)(nil)

// Postgres keeps blocks in the table block_data of a database
// (docs/protocol/blockstore.md §3), by statements of its own: bytes travel in
// no transaction of a command. Its methods are safe for concurrent use, try
// once, and are limited by their contexts only.
type Postgres struct {
	pool *pgxpool.Pool
}

// NewPostgres returns a store that uses pool, which may not be connected yet.
// The caller, who passes the pool, closes it.
func NewPostgres(pool *pgxpool.Pool) *Postgres { return &Postgres{pool} }

// String names the store in logs.
func (p *Postgres) String() string { return "PostgreSQL table block_data" }

// Read implements Store.
func (p *Postgres) Read(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, checksum *Checksum, into ...[]byte) error {
	rows, err := p.pool.Query(ctx,
		"SELECT data FROM block_data WHERE organization_id = $1 AND block_id = $2",
		organization.String(), id.String())
	if err != nil {
		return p.failure(err)
	}
	defer rows.Close()
	if !rows.Next() {
		return cmp.Or(p.failure(rows.Err()), ErrNotFound)
	}
	var data pgtype.DriverBytes // Not copied: they stand until the rows go on.
	if err := rows.Scan(&data); err != nil {
		return p.failure(err)
	}
	if err := fill(into, checksum, data); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	rows.Close()
	return p.failure(rows.Err())
}

// Create implements Store. As in S3 the last bytes count: the rules let nobody
// write an id twice, except to try again.
func (p *Postgres) Create(ctx context.Context, organization parsec.OrganizationID, id parsec.BlockID, block []byte) error {
	if block == nil {
		block = []byte{} // nil would be NULL.
	}
	_, err := p.pool.Exec(ctx, `
INSERT INTO block_data (organization_id, block_id, data) VALUES ($1, $2, $3)
ON CONFLICT (organization_id, block_id) DO UPDATE SET data = excluded.data, written_on = excluded.written_on`,
		organization.String(), id.String(), block)
	return p.failure(err)
}

// List implements Inventory. Between organizations the order is that of their
// ids.
func (p *Postgres) List(ctx context.Context, prefix, after string) ([]Object, error) {
	organization := strings.TrimSuffix(prefix, "/")
	from, isBlock := parseObjectName(after)
	if after != "" && !isBlock {
		return nil, fmt.Errorf("%s: %q is not the name of a block", p, after)
	}
	condition, args := "true", []any{listedAtOnce}
	switch {
	case after == "" && prefix != "":
		condition, args = "organization_id = $2", append(args, organization)
	case after != "" && prefix != "":
		condition, args = "organization_id = $2 AND block_id > $3", append(args, organization, from.block.String())
	case after != "":
		condition, args = "(organization_id, block_id) > ($2, $3)", append(args, from.organization.String(), from.block.String())
	}
	rows, err := p.pool.Query(ctx, `
SELECT organization_id || '/' || block_id, length(data), written_on FROM block_data
WHERE `+condition+` ORDER BY organization_id, block_id LIMIT $1`, args...)
	if err != nil {
		return nil, p.failure(err)
	}
	objects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Object])
	return objects, p.failure(err)
}

// Delete implements Inventory.
func (p *Postgres) Delete(ctx context.Context, name string) error {
	k, isBlock := parseObjectName(name)
	if !isBlock || name != k.objectName() {
		return nil // There is nothing else in the table.
	}
	_, err := p.pool.Exec(ctx, "DELETE FROM block_data WHERE organization_id = $1 AND block_id = $2",
		k.organization.String(), k.block.String())
	return p.failure(err)
}

// Ready implements Store: the table can be read.
func (p *Postgres) Ready(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, "SELECT FROM block_data LIMIT 1")
	return p.failure(err)
}

// failure names the store in an error of pgx, and says in it whether another try
// may help.
func (p *Postgres) failure(err error) error {
	if err == nil {
		return nil
	}
	const undefinedTable = "42P01"
	refusal, refused := errors.AsType[*pgconn.PgError](err)
	if refused && refusal.Code == undefinedTable {
		return &permanentError{fmt.Errorf("%s: there is no such table, create it with `parsec backend migrate`", p)}
	}
	named := fmt.Errorf("%s: %w", p, err)
	if refused {
		switch refusal.Code[:2] {
		case "28", "3D", "42": // The login, the database or a right is missing.
			return &permanentError{named}
		}
	}
	if strings.Contains(err.Error(), "\n") {
		// Each address that pgx has tried is a line.
		return &oneLine{named}
	}
	return named
}

// oneLine is an error on one line.
type oneLine struct{ err error }

func (o *oneLine) Error() string { return strings.Join(strings.Fields(o.err.Error()), " ") }
func (o *oneLine) Unwrap() error { return o.err }
