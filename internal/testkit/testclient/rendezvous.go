package testclient

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// ErrOtherNonce means that a peer revealed something else than it had committed
// to: the peer or the server cheats.
var ErrOtherNonce = errors.New("the peer revealed another nonce than it committed to")

const rendezvousNonceBytes = 64

// Codes are what the two people read to each other: they match if nobody stands
// between them.
type Codes struct{ Greeter, Claimer string }

// Tunnel carries what two peers say to each other after they met. The server
// cannot read it.
type Tunnel struct {
	seal     cipher.AEAD
	exchange func(ctx context.Context, payload []byte) ([]byte, error)
}

// Greet meets the claimer of an invitation, from step 1 to 3b of
// docs/protocol/invite.md §4. confirm is called between 3a and 3b, to compare
// the claimer's code; its error ends the meeting.
func Greet(ctx context.Context, c parsec2.Transport, token parsec.InvitationToken, confirm func(Codes) error) (*Tunnel, error) {
	private, nonce, err := newMeeting()
	if err != nil {
		return nil, err
	}
	first, err := parsec2.Call(ctx, c, protocol.Invite1GreeterWaitPeer, &protocol.Invite1GreeterWaitPeerRequest{
		Token: token, GreeterPublicKey: parsec.PublicKey(private.PublicKey().Bytes()),
	})
	if err != nil {
		return nil, err
	}
	hashed, err := parsec2.Call(ctx, c, protocol.Invite2aGreeterGetHashedNonce, &protocol.Invite2aGreeterGetHashedNonceRequest{Token: token})
	if err != nil {
		return nil, err
	}
	revealed, err := parsec2.Call(ctx, c, protocol.Invite2bGreeterSendNonce, &protocol.Invite2bGreeterSendNonceRequest{Token: token, GreeterNonce: nonce})
	if err != nil {
		return nil, err
	}
	if hash := sha256.Sum256(revealed.ClaimerNonce); !hmac.Equal(hash[:], hashed.ClaimerHashedNonce) {
		return nil, ErrOtherNonce
	}
	secret, codes, err := meet(private, first.ClaimerPublicKey, revealed.ClaimerNonce, nonce)
	if err != nil {
		return nil, err
	}
	if _, err := parsec2.Call(ctx, c, protocol.Invite3aGreeterWaitPeerTrust, &protocol.Invite3aGreeterWaitPeerTrustRequest{Token: token}); err != nil {
		return nil, err
	}
	if err := confirm(codes); err != nil {
		return nil, err
	}
	if _, err := parsec2.Call(ctx, c, protocol.Invite3bGreeterSignifyTrust, &protocol.Invite3bGreeterSignifyTrustRequest{Token: token}); err != nil {
		return nil, err
	}
	return newTunnel(secret, func(ctx context.Context, payload []byte) ([]byte, error) {
		reply, err := parsec2.Call(ctx, c, protocol.Invite4GreeterCommunicate, &protocol.Invite4GreeterCommunicateRequest{Token: token, Payload: payload})
		if err != nil {
			return nil, err
		}
		return reply.Payload, nil
	})
}

// Claim meets a greeter, from step 1 to 3b of docs/protocol/invite.md §4. A
// zero greeter is the only one, as for clients below API 2.9 and 3.3. confirm
// is called before 3a, to compare the greeter's code; its error ends the
// meeting.
func Claim(ctx context.Context, c parsec2.Transport, greeter parsec.UserID, confirm func(Codes) error) (*Tunnel, error) {
	to := protocol.ClaimerRequest{GreeterUserID: greeter}
	private, nonce, err := newMeeting()
	if err != nil {
		return nil, err
	}
	first, err := parsec2.Call(ctx, c, protocol.Invite1ClaimerWaitPeer, &protocol.Invite1ClaimerWaitPeerRequest{
		ClaimerRequest: to, ClaimerPublicKey: parsec.PublicKey(private.PublicKey().Bytes()),
	})
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(nonce)
	revealed, err := parsec2.Call(ctx, c, protocol.Invite2aClaimerSendHashedNonce, &protocol.Invite2aClaimerSendHashedNonceRequest{ClaimerRequest: to, ClaimerHashedNonce: hash[:]})
	if err != nil {
		return nil, err
	}
	if _, err := parsec2.Call(ctx, c, protocol.Invite2bClaimerSendNonce, &protocol.Invite2bClaimerSendNonceRequest{ClaimerRequest: to, ClaimerNonce: nonce}); err != nil {
		return nil, err
	}
	secret, codes, err := meet(private, first.GreeterPublicKey, nonce, revealed.GreeterNonce)
	if err != nil {
		return nil, err
	}
	if err := confirm(codes); err != nil {
		return nil, err
	}
	if _, err := parsec2.Call(ctx, c, protocol.Invite3aClaimerSignifyTrust, &protocol.Invite3aClaimerSignifyTrustRequest{ClaimerRequest: to}); err != nil {
		return nil, err
	}
	if _, err := parsec2.Call(ctx, c, protocol.Invite3bClaimerWaitPeerTrust, &protocol.Invite3bClaimerWaitPeerTrustRequest{ClaimerRequest: to}); err != nil {
		return nil, err
	}
	return newTunnel(secret, func(ctx context.Context, payload []byte) ([]byte, error) {
		reply, err := parsec2.Call(ctx, c, protocol.Invite4ClaimerCommunicate, &protocol.Invite4ClaimerCommunicateRequest{ClaimerRequest: to, Payload: payload})
		if err != nil {
			return nil, err
		}
		return reply.Payload, nil
	})
}

// newMeeting returns the secrets of a side: its private key and its nonce.
func newMeeting() (*ecdh.PrivateKey, []byte, error) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	nonce := make([]byte, rendezvousNonceBytes)
	_, _ = rand.Read(nonce) // never fails
	return private, nonce, err
}

// meet derives the secret of the two keys, and the codes of twenty bits that
// depend on it and on both nonces. Nobody can choose a nonce to fit the codes:
// the claimer commits to its own before it knows the greeter's.
func meet(private *ecdh.PrivateKey, peer parsec.PublicKey, claimerNonce, greeterNonce []byte) (secret []byte, codes Codes, err error) {
	public, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return nil, Codes{}, err
	}
	if secret, err = private.ECDH(public); err != nil {
		return nil, Codes{}, fmt.Errorf("the key of the peer: %w", err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(claimerNonce)
	mac.Write(greeterNonce)
	const bytes, letters = 5, 4
	text := base32.StdEncoding.EncodeToString(mac.Sum(nil)[:bytes])
	return secret, Codes{Claimer: text[:letters], Greeter: text[letters:]}, nil
}

func newTunnel(secret []byte, exchange func(context.Context, []byte) ([]byte, error)) (*Tunnel, error) {
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Tunnel{seal, exchange}, nil
}

// Exchange says something to the peer and returns what the peer says (step 4).
func (t *Tunnel) Exchange(ctx context.Context, say []byte) ([]byte, error) {
	sealed := t.seal.Seal(nil, nil, say, nil) // The cipher makes its nonces itself.
	heard, err := t.exchange(ctx, sealed)
	if err != nil {
		return nil, err
	}
	opened, err := t.seal.Open(nil, nil, heard, nil)
	if err != nil {
		return nil, fmt.Errorf("open what the peer says: %w", err)
	}
	return opened, nil
}
