package testclient3

import (
	"encoding/hex"
	"testing"

	"parsec-server/pkg/parsec"
)

// TestDerivation is the vector of docs/protocol/v5/account.md §3.
func TestDerivation(t *testing.T) {
	secret := MasterSecret(fromHex(t, "2ff13803789977db4f8ccabfb6b26f3e70eb4453d396dcb2315f7690cbc2e3f1"))
	uuid, err := parsec.ParseUUID("cadc3f58-3b86-47f2-a322-7400fc02e096")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(secret.derive(uuid, 16)); got != "6e4e1d47d0eb03670695f081d678f0da" {
		t.Errorf("derived %s", got)
	}
	if id, key := secret.MethodID(), secret.MACKey(); id.Hex() == hex.EncodeToString(key[:16]) || key == *secret.secretKey() {
		t.Error("two keys are the same")
	}
}

// TestPasswordSalt is the vector of docs/protocol/v5/account.md §2.
func TestPasswordSalt(t *testing.T) {
	if got := hex.EncodeToString(passwordSalt("alice@example.com")); got != "58403066db4ea4b72f2527ea4e5977b2" {
		t.Errorf("salt %s", got)
	}
}

// TestVaultKey comes back with the secret that sealed it.
func TestVaultKey(t *testing.T) {
	secret, key := NewMasterSecret(), NewVaultKey()
	sealed, err := secret.SealVaultKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := secret.OpenVaultKey(sealed); err != nil || opened != key {
		t.Errorf("opened %x, %v", opened, err)
	}
	if _, err := NewMasterSecret().OpenVaultKey(sealed); err == nil {
		t.Error("another secret opens it")
	}
}
