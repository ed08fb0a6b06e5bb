package parsec

import "fmt"

// APIVersion is a version of the protocol (docs/protocol/transport.md §1).
// Majors are incompatible; inside a major every minor is compatible.
type APIVersion struct{ Major, Minor uint32 }

// SupportedAPIVersions is what this server announces, in wire order.
var SupportedAPIVersions = [...]APIVersion{{1, 3}, {2, 10}, {3, 4}}

// Negotiate returns this server's version of the client's major. Minors are
// never compared.
func Negotiate(client APIVersion) (server APIVersion, ok bool) {
	for _, version := range SupportedAPIVersions {
		if version.Major == client.Major {
			return version, true
		}
	}
	return APIVersion{}, false
}

// AtLeast tells whether a feature introduced in minor of v's major exists for
// v: minor2 is the introduction in API 2, minor3 in API 3. It never exists for
// API 1.
func (v APIVersion) AtLeast(minor2, minor3 uint32) bool {
	switch v.Major {
	case 2:
		return v.Minor >= minor2
	case 3:
		return v.Minor >= minor3
	default:
		return false
	}
}

func (v APIVersion) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
