package server

import (
	"net/http"
	"strconv"
	"strings"
)

// MediaType returns the type of a Content-Type or of a media range, without its
// parameters and in lower case (RFC 9110 §8.3.1).
func MediaType(text string) string {
	name, _, _ := strings.Cut(text, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

// Accepts reports whether Accept names the type: itself, or by a range. The
// narrowest range that holds the type decides (RFC 9110 §12.5.1). Without
// Accept nothing is accepted: whoever wants an event stream asks for it.
func Accepts(header http.Header, wanted string) bool {
	family, _, _ := strings.Cut(wanted, "/")
	widths := map[string]int{wanted: 1, family + "/*": 2, "*/*": 3}
	accepted, narrowest := false, len(widths)+1
	for item := range listItems(header, "Accept") {
		if width, holds := widths[MediaType(item)]; holds && width < narrowest {
			narrowest, accepted = width, quality(item) > 0
		}
	}
	return accepted
}

// quality returns the weight of an item of a list, 1 if it has none that is
// right (RFC 9110 §12.4.2).
func quality(item string) float64 {
	for parameter := range strings.SplitSeq(item, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		if weight, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
			return weight
		}
	}
	return 1
}
