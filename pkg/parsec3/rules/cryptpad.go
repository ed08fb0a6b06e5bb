package rules

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// CryptpadRegisterSession returns the session in which a document is edited together;
// the first who may read the realm makes it (docs/protocol/v5/commands.md §11.7). Who may
// write replaces one that has no edit key, or that is of a former key of the realm, which
// members that were removed know.
func (r *Rules) CryptpadRegisterSession(ctx context.Context, author *Author, request *protocol.CryptpadRegisterSessionRequest) (*protocol.CryptpadRegisterSessionReply, error) {
	if r.options.CryptpadServerURL == "" {
		return nil, protocol.Refuse(protocol.StatusCryptpadUnavailable)
	}
	now := r.now()
	scope := Scope{Common: Shared, Realm: request.RealmID, RealmLock: Shared, Date: request.Timestamp}
	var reply *protocol.CryptpadRegisterSessionReply
	err := r.update(ctx, author, now, scope, func(tx Tx, _ *User) error {
		realm, err := existingRealm(tx)
		if err != nil {
			return err
		}
		if err := realm.checkCandidate(request.EncryptedCandidateEditKey); err != nil {
			return err
		}
		if err := realm.checkKeyIndex(request.KeyIndex); err != nil {
			return err
		}
		if err := checkBallpark(now, request.Timestamp); err != nil {
			return err
		}
		session, err := registerSession(ctx, tx, author, realm, request)
		if err != nil {
			return err
		}
		reply = &protocol.CryptpadRegisterSessionReply{
			Author: session.Author, Timestamp: session.Timestamp, KeyIndex: session.KeyIndex, EncryptedViewKey: session.ViewKey,
			NeededCommonCertificateTimestamp: tx.Topics().Common, NeededRealmCertificateTimestamp: realm.Timestamp,
		}
		if realm.Role != parsec.RoleReader {
			reply.EncryptedEditKey = session.EditKey
		}
		return nil
	})
	return reply, err
}

// checkCandidate wants who asks to be a member, and to give a key to edit with unless it
// may only read.
func (r *Realm) checkCandidate(editKey []byte) error {
	if r.Role == parsec.RoleNone || (r.Role == parsec.RoleReader) != (editKey == nil) {
		return errAuthorNotAllowed
	}
	return nil
}

// registerSession returns the session of a document, which the candidate may become.
func registerSession(ctx context.Context, tx Tx, author *Author, realm *Realm, request *protocol.CryptpadRegisterSessionRequest) (*CryptpadSession, error) {
	session, found, err := tx.CryptpadSession(ctx, request.DocumentID)
	if err != nil {
		return nil, err
	}
	mayReplace := realm.Role != parsec.RoleReader && found && (session.EditKey == nil || session.KeyIndex < realm.KeyIndex)
	if found && !mayReplace {
		return session, nil
	}
	candidate := &CryptpadSession{
		Document: request.DocumentID, Author: author.Device, Timestamp: request.Timestamp, KeyIndex: request.KeyIndex,
		ViewKey: request.EncryptedCandidateViewKey, EditKey: request.EncryptedCandidateEditKey,
	}
	tx.PutCryptpadSession(*candidate, session)
	return candidate, nil
}

// CryptpadSession is a session in which a document of a realm is edited together.
type CryptpadSession struct {
	Document  parsec.VlobID
	Author    parsec3.DeviceID
	Timestamp parsec.DateTime
	KeyIndex  uint64
	ViewKey   []byte
	// EditKey is nil if nobody who may write has been there.
	EditKey []byte
}

// CryptpadTx is for sessions of CryptPad.
type CryptpadTx interface {
	// CryptpadSession returns the session of a document in the realm of the scope,
	// false if there is none.
	CryptpadSession(ctx context.Context, document parsec.VlobID) (*CryptpadSession, bool, error)
	// PutCryptpadSession adds a session in the realm of the scope, or has it replace
	// another one, nil for none.
	PutCryptpadSession(session CryptpadSession, replaced *CryptpadSession)
}
