package parsec3

import (
	"fmt"
	"strconv"
	"strings"

	"parsec-server/pkg/parsec"
)

// ParseAPIVersion reads the text form of a version of the API: two decimal numbers of
// 32 bits around the first dot. A plus sign and zeros before them are read
// (docs/protocol/v5/types.md §9).
func ParseAPIVersion(text string) (parsec.APIVersion, error) {
	majorText, minorText, _ := strings.Cut(text, ".")
	major, err := parseVersionPart(majorText)
	if err != nil {
		return parsec.APIVersion{}, fmt.Errorf("major of the API version: %w", err)
	}
	minor, err := parseVersionPart(minorText)
	if err != nil {
		return parsec.APIVersion{}, fmt.Errorf("minor of the API version: %w", err)
	}
	return parsec.APIVersion{Major: major, Minor: minor}, nil
}

func parseVersionPart(text string) (uint32, error) {
	part, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 32)
	return uint32(part), err
}
