package imports

import (
	"context"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
)

// Logs implements imports.Wing.
func (Wing) Logs(ctx context.Context, pass *imports.Pass) ([]imports.Log, error) {
	if err := eraseDeleted(ctx, pass); err != nil {
		return nil, err
	}
	// Of a block that is in two realms the object is that of the first upload in a
	// database, and of the last one elsewhere.
	inDatabase, err := pass.From.Number(ctx, "SELECT count(*) FROM (SELECT FROM block_data LIMIT 1) d")
	if err != nil {
		return nil, err
	}
	place := "DESC"
	if inDatabase > 0 {
		place = "ASC"
	}
	replacer := strings.NewReplacer("{kept}", "o._id IN ("+pass.Keys()+") AND "+imported(pass.From.Step)+" AND NOT ("+deletedRealm(pass.From.Step)+")", "{place}", place,
		"{keys}", pass.Keys())
	logs := []imports.Log{atomLog, headLog, blockLog}
	if inDatabase == 0 {
		logs[2].Merge += blockReplaced
	} else {
		logs[2].Merge += " DO NOTHING"
	}
	if pass.Choices.BlockData {
		logs = append(logs, blockDataLog)
	}
	for i := range logs {
		logs[i].Where, logs[i].Merge = replacer.Replace(logs[i].Where), replacer.Replace(logs[i].Merge)
	}
	return logs, nil
}

const ofRealms = " x JOIN realm r ON r._id = x.realm JOIN organization o ON o._id = r.organization"

var (
	atomLog = imports.Log{
		Name: "vlob_atom", Table: "vlob_atom x", Number: "x._id", From: "vlob_atom" + ofRealms + " JOIN device d ON d._id = x.author", Where: "{kept}", Size: "x.size",
		Into: "parsec3.vlob_atom", Columns: []string{"organization", "realm_id", "vlob_id", "version", "key_index", "author", "written_on", "blob"},
		Select: []string{
			"o.organization_id::text", "r.realm_id", "x.vlob_id", "x.version::bigint", "x.key_index::bigint", "d.device_id", micro("x.created_on"), "x.blob",
		},
	}
	headLog = imports.Log{
		Name: "realm_vlob_update", Table: "realm_vlob_update x", Number: "x._id", From: "realm_vlob_update" + ofRealms + " JOIN vlob_atom a ON a._id = x.vlob_atom", Size: "0",
		// One that was the last version when its range was copied is followed by one of a
		// range that is copied later.
		Where:  "{kept} AND a.version = (SELECT max(n.version) FROM vlob_atom n WHERE n.realm = a.realm AND n.vlob_id = a.vlob_id)",
		Shape:  "organization text, realm_id uuid, vlob_id uuid, version bigint, checkpoint bigint",
		Select: []string{"o.organization_id::text", "r.realm_id", "a.vlob_id", "a.version::bigint", "x.index::bigint"},
		Merge: `
INSERT INTO parsec3.vlob AS v (organization, realm_id, vlob_id, version, checkpoint)
SELECT b.organization, b.realm_id, b.vlob_id, b.version, b.checkpoint FROM batch b
ON CONFLICT (organization, realm_id, vlob_id) DO UPDATE SET version = excluded.version, checkpoint = excluded.checkpoint WHERE v.version < excluded.version`,
	}
	blockLog = imports.Log{
		Name: "block", Table: "block x", Number: "x._id", From: "block" + ofRealms + " JOIN device d ON d._id = x.author", Where: "{kept}", Size: "0",
		Shape: "number bigint, organization text, block_id uuid, realm_id uuid, key_index bigint, author uuid, size bigint, created_on bigint",
		Select: []string{
			"x._id::bigint", "o.organization_id::text", "x.block_id", "r.realm_id", "x.key_index::bigint", "d.device_id", "x.size::bigint", micro("x.created_on"),
		},
		Merge: `
INSERT INTO parsec3.block AS k (organization, block_id, realm_id, key_index, author, size, created_on)
SELECT DISTINCT ON (b.organization, b.block_id) b.organization, b.block_id, b.realm_id, b.key_index, b.author, b.size, b.created_on
FROM batch b ORDER BY b.organization, b.block_id, b.number {place}
ON CONFLICT (organization, block_id)`,
	}
	blockDataLog = imports.Log{
		Name: "block_data", Table: "block_data x", Number: "x._id", Size: "length(x.data)", From: "block_data x JOIN organization o ON o.organization_id = x.organization_id",
		Where: `o._id IN ({keys}) AND EXISTS (SELECT FROM block k JOIN realm r ON r._id = k.realm WHERE k.block_id = x.block_id AND r.organization = o._id)`,
		Into:  "block_data", Columns: []string{"organization_id", "block_id", "data"},
		Select: []string{"x.organization_id::text", "x.block_id", "x.data"},
	}
)

// blockReplaced has a block that comes later replace the one of the same id in another
// realm, and leaves one that comes again alone.
const blockReplaced = ` DO UPDATE SET realm_id = excluded.realm_id, key_index = excluded.key_index, author = excluded.author, size = excluded.size,
    created_on = excluded.created_on
WHERE k.created_on < excluded.created_on`

// heldByRealms are the tables of what a realm holds.
var heldByRealms = []string{"vlob_atom", "vlob", "block", "keys_bundle_access", "keys_bundle", "sequester_access", "cryptpad_session"}

// eraseDeleted erases what earlier runs have brought of realms that an operator has
// deleted since.
func eraseDeleted(ctx context.Context, pass *imports.Pass) error {
	if pass.From.Step < 22 {
		return nil
	}
	var deleted []database.UUID
	err := pass.From.Ask(ctx, database.List(&deleted, "SELECT r.realm_id FROM realm r WHERE r.organization IN ("+pass.Keys()+") AND "+deletedRealm(pass.From.Step), nil,
		func(id *database.UUID) []any { return []any{id} }))
	if err != nil || len(deleted) == 0 {
		return err
	}
	realms := make([][16]byte, len(deleted))
	for i, id := range deleted {
		realms[i] = id
	}
	return pass.Fill(ctx, func(f *imports.Filling) error {
		for _, table := range heldByRealms {
			if err := f.Run(ctx, "DELETE FROM parsec3."+table+" t WHERE t.organization = ANY ($1) AND t.realm_id = ANY ($2)", names(pass), realms); err != nil {
				return err
			}
		}
		return nil
	})
}

// names are those of the organizations of a pass.
func names(pass *imports.Pass) []string {
	all := make([]string, len(pass.Organizations))
	for i, one := range pass.Organizations {
		all[i] = one.ID.String()
	}
	return all
}
