package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// playSetup is a Shamir recovery that was set up.
type playSetup struct {
	user, recipient parsec3.UserID
	recipients      []parsec3.UserID
	on              parsec.DateTime
	reveal          parsec3.AccessToken
}

func (w *twins) shamirRecoverySetup() question {
	author, date := w.anyAuthor(), w.date()
	shares := map[parsec3.UserID]uint8{}
	for _, user := range w.known() {
		if user.ID != author.User && !w.chance(3) || w.chance(30) {
			shares[user.ID] = uint8(w.number(1, 2))
		}
	}
	if len(shares) == 0 {
		shares[w.target(author)] = 1
	}
	recipients := slices.SortedFunc(maps.Keys(shares), func(a, b parsec3.UserID) int { return slices.Compare(a[:], b[:]) })
	setup := playSetup{
		user: author.User, recipient: pick(w, recipients...), recipients: recipients, on: date,
		reveal: must(parsec3.ParseAccessToken(strings.Repeat(fmt.Sprintf("%02x", w.number(0, 255)), 16))),
	}
	request := &protocol.ShamirRecoverySetupRequest{
		CipheredData: []byte("data"), RevealToken: setup.reveal,
		BriefCertificate: w.sign(author, certificate.ShamirBrief{
			Author: author.Device, Timestamp: date, UserID: author.User, Threshold: 1, PerRecipientShares: shares,
		}),
	}
	for _, recipient := range recipients {
		request.ShareCertificates = append(request.ShareCertificates, w.sign(author, certificate.ShamirShare{
			Author: author.Device, Timestamp: date, UserID: author.User, Recipient: recipient, CipheredShare: []byte("share"),
		}))
	}
	return func(side *twin) (any, error) {
		reply, err := side.ShamirRecoverySetup(w.ctx, author, request)
		if w.side(side) == 0 && err == nil {
			w.setups = append(w.setups, setup)
		}
		return reply, err
	}
}

func (w *twins) shamirRecoveryDelete() question {
	author, deleted := w.anyAuthor(), playSetup{user: w.user(), on: *w.now}
	if len(w.setups) > 0 {
		deleted = pick(w, w.setups...)
	}
	if !w.chance(6) {
		author = w.author(playDevice(int(deleted.user[1]), 0))
	}
	request := &protocol.ShamirRecoveryDeleteRequest{DeletionCertificate: w.sign(author, certificate.ShamirDeletion{
		Author: author.Device, Timestamp: w.date(), SetupToDeleteTimestamp: deleted.on, SetupToDeleteUserID: deleted.user,
		ShareRecipients: deleted.recipients,
	})}
	return func(side *twin) (any, error) { return side.ShamirRecoveryDelete(w.ctx, author, request) }
}

// inviteShamirRecoveryReveal is of who is invited to recover, with the right token more
// often than not.
func (w *twins) inviteShamirRecoveryReveal() question {
	request := &protocol.InviteShamirRecoveryRevealRequest{RevealToken: must(parsec3.ParseAccessToken(strings.Repeat("ee", 16)))}
	if len(w.setups) > 0 && !w.chance(4) {
		request.RevealToken = w.setups[len(w.setups)-1].reveal
	}
	w.ask("invite_new_shamir_recovery", w.inviteNewShamirRecovery())
	return w.invited(max(0, len(w.tokens.of[0])-1), func(side *twin, invited *rules.Invited) (any, error) {
		return side.InviteShamirRecoveryReveal(w.ctx, invited, request)
	})
}
