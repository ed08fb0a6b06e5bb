package protocol

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxPerPage bounds a page of results (docs/protocol/types.md §5).
	maxPerPage = 100
	// maxEmailBytes is the length of the longest e-mail address (RFC 5321).
	maxEmailBytes = 254
)

func validateEmail(field, email string) error {
	if len(email) > maxEmailBytes {
		return fmt.Errorf("%s: too long", field)
	}
	if !utf8.ValidString(email) || strings.ContainsFunc(email, unicode.IsControl) {
		return fmt.Errorf("%s: control characters", field)
	}
	return nil
}
