package postgres

import (
	"context"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

const (
	selectSession = `
SELECT s.author, s.registered_on, s.key_index, s.view_key, s.edit_key
FROM parsec3.cryptpad_session s
WHERE s.organization = $1 AND s.realm_id = $2 AND s.document_id = $3`

	// insertSession waits for who registers one of the same document, and then changes
	// nothing.
	insertSession = `
INSERT INTO parsec3.cryptpad_session (organization, realm_id, document_id, author, registered_on, key_index, view_key, edit_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (organization, realm_id, document_id) DO NOTHING`

	// updateSession changes nothing if somebody else has replaced the session that
	// $9 registered on $10.
	updateSession = `
UPDATE parsec3.cryptpad_session s SET author = $4, registered_on = $5, key_index = $6, view_key = $7, edit_key = $8
WHERE s.organization = $1 AND s.realm_id = $2 AND s.document_id = $3 AND s.author = $9 AND s.registered_on = $10`
)

// CryptpadSession implements rules.CryptpadTx.
func (t *tx) CryptpadSession(_ context.Context, document parsec.VlobID) (*rules.CryptpadSession, bool, error) {
	var found bool
	session := rules.CryptpadSession{Document: document}
	err := t.Ask(database.Row(&found, selectSession, t.realmArgs(database.Key(document)),
		(*database.UUID)(&session.Author), (*database.Integer)(&session.Timestamp), (*database.Unsigned)(&session.KeyIndex),
		&session.ViewKey, &session.EditKey))
	if err != nil || !found {
		return nil, false, err
	}
	return &session, true, nil
}

// PutCryptpadSession implements rules.CryptpadTx. Those who write data of a realm share
// its lock: of two who register at once the second runs again, and finds what the first
// has left.
func (t *tx) PutCryptpadSession(session rules.CryptpadSession, replaced *rules.CryptpadSession) {
	args := t.realmArgs(database.Key(session.Document), database.Key(session.Author), int64(session.Timestamp),
		database.Bounded(session.KeyIndex), database.NotNull(session.ViewKey), session.EditKey)
	if replaced == nil {
		t.QueueOne(insertSession, args...)
		return
	}
	t.QueueOne(updateSession, append(args, database.Key(replaced.Author), int64(replaced.Timestamp))...)
}
