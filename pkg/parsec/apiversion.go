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

// String returns the form of the HTTP headers, such as "2.10".
func (v APIVersion) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
