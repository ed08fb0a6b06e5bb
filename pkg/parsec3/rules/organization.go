package rules

import (
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
)

// Usage is how many bytes an organization holds, without realms that are deleted
// (docs/protocol/v5/commands.md §8.7).
type Usage struct {
	// Metadata is the length of the blobs of all versions of vlobs, Data that of
	// blocks.
	Metadata, Data uint64
}

// OrganizationReader reads about organizations.
type OrganizationReader interface {
	// Usage reads what the organization holds.
	Usage(ctx context.Context, organization parsec.OrganizationID, author parsec3.DeviceID) (Standing, Usage, error)
	// StatisticsOf is that of organization.Wing.
	StatisticsOf(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]organization.Statistics, error)
}

// OrganizationTx is for organizations.
type OrganizationTx interface {
	// Found bootstraps the organization of a founding scope: it creates the
	// topics, with the first user, the first device, and, if it is not nil, the
	// certificate of the sequester authority. The organization itself is put by
	// PutOrganization.
	Found(user User, certificate Certificate, device Device, deviceCertificate Certificate, authority *Certificate)
}
