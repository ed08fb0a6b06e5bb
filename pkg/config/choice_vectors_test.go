package config

import (
	"slices"
	"testing"

	"parsec-server/internal/testkit/vectors"
)

// The settings of Parsec 3 that are one of several texts take those of the protocol.
func TestChoiceVectors(t *testing.T) {
	for name, setting := range map[string]string{
		"AccountConfig":                "account-config",
		"AdvisoryDeviceFileProtection": "advisory-device-file-protection",
	} {
		vectors.CheckEnum(t, name, func(text string) error {
			_, err := Load(typed(append(slices.Clone(required), setting+"="+text)...), environmentOf(nil))
			return err
		})
	}
}
