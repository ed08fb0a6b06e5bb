package rules

import (
	"context"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// Statistics are what an organization holds.
type Statistics = organization.Statistics

// StatisticsOf implements organization.Wing.
func (r *Rules) StatisticsOf(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]Statistics, error) {
	return r.store.OrganizationStatistics(ctx, organizations, at)
}

// StatisticsReader sums up what organizations hold.
type StatisticsReader interface {
	// OrganizationStatistics are those of organization.Wing.StatisticsOf.
	OrganizationStatistics(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]Statistics, error)
}
