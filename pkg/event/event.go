// Package event carries what happens in an organization from the transaction
// that causes it to the connections and commands that wait for it.
//
// A store publishes the events of a transaction once, after its commit, in
// commit order; the Bus hands them in that order, from one goroutine, to the
// subscriptions of the topics that each event names. Subscriptions must not
// block.
//
// The body of an event says what happened. Each generation of the protocol
// defines types of bodies in its wing; here are those that every one has.
package event

import "parsec-server/pkg/parsec"

// Event is something that happened in an organization.
type Event struct {
	Organization parsec.OrganizationID
	// Author is the device whose command caused the event.
	Author parsec.DeviceID
	Body   Body
}

// Body is the content of an event.
type Body interface {
	// Topics returns what the event concerns, in the organization where it
	// happened. Whoever listens to one of them receives it.
	Topics(organization parsec.OrganizationID) []Topic
}

// Known is a Body of which nobody hears on the instance that causes it: the command tells
// those there whom it concerns.
type Known interface {
	Body
	// Known has no other purpose.
	Known()
}

// IsKnown reports whether an event with a body is only for other instances.
func IsKnown(body Body) bool {
	_, known := body.(Known)
	return known
}

// Lost reaches every subscription: events may have been missed.
type Lost struct{}

// Topics returns none.
func (Lost) Topics(parsec.OrganizationID) []Topic { return nil }

// Resumed is published by each instance for itself, when it has another connection to hear
// of events by, or may have, behind a pooler: the database may have crashed, and forgotten
// what nobody waited for.
type Resumed struct{}

// Topics returns none: nothing has happened.
func (Resumed) Topics(parsec.OrganizationID) []Topic { return nil }

// InstanceVanished is published by each instance for itself, once it knows that one of
// those that share the state has ended without draining, or is back from that.
type InstanceVanished struct{ On parsec.DateTime }

// Topics returns none: it is of no organization.
func (InstanceVanished) Topics(parsec.OrganizationID) []Topic { return nil }

// OrganizationExpiration is when the organization expires; its connections
// close at that date, at once if it is past.
type OrganizationExpiration struct {
	Date *parsec.DateTime `wire:"date,nullable"`
}

// Topics returns the organization.
func (OrganizationExpiration) Topics(o parsec.OrganizationID) []Topic {
	return []Topic{OrganizationTopic(o)}
}

// OrganizationTOSUpdated is when an organization gets, changes or drops its terms
// of service.
type OrganizationTOSUpdated struct{}

// Topics returns the organization.
func (OrganizationTOSUpdated) Topics(o parsec.OrganizationID) []Topic {
	return []Topic{OrganizationTopic(o)}
}
