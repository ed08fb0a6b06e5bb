package testkit

import (
	"crypto/ed25519"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// BeforeBubbles makes what the certificates of Parsec 3 are compressed with, which
// belongs to the bubble of synctest where it is used first: packages with several
// bubbles call it before the first.
func BeforeBubbles() error {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signed, err := certificate.RealmKeyRotation{KeyIndex: 1, KeyCanary: []byte{}}.Sign(key)
	if err != nil {
		return err
	}
	_, err = certificate.LoadRealmKeyRotation(signed, parsec.VerifyKey(key.Public().(ed25519.PublicKey)), parsec3.DeviceID{})
	return err
}
