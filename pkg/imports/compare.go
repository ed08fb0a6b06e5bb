package imports

import (
	"context"

	"parsec-server/pkg/database"
)

// compared is a row of what is compared.
type compared struct{ subject, what string }

func (c *compared) targets() []any { return []any{&c.subject, &c.what} }

// compare has the databases answer the same question, in rows of a subject and what there
// is of it, by subject, and tells where they differ. The statement of the source takes the
// key of the organization, that of the target its name.
func compare(ctx context.Context, from *Snapshot, one *Organization, in *Inspected, rule, source, target string) error {
	wanted, err := database.NewCursor(ctx, from.Inspection, source, []any{one.Key}, (*compared).targets)
	if err != nil {
		return err
	}
	found, err := database.NewCursor(ctx, in.Inspection, target, []any{one.ID.String()}, (*compared).targets)
	if err != nil {
		return err
	}
	for {
		want, err := wanted.Peek(ctx)
		if err != nil {
			return err
		}
		have, err := found.Peek(ctx)
		switch {
		case err != nil:
			return err
		case want == nil && have == nil:
			return nil
		case have == nil || want != nil && want.subject < have.subject:
			one.Found(Stop, rule, want.subject, "it is missing")
			wanted.Skip()
		case want == nil || have.subject < want.subject:
			one.Found(Stop, rule, have.subject, "the source does not have it")
			found.Skip()
		default:
			if want.what != have.what {
				one.Found(Stop, rule, want.subject, "the source has "+want.what+", and the target "+have.what)
			}
			wanted.Skip()
			found.Skip()
		}
	}
}

// Compare tells where the organizations of a report that have been imported differ from
// the source, and returns these organizations.
func (t *Target) Compare(ctx context.Context, from *Snapshot, wing Wing, report *Report) (compared []*Organization, err error) {
	inspection, err := database.BeginSnapshot(ctx, t.connection)
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = t.connection.Exec(context.WithoutCancel(ctx), "ROLLBACK") }() // It has only read.
	for _, one := range report.Organizations {
		var found bool
		in := &Inspected{Inspection: inspection}
		err := inspection.Ask(ctx, database.Row(&found, `
SELECT i.base FROM import_organization m JOIN import i ON i.id = m.import WHERE m.organization = $1 AND i.source = $2`,
			[]any{one.ID.String(), from.Identity}, &in.Base))
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if err := wing.Compare(ctx, from, one, in); err != nil {
			return nil, err
		}
		compared = append(compared, one)
	}
	return compared, nil
}
