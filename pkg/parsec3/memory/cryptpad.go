package memory

import (
	"bytes"
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

// CryptpadSession implements rules.CryptpadTx.
func (t *tx) CryptpadSession(_ context.Context, document parsec.VlobID) (*rules.CryptpadSession, bool, error) {
	if t.realm == nil {
		return nil, false, nil
	}
	session, found := t.realm.sessions[document]
	if !found {
		return nil, false, nil
	}
	return &session, true, nil
}

// PutCryptpadSession implements rules.CryptpadTx.
func (t *tx) PutCryptpadSession(session rules.CryptpadSession, replaced *rules.CryptpadSession) {
	session.ViewKey, session.EditKey = own(session.ViewKey), bytes.Clone(session.EditKey)
	allowed := t.holdsRealm()
	if allowed {
		stored, found := t.realm.sessions[session.Document]
		allowed = found == (replaced != nil) && (!found || stored.Author == replaced.Author && stored.Timestamp == replaced.Timestamp)
	}
	t.Queue("PutCryptpadSession", allowed, func() { t.realm.sessions[session.Document] = session })
}
