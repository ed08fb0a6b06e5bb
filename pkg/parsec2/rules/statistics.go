package rules

import (
	"context"
	"iter"

	"parsec-server/pkg/parsec"
)

// Statistics are sizes in bytes and numbers of objects. The size of a vlob
// counts each version once, as first uploaded; sequester copies and
// reencrypted copies are not counted.
type Statistics struct {
	DataSize     uint64
	MetadataSize uint64
	Realms       uint64
	// Active and Revoked count users by profile.
	Active  map[parsec.UserProfile]uint64
	Revoked map[parsec.UserProfile]uint64
}

// surveyPage is how many organizations are summed up by one read; one if their
// data must be scanned.
const surveyPage = 100

// Users counts users, frozen ones as active.
func (s *Statistics) Users() (active, revoked uint64) {
	for _, profile := range parsec.UserProfiles {
		active += s.Active[profile]
		revoked += s.Revoked[profile]
	}
	return active, revoked
}

// StatisticsOf refuses an organization that does not exist.
func (r *Rules) StatisticsOf(ctx context.Context, organization parsec.OrganizationID) (Statistics, error) {
	if _, err := r.existingOrganization(ctx, organization); err != nil {
		return Statistics{}, err
	}
	return r.store.OrganizationStatistics(ctx, organization)
}

// Survey sums up every organization, in order of their ids. With at it tells
// what there was then: organizations, users, realms, versions and blocks
// created until that instant, and of the users those revoked until then
// (docs/protocol/administration.md §4). The past costs a pass over all data,
// so that one such survey runs at a time, and others wait.
func (r *Rules) Survey(ctx context.Context, at *parsec.DateTime) iter.Seq2[SurveyedOrganization, error] {
	return func(yield func(SurveyedOrganization, error) bool) {
		page := surveyPage
		if at != nil && *at >= r.now() {
			at = nil // what is stored is all that is known of the future
		}
		if at != nil {
			select {
			case r.history <- struct{}{}:
				defer func() { <-r.history }()
			case <-ctx.Done():
				yield(SurveyedOrganization{}, ctx.Err())
				return
			}
			page = 1
		}
		var after parsec.OrganizationID
		for {
			surveyed, err := r.store.Survey(ctx, after, page, at)
			if err != nil {
				yield(SurveyedOrganization{}, err)
				return
			}
			for i := range surveyed {
				if !yield(surveyed[i], nil) {
					return
				}
				after = surveyed[i].Organization.ID
			}
			if len(surveyed) < page {
				return
			}
		}
	}
}

// SurveyedOrganization is an organization, and what it holds.
type SurveyedOrganization struct {
	Organization Organization
	Statistics   Statistics
}

// StatisticsReader sums up what organizations hold.
type StatisticsReader interface {
	// OrganizationStatistics does not scan the organization's data.
	OrganizationStatistics(ctx context.Context, id parsec.OrganizationID) (Statistics, error)
	// Survey sums up at most limit organizations, in byte order of their ids,
	// that come after one; the zero id comes before all. With at it leaves out
	// organizations created after that instant, counts what was there then, and
	// may scan the data; without, it does not.
	Survey(ctx context.Context, after parsec.OrganizationID, limit int, at *parsec.DateTime) ([]SurveyedOrganization, error)
}
