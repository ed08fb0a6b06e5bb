package parsec

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// The values of the action parameter.
const (
	actionBootstrap           = "bootstrap_organization"
	actionClaimUser           = "claim_user"
	actionClaimDevice         = "claim_device"
	actionClaimShamirRecovery = "claim_shamir_recovery"
	actionPKIEnrollment       = "pki_enrollment"
	actionFileLink            = "file_link"
)

// organizationLocation is what all addresses below share: an organization on a
// server.
type organizationLocation struct {
	server       ServerAddress
	organization OrganizationID
}

// Server is the address of the organization's server.
func (l organizationLocation) Server() ServerAddress { return l.server }

// Organization is the organization designated.
func (l organizationLocation) Organization() OrganizationID { return l.organization }

func (l organizationLocation) print(parameters form) string {
	return l.server.print(l.path(), parameters)
}

func (l organizationLocation) printHTTP(parameters form) string {
	return l.server.printHTTP(l.path(), parameters)
}

func (l organizationLocation) path() string { return "/" + escapePath(l.organization.name) }

func parseOrganizationLocation(text string) (organizationLocation, form, error) {
	server, path, parameters, err := splitAddress(text)
	if err != nil {
		return organizationLocation{}, nil, err
	}
	name, err := url.PathUnescape(strings.TrimPrefix(path, "/"))
	if err != nil {
		return organizationLocation{}, nil, errors.New("path is not properly percent-encoded")
	}
	organization, err := ParseOrganizationID(name)
	if err != nil {
		return organizationLocation{}, nil, fmt.Errorf("path is not an organization: %w", err)
	}
	return organizationLocation{server, organization}, parameters, nil
}

// parseActionAddress refuses the addresses of any other action.
func parseActionAddress(text, action string) (organizationLocation, form, error) {
	location, parameters, err := parseOrganizationLocation(text)
	if err != nil {
		return organizationLocation{}, nil, err
	}
	value, err := parameters.mandatory("action")
	if err != nil {
		return organizationLocation{}, nil, err
	}
	if value != action {
		return organizationLocation{}, nil, errAction
	}
	return location, parameters, nil
}

var errAction = errors.New("invalid `action` param value")

// OrganizationAddress designates a bootstrapped organization, with the root
// verify key it is trusted by.
type OrganizationAddress struct {
	organizationLocation
	rootVerifyKey VerifyKey
}

// OrganizationAddress is the address of an organization of this server.
func (a ServerAddress) OrganizationAddress(organization OrganizationID, rootVerifyKey VerifyKey) OrganizationAddress {
	return OrganizationAddress{organizationLocation{a, organization}, rootVerifyKey}
}

// ParseOrganizationAddress reads a parsec:// URL with a rvk parameter.
func ParseOrganizationAddress(text string) (OrganizationAddress, error) {
	location, parameters, err := parseOrganizationLocation(text)
	if err != nil {
		return OrganizationAddress{}, err
	}
	key, err := parseRootVerifyKey(parameters)
	if err != nil {
		return OrganizationAddress{}, err
	}
	return OrganizationAddress{location, key}, nil
}

// RootVerifyKey is the key that signs the first certificates of the
// organization.
func (a OrganizationAddress) RootVerifyKey() VerifyKey { return a.rootVerifyKey }

// String is the canonical form.
func (a OrganizationAddress) String() string { return a.print(a.parameters()) }

// HTTPRedirection is the form for e-mails.
func (a OrganizationAddress) HTTPRedirection() string { return a.printHTTP(a.parameters()) }

func (a OrganizationAddress) parameters() form { return form{{"rvk", a.rootVerifyKey.String()}} }

func parseRootVerifyKey(parameters form) (VerifyKey, error) {
	text, err := parameters.mandatory("rvk")
	if err != nil {
		return VerifyKey{}, err
	}
	key, err := ParseVerifyKey(text)
	if err != nil {
		return VerifyKey{}, errors.New("invalid `rvk` param value")
	}
	return key, nil
}

// BootstrapAddress lets its bearer bootstrap an organization.
type BootstrapAddress struct {
	organizationLocation
	token string
}

// BootstrapAddress is the address to bootstrap an organization of this server
// with. token is any text in UTF-8; empty is the spontaneous bootstrap.
func (a ServerAddress) BootstrapAddress(organization OrganizationID, token string) BootstrapAddress {
	return BootstrapAddress{organizationLocation{a, organization}, token}
}

// ParseBootstrapAddress reads a parsec:// URL whose action is
// bootstrap_organization. No token is an empty token.
func ParseBootstrapAddress(text string) (BootstrapAddress, error) {
	location, parameters, err := parseActionAddress(text, actionBootstrap)
	if err != nil {
		return BootstrapAddress{}, err
	}
	token, _, err := parameters.one("token")
	if err != nil {
		return BootstrapAddress{}, err
	}
	return BootstrapAddress{location, token}, nil
}

// Token is empty for a spontaneous bootstrap.
func (a BootstrapAddress) Token() string { return a.token }

// String is the canonical form.
func (a BootstrapAddress) String() string { return a.print(a.parameters()) }

// HTTPRedirection is the form for e-mails.
func (a BootstrapAddress) HTTPRedirection() string { return a.printHTTP(a.parameters()) }

func (a BootstrapAddress) parameters() form {
	parameters := form{{"action", actionBootstrap}}
	if a.token != "" {
		parameters = append(parameters, parameter{"token", a.token})
	}
	return parameters
}

// InvitationAddress lets its bearer claim an invitation (API 2 and 3).
type InvitationAddress struct {
	organizationLocation
	invitation InvitationType
	token      InvitationToken
}

var invitationActions = map[InvitationType]string{
	InvitationUser:           actionClaimUser,
	InvitationDevice:         actionClaimDevice,
	InvitationShamirRecovery: actionClaimShamirRecovery,
}

// InvitationAddress is the address of an invitation of this server.
func (a ServerAddress) InvitationAddress(organization OrganizationID, invitation InvitationType, token InvitationToken) InvitationAddress {
	return InvitationAddress{organizationLocation{a, organization}, invitation, token}
}

// ParseInvitationAddress reads a parsec:// URL whose action is claim_user,
// claim_device or claim_shamir_recovery and whose token is an UUID.
func ParseInvitationAddress(text string) (InvitationAddress, error) {
	location, parameters, err := parseOrganizationLocation(text)
	if err != nil {
		return InvitationAddress{}, err
	}
	action, err := parameters.mandatory("action")
	if err != nil {
		return InvitationAddress{}, err
	}
	invitation, err := invitationOf(action)
	if err != nil {
		return InvitationAddress{}, err
	}
	token, err := parseUUIDParameter(parameters, "token")
	if err != nil {
		return InvitationAddress{}, err
	}
	return InvitationAddress{location, invitation, InvitationToken(token)}, nil
}

func invitationOf(action string) (InvitationType, error) {
	for invitation, known := range invitationActions {
		if action == known {
			return invitation, nil
		}
	}
	return "", errAction
}

// Type is who the invitation is for.
func (a InvitationAddress) Type() InvitationType { return a.invitation }

// Token identifies the invitation.
func (a InvitationAddress) Token() InvitationToken { return a.token }

// String is the canonical form.
func (a InvitationAddress) String() string { return a.print(a.parameters()) }

// HTTPRedirection is the form for e-mails.
func (a InvitationAddress) HTTPRedirection() string { return a.printHTTP(a.parameters()) }

func (a InvitationAddress) parameters() form {
	return form{{"action", invitationActions[a.invitation]}, {"token", UUID(a.token).Hex()}}
}

func parseUUIDParameter(parameters form, name string) (UUID, error) {
	text, err := parameters.mandatory(name)
	if err != nil {
		return UUID{}, err
	}
	value, err := ParseUUID(text)
	if err != nil {
		return UUID{}, fmt.Errorf("invalid `%s` param value", name)
	}
	return value, nil
}
