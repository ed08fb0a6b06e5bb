package e2e_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/http"
	"testing"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// TestShamirRecovery has bob lose his only device, and get a new one with the
// help of two of the three whom he gave shares to.
func TestShamirRecovery(t *testing.T) {
	t.Parallel()
	for _, g := range generations {
		if !parsec.ShamirRecovery.In(g.version) {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			w := newMailedWorld(t)
			alice := g.connect(w, g.foundByREST(w, "Org1", "alice@laptop"))
			add := func(device string) *peer {
				return g.connect(w, g.addUser(w, g, alice, g.person(device), parsec.ProfileStandard))
			}
			bob, carol, dave := add("bob@desk"), add("carol@desk"), add("dave@desk")
			recipients := []*peer{alice, carol, dave}
			w.shareOut(bob, recipients)
			lost := *bob.device
			lost.SigningKey = nil

			request := &protocol.InviteNewRequest{Type: parsec.InvitationShamirRecovery, ClaimerUserID: bob.user(), SendEmail: true}
			token := ok(w, carol, protocol.InviteNew, request).Token
			address := w.readInvitation("bob@example.com")
			if want := w.Address.InvitationAddress(lost.Organization, request.Type, token); address != want {
				t.Errorf("invited to %s, want %s", address, want)
			}
			request.SendEmail = false
			if again := ok(w, alice, protocol.InviteNew, request).Token; again != token {
				t.Errorf("alice's token is %s, carol's %s", again, token)
			}
			claimer := g.claim(w, address)
			ready := parsec.InvitationReady
			if claimer.conn == nil {
				ready = parsec.InvitationIdle
			}
			for _, recipient := range recipients {
				wantStatus(w, recipient, token, ready)
			}
			w.wantRecoveryInfo(claimer.Transport, recipients)

			refused(w, protocol.StatusNotFound, claimer, protocol.InviteShamirRecoveryReveal, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: parsec.NewUUID()})
			secret := combine([][]byte{
				w.askShare(dave, bob, token, claimer.Transport), w.askShare(alice, bob, token, claimer.Transport),
			})
			revealed := ok(w, claimer, protocol.InviteShamirRecoveryReveal, &protocol.InviteShamirRecoveryRevealRequest{RevealToken: parsec.UUID(secret[:16])})
			seed := must(sealedBy(secret[16:]).Open(nil, nil, revealed.CipheredData, nil))
			lost.SigningKey = ed25519.NewKeyFromSeed(seed)

			recovered := g.connect(w, &lost)
			fresh := createDevice(w, g, recovered, deviceID("bob@new").Name())
			ok(w, recovered, protocol.InviteDelete, &protocol.InviteDeleteRequest{Token: token, Reason: protocol.InvitationFinished})
			if devices := ok(w, g.connect(w, fresh), protocol.UserGet, &protocol.UserGetRequest{UserID: lost.ID.User()}).DeviceCertificates; len(devices) != 2 {
				t.Errorf("bob has %d devices", len(devices))
			}
			for _, recipient := range recipients {
				if list := ok(w, recipient, protocol.InviteList, &protocol.InviteListRequest{}).Invitations; len(list) > 0 {
					t.Errorf("%s: left %+v", recipient.user(), list)
				}
				refused(w, protocol.StatusAlreadyDeleted, recipient, protocol.Invite1GreeterWaitPeer, &protocol.Invite1GreeterWaitPeerRequest{Token: token})
			}
			if claimer.conn == nil {
				_, err := parsec2.Call(w.ctx, claimer, protocol.InviteInfo, &protocol.InviteInfoRequest{})
				if gone, ok := errors.AsType[*client.HTTPError](err); !ok || gone.Status != http.StatusGone {
					t.Errorf("after the deletion: %v", err)
				}
				return
			}
			select {
			case <-claimer.conn.Done():
			case <-w.ctx.Done():
				t.Fatal("the claimer stays connected")
			}
		})
	}
}

// shareOut has owner share its signing key: any two of the recipients have
// what opens it.
func (w *world) shareOut(owner *peer, recipients []*peer) {
	w.t.Helper()
	const threshold = 2
	date := w.tick()
	revealToken := parsec.NewUUID()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	brief := certificate.ShamirBrief{
		Author: owner.device.ID, Timestamp: date, Threshold: threshold, PerRecipientShares: map[parsec.UserID]uint64{},
	}
	setup := &protocol.ShamirRecoverySetupData{
		CipheredData: sealedBy(key).Seal(nil, nil, owner.device.SigningKey.Seed(), nil), RevealToken: revealToken,
	}
	for i, share := range split(append(revealToken[:], key...), len(recipients), threshold) {
		recipient := recipients[i].user()
		brief.PerRecipientShares[recipient] = 1
		setup.Shares = append(setup.Shares, must(certificate.ShamirShare{
			Author: owner.device.ID, Timestamp: date, Recipient: recipient, CipheredShare: share,
		}.Sign(owner.device.SigningKey)))
	}
	setup.Brief = must(brief.Sign(owner.device.SigningKey))
	ok(w, owner, protocol.ShamirRecoverySetup, &protocol.ShamirRecoverySetupRequest{Setup: setup})
}

// sealedBy makes its nonces itself.
func sealedBy(key []byte) cipher.AEAD {
	return must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(key))))
}

func (w *world) wantRecoveryInfo(claimer parsec2.Transport, recipients []*peer) {
	w.t.Helper()
	info := ok(w, claimer, protocol.InviteInfo, &protocol.InviteInfoRequest{})
	if info.Type != parsec.InvitationShamirRecovery || *info.Threshold != 2 || len(info.Recipients) != len(recipients) {
		w.t.Fatalf("info %+v", info)
	}
	for i, recipient := range recipients {
		want := protocol.RecoveryRecipient{UserID: recipient.user(), HumanHandle: recipient.device.HumanHandle, Shares: 1}
		if info.Recipients[i] != want {
			w.t.Errorf("recipient %+v, want %+v", info.Recipients[i], want)
		}
	}
}

// askShare has the claimer meet a recipient, who gives what it holds.
func (w *world) askShare(recipient, owner *peer, token parsec.InvitationToken, claimer parsec2.Transport) []byte {
	w.t.Helper()
	held := ok(w, recipient, protocol.ShamirRecoveryOthersList, &protocol.ShamirRecoveryOthersListRequest{})
	verify := parsec.VerifyKey(owner.device.SigningKey.Public().(ed25519.PublicKey))
	share := must(certificate.LoadShamirShare(held.ShareCertificates[0], verify, owner.device.ID))
	greeting, claiming := meetOne(w, recipient.Transport, token, claimer, recipient.user())
	return []byte(tell(w, greeting, claiming, string(share.CipheredShare)))
}

// split shares a secret after Shamir, in GF(2^8): each byte is the value at 0
// of a random polynomial, whose values at 1, 2, … are the shares. The first
// byte of a share is where.
func split(secret []byte, shares, threshold int) [][]byte {
	coefficients := make([][]byte, threshold)
	coefficients[0] = secret
	for i := 1; i < threshold; i++ {
		coefficients[i] = make([]byte, len(secret))
		_, _ = rand.Read(coefficients[i]) // never fails
	}
	list := make([][]byte, 0, shares)
	for x := byte(1); int(x) <= shares; x++ {
		share := append([]byte{x}, make([]byte, len(secret))...)
		for i := range secret {
			for c := threshold - 1; c >= 0; c-- {
				share[i+1] = multiply(share[i+1], x) ^ coefficients[c][i]
			}
		}
		list = append(list, share)
	}
	return list
}

// combine interpolates at 0.
func combine(shares [][]byte) []byte {
	secret := make([]byte, len(shares[0])-1)
	for _, share := range shares {
		weight := byte(1)
		for _, other := range shares {
			if other[0] != share[0] {
				weight = multiply(weight, multiply(other[0], inverse(other[0]^share[0])))
			}
		}
		for i := range secret {
			secret[i] ^= multiply(weight, share[i+1])
		}
	}
	return secret
}

// multiply is in GF(2^8), modulo x^8 + x^4 + x^3 + x + 1.
func multiply(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			product ^= a
		}
		carry := a >> 7
		a = a<<1 ^ carry*0x1b
	}
	return product
}

// inverse returns the 254th power.
func inverse(a byte) byte {
	result := byte(1)
	for range 254 {
		result = multiply(result, a)
	}
	return result
}
