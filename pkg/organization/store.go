package organization

import (
	"context"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

// Store keeps organizations. Its values are the caller's; it copies those that
// it is given, but for bytes that nobody changes.
//
// organizationtest is the suite that every store passes.
type Store interface {
	// Organization returns an organization, false if there is none.
	Organization(ctx context.Context, id parsec.OrganizationID) (*Organization, bool, error)
	// Organizations lists at most limit organizations, in byte order of their
	// ids, that come after one; the zero id comes before all. Unless until is
	// nil, it leaves out those created after that instant.
	Organizations(ctx context.Context, after parsec.OrganizationID, limit int, until *parsec.DateTime) ([]Organization, error)
	// ChangeOrganization runs rule under the lock of the organization, which
	// need not exist. When rule returns nil, its effects are applied and its
	// events published, in commit order, as one transaction; when it returns
	// an error, nothing is, and ChangeOrganization returns that error. A store
	// may run rule again, on fresh facts, when the transaction must be retried.
	ChangeOrganization(ctx context.Context, id parsec.OrganizationID, rule func(Tx) error) error
}

// Tx is a transaction on one organization.
type Tx interface {
	// Organization returns what is stored, nil and false if there is none.
	Organization() (*Organization, bool)
	// PutOrganization creates or replaces the organization.
	PutOrganization(organization Organization)
	// MarkDeleted has the organization, which is there and expired, be erased from a
	// date on (pkg/erasure).
	MarkDeleted(on parsec.DateTime)
	// Emit queues an event, published after the commit in the order of the
	// calls.
	Emit(event event.Event)
}
