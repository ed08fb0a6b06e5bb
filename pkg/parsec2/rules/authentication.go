package rules

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/subtle"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/wire"
)

// Denial is why a connection is refused (docs/protocol/transport.md §6.5 and
// §7.2). How each is told depends on the transport.
type Denial string

// The denials.
const (
	UnknownOrganization Denial = "unknown organization"
	OtherGeneration     Denial = "organization of another generation"
	UnknownDevice       Denial = "unknown device"
	RootKeyMismatch     Denial = "root verify key mismatch"
	OrganizationExpired Denial = "organization expired"
	UserRevoked         Denial = "user revoked"
	UserFrozen          Denial = "user frozen"
	BadSignature        Denial = "invalid answer signature"
	BadChallenge        Denial = "invalid returned challenge"
	UnknownInvitation   Denial = "invitation not found"
	DeletedInvitation   Denial = "invitation already deleted"
	OtherInvitationType Denial = "invitation of another type"
	TooManyEnrollments  Denial = "too many PKI enrollments wait"
)

func (d Denial) Error() string { return string(d) }

// CheckOpen returns why an organization accepts no connection, nil if it does. A
// nil organization stands for one that does not exist.
func (r *Rules) CheckOpen(organization *Organization) error {
	switch {
	case organization == nil:
		return UnknownOrganization
	case organization.Importing:
		return errImporting
	case isOfAnotherGeneration(organization):
		return OtherGeneration
	case organization.Expired(r.now()):
		return OrganizationExpired
	default:
		return nil
	}
}

var errImporting = organization.ErrImporting

// isOfAnotherGeneration reports whether a bootstrap has bound the organization to
// clients that these rules do not know.
func isOfAnotherGeneration(of *Organization) bool {
	return of.Bound() != 0 && of.Bound() != organization.Parsec2
}

// Authentication reads what a device's authentication needs.
func (r *Rules) Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec.DeviceID) (AuthenticationFacts, error) {
	return r.store.Authentication(ctx, organization, device)
}

// CheckDevice returns nil if the device exists and its user may connect.
func (f AuthenticationFacts) CheckDevice() error {
	switch {
	case f.Device == nil || f.User == nil:
		return UnknownDevice
	case f.User.Revocation != nil:
		return UserRevoked
	case f.User.Frozen:
		return UserFrozen
	default:
		return nil
	}
}

// Author returns the device, once checked.
func (f AuthenticationFacts) Author(api parsec.APIVersion) Author {
	return Author{
		Organization: f.Organization.ID,
		Device:       f.Device.ID,
		Profile:      f.User.Profile,
		VerifyKey:    f.Device.VerifyKey,
		API:          api,
	}
}

// Answer is what an authenticated client answers to a challenge.
type Answer struct {
	API           parsec.APIVersion
	Organization  parsec.OrganizationID
	Device        parsec.DeviceID
	RootVerifyKey parsec.VerifyKey
	// Signed is the signature followed by the signed message.
	Signed    []byte
	Challenge []byte
}

// checkAnswer applies the checks of docs/protocol/transport.md §6.5, in order.
func (r *Rules) checkAnswer(answer Answer, facts AuthenticationFacts) error {
	if facts.Organization == nil {
		return UnknownOrganization
	}
	if facts.Organization.Importing {
		return errImporting
	}
	if isOfAnotherGeneration(facts.Organization) {
		return OtherGeneration
	}
	if facts.Device == nil || facts.User == nil {
		return UnknownDevice
	}
	if !isRootKey(facts.Organization, answer.RootVerifyKey) {
		return RootKeyMismatch
	}
	if err := cmp.Or(r.CheckOpen(facts.Organization), facts.CheckDevice()); err != nil {
		return err
	}
	return checkSignedAnswer(answer, facts.Device.VerifyKey)
}

func isRootKey(organization *Organization, key parsec.VerifyKey) bool {
	return organization.RootVerifyKey != nil && subtle.ConstantTimeCompare(organization.RootVerifyKey[:], key[:]) == 1
}

func checkSignedAnswer(answer Answer, key parsec.VerifyKey) error {
	if len(answer.Signed) < ed25519.SignatureSize {
		return BadSignature
	}
	signature, message := answer.Signed[:ed25519.SignatureSize], answer.Signed[ed25519.SignatureSize:]
	if !key.Verify(message, signature) {
		return BadSignature
	}
	returned := message
	if parsec.SignedAnswers.In(answer.API) {
		var signed protocol.SignedAnswer
		if wire.Scan(message) != nil || !wire.IsMap(message) || wire.Unmarshal(message, &signed) != nil || signed.Type != "signed_answer" {
			return BadChallenge
		}
		returned = signed.Answer
	}
	if subtle.ConstantTimeCompare(returned, answer.Challenge) != 1 {
		return BadChallenge
	}
	return nil
}

// checkAnonymous applies the checks of an anonymous API 1 connection; the root
// key is nil when not given, as the organization when it does not exist.
func (r *Rules) checkAnonymous(organization *Organization, rootVerifyKey *parsec.VerifyKey) error {
	if r.options.Spontaneous(organization) {
		return nil
	}
	if err := r.CheckOpen(organization); err != nil {
		return err
	}
	if rootVerifyKey != nil && !isRootKey(organization, *rootVerifyKey) {
		return RootKeyMismatch
	}
	return nil
}

// FindOrganization reads an organization; nil if it does not exist.
func (r *Rules) FindOrganization(ctx context.Context, id parsec.OrganizationID) (*Organization, error) {
	organization, found, err := r.store.Organization(ctx, id)
	if err != nil || !found {
		return nil, err
	}
	return organization, nil
}

// Founding returns how organizations come into being.
func (r *Rules) Founding() organization.Founding { return r.options.Founding }

// AuthenticationFacts are nil for what does not exist.
type AuthenticationFacts struct {
	Organization *Organization
	Device       *Device
	User         *User
}

// AuthenticationReader reads who connects.
type AuthenticationReader interface {
	// Authentication reads what a device's authentication needs.
	Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec.DeviceID) (AuthenticationFacts, error)
}
