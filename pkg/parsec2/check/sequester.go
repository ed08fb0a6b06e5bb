package check

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

type serviceRow struct {
	id                 database.UUID
	label, certificate []byte
}

func (r *serviceRow) targets() []any { return []any{&r.id, &r.label, &r.certificate} }

// checkSequester verifies the authority and its services.
func (c *checker) checkSequester(ctx context.Context) error {
	authority := c.checkAuthority()
	return rows(ctx, c, "SELECT s.service_id, s.label, s.certificate FROM sequester_service s WHERE s.organization = $1::bigint",
		(*serviceRow).targets, func(row *serviceRow) {
			subject := "sequester service " + parsec.SequesterServiceID(row.id).String()
			if authority == nil {
				c.fault(Signature, subject, "there is no authority who could have signed it")
				return
			}
			loaded, err := certificate.LoadSequesterService(row.certificate, authority)
			switch {
			case errors.Is(err, certificate.FailureSignature):
				c.fault(Signature, subject, err.Error())
			case err != nil:
				c.fault(Format, subject, err.Error())
			case loaded.ServiceID != parsec.SequesterServiceID(row.id) || loaded.ServiceLabel != string(row.label):
				c.fault(CertificateRow, subject, "its row is not what its certificate says")
			}
		})
}

// checkAuthority returns the key of the authority, nil without one.
func (c *checker) checkAuthority() *rsa.PublicKey {
	signed := c.stored.SequesterAuthorityCertificate
	if signed == nil {
		return nil
	}
	const subject = "sequester authority"
	loaded, readable := read(c, subject, "its certificate", signed, signer{key: *c.stored.RootVerifyKey, known: true},
		func(signed []byte, root parsec.VerifyKey, _ parsec.DeviceID) (certificate.SequesterAuthority, error) {
			return certificate.LoadSequesterAuthority(signed, root)
		}, certificate.Read[certificate.SequesterAuthority])
	if !readable {
		return nil
	}
	if loaded.Timestamp != c.founded {
		c.faultf(Foundation, subject, "it is of %s, and the first user of %s", loaded.Timestamp, c.founded)
	}
	if !bytes.Equal(loaded.VerifyKeyDER, c.stored.SequesterVerifyKeyDER) {
		c.fault(CertificateRow, subject, "the key of the organization is another one")
	}
	key, err := parsec.ParseRSAPublicKey(loaded.VerifyKeyDER)
	if err != nil {
		return nil
	}
	return key
}
