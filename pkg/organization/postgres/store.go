// Package postgres keeps organizations in PostgreSQL: it has the SQL of the table
// organization, whose columns it alone lists. The stores of the wings read an
// organization as one of their facts by its Columns, and change it by its Tx.
package postgres

import (
	"context"
	"errors"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Store = (*Store)(nil)

// Store implements organization.Store. Its methods are safe for concurrent use.
type Store struct{ database *database.Database }

// New returns the store of a database.
func New(on *database.Database) *Store {
	s := &Store{on}
	on.OnReady(s.ready)
	return s
}

// errImporting is what a server is not ready for whose organizations all are imported.
var errImporting = errors.New("the import from an official server is not complete: run `parsec backend import --final`")

// ready fails while there is nothing but what is being imported.
func (s *Store) ready(ctx context.Context) error {
	var importing bool
	err := s.database.One(ctx, database.Only("SELECT coalesce(bool_and(o.importing), false) FROM organization o", nil, &importing))
	switch {
	case err != nil: // Anybody may read what this returns.
		return errors.New("the database does not answer")
	case importing:
		return errImporting
	default:
		return nil
	}
}

// Organization implements organization.Store.
func (s *Store) Organization(ctx context.Context, id parsec.OrganizationID) (*organization.Organization, bool, error) {
	var found bool
	var stored organization.Organization
	if err := s.database.One(ctx, Select(&found, &stored, id)); err != nil || !found {
		return nil, false, err
	}
	return &stored, true, nil
}

// selectPage takes the id to begin after $1, the most organizations $2, and the
// instant $3.
const selectPage = "SELECT " + Columns + `
FROM organization o
WHERE o.organization_id > $1 AND o.created_on <= $3
ORDER BY o.organization_id LIMIT $2`

// Organizations implements organization.Store.
func (s *Store) Organizations(ctx context.Context, after parsec.OrganizationID, limit int, until *parsec.DateTime) ([]organization.Organization, error) {
	if until == nil {
		until = new(parsec.MaxDateTime)
	}
	var page []organization.Organization
	err := s.database.One(ctx, database.List(&page, selectPage, []any{after.String(), limit, int64(*until)}, Targets))
	return page, err
}

// ChangeOrganization implements organization.Store.
func (s *Store) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	return s.database.Update(ctx, func() database.Transaction {
		var found bool
		var stored organization.Organization
		return database.Transaction{
			Reads: []database.Statement{database.LockOrganization(id, true), Select(&found, &stored, id)},
			Decisions: []database.Decision{func(under *database.Tx) error {
				t := &Tx{Tx: under, ID: id}
				if found {
					t.Stored = &stored
				}
				return rule(t)
			}},
		}
	})[0]
}
