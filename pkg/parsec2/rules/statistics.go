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
	// OrganizationStatistics does what organization.Wing.StatisticsOf does.
	OrganizationStatistics(ctx context.Context, organizations []parsec.OrganizationID, at *parsec.DateTime) ([]Statistics, error)
}
