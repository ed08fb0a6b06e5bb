package server

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// versionRoute is what a wing serves at a pattern.
type versionRoute struct {
	// newest is the newest major that the wing knows.
	newest uint32
	handle http.HandlerFunc
}

// wingRoutes adds the routes of the wings. A pattern of several leads to one of
// them (docs/protocol/v5/overview.md §4).
func (s *Server) wingRoutes(mux *http.ServeMux) {
	routes := map[string][]versionRoute{}
	for _, wing := range s.wings {
		newest, patient := slices.MaxFunc(wing.Versions(), compareVersions).Major, wing.Patient()
		for pattern, handle := range wing.Routes() {
			if !slices.Contains(patient, pattern) {
				handle = s.whileAvailable(handle, wing.Unavailable)
			}
			routes[pattern] = append(routes[pattern], versionRoute{newest, handle})
		}
	}
	for pattern, candidates := range routes {
		mux.HandleFunc(pattern, byVersion(candidates))
	}
}

// byVersion returns what has the major of Api-Version choose among wings: the
// oldest one that knows this major or a later one, or else the newest. Without
// a number there it is the oldest: only clients from before that header leave it
// out. Whether the version is served, and right, is for the wing to say.
func byVersion(candidates []versionRoute) http.HandlerFunc {
	if len(candidates) == 1 {
		return candidates[0].handle
	}
	slices.SortFunc(candidates, func(a, b versionRoute) int { return cmp.Compare(a.newest, b.newest) })
	return func(w http.ResponseWriter, r *http.Request) {
		major := requestedMajor(r.Header)
		chosen := slices.IndexFunc(candidates, func(c versionRoute) bool { return major <= c.newest })
		if chosen < 0 {
			chosen = len(candidates) - 1
		}
		candidates[chosen].handle(w, r)
	}
}

// requestedMajor returns the major that Api-Version begins with, 0 if none.
func requestedMajor(header http.Header) uint32 {
	text, _, _ := strings.Cut(header.Get("Api-Version"), ".")
	major, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(major)
}

// RefuseVersion answers 422, and names the versions of the API of a generation:
// what the client needs for an organization of it. Those of every generation are
// named for 0.
func (s *Server) RefuseVersion(w http.ResponseWriter, generation organization.Generation) {
	var versions []parsec.APIVersion
	for _, wing := range s.wings {
		if generation == 0 || generation == wing.Generation() {
			versions = append(versions, wing.Versions()...)
		}
	}
	slices.SortFunc(versions, compareVersions)
	texts := make([]string, len(versions))
	for i, version := range versions {
		texts[i] = version.String()
	}
	w.Header().Set("Supported-Api-Versions", strings.Join(texts, ";"))
	w.WriteHeader(http.StatusUnprocessableEntity)
}

func compareVersions(a, b parsec.APIVersion) int {
	return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor))
}
