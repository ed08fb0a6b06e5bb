package organization

import (
	"context"
	"errors"
	"log/slog"

	"parsec-server/pkg/parsec"
)

// Sequestering is a Wing whose sequester services are managed next to running servers
// (docs/protocol/v5/administration.md §1.5). Its organizations may be expired. Besides
// the errors that are named here, its methods return ErrNotFound for an organization
// that is not of its generation, and ErrNotSequestered.
type Sequestering interface {
	Wing
	// SequesterServices lists all services, by date of creation.
	SequesterServices(ctx context.Context, organization parsec.OrganizationID) ([]SequesterService, error)
	// CreateSequesterService adds the service of a certificate that the authority of
	// the organization signed. It returns ErrInvalidCertificate, ErrDateAhead, a
	// *GreaterTimestampError or ErrServiceExists.
	CreateSequesterService(ctx context.Context, organization parsec.OrganizationID, signed []byte, webhookURL string) error
	// RevokeSequesterService revokes the service of a certificate, for ever. It
	// returns ErrInvalidCertificate, ErrDateAhead, a *GreaterTimestampError,
	// ErrServiceNotFound or ErrServiceRevoked.
	RevokeSequesterService(ctx context.Context, organization parsec.OrganizationID, signed []byte) error
	// ConfigureSequesterService sets the webhook of a service, which may be revoked.
	// It returns ErrServiceNotFound.
	ConfigureSequesterService(ctx context.Context, organization parsec.OrganizationID, service parsec.SequesterServiceID, webhookURL string) error
}

// SequesterService is a service as stored. WebhookURL is an http or https URL, "" for a
// service of type storage.
type SequesterService struct {
	ID         parsec.SequesterServiceID
	Label      string
	WebhookURL string
	CreatedOn  parsec.DateTime
	// RevokedOn is nil for an active service.
	RevokedOn *parsec.DateTime
}

// Why a sequester service cannot be managed as asked.
var (
	ErrNotSequestered     = errors.New("the organization is not sequestered")
	ErrInvalidCertificate = errors.New("the sequester authority did not sign this certificate")
	ErrDateAhead          = errors.New("the date of the certificate is too far in the future")
	ErrServiceExists      = errors.New("the sequester service already exists")
	ErrServiceNotFound    = errors.New("no such sequester service")
	ErrServiceRevoked     = errors.New("the sequester service is already revoked")
)

// GreaterTimestampError is returned for a certificate that is not later than the last
// one.
type GreaterTimestampError struct{ Last parsec.DateTime }

func (e *GreaterTimestampError) Error() string {
	return "the date of the certificate must be after " + e.Last.String()
}

// SequesterServices lists the sequester services of an organization, by date of
// creation. It and the methods below return what Sequestering does, and
// ErrOnlyParsec3.
func (a *Administration) SequesterServices(ctx context.Context, id parsec.OrganizationID) ([]SequesterService, error) {
	wing, err := ofParsec3[Sequestering](ctx, a, id)
	if err != nil {
		return nil, err
	}
	return wing.SequesterServices(ctx, id)
}

// CreateSequesterService adds the service of a certificate, with the address of its
// webhook, "" for one of type storage.
func (a *Administration) CreateSequesterService(ctx context.Context, by Administrator, id parsec.OrganizationID, signed []byte, webhookURL string) error {
	wing, err := ofParsec3[Sequestering](ctx, a, id)
	if err != nil {
		return err
	}
	if err := wing.CreateSequesterService(ctx, id, signed, webhookURL); err != nil {
		return err
	}
	a.audit(ctx, by, "create_sequester_service", id, typeOfService(webhookURL))
	return nil
}

// RevokeSequesterService revokes the service of a certificate, for ever.
func (a *Administration) RevokeSequesterService(ctx context.Context, by Administrator, id parsec.OrganizationID, signed []byte) error {
	wing, err := ofParsec3[Sequestering](ctx, a, id)
	if err != nil {
		return err
	}
	if err := wing.RevokeSequesterService(ctx, id, signed); err != nil {
		return err
	}
	a.audit(ctx, by, "revoke_sequester_service", id)
	return nil
}

// ConfigureSequesterService sets the address of the webhook of a service, "" for type
// storage.
func (a *Administration) ConfigureSequesterService(ctx context.Context, by Administrator, id parsec.OrganizationID, service parsec.SequesterServiceID, webhookURL string) error {
	wing, err := ofParsec3[Sequestering](ctx, a, id)
	if err != nil {
		return err
	}
	if err := wing.ConfigureSequesterService(ctx, id, service, webhookURL); err != nil {
		return err
	}
	a.audit(ctx, by, "configure_sequester_service", id, slog.String("service", service.String()), typeOfService(webhookURL))
	return nil
}

// typeOfService does not tell the address of a webhook, which may hold a secret.
func typeOfService(webhookURL string) slog.Attr {
	if webhookURL == "" {
		return slog.String("type", "storage")
	}
	return slog.String("type", "webhook")
}
