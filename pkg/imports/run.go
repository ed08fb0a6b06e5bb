package imports

import (
	"context"
	"fmt"
	"slices"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// Selection are the organizations that an import is of.
type Selection struct {
	// Only are those to import, none for all; Skip are those to leave out.
	Only, Skip []parsec.OrganizationID
}

// left says why an organization is not imported, "" for one that is.
func (s *Selection) left(id parsec.OrganizationID) string {
	switch {
	case slices.Contains(s.Skip, id):
		return "it is left out by --skip"
	case len(s.Only) == 0 || slices.Contains(s.Only, id):
		return ""
	}
	return "it is not one of --organization"
}

// named is the row of an organization in the source.
type named struct {
	key int64
	id  string
}

func (n *named) targets() []any { return []any{&n.key, &n.id} }

// List returns a report of the organizations of the source that says nothing of them yet.
func List(ctx context.Context, from *Snapshot, wing Wing, selection Selection) (*Report, error) {
	report := &Report{
		Identity: from.Identity, Generation: uint8(from.Generation), Step: from.Step, Release: wing.Schema().Releases[from.Step],
	}
	var names []named
	err := from.Ask(ctx, database.List(&names, "SELECT o._id::bigint, o.organization_id::text FROM organization o ORDER BY o._id", nil, (*named).targets))
	if err != nil {
		return nil, fmt.Errorf("read the organizations: %w", err)
	}
	for _, name := range names {
		id, err := parsec.ParseOrganizationID(name.id)
		if err != nil {
			report.Server = append(report.Server, Finding{Stop, "organization_id", "organization " + name.id, "its id is not valid here: " + err.Error()})
			continue
		}
		report.Organizations = append(report.Organizations, &Organization{ID: id, Key: name.key, Counts: map[string]Count{}, Left: selection.left(id)})
	}
	for _, chosen := range selection.Only {
		if !slices.ContainsFunc(report.Organizations, func(one *Organization) bool { return one.ID == chosen }) {
			return nil, fmt.Errorf("the database to import from has no organization %s", chosen)
		}
	}
	return report, nil
}

// Survey tells what an import would bring, and what is wrong with it. Nothing changes. Begin
// is told of each organization before it is looked at.
func Survey(ctx context.Context, from *Snapshot, wing Wing, selection Selection, choices Choices, begin func(*Organization)) (*Report, error) {
	report, err := List(ctx, from, wing, selection)
	if err != nil {
		return nil, err
	}
	for _, one := range report.Importable() {
		begin(one)
		if err := wing.Survey(ctx, from, one, choices); err != nil {
			return nil, fmt.Errorf("organization %s: %w", one.ID, err)
		}
	}
	return report, surveyServer(ctx, from, wing, choices, report)
}

// membership says by which import an organization came.
var membership = &Table{Name: "import_organization", Columns: []string{"organization", "import"}, Key: []string{"organization"}}

// Import brings the organizations of a report that are not stopped, as far as the target
// has them not. What was done stays when it ends early, and the next run goes on.
func Import(ctx context.Context, from *Snapshot, wing Wing, target *Target, report *Report, choices Choices, progress Progress) error {
	if err := importServer(ctx, from, wing, target, choices, report); err != nil {
		return err
	}
	passes, err := target.passes(ctx, from, report, wing, choices)
	if err != nil {
		return err
	}
	for _, pass := range passes {
		pass.progress = progress
		if err := pass.run(ctx, wing); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pass) run(ctx context.Context, wing Wing) error {
	for _, one := range p.Organizations {
		err := p.Fill(ctx, func(f *Filling) error {
			if err := wing.Convert(ctx, p.From, one, p.Choices, f); err != nil {
				return err
			}
			return f.Put(ctx, membership, one.ID.String(), int32(p.id))
		})
		if err != nil {
			return fmt.Errorf("organization %s: %w", one.ID, err)
		}
	}
	logs, err := wing.Logs(ctx, p)
	if err != nil {
		return err
	}
	for i := range logs {
		if err := p.copyLog(ctx, &logs[i]); err != nil {
			return err
		}
	}
	return p.Fill(ctx, func(f *Filling) error { return wing.Derive(ctx, p, f) })
}

// Complete ends the import of the organizations of a report: from then on they answer
// clients, and no later run changes them.
func Complete(ctx context.Context, target *Target, report *Report, at parsec.DateTime) error {
	ids := make([]string, 0, len(report.Organizations))
	for _, one := range report.Importable() {
		ids = append(ids, one.ID.String())
	}
	return target.Fill(ctx, func(f *Filling) error {
		if err := f.Run(ctx, "UPDATE organization SET importing = false WHERE organization_id = ANY ($1) AND importing", ids); err != nil {
			return err
		}
		return f.Run(ctx, `
UPDATE import i SET completed_on = $1 WHERE i.completed_on IS NULL AND i.source = $2
    AND EXISTS (SELECT FROM import_organization m WHERE m.import = i.id)
    AND NOT EXISTS (SELECT FROM import_organization m JOIN organization o ON o.organization_id = m.organization WHERE m.import = i.id AND o.importing)`,
			int64(at), report.Identity)
	})
}
