package parsec

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxCompositionRatio bounds how many times shorter NFC can make a text: the
// worst case is U+1FBE U+0308 U+0301, whose 7 bytes compose into the 2 of
// U+0390.
const maxCompositionRatio = 4

// normalize returns text in Unicode NFC, when it is valid UTF-8 and that form
// has 1 to maxBytes bytes. What cannot fit is refused before paying for its
// normalisation.
func normalize(text string, maxBytes int) (normalized string, ok bool) {
	if len(text) > maxCompositionRatio*maxBytes || !utf8.ValidString(text) {
		return "", false
	}
	normalized = norm.NFC.String(text)
	return normalized, normalized != "" && len(normalized) <= maxBytes
}

// isAlphanumeric reports whether r is an ASCII letter or digit.
func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
