package imports

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// Progress is told how far an import is.
type Progress interface {
	// Advance counts what was done of a table of the source.
	Advance(table string, rows, bytes int64)
}

// Pass copies the organizations that came into an import together: their logs are read
// together.
type Pass struct {
	From    *Snapshot
	Choices Choices
	// Base is what is added to the numbers of the source.
	Base          int64
	Organizations []*Organization

	id       int64
	target   *Target
	progress Progress
}

func (p *Pass) advance(table string, rows, bytes int64) {
	if p.progress != nil {
		p.progress.Advance(table, rows, bytes)
	}
}

// Keys are those of the organizations in the source, for IN (…).
func (p *Pass) Keys() string {
	keys := make([]string, len(p.Organizations))
	for i, one := range p.Organizations {
		keys[i] = strconv.FormatInt(one.Key, 10)
	}
	return strings.Join(keys, ", ")
}

// Pairs are the organizations as (number in the source, number here), for VALUES.
func (p *Pass) Pairs(ctx context.Context) (string, error) {
	pairs := make([]string, len(p.Organizations))
	for i, one := range p.Organizations {
		var here int64
		err := p.target.read(ctx, database.Only("SELECT o.id::bigint FROM organization o WHERE o.organization_id = $1", []any{one.ID.String()}, &here))
		if err != nil {
			return "", err
		}
		pairs[i] = fmt.Sprintf("(%d, %d)", one.Key, here)
	}
	return strings.Join(pairs, ", "), nil
}

// Read runs statements on the target.
func (p *Pass) Read(ctx context.Context, statements ...database.Statement) error {
	return p.target.read(ctx, statements...)
}

// Fill runs work in one transaction on the target.
func (p *Pass) Fill(ctx context.Context, work func(*Filling) error) error {
	return p.target.Fill(ctx, func(f *Filling) error {
		f.base = p.Base
		return work(f)
	})
}

// numbers is how many numbers a table of the source may have: they are of 31 bits. spare
// are for what servers write while they are set aside.
const (
	numbers = 1 << 31
	spare   = 1 << 20
)

// known is what the target has of an organization of the source: the import it came by,
// 0 for none.
type known struct {
	organization string
	source       string
	id           int64
	completed    bool
}

func (k *known) targets() []any { return []any{&k.organization, &k.source, &k.id, &k.completed} }

// selectKnown takes the ids of organizations.
const selectKnown = `
SELECT o.organization_id, coalesce(i.source, ''), coalesce(i.id, 0)::bigint, i.id IS NOT NULL AND NOT o.importing
FROM organization o LEFT JOIN import_organization m ON m.organization = o.organization_id LEFT JOIN import i ON i.id = m.import
WHERE o.organization_id = ANY ($1)`

// Match finds which organizations of a report the target has. Those that have come by a
// complete import are left out; one that has not come from this source is a clash.
func (t *Target) Match(ctx context.Context, report *Report) error {
	_, err := t.match(ctx, report)
	return err
}

// match returns the imports that the organizations have begun to come by.
func (t *Target) match(ctx context.Context, report *Report) (map[string]int64, error) {
	ids := make([]string, len(report.Organizations))
	byID := map[string]*Organization{}
	for i, one := range report.Organizations {
		ids[i], byID[one.ID.String()] = one.ID.String(), one
	}
	var all []known
	if err := t.read(ctx, database.List(&all, selectKnown, []any{ids}, (*known).targets)); err != nil {
		return nil, err
	}
	begun := map[string]int64{}
	for _, there := range all {
		one := byID[there.organization]
		switch {
		case there.source != report.Identity:
			if one.Left == "" {
				one.Found(Stop, "name", "organization "+there.organization, "the database to import into has one of this name that does not come from here")
			}
		case there.completed:
			one.Complete = true
			one.Left = "it is complete"
		default:
			begun[there.organization] = there.id
		}
	}
	return begun, nil
}

// passes puts organizations into imports: those that have begun into theirs, the others
// into one that has copied nothing yet.
func (t *Target) passes(ctx context.Context, from *Snapshot, report *Report, wing Wing, choices Choices) ([]*Pass, error) {
	begun, err := t.match(ctx, report)
	if err != nil {
		return nil, err
	}
	byID := map[int64]*Pass{}
	var fresh []*Organization
	for _, one := range report.Importable() {
		id := begun[one.ID.String()]
		if id == 0 {
			fresh = append(fresh, one)
			continue
		}
		if byID[id] == nil {
			byID[id] = &Pass{From: from, Choices: choices, id: id, target: t}
		}
		byID[id].Organizations = append(byID[id].Organizations, one)
	}
	if len(fresh) > 0 {
		id, err := t.begin(ctx, from, wing, choices.At)
		if err != nil {
			return nil, err
		}
		if byID[id] == nil {
			byID[id] = &Pass{From: from, Choices: choices, id: id, target: t}
		}
		byID[id].Organizations = append(byID[id].Organizations, fresh...)
	}
	all := make([]*Pass, 0, len(byID))
	for _, pass := range byID {
		if err := t.read(ctx, database.Only("SELECT i.base FROM import i WHERE i.id = $1", []any{pass.id}, &pass.Base)); err != nil {
			return nil, err
		}
		all = append(all, pass)
	}
	slices.SortFunc(all, func(a, b *Pass) int { return int(a.id - b.id) })
	return all, nil
}

// begin returns an import of the source that has copied nothing of a log yet.
func (t *Target) begin(ctx context.Context, from *Snapshot, wing Wing, at parsec.DateTime) (id int64, err error) {
	var found bool
	err = t.read(ctx, database.Row(&found, `
SELECT i.id::bigint FROM import i WHERE i.source = $1 AND i.completed_on IS NULL
    AND NOT EXISTS (SELECT FROM import_range r WHERE r.import = i.id) ORDER BY i.id LIMIT 1`, []any{from.Identity}, &id))
	if err != nil || found {
		return id, err
	}
	err = t.Fill(ctx, func(f *Filling) error {
		base, err := f.setAside(ctx, from.Identity, wing.Numbered())
		if err != nil {
			return err
		}
		return f.transaction.QueryRow(ctx, "INSERT INTO import (source, generation, base, began_on) VALUES ($1, $2, $3, $4) RETURNING id::bigint",
			from.Identity, int16(wing.Generation()), base, int64(at)).Scan(&id)
	})
	return id, err
}

// setAside returns the base of a source, for which numbers of the tables are set aside.
func (f *Filling) setAside(ctx context.Context, source string, tables []string) (base int64, err error) {
	if err = f.transaction.QueryRow(ctx, "SELECT coalesce(max(i.base), 0) FROM import i WHERE i.source = $1", source).Scan(&base); err != nil || base > 0 {
		return base, err
	}
	sequences := make([]string, len(tables))
	for i, table := range tables {
		var last int64
		if err := f.transaction.QueryRow(ctx, "SELECT pg_get_serial_sequence($1, 'id')", table).Scan(&sequences[i]); err != nil {
			return 0, fmt.Errorf("the numbers of %s: %w", table, err)
		}
		if err := f.transaction.QueryRow(ctx, "SELECT last_value FROM "+sequences[i]).Scan(&last); err != nil {
			return 0, fmt.Errorf("the numbers of %s: %w", table, err)
		}
		base = max(base, last)
	}
	base += spare
	for _, sequence := range sequences {
		if err := f.Run(ctx, "SELECT setval($1::regclass, $2)", sequence, base+numbers); err != nil {
			return 0, err
		}
	}
	return base, nil
}
