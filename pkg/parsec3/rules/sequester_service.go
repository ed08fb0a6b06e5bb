package rules

import (
	"context"
	"crypto/rsa"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
)

// SequesterServices implements organization.Sequestering.
func (r *Rules) SequesterServices(ctx context.Context, id parsec.OrganizationID) ([]SequesterService, error) {
	stored, found, err := r.store.Organization(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := checkSequestered(stored, found); err != nil {
		return nil, err
	}
	return r.store.SequesterServices(ctx, id)
}

// CreateSequesterService implements organization.Sequestering.
func (r *Rules) CreateSequesterService(ctx context.Context, id parsec.OrganizationID, signed []byte, webhookURL string) error {
	service, err := loadOfAuthority(ctx, r, id, signed, certificate.LoadSequesterService)
	if err != nil {
		return err
	}
	return r.updateServices(ctx, id, service.Timestamp, func(tx Tx, services []SequesterService) error {
		if findService(services, service.ServiceID) != nil {
			return organization.ErrServiceExists
		}
		tx.CreateService(SequesterService{
			ID: service.ServiceID, Label: service.ServiceLabel, WebhookURL: webhookURL, CreatedOn: service.Timestamp,
		}, Certificate{Timestamp: service.Timestamp, Bytes: signed})
		return nil
	})
}

// RevokeSequesterService implements organization.Sequestering.
func (r *Rules) RevokeSequesterService(ctx context.Context, id parsec.OrganizationID, signed []byte) error {
	revoked, err := loadOfAuthority(ctx, r, id, signed, certificate.LoadSequesterRevokedService)
	if err != nil {
		return err
	}
	return r.updateServices(ctx, id, revoked.Timestamp, func(tx Tx, services []SequesterService) error {
		service := findService(services, revoked.ServiceID)
		switch {
		case service == nil:
			return organization.ErrServiceNotFound
		case service.RevokedOn != nil:
			return organization.ErrServiceRevoked
		}
		tx.RevokeService(revoked.ServiceID, Certificate{Timestamp: revoked.Timestamp, Bytes: signed})
		return nil
	})
}

// ConfigureSequesterService implements organization.Sequestering.
func (r *Rules) ConfigureSequesterService(ctx context.Context, id parsec.OrganizationID, service parsec.SequesterServiceID, webhookURL string) error {
	return r.store.Update(ctx, Scope{Organization: id, Sequester: Exclusive}, func(tx Tx) error {
		if err := checkSequestered(tx.Organization()); err != nil {
			return err
		}
		services, err := tx.Services(ctx)
		if err != nil {
			return err
		}
		if findService(services, service) == nil {
			return organization.ErrServiceNotFound
		}
		tx.ConfigureService(service, webhookURL)
		return nil
	})
}

// loadOfAuthority loads a certificate that the authority of the organization signed. It
// is for ever the same one.
func loadOfAuthority[T any](ctx context.Context, r *Rules, id parsec.OrganizationID, signed []byte, load func([]byte, *rsa.PublicKey) (T, error)) (loaded T, err error) {
	stored, found, err := r.store.Organization(ctx, id)
	if err != nil {
		return loaded, err
	}
	if err := checkSequestered(stored, found); err != nil {
		return loaded, err
	}
	authority, err := parsec.ParseRSAPublicKey(stored.SequesterVerifyKeyDER)
	if err != nil {
		return loaded, err
	}
	if loaded, err = load(signed, authority); err != nil {
		return loaded, organization.ErrInvalidCertificate
	}
	return loaded, nil
}

// updateServices runs rule in a transaction that grows the sequester topic by a
// certificate of a date. These certificates are made long before they are used: only
// those ahead of the clock are refused, which would keep out every later one.
func (r *Rules) updateServices(ctx context.Context, id parsec.OrganizationID, timestamp parsec.DateTime, rule func(tx Tx, services []SequesterService) error) error {
	now := r.now()
	if now < timestamp && !parsec.InBallpark(now, timestamp) {
		return organization.ErrDateAhead
	}
	return r.store.Update(ctx, Scope{Organization: id, Sequester: Exclusive}, func(tx Tx) error {
		if err := checkSequestered(tx.Organization()); err != nil {
			return err
		}
		if last := tx.Topics().Sequester; timestamp <= last {
			return &organization.GreaterTimestampError{Last: last}
		}
		services, err := tx.Services(ctx)
		if err != nil {
			return err
		}
		if err := rule(tx, services); err != nil {
			return err
		}
		tx.Emit(event.Event{Organization: id, Body: notice.SequesterCertificate{ID: notice.NewID(), Timestamp: timestamp}})
		return nil
	})
}

func checkSequestered(stored *organization.Organization, found bool) error {
	switch {
	case !found || stored.Bound() != organization.Parsec3:
		return organization.ErrNotFound
	case !stored.Sequestered():
		return organization.ErrNotSequestered
	default:
		return nil
	}
}

// findService returns nil if there is no such service.
func findService(services []SequesterService, id parsec.SequesterServiceID) *SequesterService {
	i := slices.IndexFunc(services, func(service SequesterService) bool { return service.ID == id })
	if i < 0 {
		return nil
	}
	return &services[i]
}
