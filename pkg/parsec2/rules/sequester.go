package rules

import (
	"context"
	"errors"
	"slices"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// SequesterService is a sequester service as stored
// (docs/protocol/administration.md §6).
type SequesterService struct {
	ID          parsec.SequesterServiceID
	Label       string
	Certificate []byte
	// WebhookURL is "" for a storage service.
	WebhookURL string
	CreatedOn  parsec.DateTime
	DisabledOn *parsec.DateTime
}

// checkSequester wants a copy of a vlob for each enabled service, and no other
// (docs/protocol/commands.md §8.1). It returns these services.
func checkSequester(ctx context.Context, tx Tx, blobs map[parsec.SequesterServiceID][]byte) ([]SequesterService, error) {
	organization, _ := tx.Organization()
	if !organization.Sequestered() {
		if blobs != nil {
			return nil, protocol.Refuse(protocol.StatusNotASequestered, "The organization is not sequestered.")
		}
		return nil, nil
	}
	all, err := tx.SequesterServices(ctx)
	if err != nil {
		return nil, err
	}
	services := enabledServices(all)
	consistent := len(services) == len(blobs)
	for i := range services {
		if _, found := blobs[services[i].ID]; !found {
			consistent = false
		}
	}
	if consistent {
		return services, nil
	}
	return nil, &protocol.Refusal{
		Status: protocol.StatusSequesterInconsistency,
		Reason: "The copies are not for exactly the enabled sequester services.",
		Details: &protocol.SequesterInconsistencyDetails{
			AuthorityCertificate: organization.SequesterAuthorityCertificate,
			ServicesCertificates: servicesCertificates(services),
		},
	}
}

func enabledServices(services []SequesterService) []SequesterService {
	return slices.DeleteFunc(slices.Clone(services), func(s SequesterService) bool { return s.DisabledOn != nil })
}

func servicesCertificates(services []SequesterService) [][]byte {
	certificates := make([][]byte, 0, len(services))
	for i := range services {
		certificates = append(certificates, services[i].Certificate)
	}
	return certificates
}

// storedCopies returns the copies for the storage services; those of webhooks
// are not stored.
func storedCopies(services []SequesterService, blobs map[parsec.SequesterServiceID][]byte) map[parsec.SequesterServiceID][]byte {
	if len(services) == 0 {
		return nil
	}
	copies := make(map[parsec.SequesterServiceID][]byte, len(services))
	for i := range services {
		if services[i].WebhookURL == "" {
			copies[services[i].ID] = blobs[services[i].ID]
		}
	}
	return copies
}

// acceptance is the webhook services that have accepted the vlob of one
// command.
type acceptance map[parsec.SequesterServiceID]bool

// webhooksAwaitedError is that of a rule that is content but for webhooks that
// have not accepted yet.
type webhooksAwaitedError struct{ services []SequesterService }

func (*webhooksAwaitedError) Error() string { return "webhooks have not accepted yet" }

// checkWebhooks wants the webhooks among services to have accepted.
func (a acceptance) checkWebhooks(services []SequesterService) error {
	var awaited []SequesterService
	for i := range services {
		if services[i].WebhookURL != "" && !a[services[i].ID] {
			awaited = append(awaited, services[i])
		}
	}
	if awaited != nil {
		return &webhooksAwaitedError{awaited}
	}
	return nil
}

// updateWithWebhooks is updateAt for a rule that hands blobs to webhooks: they
// are called outside of the transaction, each once, and the rule runs again.
// It ends, since each turn adds to the acceptance a service that has a blob.
func (r *Rules) updateWithWebhooks(ctx context.Context, author *Author, now parsec.DateTime, scope Scope, blobs map[parsec.SequesterServiceID][]byte, rule func(Tx, acceptance) error) error {
	accepted := acceptance{}
	for {
		err := r.updateAt(ctx, author, now, scope, func(tx Tx) error { return rule(tx, accepted) })
		awaited, found := errors.AsType[*webhooksAwaitedError](err)
		if !found {
			return err
		}
		for _, service := range awaited.services {
			if err := r.webhooks.Sequester(ctx, author.Organization, service, blobs[service.ID]); err != nil {
				return err
			}
			accepted[service.ID] = true
		}
	}
}

// SequesterReader reads sequester services.
type SequesterReader interface {
	// SequesterServices lists all services in creation order.
	SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]SequesterService, error)
}

// SequesterTx is for sequester services.
type SequesterTx interface {
	// SequesterServices lists all services in creation order. It is locked
	// against changes for the duration of the transaction.
	SequesterServices(ctx context.Context) ([]SequesterService, error)
	// PutSequesterService creates or replaces a service.
	PutSequesterService(service SequesterService)
}
