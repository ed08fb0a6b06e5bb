package parsec

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// actionBootstrap is the action parameter of a BootstrapAddress.
const actionBootstrap = "bootstrap_organization"

// Location designates an organization on a server: what all addresses of
// organizations have in common.
type Location struct {
	server       ServerAddress
	organization OrganizationID
}

// Server returns the address of the organization's server.
func (l Location) Server() ServerAddress { return l.server }

// Organization returns the organization designated.
func (l Location) Organization() OrganizationID { return l.organization }

// LocationOf returns the location of an organization of this server.
func (a ServerAddress) LocationOf(organization OrganizationID) Location {
	return Location{a, organization}
}

// Print returns the parsec:// URL with these parameters.
func (l Location) Print(parameters Parameters) string { return Parsec2Scheme.Print(l, parameters) }

// Print returns the URL of this scheme with these parameters.
func (s Scheme) Print(l Location, parameters Parameters) string {
	return l.server.print(s, l.path(), parameters)
}

// PrintHTTP returns the form of Print for e-mails.
func (l Location) PrintHTTP(parameters Parameters) string {
	return l.server.printHTTP(l.path(), parameters)
}

func (l Location) path() string { return "/" + escapePath(l.organization.name) }

// ParseLocation reads a parsec:// URL whose path is an organization, and
// returns its parameters, which are not judged.
func ParseLocation(text string) (Location, Parameters, error) {
	return Parsec2Scheme.ParseLocation(text)
}

// ParseLocation is parsec.ParseLocation for a URL of this scheme.
func (s Scheme) ParseLocation(text string) (Location, Parameters, error) {
	server, path, parameters, err := s.split(text)
	if err != nil {
		return Location{}, nil, err
	}
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return Location{}, nil, errors.New("path is not properly percent-encoded")
	}
	organization, err := ParseOrganizationID(name)
	if err != nil {
		return Location{}, nil, fmt.Errorf("path is not an organization: %w", err)
	}
	return Location{server, organization}, parameters, nil
}

// ParseAction reads what ParseLocation does, and refuses the addresses of any
// other action.
func ParseAction(text, action string) (Location, Parameters, error) {
	location, parameters, err := ParseLocation(text)
	if err != nil {
		return Location{}, nil, err
	}
	value, err := parameters.Mandatory("action")
	if err != nil {
		return Location{}, nil, err
	}
	if value != action {
		return Location{}, nil, errors.New("invalid `action` param value")
	}
	return location, parameters, nil
}

// OrganizationAddress designates a bootstrapped organization, with the root
// verify key it is trusted by.
type OrganizationAddress struct {
	Location
	rootVerifyKey VerifyKey
}

// OrganizationAddress returns the address of an organization of this server.
func (a ServerAddress) OrganizationAddress(organization OrganizationID, rootVerifyKey VerifyKey) OrganizationAddress {
	return OrganizationAddress{Location{a, organization}, rootVerifyKey}
}

// RootVerifyKey returns the key that signs the first certificates of the
// organization.
func (a OrganizationAddress) RootVerifyKey() VerifyKey { return a.rootVerifyKey }

// String returns the canonical form.
func (a OrganizationAddress) String() string { return a.Print(a.parameters()) }

// HTTPRedirection returns the form for e-mails.
func (a OrganizationAddress) HTTPRedirection() string { return a.PrintHTTP(a.parameters()) }

func (a OrganizationAddress) parameters() Parameters {
	return Parameters{{"rvk", a.rootVerifyKey.String()}}
}

// BootstrapAddress lets its bearer bootstrap an organization.
type BootstrapAddress struct {
	Location
	token string
}

// BootstrapAddress returns the address to bootstrap an organization of this server
// with. token is any text in UTF-8; empty is the spontaneous bootstrap.
func (a ServerAddress) BootstrapAddress(organization OrganizationID, token string) BootstrapAddress {
	return BootstrapAddress{Location{a, organization}, token}
}

// ParseBootstrapAddress reads a parsec:// URL whose action is
// bootstrap_organization. No token is an empty token.
func ParseBootstrapAddress(text string) (BootstrapAddress, error) {
	location, parameters, err := ParseAction(text, actionBootstrap)
	if err != nil {
		return BootstrapAddress{}, err
	}
	token, _, err := parameters.One("token")
	if err != nil {
		return BootstrapAddress{}, err
	}
	return BootstrapAddress{location, token}, nil
}

// Token returns the token, empty for a spontaneous bootstrap.
func (a BootstrapAddress) Token() string { return a.token }

// String returns the canonical form.
func (a BootstrapAddress) String() string { return a.Print(a.parameters()) }

// HTTPRedirection returns the form for e-mails.
func (a BootstrapAddress) HTTPRedirection() string { return a.PrintHTTP(a.parameters()) }

func (a BootstrapAddress) parameters() Parameters {
	parameters := Parameters{{"action", actionBootstrap}}
	if a.token != "" {
		parameters = parameters.With("token", a.token)
	}
	return parameters
}

// InvitationAddress lets its bearer claim an invitation (API 2 and 3).
type InvitationAddress struct {
	Location
	invitation InvitationType
	token      InvitationToken
}

var invitationActions = map[InvitationType]string{
	InvitationUser:           "claim_user",
	InvitationDevice:         "claim_device",
	InvitationShamirRecovery: "claim_shamir_recovery",
}

// InvitationAddress returns the address of an invitation of this server.
func (a ServerAddress) InvitationAddress(organization OrganizationID, invitation InvitationType, token InvitationToken) InvitationAddress {
	return InvitationAddress{Location{a, organization}, invitation, token}
}

// Type returns who the invitation is for.
func (a InvitationAddress) Type() InvitationType { return a.invitation }

// Token returns what identifies the invitation.
func (a InvitationAddress) Token() InvitationToken { return a.token }

// String returns the canonical form.
func (a InvitationAddress) String() string { return a.Print(a.parameters()) }

// HTTPRedirection returns the form for e-mails.
func (a InvitationAddress) HTTPRedirection() string { return a.PrintHTTP(a.parameters()) }

func (a InvitationAddress) parameters() Parameters {
	return Parameters{{"action", invitationActions[a.invitation]}, {"token", UUID(a.token).Hex()}}
}
