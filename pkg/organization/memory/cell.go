package memory

import (
	"sync"

	"parsec-server/pkg/organization"
)

// Cell is an organization, or nothing, with its lock, under which its methods
// are called. Its zero value is valid.
type Cell struct {
	sync.RWMutex
	// State is what the wing of its generation keeps, nil for nothing. Until the
	// bootstrap, whichever wing needs one may put its own there.
	State any

	stored *organization.Organization
	// removed reports that it is one of the store no longer.
	removed bool
}

// Organization returns a copy of what is stored, nil if there is none.
func (c *Cell) Organization() *organization.Organization {
	if c.stored == nil {
		return nil
	}
	return copyOrganization(c.stored)
}

// copyOrganization shares only bytes with o.
func copyOrganization(o *organization.Organization) *organization.Organization {
	value := *o
	value.RootVerifyKey = CopyOf(value.RootVerifyKey)
	value.ExpirationDate = CopyOf(value.ExpirationDate)
	value.ActiveUsersLimit = CopyOf(value.ActiveUsersLimit)
	value.BootstrappedOn = CopyOf(value.BootstrappedOn)
	value.DeletedOn = CopyOf(value.DeletedOn)
	value.TOS = CopyOf(value.TOS)
	return &value
}

// CopyOf returns a pointer to a copy of what p points to, nil for nil.
func CopyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
