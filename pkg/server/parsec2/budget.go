package parsec2

import (
	"context"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/rpc"
	"parsec-server/pkg/server"
)

// account is whose budget the messages and replies of a user are on.
type account struct {
	organization parsec.OrganizationID
	user         parsec.UserID
}

func accountOf(author *rules.Author) account { return account{author.Organization, author.User()} }

// largeReplies are about the largest replies of commands that have large ones,
// in bytes.
var largeReplies = map[*rpc.Form]int{
	protocol.BlockRead.Form:                server.MaxBodyBytes,
	protocol.VlobRead.Form:                 server.MaxBodyBytes,
	protocol.MessageGet.Form:               severalBodies,
	protocol.PKIEnrollmentList.Form:        severalBodies,
	protocol.RealmGetRoleCertificates.Form: severalBodies,
	protocol.VlobGetReencryptionBatch.Form: severalBodies,
	protocol.VlobListVersions.Form:         severalBodies,
	protocol.VlobPollChanges.Form:          severalBodies,
}

// severalBodies is for replies of many items.
const severalBodies = 4 << 20

// admit waits until there is room for the reply of a command. The share that it
// returns is released once the reply is sent. The error is server.ErrNoRoom.
func (w *Wing) admit(ctx context.Context, c *caller, form *rpc.Form) (*server.Share, error) {
	size, isLarge := largeReplies[form]
	if !isLarge {
		return nil, nil
	}
	held := w.server.UsersShare(c.account)
	return held, held.Await(ctx, size)
}
