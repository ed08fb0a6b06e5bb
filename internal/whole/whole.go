// Package whole checks a whole database: the organizations of both generations, and what
// is of none.
package whole

import (
	"context"
	"fmt"

	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	organizationpostgres "parsec-server/pkg/organization/postgres"
	"parsec-server/pkg/parsec"
	parsec2check "parsec-server/pkg/parsec2/check"
	parsec3check "parsec-server/pkg/parsec3/check"
)

// Options say what is checked, and who is told.
type Options struct {
	// Only is the organization to check, nil for all, and what is of none.
	Only *parsec.OrganizationID
	// Report is told of each fault.
	Report check.Report
	// Begin is told of the certificates and versions of vlobs that there are, Advance of
	// those that are done; nil for nobody.
	Begin, Advance func(rows int64)
}

// Counts are what was checked.
type Counts struct {
	Organizations int64 `json:"organizations"`
	// Rows are certificates and versions of vlobs.
	Rows int64 `json:"rows"`
}

// NotFoundError is that of an organization that does not exist.
type NotFoundError struct{ Organization parsec.OrganizationID }

func (e *NotFoundError) Error() string { return "no such organization: " + e.Organization.String() }

// wing is how an organization of a generation is checked.
type wing struct {
	rows  func(context.Context, *database.Inspection, parsec.OrganizationID) (int64, error)
	check func(context.Context, *database.Inspection, *organization.Organization, check.Report, func(int64)) error
	rest  func(context.Context, *database.Inspection, check.Report) error
}

var wings = map[organization.Generation]wing{
	organization.Parsec2: {parsec2check.Rows, parsec2check.Organization, parsec2check.Rest},
	organization.Parsec3: {parsec3check.Rows, parsec3check.Organization, parsec3check.Rest},
}

// Check finds what a database holds that it should not, at the instant of an inspection.
func Check(ctx context.Context, on *database.Inspection, options Options) (counts Counts, err error) {
	organizations, err := list(ctx, on, options.Only)
	if err != nil {
		return counts, err
	}
	advance := func(rows int64) {
		counts.Rows += rows
		if options.Advance != nil {
			options.Advance(rows)
		}
	}
	if options.Begin != nil {
		total, err := rowsOf(ctx, on, organizations)
		if err != nil {
			return counts, err
		}
		options.Begin(total)
	}
	for i := range organizations {
		// One that is not bootstrapped has nothing, which the rest sees to, and one that is
		// being deleted is not whole.
		if one := &organizations[i]; isChecked(one) {
			if err := wings[one.Bound()].check(ctx, on, one, options.Report, advance); err != nil {
				return counts, fmt.Errorf("organization %s: %w", one.ID, err)
			}
		}
		counts.Organizations++
	}
	if options.Only != nil {
		return counts, nil
	}
	for _, wing := range wings {
		if err := wing.rest(ctx, on, options.Report); err != nil {
			return counts, err
		}
	}
	return counts, nil
}

// list returns the organizations to check.
func list(ctx context.Context, on *database.Inspection, only *parsec.OrganizationID) (all []organization.Organization, err error) {
	if only != nil {
		var found bool
		var stored organization.Organization
		if err := on.Ask(ctx, organizationpostgres.Select(&found, &stored, *only)); err != nil {
			return nil, err
		}
		if !found {
			return nil, &NotFoundError{*only}
		}
		return []organization.Organization{stored}, nil
	}
	err = on.Ask(ctx, database.List(&all, "SELECT "+organizationpostgres.Columns+" FROM organization o ORDER BY o.organization_id", nil,
		organizationpostgres.Targets))
	return all, err
}

func isChecked(one *organization.Organization) bool {
	return one.Bootstrapped() && one.DeletedOn == nil
}

func rowsOf(ctx context.Context, on *database.Inspection, organizations []organization.Organization) (total int64, err error) {
	for i := range organizations {
		if !isChecked(&organizations[i]) {
			continue
		}
		rows, err := wings[organizations[i].Bound()].rows(ctx, on, organizations[i].ID)
		if err != nil {
			return 0, err
		}
		total += rows
	}
	return total, nil
}
