package deploy_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// skeleton is what a guide has in every language: the levels of its headings,
// its commands, the sizes of its tables, and what it names.
func skeleton(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	var parts []string
	for _, block := range regexp.MustCompile("(?ms)^```.*?^```$").FindAllString(text, -1) {
		parts = append(parts, block)
		text = strings.Replace(text, block, "", 1)
	}
	parts = append(parts, regexp.MustCompile(`(?m)^#+ `).FindAllString(text, -1)...)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") || strings.HasPrefix(line, "- ") {
			parts = append(parts, line[:1])
		}
	}
	names := regexp.MustCompile("(PARSEC_[A-Z_]+|`[^`]+`)").FindAllString(text, -1)
	slices.Sort(names)
	return append(parts, slices.Compact(names)...)
}

func TestGuides(t *testing.T) {
	t.Parallel()
	english, french := skeleton(t, "../docs/hosting.md"), skeleton(t, "../docs/hosting.fr.md")
	for i := range max(len(english), len(french)) {
		if i >= len(english) || i >= len(french) || english[i] != french[i] {
			t.Fatalf("the guides differ from here on:\n%q\n%q", english[min(i, len(english)):], french[min(i, len(french)):])
		}
	}
}
