package config

import (
	"bytes"
	"strings"
	"unicode"
)

const byteOrderMark = '\uFEFF'

// clean returns the value that a variable or a file means: platforms and
// editors put line ends, blanks and a byte order mark around it, and files of
// variables keep the quotes that a shell would take away. Quotes are around the
// whole if there are no others of their kind.
func clean(text string) string {
	text = strings.TrimFunc(text, isAround)
	if len(text) < 2 || text[0] != '"' && text[0] != '\'' {
		return text
	}
	quote, inner := text[:1], text[1:len(text)-1]
	if text[len(text)-1:] != quote || strings.Contains(inner, quote) {
		return text
	}
	return strings.TrimFunc(inner, isAround)
}

func isAround(r rune) bool { return unicode.IsSpace(r) || r == byteOrderMark }

// isWide reports whether a text is UTF-16, which some editors call Unicode, or
// no text at all.
func isWide(content []byte) bool { return bytes.IndexByte(content, 0) >= 0 }
