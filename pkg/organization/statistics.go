package organization

import (
	"context"
	"iter"

	"parsec-server/pkg/parsec"
)

// surveyPage is how many organizations are summed up by one read; one if their
// data must be scanned.
const surveyPage = 100

// Surveyed is an organization, and what it holds.
type Surveyed struct {
	Organization Organization
	Statistics   Statistics
}

// Statistics returns the statistics of an organization, or ErrNotFound.
func (a *Administration) Statistics(ctx context.Context, id parsec.OrganizationID) (Statistics, error) {
	organization, err := a.Find(ctx, id)
	if err != nil {
		return Statistics{}, err
	}
	surveyed, err := a.sumUp(ctx, []Organization{*organization}, nil)
	if err != nil {
		return Statistics{}, err
	}
	return surveyed[0].Statistics, nil
}

// Survey sums up every organization that is not being deleted, in order of their ids.
// With at it returns what there was then: organizations, users, realms, versions and
// blocks created until that instant, and of the users those revoked until then
// (docs/protocol/administration.md §4). The past costs a pass over all data, so that one
// such survey runs at a time, and others wait.
func (a *Administration) Survey(ctx context.Context, at *parsec.DateTime) iter.Seq2[Surveyed, error] {
	return func(yield func(Surveyed, error) bool) {
		limit := surveyPage
		if at != nil && *at >= a.now() {
			at = nil // what is stored is all that is known of the future
		}
		if at != nil {
			select {
			case a.history <- struct{}{}:
				defer func() { <-a.history }()
			case <-ctx.Done():
				yield(Surveyed{}, ctx.Err())
				return
			}
			limit = 1
		}
		for surveyed, err := range a.surveyAll(ctx, limit, at) {
			if surveyed.Organization.DeletedOn == nil && !yield(surveyed, err) {
				return
			}
		}
	}
}

// surveyAll sums up every organization, in order of their ids, at most limit by one read.
// It ends with the first error.
func (a *Administration) surveyAll(ctx context.Context, limit int, at *parsec.DateTime) iter.Seq2[Surveyed, error] {
	return func(yield func(Surveyed, error) bool) {
		for after := (parsec.OrganizationID{}); ; {
			page, err := a.surveyPage(ctx, after, limit, at)
			if err != nil {
				yield(Surveyed{}, err)
				return
			}
			for i := range page {
				after = page[i].Organization.ID
				if !yield(page[i], nil) {
					return
				}
			}
			if len(page) < limit {
				return
			}
		}
	}
}

func (a *Administration) surveyPage(ctx context.Context, after parsec.OrganizationID, limit int, at *parsec.DateTime) ([]Surveyed, error) {
	organizations, err := a.store.Organizations(ctx, after, limit, at)
	if err != nil {
		return nil, err
	}
	return a.sumUp(ctx, organizations, at)
}

// sumUp asks each wing once. What is not bootstrapped holds nothing.
func (a *Administration) sumUp(ctx context.Context, organizations []Organization, at *parsec.DateTime) ([]Surveyed, error) {
	surveyed := make([]Surveyed, len(organizations))
	ids := map[Generation][]parsec.OrganizationID{}
	for i := range organizations {
		surveyed[i] = Surveyed{organizations[i], NewStatistics()}
		bound := organizations[i].Bound()
		ids[bound] = append(ids[bound], organizations[i].ID)
	}
	for generation, wing := range a.wings {
		if len(ids[generation]) == 0 {
			continue
		}
		statistics, err := wing.StatisticsOf(ctx, ids[generation], at)
		if err != nil {
			return nil, err
		}
		for i := range surveyed {
			if surveyed[i].Organization.Bound() == generation {
				surveyed[i].Statistics, statistics = statistics[0], statistics[1:]
			}
		}
	}
	return surveyed, nil
}
