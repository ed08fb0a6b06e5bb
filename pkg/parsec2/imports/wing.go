// Package imports knows the tables of official servers of API 1 to 3, from 1.0 to 2.17,
// and puts what they hold into those of this server (docs/protocol/import.md §2 to §5).
package imports

import (
	"context"

	"parsec-server/pkg/imports"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

var _ imports.Wing = Wing{}

// Wing implements imports.Wing.
type Wing struct{}

// Generation implements imports.Wing.
func (Wing) Generation() organization.Generation { return organization.Parsec2 }

// Schema implements imports.Wing.
func (Wing) Schema() *imports.Schema { return schema }

// Numbered implements imports.Wing.
func (Wing) Numbered() []string {
	return []string{
		"user_", "device", "realm", "vlob", "invitation", "shamir_recovery", "pki_enrollment", "realm_role_certificate", "realm_archiving_certificate",
	}
}

// Convert implements imports.Wing.
func (Wing) Convert(ctx context.Context, from *imports.Snapshot, one *imports.Organization, choices imports.Choices, into *imports.Filling) error {
	// What is found is told by the survey alone.
	scratch := *one
	scratch.Findings = nil
	return newConverter(from, &scratch, choices, into).convert(ctx)
}

// converter reads what is small of an organization, verifies it, and puts it.
type converter struct {
	from    *imports.Snapshot
	one     *imports.Organization
	choices imports.Choices
	into    *imports.Filling
	// number is that of the organization in the target.
	number int64
	root   *parsec.VerifyKey

	users   map[int64]*user
	devices map[int64]*device
	byName  map[string]*device
	// begun is the date of what the root key has signed, and first that of the first
	// user.
	begun, first *int64
}

func newConverter(from *imports.Snapshot, one *imports.Organization, choices imports.Choices, into *imports.Filling) *converter {
	return &converter{
		from: from, one: one, choices: choices, into: into,
		users: map[int64]*user{}, devices: map[int64]*device{}, byName: map[string]*device{},
	}
}

func (c *converter) convert(ctx context.Context) error {
	for _, part := range []func(context.Context) error{
		c.organization, c.services, c.readDevices, c.putUsers, c.putDevices, c.realms, c.roles, c.archivings,
		c.oldInvitations, c.setups, c.shares, c.invitations, c.enrollments,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// micro is the expression of a date as it is stored here.
func micro(date string) string { return imports.Micro(date) }

// each visits the rows of a statement that takes the organization.
func each[T any](ctx context.Context, c *converter, sql string, targets func(*T) []any, visit func(*T) error) error {
	return imports.Each(ctx, c.from, c.one, sql, targets, visit)
}
