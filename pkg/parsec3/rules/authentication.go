package rules

import (
	"cmp"
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Token is what a device sends to be let in (docs/protocol/v5/transport.md §4.2).
type Token struct {
	Device parsec3.DeviceID
	// Date is the client's, in whole seconds.
	Date parsec.DateTime
	// Signature is that of Signed by the device.
	Signed, Signature []byte
}

// Standing returns what is known of the device of a token.
func (r *Rules) Standing(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, error) {
	return r.store.Authentication(ctx, organization, device)
}

// GreeterStanding is Standing of who sends a step of a greeting: as of the last event about
// it, unless that keeps it out. The attempt is read with it, and is in view when the
// command comes to it. Nothing else is let in by what is in view: events of other instances
// come late, and of a frozen user no command looks again.
func (r *Rules) GreeterStanding(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID, attempt parsec3.GreetingAttemptID) (Standing, error) {
	if standing, known := r.greetings.standing(organization, device); known && checkAccess(&standing, r.now()) == nil {
		return standing, nil
	}
	v, err := r.readView(ctx, attemptKey{organization, attempt}, device, nil)
	if err != nil {
		return Standing{}, err
	}
	return v.standing, nil
}

// Admit returns who sent a token, or the Abort that keeps them out, in the order
// of docs/protocol/v5/commands.md §3 as improved there: who cannot sign for a device
// learns nothing of its user.
func (r *Rules) Admit(standing *Standing, token *Token, api parsec.APIVersion) (*Author, error) {
	return r.admit(standing, token, api, checkTOS)
}

// AdmitToTOS is Admit for the family tos: the user need not have accepted the terms
// of service yet.
func (r *Rules) AdmitToTOS(standing *Standing, token *Token, api parsec.APIVersion) (*Author, error) {
	return r.admit(standing, token, api, func(*Standing) error { return nil })
}

func (r *Rules) admit(standing *Standing, token *Token, api parsec.APIVersion, checkTOS func(*Standing) error) (*Author, error) {
	now := r.now()
	if err := checkOpen(standing.Organization, now); err != nil {
		return nil, err
	}
	if standing.Device == nil || standing.User == nil {
		return nil, UnknownDevice
	}
	by := signer{standing.Organization.ID, standing.User.ID, standing.Device.VerifyKey}
	if !r.tokens.verify(by, token, now) {
		return nil, BadSignature
	}
	if err := cmp.Or(checkNotRevoked(standing.User), checkNotFrozen(standing.User)); err != nil {
		return nil, err
	}
	if err := checkTOS(standing); err != nil {
		return nil, err
	}
	if !parsec.InBallpark(now, token.Date) {
		return nil, TokenExpired
	}
	return &Author{
		Organization: standing.Organization.ID,
		Device:       standing.Device.ID,
		User:         standing.User.ID,
		VerifyKey:    standing.Device.VerifyKey,
		API:          api,
	}, nil
}

// AdmitProbe is AdmitAnonymous for who asks only whether an organization exists.
func (r *Rules) AdmitProbe(ctx context.Context, id parsec.OrganizationID) error {
	stored, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	return checkExisting(stored, r.now())
}

// AdmitAnonymous returns the Abort that keeps out who asks for an organization
// without being known there, nil for none. With spontaneous bootstraps that is also
// an organization that does not exist.
func (r *Rules) AdmitAnonymous(ctx context.Context, id parsec.OrganizationID) error {
	stored, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	return r.checkAnonymous(stored, r.now())
}

// find returns an organization, nil if there is none.
func (r *Rules) find(ctx context.Context, id parsec.OrganizationID) (*organization.Organization, error) {
	stored, found, err := r.store.Organization(ctx, id)
	if err != nil || !found {
		return nil, err
	}
	return stored, nil
}

func (r *Rules) checkAnonymous(o *organization.Organization, now parsec.DateTime) error {
	if r.options.Spontaneous(o) {
		return nil
	}
	return checkExisting(o, now)
}

// checkExisting refuses an organization that nobody can ask for; nil is one that does
// not exist.
func checkExisting(o *organization.Organization, now parsec.DateTime) error {
	switch {
	case o == nil:
		return OrganizationNotFound
	case o.Importing:
		return organization.ErrImporting
	case o.Bound() != 0 && o.Bound() != generation:
		return WrongGeneration
	case o.Expired(now):
		return OrganizationExpired
	default:
		return nil
	}
}

// checkOpen is checkExisting for what a device does: the organization is bootstrapped.
func checkOpen(o *organization.Organization, now parsec.DateTime) error {
	if o != nil && !o.Importing && o.Bound() == 0 {
		return OrganizationNotFound
	}
	return checkExisting(o, now)
}

func checkNotRevoked(user *User) error {
	if user.RevokedOn != nil {
		return UserRevoked
	}
	return nil
}

func checkNotFrozen(user *User) error {
	if user.Frozen {
		return UserFrozen
	}
	return nil
}

// checkTOS wants the user to have accepted the terms of service as they are.
func checkTOS(standing *Standing) error {
	tos, accepted := standing.Organization.TOS, standing.User.AcceptedTOS
	if tos != nil && (accepted == nil || *accepted < tos.UpdatedOn) {
		return MustAcceptTOS
	}
	return nil
}

// checkStanding applies the checks that begin every command of a device
// (docs/protocol/v5/commands.md §4). Whether the user is frozen, and has accepted
// the terms of service, is checked once, before the command.
func checkStanding(o *organization.Organization, user *User, now parsec.DateTime) error {
	if err := checkOpen(o, now); err != nil {
		return err
	}
	if user == nil {
		return UnknownDevice
	}
	return checkNotRevoked(user)
}

// checkAccess applies the checks of a device that begins something and has signed
// for it (docs/protocol/v5/commands.md §3, 6 to 11).
func checkAccess(standing *Standing, now parsec.DateTime) error {
	if err := standing.check(now); err != nil {
		return err
	}
	return cmp.Or(checkNotFrozen(standing.User), checkTOS(standing))
}

// check is checkStanding of who asks.
func (s *Standing) check(now parsec.DateTime) error {
	return checkStanding(s.Organization, s.User, now)
}

// Standing is who asks, as found in the snapshot of what is asked. It is nil for
// what does not exist.
type Standing struct {
	Organization *organization.Organization
	User         *User
	Device       *Device
}

// AuthenticationReader reads who sends a request.
type AuthenticationReader interface {
	// Authentication reads what the checks of docs/protocol/v5/commands.md §3 need.
	Authentication(ctx context.Context, organization parsec.OrganizationID, device parsec3.DeviceID) (Standing, error)
}
