package addresses

import (
	"errors"
	"fmt"

	"parsec-server/pkg/parsec"
)

// PKIEnrollment designates an organization to be enrolled in with a smart
// card (releases 2.8 and later).
type PKIEnrollment struct{ parsec.Location }

// ParsePKIEnrollment reads a parsec:// URL whose action is pki_enrollment.
func ParsePKIEnrollment(text string) (PKIEnrollment, error) {
	location, _, err := parsec.ParseAction(text, "pki_enrollment")
	return PKIEnrollment{location}, err
}

// String returns the canonical form.
func (a PKIEnrollment) String() string { return a.Print(a.parameters()) }

// HTTPRedirection returns the form for e-mails.
func (a PKIEnrollment) HTTPRedirection() string { return a.PrintHTTP(a.parameters()) }

func (a PKIEnrollment) parameters() parsec.Parameters {
	return parsec.Parameters{}.With("action", "pki_enrollment")
}

// FileLink designates a file of a workspace (releases 2.4 and later).
// What it says of the file is encrypted, opaque to the server.
type FileLink struct {
	parsec.Location
	workspace parsec.RealmID
	// Bytes, in strings so that addresses compare.
	encryptedPath, encryptedTimestamp string
}

// ParseFileLink reads a parsec:// URL whose action is file_link.
func ParseFileLink(text string) (FileLink, error) {
	location, parameters, err := parsec.ParseAction(text, "file_link")
	if err != nil {
		return FileLink{}, err
	}
	workspace, err := parseUUIDParameter(parameters, "workspace_id")
	if err != nil {
		return FileLink{}, err
	}
	path, err := parseBase32Parameter(parameters, "path")
	if err != nil {
		return FileLink{}, err
	}
	if path == "" {
		return FileLink{}, errors.New("missing mandatory `path` param")
	}
	timestamp, err := parseBase32Parameter(parameters, "timestamp")
	if err != nil {
		return FileLink{}, err
	}
	return FileLink{location, parsec.RealmID(workspace), path, timestamp}, nil
}

// Workspace returns where the file is.
func (a FileLink) Workspace() parsec.RealmID { return a.workspace }

// EncryptedPath returns the place of the file in its workspace.
func (a FileLink) EncryptedPath() []byte { return []byte(a.encryptedPath) }

// EncryptedTimestamp returns the date at which to see the file, empty for now.
func (a FileLink) EncryptedTimestamp() []byte { return []byte(a.encryptedTimestamp) }

// String returns the canonical form.
func (a FileLink) String() string { return a.Print(a.parameters()) }

// HTTPRedirection returns the form for e-mails.
func (a FileLink) HTTPRedirection() string { return a.PrintHTTP(a.parameters()) }

func (a FileLink) parameters() parsec.Parameters {
	parameters := parsec.Parameters{}.
		With("action", "file_link").
		With("workspace_id", parsec.UUID(a.workspace).Hex()).
		With("path", encodeBase32([]byte(a.encryptedPath)))
	if a.encryptedTimestamp != "" {
		parameters = parameters.With("timestamp", encodeBase32([]byte(a.encryptedTimestamp)))
	}
	return parameters
}

// parseBase32Parameter returns bytes, none when the parameter is absent. A
// ciphertext is never empty.
func parseBase32Parameter(parameters parsec.Parameters, name string) (string, error) {
	text, found, err := parameters.One(name)
	if err != nil || !found {
		return "", err
	}
	raw, err := decodeBase32(text)
	if err != nil || len(raw) == 0 {
		return "", fmt.Errorf("invalid `%s` param value", name)
	}
	return string(raw), nil
}
