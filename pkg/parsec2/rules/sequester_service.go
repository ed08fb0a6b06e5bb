package rules

import (
	"context"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
)

// Why a sequester service cannot be managed as asked
// (docs/protocol/administration.md §6). An organization that does not exist is
// refused with not_found.
var (
	ErrNotSequestered  = errors.New("the organization is not sequestered")
	ErrServiceExists   = errors.New("the sequester service already exists")
	ErrServiceNotFound = errors.New("no such sequester service")
	ErrServiceEnabled  = errors.New("the sequester service is already enabled")
	ErrServiceDisabled = errors.New("the sequester service is already disabled")
	ErrServiceWebhook  = errors.New("the sequester service is a webhook: no copies are stored for it")
)

// SequesterServices returns the organization, which exists and is sequestered,
// and all its services in creation order.
func (r *Rules) SequesterServices(ctx context.Context, organization parsec.OrganizationID) (*Organization, []SequesterService, error) {
	found, err := r.existingOrganization(ctx, organization)
	if err != nil {
		return nil, nil, err
	}
	if !found.Sequestered() {
		return nil, nil, ErrNotSequestered
	}
	services, err := r.store.SequesterServices(ctx, organization)
	return found, services, err
}

// CreateSequesterService adds a service to a sequestered organization. The
// authority of the organization signed its certificate, which holds its id and
// label. webhookURL is "" for a storage service. There is no check of dates.
func (r *Rules) CreateSequesterService(ctx context.Context, organization parsec.OrganizationID, signed []byte, webhookURL string) error {
	now := r.now()
	return r.updateServices(ctx, organization, func(authority *Organization, services []SequesterService) (*SequesterService, error) {
		key, err := parsec.ParseRSAPublicKey(authority.SequesterVerifyKeyDER)
		if err != nil {
			return nil, err
		}
		loaded, err := certificate.LoadSequesterService(signed, key)
		if err != nil {
			return nil, fmt.Errorf("load sequester service certificate: %w", err)
		}
		if findService(services, loaded.ServiceID) != nil {
			return nil, ErrServiceExists
		}
		return &SequesterService{
			ID:          loaded.ServiceID,
			Label:       loaded.ServiceLabel,
			Certificate: signed,
			WebhookURL:  webhookURL,
			CreatedOn:   now,
		}, nil
	})
}

// DisableSequesterService ends the copies for a service.
func (r *Rules) DisableSequesterService(ctx context.Context, organization parsec.OrganizationID, id parsec.SequesterServiceID) error {
	now := r.now()
	return r.changeService(ctx, organization, id, func(service *SequesterService) error {
		if service.DisabledOn != nil {
			return ErrServiceDisabled
		}
		service.DisabledOn = &now
		return nil
	})
}

// EnableSequesterService starts the copies for a disabled service again.
func (r *Rules) EnableSequesterService(ctx context.Context, organization parsec.OrganizationID, id parsec.SequesterServiceID) error {
	return r.changeService(ctx, organization, id, func(service *SequesterService) error {
		if service.DisabledOn == nil {
			return ErrServiceEnabled
		}
		service.DisabledOn = nil
		return nil
	})
}

func (r *Rules) changeService(ctx context.Context, organization parsec.OrganizationID, id parsec.SequesterServiceID, change func(*SequesterService) error) error {
	return r.updateServices(ctx, organization, func(_ *Organization, services []SequesterService) (*SequesterService, error) {
		service := findService(services, id)
		if service == nil {
			return nil, ErrServiceNotFound
		}
		changed := *service
		return &changed, change(&changed)
	})
}

// updateServices stores the service that rule returns without error.
func (r *Rules) updateServices(ctx context.Context, id parsec.OrganizationID, rule func(organization *Organization, services []SequesterService) (*SequesterService, error)) error {
	return r.store.Update(ctx, Scope{Organization: id, LockOrganization: true}, func(tx Tx) error {
		organization, found := tx.Organization()
		if !found {
			return errOrganizationNotFound
		}
		if !organization.Sequestered() {
			return ErrNotSequestered
		}
		services, err := tx.SequesterServices(ctx)
		if err != nil {
			return err
		}
		service, err := rule(organization, services)
		if err != nil {
			return err
		}
		tx.PutSequesterService(*service)
		return nil
	})
}

// findService returns nil if there is no such service.
func findService(services []SequesterService, id parsec.SequesterServiceID) *SequesterService {
	for i := range services {
		if services[i].ID == id {
			return &services[i]
		}
	}
	return nil
}
