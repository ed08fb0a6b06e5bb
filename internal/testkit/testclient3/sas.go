package testclient3

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/blake2b"

	"parsec-server/pkg/parsec"
)

// SASAlgorithm is how a greeter and a claimer make their key and their codes
// (docs/protocol/v5/invite.md §6). The two do not mix.
type SASAlgorithm int

// The algorithms.
const (
	// CurrentSAS is that of clients since 3.6.
	CurrentSAS SASAlgorithm = iota
	// FormerSAS is that of clients before API 5.2.
	FormerSAS
)

// exchangeKey is what a greeter and a claimer encrypt with for each other.
type exchangeKey [32]byte

// exchangeKeyOf returns the key that own makes with the public key of the peer.
func (a SASAlgorithm) exchangeKeyOf(own *ecdh.PrivateKey, peer, greeter, claimer parsec.PublicKey) (exchangeKey, error) {
	public, err := ecdh.X25519().NewPublicKey(peer[:])
	if err != nil {
		return exchangeKey{}, err
	}
	shared, err := own.ECDH(public) // refuses a peer key that gives zeros
	if err != nil {
		return exchangeKey{}, err
	}
	if a == FormerSAS {
		return exchangeKey(shared), nil
	}
	sum := blake2b.Sum512(slices.Concat(shared, greeter[:], claimer[:]))
	return exchangeKey(sum[:32]), nil
}

const sasBits = 20

// codes returns what the claimer and the greeter read aloud.
func (a SASAlgorithm) codes(key exchangeKey, claimerNonce, greeterNonce []byte) (claimer, greeter SASCode, err error) {
	size := blake2b.Size
	if a == FormerSAS {
		size = 5
	}
	mac, err := blake2b.New(size, key[:])
	if err != nil {
		return "", "", err
	}
	mac.Write(claimerNonce)
	mac.Write(greeterNonce)
	var n uint64
	for _, octet := range mac.Sum(nil)[:5] {
		n = n<<8 | uint64(octet)
	}
	return newSASCode(n), newSASCode(n >> sasBits), nil
}

// SASCode is what one person reads aloud, and another one picks among others: four
// characters.
type SASCode string

const sasAlphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// newSASCode writes the lowest 20 bits of n, the least significant group first.
func newSASCode(n uint64) SASCode {
	var text [4]byte
	for i := range text {
		text[i] = sasAlphabet[n%uint64(len(sasAlphabet))]
		n /= uint64(len(sasAlphabet))
	}
	return SASCode(text[:])
}

const exchangeNonceSize = 64

func newExchangeNonce() []byte {
	nonce := make([]byte, exchangeNonceSize)
	rand.Read(nonce) // never fails
	return nonce
}

var errNonceHash = errors.New("the claimer has shown another nonce than it announced")

// checkNonce refuses a nonce that is not the one announced.
func checkNonce(nonce []byte, announced [32]byte) error {
	hash := sha256.Sum256(nonce)
	if subtle.ConstantTimeCompare(hash[:], announced[:]) != 1 {
		return errNonceHash
	}
	return nil
}

var errUndecipherable = errors.New("not encrypted with the key of the exchange")

// sealPayload encrypts fields for the peer.
func (k exchangeKey) sealPayload(name string, fields any) ([]byte, error) {
	packed, err := packPayload(name, fields)
	if err != nil {
		return nil, err
	}
	return seal(packed, (*[32]byte)(&k)), nil
}

// openPayload reads what the peer has sealed. What another key has sealed is
// errUndecipherable.
func (k exchangeKey) openPayload(sealed []byte, name string, fields any) error {
	packed, err := unseal(sealed, (*[32]byte)(&k))
	if err != nil {
		return fmt.Errorf("%w: %w", errUndecipherable, err)
	}
	return unpackPayload(packed, name, fields)
}
