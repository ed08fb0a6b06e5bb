package config

import (
	"regexp"
	"strings"
)

// Argument is one occurrence of an option, in the order they were given.
type Argument struct {
	// Name is that of the option or of its alias, without dashes.
	Name string
	// Text is its value, "true" for a flag that was given none.
	Text string
	// Expanded reports whether it came from PARSEC_CMD_ARGS.
	Expanded bool
}

// ArgumentsVariable holds arguments that follow those of the command line, for
// every command.
const ArgumentsVariable = "PARSEC_CMD_ARGS"

var variableReference = regexp.MustCompile(`\$(?:([A-Za-z0-9_]+)|\{([A-Za-z0-9_]+)\})`)

// expandArguments splits the value of PARSEC_CMD_ARGS on whitespace, then
// expands the variables of each piece once, without splitting it again
// (docs/protocol/configuration.md §1).
func expandArguments(text string, lookup func(name string) (value string, found bool)) []string {
	pieces := strings.Fields(text)
	for i, piece := range pieces {
		pieces[i] = variableReference.ReplaceAllStringFunc(piece, func(reference string) string {
			if value, found := lookup(strings.Trim(reference, "${}")); found {
				return value
			}
			return reference
		})
	}
	return pieces
}
