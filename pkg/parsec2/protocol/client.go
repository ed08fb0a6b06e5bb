package protocol

import (
	"strconv"
	"strings"

	"parsec-server/pkg/parsec"
)

// Client is whom the server answers, as far as it is known.
type Client struct {
	// API is the version whose statuses, fields and events it understands. Over
	// HTTP that is this server's of the client's major: the client of 2.17
	// announces 2.5 there, and is 3.4 (docs/protocol/transport.md §7.1).
	API parsec.APIVersion
	// Release is zero for a client that does not name it.
	Release Release
}

// Release is a release of the official client. Some distinguish what API
// versions do not.
type Release struct{ Major, Minor uint32 }

// ReleaseOf reads the release in a User-Agent: the product parsec, with or
// without v before its version (docs/protocol/transport.md §3). It is zero for
// anything else.
func ReleaseOf(userAgent string) Release {
	for product := range strings.FieldsSeq(userAgent) {
		name, version, _ := strings.Cut(product, "/")
		if !strings.EqualFold(name, "parsec") {
			continue
		}
		numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
		if len(numbers) < 2 {
			return Release{}
		}
		major, majorErr := strconv.ParseUint(numbers[0], 10, 32)
		minor, minorErr := strconv.ParseUint(numbers[1], 10, 32)
		if majorErr != nil || minorErr != nil {
			return Release{}
		}
		return Release{uint32(major), uint32(minor)}
	}
	return Release{}
}

// before reports whether the release is known, and older than major.minor.
func (r Release) before(major, minor uint32) bool {
	return r != Release{} && (r.Major < major || r.Major == major && r.Minor < minor)
}
