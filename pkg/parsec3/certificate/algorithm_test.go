package certificate

import (
	"encoding"
	"testing"

	"parsec-server/internal/testkit/vectors"
)

// Each algorithm is written as the one text that is read.
func TestAlgorithmVectors(t *testing.T) {
	for name, algorithm := range map[string]interface {
		encoding.TextMarshaler
		encoding.TextUnmarshaler
	}{
		"SigningKeyAlgorithm": new(signingKeyAlgorithm),
		"PrivateKeyAlgorithm": new(privateKeyAlgorithm),
		"SecretKeyAlgorithm":  new(secretKeyAlgorithm),
		"HashAlgorithm":       new(hashAlgorithm),
	} {
		vectors.CheckEnum(t, name, func(text string) error { return algorithm.UnmarshalText([]byte(text)) })
		written, err := algorithm.MarshalText()
		if err != nil || algorithm.UnmarshalText(written) != nil {
			t.Errorf("%s is written as %q, %v", name, written, err)
		}
	}
}
