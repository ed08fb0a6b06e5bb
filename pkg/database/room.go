package database

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// isFullDisk reports whether what was written did not fit on the disk.
func isFullDisk(err error) bool { return codeOf(err) == "53100" } // disk_full

// writeMuch needs new pages of a file: rows alone may fit into the room that
// others have left in those that there are.
const writeMuch = `
CREATE TEMPORARY TABLE room ON COMMIT DROP AS
SELECT repeat(md5(i::text), 8) AS filler FROM generate_series(1, 1000) AS i`

// checkRoom writes some hundred kilobytes after something did not fit, and
// leaves nothing of it. It takes a refusal of another kind for room: this
// server may not have the right to make such tables.
func (d *Database) checkRoom(ctx context.Context, connection *pgx.Conn) error {
	err := send(ctx, connection, Statement{SQL: begin}, Statement{SQL: writeMuch}, Statement{SQL: rollBack})
	err = rolledBack(ctx, connection, err)
	if isFullDisk(err) || connection.IsClosed() {
		return err
	}
	d.full.Store(false)
	return nil
}
