package replay

import (
	"crypto/rsa"
	"errors"
	"fmt"

	"parsec-server/pkg/check"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
)

// Objection is why a certificate is refused.
type Objection struct {
	Rule   *check.Rule
	Detail string
}

// Step is what came of a certificate.
type Step struct {
	// Type is the value of "type", "" if nobody can read it.
	Type string
	// Date is that of the certificate, and User who has signed it: zero for nobody who
	// is known, and for the root key.
	Date parsec.DateTime
	User parsec3.UserID
	// Objections are empty for a good one.
	Objections []Objection

	// Member has got, or lost, the role Role by a certificate of a realm's topic.
	Member parsec3.UserID
	Role   parsec.RealmRole
	// Owner is that of the Shamir recovery Setup that a certificate is about, and
	// Audience are the users that see it; nil for another certificate, or one that
	// nobody can read.
	Owner    parsec3.UserID
	Setup    *Setup
	Audience []parsec3.UserID
}

func (s *Step) object(rule *check.Rule, format string, args ...any) {
	s.Objections = append(s.Objections, Objection{Rule: rule, Detail: fmt.Sprintf(format, args...)})
}

// Organization is what the certificates of its common topic, that of the sequester and
// that of Shamir recovery say so far. A certificate that is objected to still has its
// effect, as far as it can be read, so that others are not blamed for it. It is not safe
// for concurrent use.
type Organization struct {
	root parsec.VerifyKey
	// reader is the user whose view is followed; nil for all that there is.
	reader *parsec3.UserID

	// Founded is the date of the first user, zero before.
	Founded parsec.DateTime
	// Common, Sequester and Shamir are the dates of the last certificates of these
	// topics, zero for none.
	Common, Sequester, Shamir parsec.DateTime

	// Users and Devices are those that there are, revoked ones too.
	Users   map[parsec3.UserID]*User
	Devices map[parsec3.DeviceID]Device
	// first is the user whose first device comes next, nil for none.
	first *certificate.User

	// Authority is the key of the sequester, nil without, of the date Authorized.
	Authority  *rsa.PublicKey
	Authorized parsec.DateTime
	// Services are those of the sequester, by what they are called.
	Services map[parsec.SequesterServiceID]*Service

	// Setups are the last Shamir recoveries of users.
	Setups map[parsec3.UserID]*Setup
	// shares is the brief whose shares come next, nil for none.
	shares *openShares
}

// New returns an organization of which nothing is followed yet, by its root key. Reader
// is the user whose view is followed; nil for all that there is.
func New(root parsec.VerifyKey, reader *parsec3.UserID) *Organization {
	return &Organization{
		root: root, reader: reader,
		Users:    map[parsec3.UserID]*User{},
		Devices:  map[parsec3.DeviceID]Device{},
		Services: map[parsec.SequesterServiceID]*Service{},
		Setups:   map[parsec3.UserID]*Setup{},
	}
}

// Since is a value from a date on.
type Since[T any] struct {
	Date  parsec.DateTime
	Value T
}

// at returns the last value of a history at a date, zero before the first.
func at[T any](history []Since[T], date parsec.DateTime) (value T) {
	for _, entry := range history {
		if entry.Date <= date {
			value = entry.Value
		}
	}
	return value
}

// signer is who a certificate says that it is by.
type signer struct {
	device parsec3.DeviceID
	key    parsec.VerifyKey
	// user is nil for the root key, and for nobody who is known.
	user *User
	// known is false where there is no key to verify by.
	known bool
}

// begin reads what a certificate says of itself, false if nobody can. What is how
// objections call it.
func begin(what string, signed []byte) (certificate.Claim, Step, bool) {
	claim, err := certificate.ReadClaim(signed)
	step := Step{Type: claim.Type, Date: claim.Timestamp}
	if err != nil {
		step.Objections = []Objection{{Format, what + ": " + err.Error()}}
	}
	return claim, step, err == nil
}

// signerOf finds who must have signed a certificate: the root key only where it may,
// else a device that is older, of a user that is not revoked then.
func (o *Organization) signerOf(step *Step, claim *certificate.Claim, rootMay bool) signer {
	if claim.Author == nil {
		if !rootMay {
			step.object(Foundation, "%s by the root key", claim.Type)
		}
		return signer{key: o.root, known: true}
	}
	device, found := o.Devices[*claim.Author]
	if !found {
		step.object(Author, "%s at %s by %s, which is unknown or younger", claim.Type, claim.Timestamp, claim.Author)
		return signer{device: *claim.Author}
	}
	user := o.Users[device.User]
	step.User = device.User
	switch {
	case device.CreatedOn > claim.Timestamp:
		step.object(Author, "%s at %s by %s, which is unknown or younger", claim.Type, claim.Timestamp, claim.Author)
	case !user.ActiveAt(claim.Timestamp):
		step.object(AuthorRevoked, "%s at %s by %s, who is revoked", claim.Type, claim.Timestamp, claim.Author)
	}
	return signer{*claim.Author, device.Key, user, true}
}

// loader is a Load function of package certificate.
type loader[T any] func([]byte, parsec.VerifyKey, parsec3.DeviceID) (T, error)

// read loads a certificate, or reads what it says all the same, false if nobody can.
func read[T any](step *Step, what string, signed []byte, by signer, load loader[T], unverified func([]byte) (T, error)) (T, bool) {
	if by.known {
		value, err := load(signed, by.key, by.device)
		if err == nil {
			return value, true
		}
		step.Objections = append(step.Objections, Objection{ruleOf(err), what + ": " + err.Error()})
	}
	value, err := unverified(signed)
	if err != nil && !by.known {
		step.Objections = append(step.Objections, Objection{Format, what + ": " + err.Error()})
	}
	return value, err == nil
}

// ruleOf returns the rule that a certificate which does not load breaks.
func ruleOf(err error) *check.Rule {
	if errors.Is(err, certificate.FailureSignature) {
		return Signature
	}
	return Format
}
