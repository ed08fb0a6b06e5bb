// Package export writes a realm of Parsec 3, as it was at a date, into a file for
// whoever holds a key of it: a member, or a sequester service
// (docs/protocol/v5/administration.md §5).
package export

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/export"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// What one transaction adds bounds what is held in memory, and done again after an end
// that was not expected.
const (
	versionsAtOnce = 1000
	blocksAtOnce   = 100
	bytesAtOnce    = 16 << 20
)

// Export is a realm on its way into a file.
type Export struct {
	Blocks blockstore.Store
	// Advance is called with the bytes that are in the file, those from before first;
	// Lost with a block that the store does not have. They are called one at a time.
	Advance func(items int, bytes int64)
	Lost    func(parsec.BlockID)

	source *rules.RealmExport
	file   *export.File
	plan   plan
}

// Open opens the file of what is exported to go on with it, or creates it, once it has
// read how much there is. It returns an *OtherExportError for the file of another
// export, which stays as it is. The caller closes it.
func Open(ctx context.Context, path string, source *rules.RealmExport) (*Export, error) {
	file, found, err := openFile(ctx, path, source)
	if err != nil {
		return nil, err
	}
	e := &Export{source: source, file: file}
	if err := e.prepare(ctx, found); err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, file.Close()))
	}
	return e, nil
}

func (e *Export) prepare(ctx context.Context, found *info) (err error) {
	if e.plan, err = makePlan(ctx, e.file, e.source); err != nil {
		return err
	}
	if found != nil {
		return found.checkHolds(&e.plan)
	}
	return e.file.Change(ctx, func(tx *export.Tx) error { return begin(tx, e.source, &e.plan) })
}

// Close ends the work on the file.
func (e *Export) Close() error { return e.file.Close() }

// Bytes returns the sizes of all vlobs and blocks together.
func (e *Export) Bytes() int64 { return e.plan.vlobsBytes + e.plan.blocksBytes }

// LeftOut counts the versions of vlobs that later versions have the date of, which the
// layout has no room for.
func (e *Export) LeftOut() int { return e.plan.leftOut }

// Run writes what the file does not have yet.
func (e *Export) Run(ctx context.Context) error {
	var begun info
	err := e.file.Change(ctx, func(tx *export.Tx) (err error) {
		begun, err = readInfo(tx)
		return err
	})
	if err != nil {
		return err
	}
	if !begun.certificates {
		if err := e.certificates(ctx); err != nil {
			return err
		}
	}
	if err := e.versions(ctx); err != nil {
		return err
	}
	blocks := e.blocks
	if begun.blocks {
		blocks = e.checkBlocks
	}
	if err := blocks(ctx); err != nil {
		return err
	}
	return e.data(ctx)
}

// certificates writes what is needed to understand the rest, in one transaction.
func (e *Export) certificates(ctx context.Context) error {
	return e.file.Change(ctx, func(tx *export.Tx) error {
		for _, topic := range []struct {
			of     rules.CertificateTopic
			insert string
		}{
			{rules.CommonTopic, "INSERT INTO common_certificate VALUES (?, ?)"},
			{rules.SequesterTopic, "INSERT INTO sequester_certificate VALUES (?, ?)"},
			{rules.RealmTopic, "INSERT INTO realm_certificate VALUES (?, ?)"},
		} {
			err := insertEach(tx, topic.insert, e.source.Certificates(ctx, topic.of), func(id int64, certificate []byte) []any {
				return []any{id, certificate}
			})
			if err != nil {
				return err
			}
		}
		return e.keys(ctx, tx)
	})
}

// keys writes the keys bundles with all accesses, which ends the step of certificates.
func (e *Export) keys(ctx context.Context, tx *export.Tx) error {
	err := insertEach(tx, "INSERT INTO realm_keys_bundle VALUES (?, ?)", e.source.KeysBundles(ctx), func(_ int64, b rules.ExportedBundle) []any {
		return []any{int64(b.KeyIndex), export.NotNull(b.Bundle)}
	})
	if err != nil {
		return err
	}
	err = insertEach(tx, "INSERT INTO realm_keys_bundle_access VALUES (?, ?, ?, ?)", e.source.Accesses(ctx), func(id int64, a rules.ExportedAccess) []any {
		return []any{id, a.User[:], int64(a.KeyIndex), export.NotNull(a.Access)}
	})
	if err != nil {
		return err
	}
	err = insertEach(tx, "INSERT INTO realm_sequester_keys_bundle_access VALUES (?, ?, ?, ?)", e.source.ServiceAccesses(ctx),
		func(id int64, a rules.ExportedServiceAccess) []any {
			return []any{id, a.Service[:], int64(a.KeyIndex), export.NotNull(a.Access)}
		})
	if err != nil {
		return err
	}
	return tx.Execute("UPDATE info SET certificates_export_done = 1")
}

// insertEach inserts a row for each item, with the number of the item from 0 on.
func insertEach[T any](tx *export.Tx, statement string, items iter.Seq2[T, error], row func(id int64, item T) []any) error {
	id := int64(0)
	for item, err := range items {
		if err != nil {
			return err
		}
		if err := tx.Execute(statement, row(id, item)...); err != nil {
			return err
		}
		id++
	}
	return nil
}

// versions goes on after the last one in the file.
func (e *Export) versions(ctx context.Context) error {
	last, err := e.lastVersion(ctx)
	if err != nil {
		return err
	}
	for {
		added := 0
		err := e.file.Change(ctx, func(tx *export.Tx) (err error) {
			added, last, err = e.addVersions(ctx, tx, last)
			return err
		})
		if err != nil || added == 0 {
			return err
		}
	}
}

// lastVersion returns the place of the last version in the file, which is where the
// plan has it, 0 for none.
func (e *Export) lastVersion(ctx context.Context) (last int64, err error) {
	err = e.file.Change(ctx, func(tx *export.Tx) error {
		var items, strange int
		var bytes int64
		err := tx.Read(`
SELECT count(*), coalesce(sum(a.size), 0), coalesce(max(a.sequential_id), 0),
    count(*) FILTER (WHERE p.vlob_id IS NOT a.vlob_id OR p.version IS NOT a.version)
FROM vlob_atom a LEFT JOIN planned_version p ON p.sequential_id = a.sequential_id`, nil, &items, &bytes, &last, &strange)
		if err != nil {
			return err
		}
		if strange > 0 || int64(items) != last {
			return fmt.Errorf("%w: %d of its vlobs are not those of the realm", errNoExport, max(strange, 1))
		}
		e.Advance(items, bytes)
		return nil
	})
	return last, err
}

// addVersions adds some versions after a place, the last of which it returns.
func (e *Export) addVersions(ctx context.Context, tx *export.Tx, after int64) (added int, last int64, err error) {
	next, err := nextVersions(tx, after)
	if err != nil {
		return 0, after, err
	}
	if len(next) == 0 {
		return 0, after, tx.Execute("UPDATE info SET vlobs_export_done = 1")
	}
	numbers := make([]rules.VlobNumber, len(next))
	for i := range next {
		numbers[i] = next[i].VlobNumber
	}
	read, err := e.source.Blobs(ctx, numbers)
	if err != nil {
		return 0, after, err
	}
	bytes := int64(0)
	for i := range read {
		v := &read[i]
		err := tx.Execute("INSERT INTO vlob_atom VALUES (?, ?, ?, ?, ?, ?, ?, ?)", next[i].place, v.Vlob[:], v.Version, int64(v.KeyIndex),
			export.NotNull(v.Blob), len(v.Blob), v.Author[:], int64(v.Timestamp))
		if err != nil {
			return 0, after, err
		}
		bytes += int64(len(v.Blob))
	}
	e.Advance(len(read), bytes)
	return len(read), next[len(next)-1].place, nil
}

// blocks writes the metadata of all blocks, in one transaction.
func (e *Export) blocks(ctx context.Context) error {
	return e.file.Change(ctx, func(tx *export.Tx) error {
		return tx.Script(`
INSERT INTO block (block_id, author, size, key_index) SELECT block_id, author, size, key_index FROM met_block ORDER BY created_on, block_id;
UPDATE info SET blocks_metadata_export_done = 1;`)
	})
}

// checkBlocks wants the metadata that is in the file to be that of the realm.
func (e *Export) checkBlocks(ctx context.Context) error {
	return e.file.Change(ctx, func(tx *export.Tx) error {
		var same bool
		err := tx.Read(`
SELECT (SELECT count(*) FROM block) = (SELECT count(*) FROM met_block) AND NOT EXISTS (
    SELECT block_id, author, size, key_index FROM met_block EXCEPT SELECT block_id, author, size, key_index FROM block)`, nil, &same)
		if err == nil && !same {
			err = fmt.Errorf("%w: its blocks are not those of the realm", errNoExport)
		}
		return err
	})
}
