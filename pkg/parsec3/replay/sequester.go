package replay

import (
	"crypto/rsa"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// Service is what the certificates say of a sequester service.
type Service struct {
	Label     string
	Key       *rsa.PublicKey
	CreatedOn parsec.DateTime
	// RevokedOn is nil for an active service.
	RevokedOn *parsec.DateTime
}

// FollowSequester follows the next certificate of the sequester topic: the authority,
// then services and their ends.
func (o *Organization) FollowSequester(signed []byte) (step Step) {
	if o.Authority == nil {
		o.followAuthority(&step, signed)
		return step
	}
	service, err := certificate.LoadSequesterService(signed, o.Authority)
	if err == nil {
		o.followService(&step, &service)
		return step
	}
	revoked, err := certificate.LoadSequesterRevokedService(signed, o.Authority)
	if err != nil {
		step.Objections = []Objection{{ruleOf(err), "a certificate of the sequester topic: " + err.Error()}}
		return step
	}
	o.followServiceEnd(&step, &revoked)
	return step
}

func (o *Organization) followAuthority(step *Step, signed []byte) {
	authority, readable := read(step, "the first of the sequester topic", signed, signer{key: o.root, known: true},
		func(signed []byte, root parsec.VerifyKey, _ parsec3.DeviceID) (certificate.SequesterAuthority, error) {
			return certificate.LoadSequesterAuthority(signed, root)
		}, certificate.Read[certificate.SequesterAuthority])
	if !readable {
		return
	}
	key, err := parsec.ParseRSAPublicKey(authority.VerifyKeyDER)
	if err != nil {
		step.object(Format, "the sequester authority: %s", err)
		return
	}
	o.Authority, o.Authorized, o.Sequester = key, authority.Timestamp, authority.Timestamp
	step.Type, step.Date = "sequester_authority_certificate", authority.Timestamp
}

func (o *Organization) followService(step *Step, service *certificate.SequesterService) {
	step.Type, step.Date = "sequester_service_certificate", service.Timestamp
	o.checkSequesterDate(step, "sequester service "+service.ServiceID.String())
	if o.Services[service.ServiceID] != nil {
		step.object(Services, "sequester service %s twice", service.ServiceID)
		return
	}
	key, err := parsec.ParseRSAPublicKey(service.EncryptionKeyDER)
	if err != nil {
		step.object(Format, "the key of a sequester service: %s", err)
		return
	}
	o.Services[service.ServiceID] = &Service{Label: service.ServiceLabel, Key: key, CreatedOn: service.Timestamp}
}

func (o *Organization) followServiceEnd(step *Step, revoked *certificate.SequesterRevokedService) {
	step.Type, step.Date = "sequester_revoked_service_certificate", revoked.Timestamp
	o.checkSequesterDate(step, "the end of sequester service "+revoked.ServiceID.String())
	service := o.Services[revoked.ServiceID]
	if service == nil || service.RevokedOn != nil {
		step.object(Services, "the end of sequester service %s, which is unknown or over", revoked.ServiceID)
		return
	}
	service.RevokedOn = &revoked.Timestamp
}

func (o *Organization) checkSequesterDate(step *Step, what string) {
	if step.Date <= o.Sequester {
		step.object(Dates, "%s at %s after one at %s", what, step.Date, o.Sequester)
	}
	o.Sequester = max(o.Sequester, step.Date)
}

// EndSequester ends the list of the sequester topic, once the common one is followed.
func (o *Organization) EndSequester() (step Step) {
	if o.Authority != nil && o.Authorized != o.Founded {
		step.object(Foundation, "a sequester authority of %s, and a foundation of %s", o.Authorized, o.Founded)
	}
	return step
}
