package rules

import (
	"context"
	"crypto/rsa"
	"errors"
	"slices"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/notice"
	"parsec-server/pkg/parsec3/protocol"
)

// Why a sequester service cannot be managed as asked
// (docs/protocol/v5/administration.md §1.5). An organization that is not of this
// generation is refused with organization.ErrNotFound, and a date by a
// *protocol.Refusal: require_greater_timestamp, or timestamp_out_of_ballpark for one
// ahead.
var (
	ErrNotSequestered     = errors.New("the organization is not sequestered")
	ErrInvalidCertificate = errors.New("the sequester authority did not sign this certificate")
	ErrServiceExists      = errors.New("the sequester service already exists")
	ErrServiceNotFound    = errors.New("no such sequester service")
	ErrServiceRevoked     = errors.New("the sequester service is already revoked")
)

// SequesterServices lists all services of an organization, by date of creation.
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

// CreateSequesterService adds the service of a certificate, with the address of its
// webhook, "" for one of type storage. The organization may be expired.
func (r *Rules) CreateSequesterService(ctx context.Context, id parsec.OrganizationID, signed []byte, webhookURL string) error {
	service, err := loadOfAuthority(ctx, r, id, signed, certificate.LoadSequesterService)
	if err != nil {
		return err
	}
	return r.updateServices(ctx, id, service.Timestamp, func(tx Tx, services []SequesterService) error {
		if findService(services, service.ServiceID) != nil {
			return ErrServiceExists
		}
		tx.CreateService(SequesterService{
			ID: service.ServiceID, Label: service.ServiceLabel, WebhookURL: webhookURL, CreatedOn: service.Timestamp,
		}, Certificate{Timestamp: service.Timestamp, Bytes: signed})
		return nil
	})
}

// RevokeSequesterService revokes the service of a certificate, for ever. The
// organization may be expired.
func (r *Rules) RevokeSequesterService(ctx context.Context, id parsec.OrganizationID, signed []byte) error {
	revoked, err := loadOfAuthority(ctx, r, id, signed, certificate.LoadSequesterRevokedService)
	if err != nil {
		return err
	}
	return r.updateServices(ctx, id, revoked.Timestamp, func(tx Tx, services []SequesterService) error {
		service := findService(services, revoked.ServiceID)
		switch {
		case service == nil:
			return ErrServiceNotFound
		case service.RevokedOn != nil:
			return ErrServiceRevoked
		}
		tx.RevokeService(revoked.ServiceID, Certificate{Timestamp: revoked.Timestamp, Bytes: signed})
		return nil
	})
}

// ConfigureSequesterService sets the address of the webhook of a service, "" for type
// storage. The service may be revoked, and the organization expired.
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
			return ErrServiceNotFound
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
		return loaded, ErrInvalidCertificate
	}
	return loaded, nil
}

// updateServices runs rule in a transaction that grows the sequester topic by a
// certificate of a date. These certificates are made long before they are used: only
// those ahead of the clock are refused, which would keep out every later one.
func (r *Rules) updateServices(ctx context.Context, id parsec.OrganizationID, timestamp parsec.DateTime, rule func(tx Tx, services []SequesterService) error) error {
	now := r.now()
	if now < timestamp && !parsec.InBallpark(now, timestamp) {
		return protocol.RefuseOutOfBallpark(now, timestamp)
	}
	return r.store.Update(ctx, Scope{Organization: id, Sequester: Exclusive}, func(tx Tx) error {
		if err := checkSequestered(tx.Organization()); err != nil {
			return err
		}
		if err := checkGreater(timestamp, tx.Topics().Sequester); err != nil {
			return err
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
		return ErrNotSequestered
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
