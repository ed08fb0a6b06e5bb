package export

import (
	"context"

	"parsec-server/pkg/export"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// plan is what is to be exported, and in which order: in tables of the connection, on
// the disk, which end with it. It is always the same for one export, so that one that
// goes on does not depend on what is in the file.
//
// No number tells in which order versions were written. It is that of their dates, but a
// version comes after those of its vlob that are before it, whatever their dates; and
// that of blocks the one in which they came to the server.
type plan struct {
	// vlobsBytes and blocksBytes are the sums of the sizes.
	vlobsBytes, blocksBytes int64
	// leftOut counts the versions that later ones of their vlob have the date of.
	leftOut int
}

// A vlob has one version of a date in an export. Of several it is the last one, which
// whoever reads the vlob at that date sees.
const planSchema = `
CREATE TEMP TABLE met_version (
    vlob_id BLOB NOT NULL, timestamp INTEGER NOT NULL, version INTEGER NOT NULL, size INTEGER NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (vlob_id, timestamp)
) WITHOUT ROWID;
CREATE TEMP TABLE planned_version (sequential_id INTEGER PRIMARY KEY, vlob_id BLOB NOT NULL, version INTEGER NOT NULL, size INTEGER NOT NULL);
CREATE TEMP TABLE met_block (
    created_on INTEGER NOT NULL, block_id BLOB NOT NULL, author BLOB NOT NULL, size INTEGER NOT NULL, key_index INTEGER NOT NULL,
    PRIMARY KEY (created_on, block_id)
) WITHOUT ROWID;`

// makePlan reads all but the data.
func makePlan(ctx context.Context, file *export.File, source *rules.RealmExport) (made plan, err error) {
	err = file.Change(ctx, func(tx *export.Tx) error {
		if err := tx.Script(planSchema); err != nil {
			return err
		}
		if err := made.addVersions(ctx, tx, source); err != nil {
			return err
		}
		return made.addBlocks(ctx, tx, source)
	})
	return made, err
}

func (p *plan) addVersions(ctx context.Context, tx *export.Tx, source *rules.RealmExport) error {
	var of parsec.VlobID
	var place parsec.DateTime
	met := 0
	for v, err := range source.Versions(ctx) {
		if err != nil {
			return err
		}
		if v.Vlob != of {
			of, place = v.Vlob, v.Timestamp
		}
		place = max(place, v.Timestamp)
		err = tx.Execute("INSERT OR REPLACE INTO met_version (vlob_id, timestamp, version, size, place) VALUES (?, ?, ?, ?, ?)",
			v.Vlob[:], int64(v.Timestamp), v.Version, int64(v.Size), int64(place))
		if err != nil {
			return err
		}
		met++
	}
	err := tx.Script(`
INSERT INTO planned_version (vlob_id, version, size) SELECT vlob_id, version, size FROM met_version ORDER BY place, vlob_id, version;
DROP TABLE met_version;`)
	if err != nil {
		return err
	}
	planned := 0
	err = tx.Read("SELECT count(*), coalesce(sum(size), 0) FROM planned_version", nil, &planned, &p.vlobsBytes)
	p.leftOut = met - planned
	return err
}

func (p *plan) addBlocks(ctx context.Context, tx *export.Tx, source *rules.RealmExport) error {
	for b, err := range source.Blocks(ctx) {
		if err != nil {
			return err
		}
		err = tx.Execute("INSERT INTO met_block (created_on, block_id, author, size, key_index) VALUES (?, ?, ?, ?, ?)",
			int64(b.CreatedOn), b.ID[:], b.Author[:], int64(b.Size), int64(b.KeyIndex))
		if err != nil {
			return err
		}
		p.blocksBytes += int64(b.Size)
	}
	return nil
}

// plannedVersion is one that comes next.
type plannedVersion struct {
	place int64
	rules.VlobNumber
}

// nextVersions returns the versions after a place, so many that their blobs have about a
// batch of bytes, at least one if there is one.
func nextVersions(tx *export.Tx, after int64) (next []plannedVersion, err error) {
	var place, size, version int64
	var vlob []byte
	bytes := int64(0)
	err = tx.Each(`
SELECT sequential_id, vlob_id, version, size FROM planned_version WHERE sequential_id > ? ORDER BY sequential_id LIMIT ?`,
		[]any{after, versionsAtOnce}, []any{&place, &vlob, &version, &size}, func() error {
			bytes += size
			if len(next) == 0 || bytes <= bytesAtOnce {
				next = append(next, plannedVersion{place, rules.VlobNumber{Vlob: parsec.VlobID(vlob), Version: uint32(version)}})
			}
			return nil
		})
	return next, err
}
