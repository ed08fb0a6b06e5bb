package check

import (
	"bytes"
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

type atomRow struct {
	realm, vlob       database.UUID
	version, keyIndex int64
	author            database.UUID
	writtenOn, bytes  int64
}

func (r *atomRow) targets() []any {
	return []any{&r.realm, &r.vlob, &r.version, &r.keyIndex, &r.author, &r.writtenOn, &r.bytes}
}

type headRow struct {
	realm, vlob         database.UUID
	version, checkpoint int64
}

func (r *headRow) targets() []any { return []any{&r.realm, &r.vlob, &r.version, &r.checkpoint} }

// data is what a realm holds, as its vlobs are gone through.
type data struct {
	// vlob is the one that is gone through, whose last version is version, of the key
	// keyIndex; version is 0 before the first.
	vlob              database.UUID
	version, keyIndex int64
	// These are sums over the realm.
	versions, bytes, last, checkpoint int64
}

// checkVlobs goes through the versions of a realm, together with the heads of its vlobs.
func (r *realmChecker) checkVlobs(ctx context.Context, cursors *realms) error {
	var d data
	var failure error
	err := inRealm(ctx, cursors.atoms, r.row.realm, func(row *atomRow) {
		r.advance(1)
		if r.row.deleted || failure != nil {
			return
		}
		if row.vlob != d.vlob || d.version == 0 {
			failure = r.endVlob(ctx, cursors, &d, row.vlob)
			d.vlob, d.version, d.keyIndex = row.vlob, 0, 0
		}
		r.checkAtom(&d, row)
	})
	if err == nil {
		err = failure
	}
	if err == nil {
		err = r.endVlob(ctx, cursors, &d, database.UUID(bytes.Repeat([]byte{0xff}, 16)))
	}
	if err == nil {
		r.checkCounter(&d)
	}
	return err
}

// checkAtom checks a version, with the one before of the same vlob.
func (r *realmChecker) checkAtom(d *data, row *atomRow) {
	subject := r.subject + " vlob " + parsec.VlobID(row.vlob).String()
	if row.version != d.version+1 {
		r.faultf(Versions, subject, "version %d comes after version %d", row.version, d.version)
	}
	step := r.of.CheckData(r.realm, parsec3.DeviceID(row.author), parsec.DateTime(row.writtenOn))
	for _, objection := range step.Objections {
		r.faultf(objection.Rule, subject, "version %d: %s", row.version, objection.Detail)
	}
	if step.User != (parsec3.UserID{}) {
		r.signed[step.User] = max(r.signed[step.User], step.Date)
	}
	if reason := r.wrongKey(d, row); reason != "" {
		r.faultf(DataKey, subject, "version %d, of the key %d, %s", row.version, row.keyIndex, reason)
	}
	d.version, d.keyIndex = row.version, row.keyIndex
	d.versions++
	d.bytes += row.bytes
	d.last = max(d.last, row.writtenOn)
}

// wrongKey returns why a version cannot be encrypted with its key, "" if it can.
func (r *realmChecker) wrongKey(d *data, row *atomRow) string {
	switch {
	case row.keyIndex < 0 || row.keyIndex > int64(r.realm.KeyIndex):
		return "which the realm does not have"
	case row.keyIndex < d.keyIndex:
		return "follows one of a later key"
	case row.keyIndex > 0 && row.writtenOn <= int64(r.realm.Rotated[row.keyIndex-1].Date):
		return "is not later than its rotation"
	default:
		return ""
	}
}

// endVlob compares the vlob that is gone through with its head, and tells of heads without
// versions before the next one.
func (r *realmChecker) endVlob(ctx context.Context, cursors *realms, d *data, next database.UUID) error {
	found := d.version == 0
	err := cursors.heads.Each(ctx, func(head *headRow) bool {
		if head.realm != r.row.realm {
			return bytes.Compare(head.realm[:], r.row.realm[:]) < 0
		}
		return bytes.Compare(head.vlob[:], next[:]) < 0 || next == database.UUID(bytes.Repeat([]byte{0xff}, 16))
	}, func(head *headRow) error {
		if head.realm != r.row.realm || r.row.deleted {
			return nil
		}
		subject := r.subject + " vlob " + parsec.VlobID(head.vlob).String()
		switch {
		case d.version == 0 || head.vlob != d.vlob:
			r.faultf(Versions, subject, "its latest version %d is missing", head.version)
		default:
			found = true
			if head.version != d.version {
				r.faultf(Versions, subject, "its latest version should be %d, and is %d", head.version, d.version)
			}
		}
		if r.row.checkpoint != nil && (head.checkpoint < 1 || head.checkpoint > *r.row.checkpoint) {
			r.faultf(Log, subject, "its number is %d of %d", head.checkpoint, *r.row.checkpoint)
		}
		d.checkpoint = max(d.checkpoint, head.checkpoint)
		return nil
	})
	if err == nil && !found {
		r.fault(Versions, r.subject+" vlob "+parsec.VlobID(d.vlob).String(), "nothing says which version is its latest")
	}
	return err
}

// checkCounter compares what a realm counts with what it holds; blocks are counted apart.
func (r *realmChecker) checkCounter(d *data) {
	row := r.row
	switch {
	case row.checkpoint == nil:
		r.fault(RealmExists, r.subject, "it has no counter")
	case row.deleted:
		if *row.vlobsSize != 0 || *row.blocksSize != 0 {
			r.fault(DeletedRealm, r.subject, "its sizes still count")
		}
	default:
		if *row.checkpoint != d.versions || d.versions > 0 && d.checkpoint != d.versions {
			r.faultf(Log, r.subject, "its log ends at %d, that of its vlobs at %d, and there are %d versions", *row.checkpoint, d.checkpoint, d.versions)
		}
		if *row.vlobsSize != d.bytes || *row.lastVlob != d.last {
			r.faultf(RealmCounter, r.subject, "it counts %d bytes until %s, and holds %d until %s",
				*row.vlobsSize, parsec.DateTime(*row.lastVlob), d.bytes, parsec.DateTime(d.last))
		}
	}
}
