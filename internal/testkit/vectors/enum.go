package vectors

import (
	"slices"
	"testing"
)

// CheckEnum wants parse to accept the texts of an enumeration of API 5
// (docs/protocol/v5/types.md §4), and of those of the other ones no text that is not
// also its own.
func CheckEnum(t testing.TB, name string, parse func(text string) error) {
	t.Helper()
	enums := Load[struct {
		Enums map[string][]string `json:"enums"`
	}](t, "v5/types.json").Enums
	own := enums[name]
	if len(own) == 0 {
		t.Fatalf("no enumeration is called %s", name)
	}
	for _, texts := range enums {
		for _, text := range texts {
			if err := parse(text); (err == nil) != slices.Contains(own, text) {
				t.Errorf("%s: %q: %v", name, text, err)
			}
		}
	}
}
