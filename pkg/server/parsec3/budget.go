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

// account is whose budget the messages and replies of a user are on.
type account struct {
	organization parsec.OrganizationID
	user         parsec3.UserID
}

func accountOf(author *rules.Author) account { return account{author.Organization, author.User} }

const (
	// oneBody is for replies with what was sent in one body, and severalBodies for
	// those of many items, in bytes.
	oneBody       = server.MaxBodyBytes
	severalBodies = 4 << 20
)

// largeReplies are about the largest replies of commands that have large ones.
var largeReplies = map[*rpc.Form]int{
	protocol.CertificateGet.Form:     severalBodies,
	protocol.RealmGetKeysBundle.Form: oneBody,
	protocol.VlobReadBatch.Form:      oneBody,
	protocol.VlobReadVersions.Form:   oneBody,
	protocol.VlobPollChanges.Form:    severalBodies,
	protocol.BlockRead.Form:          oneBody,
}

// admit waits until there is room for the reply of a command of a user. The share
// that it returns is released once the reply is sent. The error is server.ErrNoRoom.
func (w *Wing) admit(ctx context.Context, of account, form *rpc.Form) (*server.Share, error) {
	size, isLarge := largeReplies[form]
	if !isLarge {
		return nil, nil
	}
	held := w.server.UsersShare(of)
	return held, held.Await(ctx, size)
}
