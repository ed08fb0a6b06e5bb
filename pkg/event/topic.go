package event

import "parsec-server/pkg/parsec"

// Topic is what a subscription listens to: something in an organization, or the
// organization itself.
type Topic struct {
	Organization parsec.OrganizationID
	// Kind is the kind of thing, in the words of its generation. It is empty for
	// the organization itself.
	Kind string
	// Name or ID is which one it is, among those of its kind.
	Name string
	ID   parsec.UUID
}

// OrganizationTopic has the events for everybody in the organization.
func OrganizationTopic(organization parsec.OrganizationID) Topic {
	return Topic{Organization: organization}
}
