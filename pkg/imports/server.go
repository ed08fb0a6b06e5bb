package imports

import (
	"context"
	"fmt"
	"slices"

	"parsec-server/pkg/database"
)

// ServerWing is a Wing whose sources have accounts, which are of no organization.
type ServerWing interface {
	Wing
	// SurveyServer tells what is wrong with the accounts of a source.
	SurveyServer(ctx context.Context, from *Snapshot, choices Choices, report *Report) error
	// MatchServer tells which of them the target has from elsewhere.
	MatchServer(ctx context.Context, from *Snapshot, choices Choices, in *database.Inspection, report *Report) error
	// ConvertServer puts them. Settled says that organizations of the source answer
	// clients already: the accounts that have come are left as they are.
	ConvertServer(ctx context.Context, from *Snapshot, choices Choices, in *database.Inspection, settled bool, into *Filling) error
}

// FoundServer adds a finding of what is of no organization.
func (r *Report) FoundServer(severity Severity, rule, subject, detail string) {
	r.Server = append(r.Server, Finding{severity, rule, subject, detail})
}

// surveyServer surveys the accounts of a source.
func surveyServer(ctx context.Context, from *Snapshot, wing Wing, choices Choices, report *Report) error {
	of, has := wing.(ServerWing)
	if !has || choices.SkipAccounts {
		return nil
	}
	return of.SurveyServer(ctx, from, choices, report)
}

// MatchServer finds which accounts of a source the target has from elsewhere: they keep
// the others out, and no organization.
func (t *Target) MatchServer(ctx context.Context, from *Snapshot, wing Wing, choices Choices, report *Report) error {
	of, has := wing.(ServerWing)
	if !has || choices.SkipAccounts {
		return nil
	}
	return of.MatchServer(ctx, from, choices, database.NewInspection(t.connection), report)
}

// importServer brings the accounts of a source, unless something stops them.
func importServer(ctx context.Context, from *Snapshot, wing Wing, target *Target, choices Choices, report *Report) error {
	of, has := wing.(ServerWing)
	stopped := slices.ContainsFunc(report.Server, func(finding Finding) bool { return finding.Severity == Stop })
	if !has || choices.SkipAccounts || stopped {
		return nil
	}
	var settled bool
	err := target.read(ctx, database.Only(`
SELECT EXISTS (
    SELECT FROM import i JOIN import_organization m ON m.import = i.id JOIN organization o ON o.organization_id = m.organization
    WHERE i.source = $1 AND NOT o.importing)`, []any{from.Identity}, &settled))
	if err != nil {
		return err
	}
	err = target.Fill(ctx, func(f *Filling) error {
		return of.ConvertServer(ctx, from, choices, database.NewInspection(target.connection), settled, f)
	})
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	return nil
}
