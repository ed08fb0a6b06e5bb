package rules

import (
	"errors"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/protocol"
)

// checkCertificateDate applies the time window of the commands that have no
// bad_timestamp.
func checkCertificateDate(now, date parsec.DateTime) error {
	if !parsec.InBallpark(now, date) {
		return protocol.Refuse(protocol.StatusInvalidCertification, "Invalid timestamp in certificate.")
	}
	return nil
}

// refuseLoading refuses a certificate that does not load. The reason says the
// failure alone: the rest of err might hold the word that stands for a wrong
// clock (docs/protocol/commands.md §1.3).
func refuseLoading(status protocol.Status, err error) error {
	return refuseFailure(status, "Invalid certificate", err)
}

// refuseFailure adds to the reason at which step loading failed.
func refuseFailure(status protocol.Status, reason string, err error) error {
	if failure, ok := errors.AsType[certificate.Failure](err); ok {
		reason += " (" + string(failure) + ")"
	}
	return protocol.Refuse(status, reason+".")
}
