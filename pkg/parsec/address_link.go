package parsec

import (
	"errors"
	"fmt"
)

// PKIEnrollmentAddress designates an organization to be enrolled in with a
// smart card (releases 2.8 and later).
type PKIEnrollmentAddress struct{ organizationLocation }

// ParsePKIEnrollmentAddress reads a parsec:// URL whose action is
// pki_enrollment.
func ParsePKIEnrollmentAddress(text string) (PKIEnrollmentAddress, error) {
	location, _, err := parseActionAddress(text, actionPKIEnrollment)
	return PKIEnrollmentAddress{location}, err
}

// String is the canonical form.
func (a PKIEnrollmentAddress) String() string { return a.print(a.parameters()) }

// HTTPRedirection is the form for e-mails.
func (a PKIEnrollmentAddress) HTTPRedirection() string { return a.printHTTP(a.parameters()) }

func (a PKIEnrollmentAddress) parameters() form { return form{{"action", actionPKIEnrollment}} }

// FileLinkAddress designates a file of a workspace (releases 2.4 and later).
// What it says of the file is encrypted, opaque to the server.
type FileLinkAddress struct {
	organizationLocation
	workspace RealmID
	// Bytes, in strings so that addresses compare.
	encryptedPath, encryptedTimestamp string
}

// ParseFileLinkAddress reads a parsec:// URL whose action is file_link.
func ParseFileLinkAddress(text string) (FileLinkAddress, error) {
	location, parameters, err := parseActionAddress(text, actionFileLink)
	if err != nil {
		return FileLinkAddress{}, err
	}
	workspace, err := parseUUIDParameter(parameters, "workspace_id")
	if err != nil {
		return FileLinkAddress{}, err
	}
	path, err := parseBase32Parameter(parameters, "path")
	if err != nil {
		return FileLinkAddress{}, err
	}
	if path == "" {
		return FileLinkAddress{}, errors.New("missing mandatory `path` param")
	}
	timestamp, err := parseBase32Parameter(parameters, "timestamp")
	if err != nil {
		return FileLinkAddress{}, err
	}
	return FileLinkAddress{location, RealmID(workspace), path, timestamp}, nil
}

// Workspace is where the file is.
func (a FileLinkAddress) Workspace() RealmID { return a.workspace }

// EncryptedPath is the place of the file in its workspace.
func (a FileLinkAddress) EncryptedPath() []byte { return []byte(a.encryptedPath) }

// EncryptedTimestamp is the date at which to see the file, empty for now.
func (a FileLinkAddress) EncryptedTimestamp() []byte { return []byte(a.encryptedTimestamp) }

// String is the canonical form.
func (a FileLinkAddress) String() string { return a.print(a.parameters()) }

// HTTPRedirection is the form for e-mails.
func (a FileLinkAddress) HTTPRedirection() string { return a.printHTTP(a.parameters()) }

func (a FileLinkAddress) parameters() form {
	parameters := form{
		{"action", actionFileLink},
		{"workspace_id", UUID(a.workspace).Hex()},
		{"path", encodeBase32([]byte(a.encryptedPath))},
	}
	if a.encryptedTimestamp != "" {
		parameters = append(parameters, parameter{"timestamp", encodeBase32([]byte(a.encryptedTimestamp))})
	}
	return parameters
}

// parseBase32Parameter returns bytes, none when the parameter is absent. A
// ciphertext is never empty.
func parseBase32Parameter(parameters form, name string) (string, error) {
	text, found, err := parameters.one(name)
	if err != nil || !found {
		return "", err
	}
	raw, err := decodeBase32(text)
	if err != nil || len(raw) == 0 {
		return "", fmt.Errorf("invalid `%s` param value", name)
	}
	return string(raw), nil
}
