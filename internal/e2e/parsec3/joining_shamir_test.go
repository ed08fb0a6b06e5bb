package parsec3_test

import (
	"net/http"

	"parsec-server/internal/testkit/testclient3"
	client3 "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
)

// recoverByShares has bob give shares of a device to three people, lose all that he has,
// and come back with the help of two of them.
func (s *joining) recoverByShares() {
	s.t.Helper()
	bob := s.bob.Device.User
	s.do("poll", s.bob.Poll(s.ctx))
	s.do("set up", s.bob.SetUpShamir(s.ctx, 2, map[parsec3.UserID]uint8{
		s.alice.Device.User: 1, s.dora.Device.User: 1, s.zoe.Device.User: 1,
	}))
	for _, recipient := range []*peer{s.alice, s.dora, s.zoe} {
		nextOf[*protocol.ShamirRecoveryCertificateEvent](recipient)
		if shares, err := recipient.SharesOf(bob); err != nil || len(shares) != 1 {
			s.t.Errorf("%s has %d shares, %v", recipient.name, len(shares), err)
		}
	}
	s.bob.logout()
	s.phone.logout()

	reply, err := client3.Call(s.ctx, s.alice.RPC(), protocol.InviteNewShamirRecovery, &protocol.InviteNewShamirRecoveryRequest{ClaimerUserID: bob, SendEmail: true})
	if s.do("invite to recover", err); reply.EmailSent != protocol.EmailSuccess {
		s.t.Errorf("the e-mail: %s", reply.EmailSent)
	}
	token := s.invited("bob", parsec.InvitationShamirRecovery)
	talk := testclient3.NewTalk()
	claimer := testclient3.NewClaimer(s.connect(), s.organization, token, talk.Claimer())
	info, err := claimer.Info(s.ctx)
	if s.do("info", err); *info.Threshold != 2 || len(info.Recipients) != 3 || *info.ClaimerUserID != bob {
		s.t.Errorf("info %+v", info)
	}
	label := must(parsec3.ParseDeviceLabel("recovered"))
	var shares [][]byte
	for _, recipient := range []*peer{s.zoe, s.alice} {
		if _, err := claimer.Recover(s.ctx, shares, label); err == nil {
			s.t.Errorf("%d shares are enough", len(shares))
		}
		given, _ := atOnce(s.world, func() ([][]byte, error) {
			return claimer.ClaimShares(s.ctx, recipient.Device.User)
		}, func() (struct{}, error) {
			return struct{}{}, recipient.GreetShamirRecovery(s.ctx, token, must(recipient.SharesOf(bob)), talk.Greeter())
		})
		shares = append(shares, given...)
	}
	device, err := claimer.Recover(s.ctx, shares, label)
	if s.do("recover", err); device.User != bob || device.PublicKey() != s.bob.Device.PublicKey() {
		s.t.Errorf("recovered %+v", device)
	}
	s.bob = s.login("bob", device)
	s.do("poll", s.bob.Poll(s.ctx))
	_, err = claimer.Info(s.ctx)
	s.wantHTTP("use the link again", http.StatusGone, err)
}
