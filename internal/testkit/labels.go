package testkit

import (
	"strings"
	"unicode"
)

// HumanLabels returns names of people that hold, one after the other, the characters
// that a name may: those of the first blocks, all that separate, hide or turn what is
// written, and the first of each script. Each holds at most 60 of them, between two
// letters.
func HumanLabels() []string {
	var characters []rune
	for r := range unicode.MaxRune {
		switch {
		case strings.ContainsRune(`<>@,:;\"[]`, r), unicode.Is(unicode.Cs, r):
		case r < 0x300, unicode.IsControl(r), unicode.IsSpace(r), unicode.Is(unicode.Cf, r):
			characters = append(characters, r)
		}
	}
	for _, script := range unicode.Scripts {
		if len(script.R16) > 0 {
			characters = append(characters, rune(script.R16[0].Lo))
		} else {
			characters = append(characters, rune(script.R32[0].Lo))
		}
	}
	labels := []string{"=?utf-8?q?=0D=0A?=", "Alice\r\nBcc= eve", "{organization}"}
	for len(characters) > 0 {
		some := characters[:min(60, len(characters))]
		characters = characters[len(some):]
		labels = append(labels, "A"+string(some)+"Z")
	}
	return labels
}

// ShownLabel is what an e-mail shows of a name: one line, without what hides or turns,
// and nothing that reads like an encoded word.
func ShownLabel(label string) string {
	var text strings.Builder
	for _, r := range label {
		switch {
		case unicode.IsControl(r), unicode.IsSpace(r):
			text.WriteByte(' ')
		case !unicode.Is(unicode.Cf, r):
			text.WriteRune(r)
		}
	}
	return strings.ReplaceAll(strings.Join(strings.Fields(text.String()), " "), "=?", "= ?")
}
