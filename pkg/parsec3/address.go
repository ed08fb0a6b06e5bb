package parsec3

import (
	"encoding/base64"
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/wire"
)

// Address is a parsec3:// URL that designates something of an organization
// (docs/protocol/v5/transport.md §9). The zero value is no address.
type Address struct {
	parsec.Location
	// Target is one of the …Target structs.
	Target Target
}

// Target is what an Address designates.
type Target interface {
	// action is the parameter a, "" for none.
	action() string
	// payload is what is in the parameter p, false if there is none.
	payload() (any, bool)
}

// OrganizationTarget is a bootstrapped organization, with the root verify key that it
// is trusted by.
type OrganizationTarget struct{ RootVerifyKey parsec.VerifyKey }

// BootstrapTarget lets its bearer bootstrap an organization. The token is nil for a
// spontaneous bootstrap.
type BootstrapTarget struct{ Token *AccessToken }

// PathTarget is a file in a workspace.
type PathTarget struct {
	Workspace     parsec.RealmID
	KeyIndex      uint64
	EncryptedPath []byte
}

// InvitationTarget lets its bearer claim an invitation.
type InvitationTarget struct {
	Type  parsec.InvitationType
	Token AccessToken
}

// PKIEnrollmentTarget asks for an enrollment, of clients before 3.8.
type PKIEnrollmentTarget struct{}

// AsyncEnrollmentTarget asks for an enrollment.
type AsyncEnrollmentTarget struct{}

// TOTPResetTarget lets a user set its one-time passwords up again.
type TOTPResetTarget struct {
	User  UserID
	Token AccessToken
}

// The actions.
const (
	actionBootstrap       = "bootstrap_organization"
	actionPath            = "path"
	actionClaimUser       = "claim_user"
	actionClaimDevice     = "claim_device"
	actionClaimShamir     = "claim_shamir_recovery"
	actionPKIEnrollment   = "pki_enrollment"
	actionAsyncEnrollment = "async_enrollment"
	actionTOTPReset       = "totp_reset"
)

func (OrganizationTarget) action() string    { return "" }
func (BootstrapTarget) action() string       { return actionBootstrap }
func (PathTarget) action() string            { return actionPath }
func (PKIEnrollmentTarget) action() string   { return actionPKIEnrollment }
func (AsyncEnrollmentTarget) action() string { return actionAsyncEnrollment }
func (TOTPResetTarget) action() string       { return actionTOTPReset }

func (t InvitationTarget) action() string {
	switch t.Type {
	case parsec.InvitationUser:
		return actionClaimUser
	case parsec.InvitationDevice:
		return actionClaimDevice
	default:
		return actionClaimShamir
	}
}

// pathPayload is the payload of a PathTarget. The path is not a bin, by an accident
// of the first release.
type pathPayload struct {
	_         struct{} `wire:",array"`
	Workspace parsec.RealmID
	KeyIndex  uint64
	Path      []uint16
}

// totpResetPayload is the payload of a TOTPResetTarget.
type totpResetPayload struct {
	_     struct{} `wire:",array"`
	User  UserID
	Token AccessToken
}

func (t OrganizationTarget) payload() (any, bool)  { return t.RootVerifyKey, true }
func (t BootstrapTarget) payload() (any, bool)     { return t.Token, true }
func (t InvitationTarget) payload() (any, bool)    { return t.Token, true }
func (PKIEnrollmentTarget) payload() (any, bool)   { return nil, false }
func (AsyncEnrollmentTarget) payload() (any, bool) { return nil, false }

func (t TOTPResetTarget) payload() (any, bool) {
	return totpResetPayload{User: t.User, Token: t.Token}, true
}

func (t PathTarget) payload() (any, bool) {
	encoded := pathPayload{Workspace: t.Workspace, KeyIndex: t.KeyIndex, Path: make([]uint16, len(t.EncryptedPath))}
	for i, octet := range t.EncryptedPath {
		encoded.Path[i] = uint16(octet)
	}
	return encoded, true
}

// ParseAddress reads a parsec3:// URL of any kind but that of a server, or its HTTP
// form. Errors are one line for people, without the text itself.
func ParseAddress(text string) (Address, error) {
	location, parameters, err := parsec.Parsec3Scheme.ParseLocation(parsec.Parsec3Scheme.FromRedirection(text))
	if err != nil {
		return Address{}, err
	}
	action, hasAction, err := parameters.One("a")
	if err != nil {
		return Address{}, err
	}
	if hasAction && action == "" {
		return Address{}, errAction
	}
	payload, _, err := parameters.One("p")
	if err != nil {
		return Address{}, err
	}
	target, err := parseTarget(action, payload)
	if err != nil {
		return Address{}, err
	}
	return Address{location, target}, nil
}

var errAction = errors.New("invalid `a` param value")

// parseTarget reads what an action and a payload designate, "" for none.
func parseTarget(action, payload string) (Target, error) {
	switch action {
	case "":
		key, err := parsePayload[parsec.VerifyKey](payload)
		return OrganizationTarget{key}, err
	case actionBootstrap:
		token, err := parsePayload[*AccessToken](payload)
		return BootstrapTarget{token}, err
	case actionPath:
		return parsePath(payload)
	case actionClaimUser:
		token, err := parsePayload[AccessToken](payload)
		return InvitationTarget{parsec.InvitationUser, token}, err
	case actionClaimDevice:
		token, err := parsePayload[AccessToken](payload)
		return InvitationTarget{parsec.InvitationDevice, token}, err
	case actionClaimShamir:
		token, err := parsePayload[AccessToken](payload)
		return InvitationTarget{parsec.InvitationShamirRecovery, token}, err
	case actionPKIEnrollment:
		return PKIEnrollmentTarget{}, nil
	case actionAsyncEnrollment:
		return AsyncEnrollmentTarget{}, nil
	case actionTOTPReset:
		reset, err := parsePayload[totpResetPayload](payload)
		return TOTPResetTarget{reset.User, reset.Token}, err
	default:
		return nil, errAction
	}
}

func parsePath(payload string) (Target, error) {
	decoded, err := parsePayload[pathPayload](payload)
	if err != nil {
		return nil, err
	}
	path := make([]byte, len(decoded.Path))
	for i, octet := range decoded.Path {
		if path[i] = byte(octet); uint16(path[i]) != octet {
			return nil, errPayload
		}
	}
	return PathTarget{decoded.Workspace, decoded.KeyIndex, path}, nil
}

var errPayload = errors.New("invalid `p` param value")

// parsePayload reads the parameter p, which is a msgpack value in base64.
func parsePayload[T any](text string) (T, error) {
	var message struct {
		Value T `wire:"p"`
	}
	value, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || text == "" {
		return message.Value, errPayload
	}
	encoded := append([]byte("\x81\xa1p"), value...) // the codec reads values of maps
	if wire.Microseconds.Scan(encoded) != nil || wire.Microseconds.Unmarshal(encoded, &message) != nil {
		return message.Value, errPayload
	}
	return message.Value, nil
}

// String returns the canonical form.
func (a Address) String() string { return parsec.Parsec3Scheme.Print(a.Location, a.parameters()) }

// HTTPRedirection returns the form for e-mails.
func (a Address) HTTPRedirection() string { return a.PrintHTTP(a.parameters()) }

func (a Address) parameters() parsec.Parameters {
	var parameters parsec.Parameters
	if action := a.Target.action(); action != "" {
		parameters = parameters.With("a", action)
	}
	if payload, found := a.Target.payload(); found {
		encoded, err := wire.Microseconds.Append(nil, payload)
		if err != nil {
			panic(fmt.Errorf("the payload of an address: %w", err)) // they have no bounds
		}
		parameters = parameters.With("p", base64.RawURLEncoding.EncodeToString(encoded))
	}
	return parameters
}
