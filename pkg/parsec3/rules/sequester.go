package rules

import (
	"context"

	"parsec-server/pkg/parsec"
)

// SequesterService is a service as stored; WebhookURL is "" for one of type
// storage.
type SequesterService struct {
	ID         parsec.SequesterServiceID
	Label      string
	WebhookURL string
	CreatedOn  parsec.DateTime
	// RevokedOn is nil for an active service.
	RevokedOn *parsec.DateTime
}

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
