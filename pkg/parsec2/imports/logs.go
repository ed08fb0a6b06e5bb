package imports

import (
	"context"
	"fmt"
	"strings"

	"parsec-server/pkg/imports"
)

// scope replaces in what a log says: {base} is what is added to numbers, {keys} are the
// organizations in the source, {pairs} those with their numbers here, and {kept} is the
// condition of keptVlobs.
type scope struct{ replacer *strings.Replacer }

func (s scope) text(text string) string { return s.replacer.Replace(text) }

func (s scope) texts(texts []string) []string {
	all := make([]string, len(texts))
	for i, one := range texts {
		all[i] = s.text(one)
	}
	return all
}

// firstVersion is the number of the first version of the vlob of the version x, in the
// realm r: that of the vlob here.
const firstVersion = `({base} + (SELECT min(f._id) FROM vlob_atom f JOIN vlob_encryption_revision fr ON fr._id = f.vlob_encryption_revision
    WHERE fr.realm = r._id AND f.vlob_id = x.vlob_id AND f.version = 1))::bigint`

// ofRealm joins the realm r of the version x.
const ofRealm = ` JOIN vlob_encryption_revision v ON v._id = x.vlob_encryption_revision JOIN realm r ON r._id = v.realm`

// Logs implements imports.Wing.
func (w Wing) Logs(ctx context.Context, pass *imports.Pass) ([]imports.Log, error) {
	pairs, err := pass.Pairs(ctx)
	if err != nil {
		return nil, err
	}
	kept, err := keptVlobs(ctx, pass.From, pass.Keys())
	if err != nil {
		return nil, err
	}
	s := scope{strings.NewReplacer("{kept}", kept, "{base}", fmt.Sprint(pass.Base), "{keys}", pass.Keys(), "{pairs}", pairs)}
	// Vlobs come before their versions, which know their realm by them alone: a run that
	// ends early leaves none that settleRealms, or whoever deletes the organization, would
	// not find.
	logs := []imports.Log{headLog, atomLog, messageLog, blockLog}
	if pass.From.Step >= 11 {
		logs = append(logs, copyLog)
	}
	if pass.Choices.BlockData {
		logs = append(logs, blockDataLog)
	}
	for i := range logs {
		log := &logs[i]
		log.From, log.Where, log.Merge, log.Forget = s.text(log.From), s.text(log.Where), s.text(log.Merge), s.text(log.Forget)
		log.Select = s.texts(log.Select)
	}
	return logs, settleRealms(ctx, pass, &logs[1])
}

// leftBehind is the condition that a version is not under the revision that is complete.
// It is asked of each such version alone, by the index of versions, and not of all at once,
// in each range. The source has no index on what the change log is of: that comes last.
const leftBehind = "v.encryption_revision < " + completeRevision + `
    AND (SELECT count(*) FROM vlob_atom n JOIN vlob_encryption_revision nr ON nr._id = n.vlob_encryption_revision
        WHERE nr.realm = r._id AND nr.encryption_revision = ` + completeRevision + ` AND n.vlob_id = x.vlob_id AND n.version = x.version) = 0
    AND EXISTS (SELECT FROM realm_vlob_update u WHERE u.vlob_atom = x._id)`

var (
	// atomLog has the versions of the revision that is complete, and those that a
	// reencryption has missed.
	atomLog = imports.Log{
		Name: "vlob_atom", Table: "vlob_atom x", Number: "x._id", Size: "x.size", From: "vlob_atom x" + ofRealm,
		Where: "r.organization IN ({keys}) AND {kept} AND (v.encryption_revision = " + completeRevision + " OR " + leftBehind + ")",
		Into:  "vlob_atom", Columns: []string{"vlob", "revision", "version", "author", "written_on", "blob"},
		Select: []string{firstVersion, "v.encryption_revision", "x.version::bigint", "({base} + x.author)::bigint", micro("x.created_on"), "x.blob"},
	}
	// headLog has the place of the last version of each vlob: one that was the last when
	// its range was copied is followed by one of a range that is copied later.
	headLog = imports.Log{
		Name: "realm_vlob_update", Table: "realm_vlob_update u", Number: "u._id", Size: "0", From: `realm_vlob_update u JOIN realm r ON r._id = u.realm
    JOIN vlob_atom x ON x._id = u.vlob_atom JOIN (VALUES {pairs}) p (source, here) ON p.source = r.organization`,
		Where: `{kept} AND x.version = (
    SELECT max((SELECT max(n.version) FROM vlob_atom n WHERE n.vlob_encryption_revision = nr._id AND n.vlob_id = x.vlob_id))
    FROM vlob_encryption_revision nr WHERE nr.realm = r._id)`,
		Shape: "id bigint, organization integer, vlob_id uuid, realm bigint, version bigint, updated_on bigint, checkpoint bigint",
		Select: []string{
			firstVersion, "p.here::integer", "x.vlob_id", "({base} + r._id)::bigint", "x.version::bigint", micro("x.created_on"), "u.index::bigint",
		},
		Merge: `
INSERT INTO vlob AS v (id, organization, vlob_id, realm, version, updated_on, checkpoint) OVERRIDING SYSTEM VALUE
SELECT b.id, b.organization, b.vlob_id, b.realm, b.version, b.updated_on, b.checkpoint FROM batch b
ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version, updated_on = EXCLUDED.updated_on, checkpoint = EXCLUDED.checkpoint
WHERE v.version < EXCLUDED.version`,
	}
	messageLog = imports.Log{
		Name: "message", Table: "message x", Number: "x._id", From: "message x", Where: "x.organization IN ({keys})", Size: "length(x.body)",
		Shape:  "number bigint, recipient bigint, sender bigint, sent_on bigint, body bytea",
		Select: []string{"x._id::bigint", "({base} + x.recipient)::bigint", "({base} + x.sender)::bigint", micro("x.timestamp"), "x.body"},
		Merge: `
WITH placed AS (
    INSERT INTO message (recipient, position, sender, sent_on, body)
    SELECT b.recipient, u.message_count + row_number() OVER (PARTITION BY b.recipient ORDER BY b.number), b.sender, b.sent_on, b.body
    FROM batch b JOIN user_ u ON u.id = b.recipient RETURNING recipient
)
UPDATE user_ u SET message_count = u.message_count + n.messages
FROM (SELECT recipient, count(*) AS messages FROM placed GROUP BY recipient) n WHERE u.id = n.recipient`,
		Forget: `
WITH forgotten AS (
    DELETE FROM message m USING user_ u JOIN (VALUES {pairs}) p (source, here) ON p.here = u.organization WHERE m.recipient = u.id RETURNING m.recipient
)
UPDATE user_ u SET message_count = 0 WHERE u.id IN (SELECT recipient FROM forgotten)`,
	}
	copyLog = imports.Log{
		Name: "sequester_service_vlob_atom", Table: "sequester_service_vlob_atom y", Number: "y._id", Size: "length(y.blob)",
		From: `sequester_service_vlob_atom y JOIN vlob_atom x ON x._id = y.vlob_atom` + ofRealm + `
    JOIN realm_vlob_update u ON u.vlob_atom = x._id JOIN sequester_service s ON s._id = y.service`,
		Where:  "r.organization IN ({keys}) AND {kept}",
		Shape:  "number bigint, vlob bigint, version bigint, organization text, service_id uuid, blob bytea, realm bigint, checkpoint bigint",
		Select: []string{"y._id::bigint", firstVersion, "x.version::bigint", "(SELECT o.organization_id::text FROM organization o WHERE o._id = r.organization)", "s.service_id", "y.blob", "({base} + r._id)::bigint", "u.index::bigint"},
		Merge: `
INSERT INTO sequester_copy (vlob, version, service, blob, realm, checkpoint)
SELECT DISTINCT ON (b.realm, s.id, b.checkpoint) b.vlob, b.version, s.id, b.blob, b.realm, b.checkpoint
FROM batch b JOIN organization o ON o.organization_id = b.organization JOIN sequester_service s ON s.organization = o.id AND s.service_id = b.service_id
ORDER BY b.realm, s.id, b.checkpoint, b.number DESC
ON CONFLICT (realm, service, checkpoint) DO UPDATE SET blob = EXCLUDED.blob`,
	}
	blockLog = imports.Log{
		Name: "block", Table: "block x", Number: "x._id", Size: "0", Where: "true",
		From: "block x JOIN (VALUES {pairs}) p (source, here) ON p.source = x.organization",
		Into: "block", Columns: []string{"organization", "block_id", "realm", "author", "size", "created_on"},
		Select: []string{
			"p.here::integer", "x.block_id", "({base} + x.realm)::bigint", "({base} + x.author)::bigint", "x.size::bigint", micro("x.created_on"),
		},
	}
	blockDataLog = imports.Log{
		Name: "block_data", Table: "block_data x", Number: "x._id", Size: "length(x.data)",
		From:  "block_data x JOIN organization o ON o.organization_id = x.organization_id JOIN block k ON k.organization = o._id AND k.block_id = x.block_id",
		Where: "o._id IN ({keys})",
		Into:  "block_data", Columns: []string{"organization_id", "block_id", "data"},
		Select: []string{"x.organization_id::text", "x.block_id", "x.data"},
	}
)
