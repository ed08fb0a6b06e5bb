package mail

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

const (
	placeBegin = "{{"
	placeEnd   = "}}"
	// maxPlaces bounds the values in a text, which may be long.
	maxPlaces = 500
)

// template is a text with places for values: pieces of it as they are written, between
// which there are the values of names. One more piece than names.
type template struct {
	pieces []string
	names  []string
}

// lineError is what is wrong with a line of a text; the first is 1.
type lineError struct {
	line    int
	message string
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.message) }

func lineErrorAt(text string, offset int, format string, values ...any) error {
	return &lineError{1 + strings.Count(text[:offset], "\n"), fmt.Sprintf(format, values...)}
}

// parseTemplate reads a text in which {{name}} stands for the value of one of names.
// Braces alone mean nothing.
func parseTemplate(text string, names []string) (*template, error) {
	parsed := &template{}
	for at := 0; ; {
		begin := strings.Index(text[at:], placeBegin)
		if begin < 0 {
			parsed.pieces = append(parsed.pieces, text[at:])
			return parsed, nil
		}
		begin += at
		name, end, err := parsePlace(text, begin, names)
		switch {
		case err != nil:
			return nil, err
		case len(parsed.names) == maxPlaces:
			return nil, lineErrorAt(text, begin, "more than %d names", maxPlaces)
		}
		parsed.pieces, parsed.names = append(parsed.pieces, text[at:begin]), append(parsed.names, name)
		at = end
	}
}

// parsePlace reads the {{name}} that begins at an offset.
func parsePlace(text string, begin int, names []string) (name string, end int, err error) {
	rest := text[begin+len(placeBegin):]
	line, _, _ := strings.Cut(rest, "\n")
	inner, _, closed := strings.Cut(line, placeEnd)
	if !closed {
		return "", 0, lineErrorAt(text, begin, "%s without %s on the same line", placeBegin, placeEnd)
	}
	name = strings.Trim(inner, " \t")
	if !slices.Contains(names, name) {
		return "", 0, lineErrorAt(text, begin, "%s%s%s is not known here; known are %s", placeBegin, inner, placeEnd, written(names))
	}
	return name, begin + len(placeBegin) + len(inner) + len(placeEnd), nil
}

// written shows names as templates have them.
func written(names []string) string {
	places := make([]string, len(names))
	for i, name := range names {
		places[i] = placeBegin + name + placeEnd
	}
	return strings.Join(places, ", ")
}

// fill returns the text with values in its places, each escaped.
func (t *template) fill(values map[string]string, escape func(string) string) string {
	var text strings.Builder
	for i, name := range t.names {
		text.WriteString(t.pieces[i])
		text.WriteString(escape(values[name]))
	}
	text.WriteString(t.pieces[len(t.names)])
	return text.String()
}

// asIs is how values are escaped in plain text: they are single lines already.
func asIs(value string) string { return value }

// verbatim are the elements whose text no browser unescapes.
var verbatim = []string{"iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "xmp"}

// checkPlaces wants the names of a template in HTML where a value that is escaped stays
// a text: outside of tags. The names of addresses, which people do not choose, may also
// be in values of attributes and in comments.
func checkPlaces(text string, addresses []string) error {
	tokens := html.NewTokenizer(strings.NewReader(text))
	element := ""
	for at := 0; ; {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			return nil // the end
		}
		raw := string(tokens.Raw())
		if strings.Contains(raw, placeBegin) {
			if place, problem := misplaced(tokens, kind, raw, element, addresses); problem != "" {
				return lineErrorAt(text, at+place, "%s", problem)
			}
		}
		element = ""
		if kind == html.StartTagToken {
			element = tokens.Token().Data
		}
		at += len(raw)
	}
}

// misplaced returns what is wrong with the names in a token of HTML, and at which offset;
// "" for nothing. The element is the one that the token is the text of.
func misplaced(tokens *html.Tokenizer, kind html.TokenType, raw, element string, addresses []string) (place int, problem string) {
	ofAddresses := func(text string) bool {
		_, err := parseTemplate(text, addresses)
		return err == nil
	}
	place = strings.Index(raw, placeBegin)
	switch kind {
	case html.TextToken:
		if slices.Contains(verbatim, element) {
			return place, "no name may be in <" + element + ">"
		}
		if tag := strings.Index(raw, "<"+placeBegin); tag >= 0 {
			return tag, "no name may begin a tag"
		}
	case html.CommentToken:
		if strings.HasPrefix(raw, "</") || !ofAddresses(raw) {
			return place, "in a comment only " + written(addresses) + " may be"
		}
	default:
		inValues, right := 0, ofAddresses(raw)
		for more := true; more; {
			var value []byte
			_, value, more = tokens.TagAttr()
			inValues += strings.Count(string(value), placeBegin)
			right = right && ofAddresses(string(value))
		}
		if !right || inValues != strings.Count(raw, placeBegin) {
			return place, "in a tag only " + written(addresses) + " may be, in values of attributes and within quotes"
		}
	}
	return 0, ""
}
