package storetest

import (
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/rules"
)

var cryptpadChecks = []check{
	{"sessions", cryptpadSessions},
	{"deletion of the realm", cryptpadDeletion},
	{"other organizations", cryptpadApart},
}

func newSession(document parsec.VlobID, date parsec.DateTime, editKey []byte) rules.CryptpadSession {
	return rules.CryptpadSession{Document: document, Author: aliceOne, Timestamp: date, KeyIndex: 1, ViewKey: []byte("view"), EditKey: editKey}
}

// putSession registers a session that replaces another one, nil for none.
func (f *fixture) putSession(realm parsec.RealmID, session rules.CryptpadSession, replaced *rules.CryptpadSession) {
	f.Helper()
	f.queue(onVlob(realm, parsec.VlobID{}), func(tx rules.Tx) { tx.PutCryptpadSession(session, replaced) })
}

// wantSession wants that of a document in a realm, nil for none.
func (f *fixture) wantSession(realm parsec.RealmID, document parsec.VlobID, want *rules.CryptpadSession) {
	f.Helper()
	f.update(onVlob(realm, parsec.VlobID{}), func(tx rules.Tx) error {
		got, found, err := tx.CryptpadSession(f.Context(), document)
		equal(f, "found", found, want != nil)
		if found && want != nil {
			equal(f, "session", got, want)
		}
		return err
	})
}

func cryptpadSessions(f *fixture) {
	f.bootstrap()
	realm, second := f.createRealm(), f.createRealm()
	document, another := newVlobID(), newVlobID()
	f.wantSession(realm, document, nil)
	f.wantSession(newRealmID(), document, nil)
	first := newSession(document, f.next(), nil)
	f.putSession(realm, first, nil)
	f.wantSession(realm, document, &first)
	f.wantSession(second, document, nil)
	f.wantSession(realm, another, nil)
	edit := []byte("edit")
	next := newSession(document, f.next(), edit)
	next.KeyIndex = 1 << 40
	f.putSession(realm, next, &first)
	clear(edit)
	next.EditKey = []byte("edit")
	f.wantSession(realm, document, &next)
	empty := newSession(document, f.next(), []byte{})
	empty.ViewKey = []byte{}
	f.putSession(second, empty, nil)
	f.wantSession(second, document, &empty)
	f.wantSession(realm, document, &next)
}

func cryptpadDeletion(f *fixture) {
	f.bootstrap()
	realm, kept, document := f.createRealm(), f.createRealm(), newVlobID()
	session := newSession(document, f.next(), nil)
	f.putSession(realm, session, nil)
	f.putSession(kept, session, nil)
	f.deleteRealm(realm)
	f.prune()
	f.wantSession(realm, document, nil)
	f.wantSession(kept, document, &session)
}

func cryptpadApart(f *fixture) {
	other := f.another()
	f.bootstrap()
	other.bootstrap()
	realm, document := newRealmID(), newVlobID()
	f.createRealmAs(realm, alice)
	other.createRealmAs(realm, alice)
	session := newSession(document, f.next(), nil)
	f.putSession(realm, session, nil)
	other.wantSession(realm, document, nil)
}
