package parsec3

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
)

// holder is whose budget messages and replies are on.
type holder struct {
	// id is comparable.
	id any
	// large are the sizes of replies that are known before, in bytes, by command.
	large map[*rpc.Form]int
}

// userOf identifies a user on the whole server.
type userOf struct {
	organization parsec.OrganizationID
	user         parsec3.UserID
}

func holderOf(author *rules.Author) holder {
	return holder{userOf{author.Organization, author.User}, largeReplies}
}

// mostAwaited bounds what is awaited for one reply, so that there is ever so much. The
// largest vault takes as much twice: read, and written.
const mostAwaited = 64 << 20

// holderOfAccount knows how much the vaults of an account take.
func holderOfAccount(author *rules.AccountAuthor) holder {
	const twice = 2
	return holder{author.Account, map[*rpc.Form]int{
		protocol.VaultItemList.Form:         int(min(twice*author.VaultSize, mostAwaited)),
		protocol.AuthMethodList.Form:        int(min(twice*author.VaultSize, mostAwaited)),
		protocol.VaultItemRecoveryList.Form: int(min(twice*author.Stored, mostAwaited)),
	}}
}

const (
	// oneBody is for replies with what was sent in one body, and severalBodies for
	// those of many items, in bytes.
	oneBody       = server.MaxBodyBytes
	severalBodies = 4 << 20
	// enrollments are those that strangers have waiting, read and written.
	enrollments = 16 << 20
)

// largeReplies are about the largest replies of commands that have large ones.
var largeReplies = map[*rpc.Form]int{
	protocol.AsyncEnrollmentList.Form: enrollments,
	protocol.CertificateGet.Form:      severalBodies,
	protocol.RealmGetKeysBundle.Form:  oneBody,
	protocol.VlobReadBatch.Form:       oneBody,
	protocol.VlobReadVersions.Form:    oneBody,
	protocol.VlobPollChanges.Form:     severalBodies,
	protocol.BlockRead.Form:           oneBody,
}

// admit waits until there is room for the reply of a command of a user. The share
// that it returns is released once the reply is sent. The error is server.ErrNoRoom.
func (w *Wing) admit(ctx context.Context, of holder, form *rpc.Form) (*server.Share, error) {
	size, isLarge := of.large[form]
	if !isLarge {
		return nil, nil
	}
	held := w.server.UsersShare(of.id)
	return held, held.Await(ctx, size)
}
