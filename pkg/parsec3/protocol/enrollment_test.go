package protocol_test

import (
	"fmt"
	"testing"

	"parsec-server/internal/testkit/vectors"
	"parsec-server/pkg/parsec3/protocol"
)

// The words of enrollments are those of the protocol.
func TestEnrollmentVectors(t *testing.T) {
	vectors.CheckEnum(t, "PkiSignatureAlgorithm", func(text string) error {
		var algorithm protocol.PKIAlgorithm
		return algorithm.UnmarshalText([]byte(text))
	})
	vectors.CheckEnum(t, "EmailSentStatus", func(text string) error {
		switch protocol.EmailSent(text) {
		case protocol.EmailSuccess, protocol.EmailServerUnavailable, protocol.EmailRecipientRefused:
			return nil
		default:
			return fmt.Errorf("%q is never sent", text)
		}
	})
}
