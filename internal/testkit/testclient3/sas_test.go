package testclient3

import (
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestExchangeKey is the vector of docs/protocol/v5/invite.md §6.
func TestExchangeKey(t *testing.T) {
	private := func(text string) *ecdh.PrivateKey {
		key, err := ecdh.X25519().NewPrivateKey(fromHex(t, text))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	public := func(key *ecdh.PrivateKey) parsec.PublicKey { return parsec.PublicKey(key.PublicKey().Bytes()) }
	g := private("7d406ac1e4df6c16d656290350499345432e8f75260c2809302ba8c4500548c2")
	c := private("1e41b6450e2862452c2c40f5b1b6298d8a2433b3131ac8291a4840e5057c313b")
	for algorithm, want := range map[SASAlgorithm]string{
		CurrentSAS: "4883290bad8fb20dee068de4967e5df149bda8c3702864bc7cb5d59c098a642f",
		FormerSAS:  "",
	} {
		greeter, err := algorithm.exchangeKeyOf(g, public(c), public(g), public(c))
		if err != nil {
			t.Fatal(err)
		}
		claimer, err := algorithm.exchangeKeyOf(c, public(g), public(g), public(c))
		if err != nil || claimer != greeter {
			t.Errorf("claimer %x, greeter %x, %v", claimer, greeter, err)
		}
		if want != "" && hex.EncodeToString(greeter[:]) != want {
			t.Errorf("%x, want %s", greeter, want)
		}
		if key, err := algorithm.exchangeKeyOf(g, parsec.PublicKey{}, public(g), parsec.PublicKey{}); err == nil {
			t.Errorf("the key of zeros gives %x", key)
		}
	}
}

// TestSASCodes are the vectors of docs/protocol/v5/invite.md §6.
func TestSASCodes(t *testing.T) {
	claimerNonce := fromHex(t, "f4b8b6327c5d49580d34fdb0512cbcb9b794511eb33631258dfdbcf7ebccc875909e79ae346d6eefbf775fed9fe9027cae0f56bb9269f0aae3eaf614cd89e77e")
	greeterNonce := fromHex(t, "031a533ea63a2d85f5ca69720dfdde2799982aebff22cca1d97b433770492f291721c59b088afcecb80385ce313b58902ea3bac3857856194af4d08c8f0b8c3c")
	key := exchangeKey(fromHex(t, "1452fb69a5eed5c1e432c3e666d7b17bdf21b33088086682ddc45b6fa33a0460"))
	for algorithm, want := range map[SASAlgorithm][2]SASCode{CurrentSAS: {"4BKE", "QR2Q"}, FormerSAS: {"25PA", "KBWM"}} {
		claimer, greeter, err := algorithm.codes(key, claimerNonce, greeterNonce)
		if err != nil || claimer != want[0] || greeter != want[1] {
			t.Errorf("%d: %s, %s, %v", algorithm, claimer, greeter, err)
		}
	}
	for n, want := range map[uint64]SASCode{0: "AAAA", 123456: "AU2D", 1<<20 - 1: "9999", 1 << 20: "AAAA"} {
		if code := newSASCode(n); code != want {
			t.Errorf("%d is %s, want %s", n, code, want)
		}
	}
}

// TestExchangePayloads come back with their key alone, and as what they are.
func TestExchangePayloads(t *testing.T) {
	key := exchangeKey{1}
	label, err := parsec3.ParseDeviceLabel("laptop")
	if err != nil {
		t.Fatal(err)
	}
	data := inviteDeviceData{RequestedDeviceLabel: label, VerifyKey: parsec.VerifyKey{2}}
	sealed, err := key.sealPayload(inviteDeviceDataType, &data)
	if err != nil {
		t.Fatal(err)
	}
	var opened inviteDeviceData
	if err := key.openPayload(sealed, inviteDeviceDataType, &opened); err != nil || opened != data {
		t.Errorf("%+v, %v", opened, err)
	}
	if err := key.openPayload(sealed, inviteUserDataType, &opened); err == nil || errors.Is(err, errUndecipherable) {
		t.Errorf("as another type: %v", err)
	}
	if err := (exchangeKey{2}).openPayload(sealed, inviteDeviceDataType, &opened); !errors.Is(err, errUndecipherable) {
		t.Errorf("with another key: %v", err)
	}
}
