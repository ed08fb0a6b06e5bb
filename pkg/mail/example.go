package mail

import (
	"errors"

	"parsec-server/pkg/parsec"
)

// Example is what e-mails to look at are made of.
type Example struct {
	To           string
	Organization parsec.OrganizationID
	// Greeter is who invites.
	Greeter parsec.HumanHandle
	On      parsec.DateTime
}

// NewExample returns data that was made up.
func NewExample() Example {
	organization, wrongID := parsec.ParseOrganizationID("MyOrganization")
	greeter, wrongHandle := parsec.ParseHumanHandle("alice@example.com", "Alice Martin")
	on, wrongDate := parsec.ParseDateTime("2027-01-31T14:05:00Z")
	if err := errors.Join(wrongID, wrongHandle, wrongDate); err != nil {
		panic(err)
	}
	return Example{To: "bob@example.com", Organization: organization, Greeter: greeter, On: on}
}
