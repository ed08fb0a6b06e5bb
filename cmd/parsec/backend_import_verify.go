package main

import (
	"context"
	"errors"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
)

// verifyImport compares what was imported with its source, has `check` verify what is
// signed, and looks for the blocks.
func (p program) verifyImport(ctx context.Context, options *importOptions) error {
	r, selection, err := p.newImportRun(options)
	if err != nil {
		return err
	}
	dsn, err := config.LoadDSN(options.settings.given, p.environment)
	if err != nil {
		return err
	}
	if _, _, err := config.LoadGivenBlockstore(options.settings.given, p.environment); err != nil {
		return err // Before hours of comparing.
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.from.Close()
	if r.report, err = imports.List(ctx, r.from, r.wing, selection); err != nil {
		return err
	}
	compared, err := r.compare(ctx, dsn)
	if err != nil {
		return err
	}
	r.tellFindings()
	problems := r.report.Stopped()
	for _, one := range compared {
		err := p.checkImported(ctx, options, one)
		problems = problems || errors.Is(err, errProblems)
		if err != nil && !errors.Is(err, errProblems) {
			return err
		}
	}
	if err := r.write(); err != nil || !problems {
		return err
	}
	return errProblems
}

// compare returns the organizations that have been imported.
func (r *importRun) compare(ctx context.Context, dsn config.Secret) (compared []*imports.Organization, err error) {
	target, err := imports.OpenTarget(ctx, database.Source{DSN: dsn.Reveal()})
	if err != nil {
		return nil, err
	}
	defer target.Close()
	if compared, err = target.Compare(ctx, r.from, r.wing, r.report); err == nil && len(compared) == 0 {
		err = errors.New("nothing of it has been imported")
	}
	return compared, err
}

// checkImported is `backend check` of one organization, with its blocks if it is said
// where they are.
func (p program) checkImported(ctx context.Context, options *importOptions, one *imports.Organization) error {
	walked := &blockstoreOptions{settings: options.settings}
	_, given, err := config.LoadGivenBlockstore(options.settings.given, p.environment)
	if err != nil {
		return err
	}
	check := func(s *session, array *blockstore.Array) error {
		return (&databaseCheck{session: s, only: &one.ID, faults: map[string]int64{}}).run(ctx, array, false)
	}
	if given {
		return p.onArray(ctx, walked, check)
	}
	s, err := p.openSession(ctx, walked)
	if err != nil {
		return err
	}
	defer s.close()
	return check(s, nil)
}
