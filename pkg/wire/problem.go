package wire

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"parsec-server/pkg/parsec"
)

// Texts of schema errors (docs/protocol/transport.md §4). Clients only show
// them.
const (
	textMissing    = "Missing data for required field."
	textNull       = "Field may not be null."
	textUUID       = "Not an UUID"
	textInteger    = "Not a valid integer."
	textString     = "Not a valid string."
	textBytes      = "Not valid bytes."
	textSize       = "Wrong size."
	textBoolean    = "Not a valid boolean."
	textNumber     = "Not a valid number."
	textDateTime   = "Not a valid datetime."
	textList       = "Not a valid list."
	textMapping    = "Not a valid mapping."
	textKey        = "Invalid key."
	textPair       = "Not a pair of strings."
	textAPIVersion = "Not a valid API version."
	textValue      = "Invalid value."
	textTwice      = "Given twice."
)

const (
	// maxProblems bounds what one FieldError holds: a message of invalid items
	// must not be answered by a longer one.
	maxProblems = 100
	// maxKeyLength bounds what a FieldError repeats of a map key, in bytes.
	maxKeyLength = 64
)

// FieldError is a legal map that is not a value of the type wanted: the reply
// is bad_message. It holds every bad field, at most 100.
type FieldError struct {
	fields map[string]any
}

// Errors nests like the message: []string of texts under the name of a bad
// field, map[string]any for structs and maps, map[int]any for arrays. Append
// encodes it.
func (e *FieldError) Errors() map[string]any { return e.fields }

// Error lists the bad fields in one line.
func (e *FieldError) Error() string {
	var line strings.Builder
	line.WriteString("invalid fields")
	writeProblems(&line, "", e.fields)
	return line.String()
}

func writeProblems(line *strings.Builder, path string, found problem) {
	switch found := found.(type) {
	case []string:
		fmt.Fprintf(line, ", %q: %s", path, strings.Join(found, " "))
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(found)) {
			writeProblems(line, strings.TrimPrefix(path+"."+name, "."), found[name])
		}
	case map[int]any:
		for _, index := range slices.Sorted(maps.Keys(found)) {
			writeProblems(line, path+"."+strconv.Itoa(index), found[index])
		}
	}
}

// problem is what is wrong with one value, in the form of FieldError.Errors:
// []string, map[string]any or map[int]any; nil when nothing is.
type problem any

// problem makes one more text to report.
func (d *decoder) problem(text string) problem {
	d.problems++
	return []string{text}
}

// add notes what is wrong with the item of this key. The map is made when it is
// needed.
func add[Key comparable](problems map[Key]any, key Key, found problem) map[Key]any {
	if problems == nil {
		problems = make(map[Key]any)
	}
	problems[key] = found
	return problems
}

// nested returns the problem of a value whose items have these.
func nested[Key comparable](problems map[Key]any) problem {
	if len(problems) == 0 {
		return nil
	}
	return problems
}

// keyName returns the text of a map key of a kind that its type decodes, read up to
// end.
func (d *decoder) keyName(t token, end int) string {
	body := cursor{data: d.data, pos: end}
	switch t.kind {
	case kindString:
		return string(body.body(t))
	case kindBinary:
		return hex.EncodeToString(body.body(t))
	case kindExtension:
		return parsec.UUID(body.body(t)).String()
	case kindInt:
		return strconv.FormatInt(int64(t.n), 10)
	default:
		return strconv.FormatUint(t.n, 10)
	}
}

// clipNames bounds the names of a map's bad items.
func clipNames(problems map[string]any) map[string]any {
	var clipped map[string]any
	for name, found := range problems {
		clipped = add(clipped, strings.ToValidUTF8(name[:min(len(name), maxKeyLength)], ""), found)
	}
	return clipped
}
