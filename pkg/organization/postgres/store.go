// Package postgres keeps organizations in PostgreSQL: it has the SQL of the table
// organization, whose columns it alone lists. The stores of the wings read an
// organization as one of their facts by its Row, and change it by its Tx.
package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"parsec-server/pkg/database"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ organization.Store = (*Store)(nil)

// Store implements organization.Store. Its methods are safe for concurrent use.
type Store struct{ database *database.Database }

// New returns the store of a database.
func New(on *database.Database) *Store { return &Store{on} }

// Organization implements organization.Store.
func (s *Store) Organization(ctx context.Context, id parsec.OrganizationID) (*organization.Organization, bool, error) {
	var found bool
	var row Row
	if err := s.database.One(ctx, Select(&found, &row, id)); err != nil || !found {
		return nil, false, err
	}
	return row.Organization(), true, nil
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
	err := s.database.One(ctx, database.List(&page, selectPage, []any{after.String(), limit, int64(*until)},
		func(from pgx.CollectableRow) (organization.Organization, error) {
			var row Row
			err := from.Scan(row.Targets()...)
			return *row.Organization(), err
		}))
	return page, err
}

// ChangeOrganization implements organization.Store.
func (s *Store) ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(organization.Tx) error) error {
	return s.database.Update(ctx, func() database.Transaction {
		var found bool
		var row Row
		return database.Transaction{
			Reads: []database.Statement{database.LockOrganization(id, true), Select(&found, &row, id)},
			Decisions: []database.Decision{func(under *database.Tx) error {
				t := &Tx{Tx: under, ID: id}
				if found {
					t.Stored = row.Organization()
				}
				return rule(t)
			}},
		}
	})[0]
}
