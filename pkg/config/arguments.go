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

// JoinWords returns the words of a command line with those that belong to one option as
// one: official servers take the two numbers of a rate as two words there.
func JoinWords(words []string) []string {
	joined := make([]string, 0, len(words))
	for i := 0; i < len(words); i++ {
		if words[i] == "--" {
			return append(joined, words[i:]...)
		}
		joined = append(joined, words[i])
		first, glued := strings.CutPrefix(words[i], "--"+rateLimitOption+"=")
		switch {
		case glued && i+1 < len(words) && isCount(first) && isCount(words[i+1]):
			joined[len(joined)-1] += " " + words[i+1]
			i++
		case words[i] == "--"+rateLimitOption && i+2 < len(words) && isCount(words[i+1]) && isCount(words[i+2]):
			joined = append(joined, words[i+1]+" "+words[i+2])
			i += 2
		}
	}
	return joined
}

func isCount(word string) bool {
	_, err := parseCount(word)
	return err == nil
}

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
