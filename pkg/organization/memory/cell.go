package memory

import (
	"bytes"
	"sync"

	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
)

// Cell is an organization, or nothing, with its lock, under which its methods
// are called. Its zero value is valid.
type Cell struct {
	sync.RWMutex
	// State is what the wing of its generation keeps, nil for nothing.
	State any

	stored *organization.Organization
}

// Organization returns a copy of what is stored, nil if there is none.
func (c *Cell) Organization() *organization.Organization {
	if c.stored == nil {
		return nil
	}
	return copyOrganization(c.stored)
}

// Put copies an organization, and returns what stores the copy.
func (c *Cell) Put(o organization.Organization) (store func()) {
	stored := copyOrganization(&o)
	stored.SequesterAuthorityCertificate = bytes.Clone(o.SequesterAuthorityCertificate)
	stored.SequesterVerifyKeyDER = bytes.Clone(o.SequesterVerifyKeyDER)
	return func() { c.stored = stored }
}

// copyOrganization shares only bytes with o.
func copyOrganization(o *organization.Organization) *organization.Organization {
	value := *o
	value.RootVerifyKey = copyOf(value.RootVerifyKey)
	value.ExpirationDate = copyOf(value.ExpirationDate)
	value.ActiveUsersLimit = copyOf(value.ActiveUsersLimit)
	value.BootstrappedOn = copyOf(value.BootstrappedOn)
	return &value
}

// OwnEvent returns e with a copy of what the body of an event of organizations
// shares with its producer.
func OwnEvent(e event.Event) event.Event {
	if body, ok := e.Body.(event.OrganizationExpiration); ok {
		e.Body = event.OrganizationExpiration{Date: copyOf(body.Date)}
	}
	return e
}

// copyOf returns a pointer to a copy of what p points to, nil for nil.
func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}
