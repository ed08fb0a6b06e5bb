package check

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// selectAtoms goes through the versions under the revision that is complete, those of one
// vlob after those of another, with its head; a vlob without versions has one row.
const selectAtoms = `
SELECT v.realm, v.id, v.vlob_id, v.version, v.updated_on, v.checkpoint, coalesce(a.version, 0), coalesce(a.author, 0), coalesce(a.written_on, 0), coalesce(octet_length(a.blob), 0)::bigint
FROM vlob v JOIN realm r ON r.id = v.realm
LEFT JOIN vlob_atom a ON a.vlob = v.id AND a.revision = r.encryption_revision - (r.maintenance_type IS NOT NULL)::int
WHERE r.organization = $1::bigint ORDER BY v.realm, v.id, a.version`

type atomRow struct {
	realm, vlob      int64
	id               database.UUID
	head, updatedOn  int64
	checkpoint       int64
	version, author  int64
	writtenOn, bytes int64
}

func (r *atomRow) targets() []any {
	return []any{&r.realm, &r.vlob, &r.id, &r.head, &r.updatedOn, &r.checkpoint, &r.version, &r.author, &r.writtenOn, &r.bytes}
}

// data is what a realm holds, as its vlobs are gone through.
type data struct {
	// last is the version before, of a vlob; its vlob is 0 before the first.
	last            atomRow
	versions, bytes int64
	checkpoint      int64
}

func (r *realmChecker) checkVlobs(ctx context.Context, cursors *realms) error {
	var d data
	err := inRealm(ctx, cursors.atoms, r.row.key, func(row *atomRow) {
		r.advance(1)
		if r.row.deleted {
			return
		}
		if row.vlob != d.last.vlob {
			r.endVlob(&d)
			d.last = *row
			d.last.version, d.last.writtenOn = 0, 0
		}
		if row.version > 0 {
			r.checkAtom(&d, row)
		}
	})
	if err != nil || r.row.deleted {
		return err
	}
	r.endVlob(&d)
	written := d.versions + r.row.leftBehind
	if r.row.checkpoint != written || written > 0 && d.checkpoint != written {
		r.faultf(Log, r.subject, "its log ends at %d, that of its vlobs at %d, and there are %d versions", r.row.checkpoint, d.checkpoint, written)
	}
	if r.row.revision == 1 && r.row.vlobsSize != d.bytes {
		r.faultf(RealmSizes, r.subject, "it counts %d bytes of vlobs, and holds %d", r.row.vlobsSize, d.bytes)
	}
	return nil
}

// endVlob compares the last version of a vlob with its head.
func (r *realmChecker) endVlob(d *data) {
	last := &d.last
	if last.vlob == 0 {
		return
	}
	subject := r.subject + " vlob " + parsec.VlobID(last.id).String()
	if last.version != last.head {
		r.faultf(Versions, subject, "its latest version is %d, and version %d the last that is there", last.head, last.version)
	} else if last.writtenOn != last.updatedOn {
		r.fault(Versions, subject, "its date is not that of its latest version")
	}
	if last.checkpoint < 1 || last.checkpoint > r.row.checkpoint {
		r.faultf(Log, subject, "its number is %d of %d", last.checkpoint, r.row.checkpoint)
	}
	d.checkpoint = max(d.checkpoint, last.checkpoint)
}

// checkAtom checks a version, with the one before.
func (r *realmChecker) checkAtom(d *data, row *atomRow) {
	subject := r.subject + " vlob " + parsec.VlobID(row.id).String()
	if row.version != d.last.version+1 {
		r.faultf(Versions, subject, "version %d comes after version %d", row.version, d.last.version)
	}
	if row.writtenOn < d.last.writtenOn {
		r.faultf(Versions, subject, "version %d is earlier than the one before", row.version)
	}
	date := parsec.DateTime(row.writtenOn)
	if author := r.devices[row.author]; author == nil {
		r.faultf(DataRole, subject, "the author of version %d is unknown", row.version)
	} else {
		of := r.member(author.user)
		if role := of.at(row.writtenOn); !role.Writes() {
			r.faultf(DataRole, subject, "version %d is by %s, who is %q at %s", row.version, author.id, role, date)
		}
		of.lastVlob = max(of.lastVlob, row.writtenOn)
	}
	d.last = *row
	d.versions++
	d.bytes += row.bytes
}
