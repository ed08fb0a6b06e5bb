package e2e_test

import (
	"bytes"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// TestShamirRecoverySetup has a user share a recovery between two others, who
// find what is theirs, then give it up.
func TestShamirRecoverySetup(t *testing.T) {
	t.Parallel()
	for _, g := range generations {
		if g.version.Major == 1 {
			continue // It does not know the commands.
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, testkit.InstanceOptions{})
			alice := g.connect(w, g.found(w, "Org1", "alice@laptop"))
			bob := g.connect(w, g.addUser(w, g, alice, g.person("bob@desk"), parsec.ProfileStandard))
			carol := g.connect(w, g.addUser(w, g, alice, g.person("carol@desk"), parsec.ProfileOutsider))

			setup := w.shamirSetup(alice, bob, carol)
			ok(w, alice, protocol.ShamirRecoverySetup, &protocol.ShamirRecoverySetupRequest{Setup: setup})
			w.wantShamir(alice, setup.Brief, nil)
			w.wantShamir(bob, nil, setup, setup.Shares[0])
			w.wantShamir(carol, nil, setup, setup.Shares[1])
			refused(w, protocol.StatusInvalidData, alice, protocol.ShamirRecoverySetup,
				&protocol.ShamirRecoverySetupRequest{Setup: w.shamirSetup(alice, alice, bob)})
			w.wantShamir(alice, setup.Brief, nil)

			ok(w, alice, protocol.ShamirRecoverySetup, &protocol.ShamirRecoverySetupRequest{})
			for _, peer := range []*peer{alice, bob, carol} {
				w.wantShamir(peer, nil, nil)
			}
		})
	}
}

// shamirSetup returns a setup with one share for each recipient, all needed.
func (w *world) shamirSetup(owner *peer, recipients ...*peer) *protocol.ShamirRecoverySetupData {
	w.t.Helper()
	date := w.tick()
	brief := certificate.ShamirBrief{
		Author: owner.device.ID, Timestamp: date, Threshold: uint64(len(recipients)), PerRecipientShares: map[parsec.UserID]uint64{},
	}
	setup := &protocol.ShamirRecoverySetupData{CipheredData: []byte("ciphered"), RevealToken: parsec.NewUUID()}
	for _, recipient := range recipients {
		brief.PerRecipientShares[recipient.user()] = 1
		setup.Shares = append(setup.Shares, must(certificate.ShamirShare{
			Author: owner.device.ID, Timestamp: date, Recipient: recipient.user(), CipheredShare: []byte("for " + recipient.user().String()),
		}.Sign(owner.device.SigningKey)))
	}
	setup.Brief = must(brief.Sign(owner.device.SigningKey))
	return setup
}

// wantShamir checks the brief of a peer's own setup, and the one setup that it
// holds a share of.
func (w *world) wantShamir(p *peer, self []byte, held *protocol.ShamirRecoverySetupData, share ...[]byte) {
	w.t.Helper()
	if got := ok(w, p, protocol.ShamirRecoverySelfInfo, &protocol.ShamirRecoverySelfInfoRequest{}); !bytes.Equal(got.SelfInfo, self) {
		w.t.Errorf("%s: self info %q, want %q", p.user(), got.SelfInfo, self)
	}
	var briefs [][]byte
	if held != nil {
		briefs = [][]byte{held.Brief}
	}
	got := ok(w, p, protocol.ShamirRecoveryOthersList, &protocol.ShamirRecoveryOthersListRequest{})
	if !sameLists(got.BriefCertificates, briefs) || !sameLists(got.ShareCertificates, share) {
		w.t.Errorf("%s: holds %q, want %q and %q", p.user(), got, briefs, share)
	}
}

func sameLists(a, b [][]byte) bool {
	return bytes.Equal(bytes.Join(a, []byte{0}), bytes.Join(b, []byte{0}))
}
