// Package check is what the wings report when they check what a database holds against
// what must hold there: the rules, and where they are broken.
package check

import "parsec-server/pkg/parsec"

// Rule is something that holds in a sound database.
type Rule struct {
	// Name is what tools know the rule by. It does not change.
	Name string
	// Invariant is the number of what is broken in docs/invariants.md, or a section of
	// docs/protocol/.
	Invariant string
	// Says is the rule in a sentence.
	Says string
	// Remedy is what to do, "" where nobody knows more than Restore.
	Remedy string
}

// Restore is the remedy where there is no better one.
const Restore = "Restore a backup of before, of database and block store together."

// Advice returns the remedy.
func (r *Rule) Advice() string {
	if r.Remedy == "" {
		return Restore
	}
	return r.Remedy
}

// Fault is a rule that is broken.
type Fault struct {
	Rule *Rule
	// Organization is zero for what is of no organization.
	Organization parsec.OrganizationID
	// Subject is what the fault is about: kinds of things and their ids, such as
	// "realm … vlob …".
	Subject string
	// Detail is what was found.
	Detail string
}

// Report is told of faults, one at a time.
type Report func(Fault)

// OfOrganization returns a shorter report of an organization.
func (r Report) OfOrganization(id parsec.OrganizationID) func(rule *Rule, subject, detail string) {
	return func(rule *Rule, subject, detail string) {
		r(Fault{Rule: rule, Organization: id, Subject: subject, Detail: detail})
	}
}
