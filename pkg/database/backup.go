package database

import "context"

// BackupLock is the advisory lock that a backup holds in the database until it has what
// the database names elsewhere.
var BackupLock = advisoryKey("backup")

// IsSaved reports whether a backup is under way.
func (d *Database) IsSaved(ctx context.Context) (saving bool, err error) {
	err = d.One(ctx, Only("SELECT NOT pg_try_advisory_xact_lock_shared($1)", []any{BackupLock}, &saving))
	return saving, err
}
