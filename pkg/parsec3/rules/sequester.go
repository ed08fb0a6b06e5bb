package rules

import (
	"context"
	"errors"
	"slices"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
)

// SequesterService is a service as stored.
type SequesterService = organization.SequesterService

// VlobQuestion is what webhooks are asked about a version of a vlob.
type VlobQuestion struct {
	Organization parsec.OrganizationID
	Realm        parsec.RealmID
	Version      *VlobVersion
}

// KeyRotationQuestion is what a webhook is asked about a key rotation.
type KeyRotationQuestion struct {
	Organization parsec.OrganizationID
	Rotation     certificate.RealmKeyRotation
	KeysBundle   []byte
	// Access is that of the service.
	Access []byte
}

// consent is the webhook services that have accepted what one command writes.
type consent map[parsec.SequesterServiceID]bool

// consentAwaitedError is that of a rule that is content but for webhooks that have not
// accepted yet.
type consentAwaitedError struct{ services []SequesterService }

func (*consentAwaitedError) Error() string { return "webhooks have not accepted yet" }

// check wants the webhooks that are active now to have accepted. It is the last row of
// the tables.
func (c consent) check(ctx context.Context, tx Tx) error {
	if stored, _ := tx.Organization(); !stored.Sequestered() {
		return nil
	}
	services, err := activeServices(ctx, tx)
	if err != nil {
		return err
	}
	awaited := slices.DeleteFunc(services, func(service SequesterService) bool {
		return service.WebhookURL == "" || c[service.ID]
	})
	if len(awaited) > 0 {
		return &consentAwaitedError{awaited}
	}
	return nil
}

// activeServices lists the services that are not revoked, by date of creation.
func activeServices(ctx context.Context, tx Tx) ([]SequesterService, error) {
	services, err := tx.Services(ctx)
	return slices.DeleteFunc(slices.Clone(services), func(service SequesterService) bool { return service.RevokedOn != nil }), err
}

// consentedUpdate is an update by a rule that webhooks must accept
// (docs/protocol/v5/commands.md §11.8).
type consentedUpdate struct {
	author *Author
	now    parsec.DateTime
	scope  Scope
	// ask asks a webhook once. It is not called again for one that has accepted.
	ask  func(ctx context.Context, service SequesterService) error
	rule func(ctx context.Context, tx Tx, given consent) error
	// given are those that have accepted so far.
	given consent
}

// updateWithConsent runs an update, and may do so again when it has failed. Webhooks
// are asked outside of the transaction, one after the other, and the rule runs again.
// It ends, since each turn adds a service to those that have accepted.
func (r *Rules) updateWithConsent(ctx context.Context, hold *outage.Hold, u *consentedUpdate) error {
	for {
		err := r.update(ctx, u.author, u.now, u.scope, func(tx Tx, _ *User) error { return u.rule(ctx, tx, u.given) })
		awaited, found := errors.AsType[*consentAwaitedError](err)
		if !found {
			return err
		}
		if u.given == nil {
			u.given = consent{}
		}
		for _, service := range awaited.services {
			if err := u.askPatiently(ctx, hold, service); err != nil {
				return err
			}
			u.given[service.ID] = true
		}
	}
}

// askPatiently asks a webhook again while it is absent: a client would not survive
// to be told.
func (u *consentedUpdate) askPatiently(ctx context.Context, hold *outage.Hold, service SequesterService) error {
	for {
		err := u.ask(ctx, service)
		if !errors.Is(err, errServiceAbsent) || !hold.Wait(ctx) {
			return err
		}
	}
}

// errServiceAbsent is, by errors.Is, that of a webhook which does not answer.
var errServiceAbsent = protocol.Refuse(protocol.StatusSequesterServiceUnavailable)

// SequesterReader reads sequester services.
type SequesterReader interface {
	// SequesterServices lists all services of an organization, by date of
	// creation.
	SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]SequesterService, error)
}

// SequesterTx is for sequester services.
type SequesterTx interface {
	// Services lists all services, by date of creation.
	Services(ctx context.Context) ([]SequesterService, error)
	// CreateService adds a service.
	CreateService(service SequesterService, certificate Certificate)
	// RevokeService revokes a service as of the certificate's date.
	RevokeService(id parsec.SequesterServiceID, certificate Certificate)
	// ConfigureService sets the webhook of a service, "" for storage.
	ConfigureService(id parsec.SequesterServiceID, webhookURL string)
}
