package whole_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	parsec2check "parsec-server/pkg/parsec2/check"
	parsec3check "parsec-server/pkg/parsec3/check"
)

// TestDocument wants docs/invariants.md to list every rule that is checked, in order, and
// no name to be that of two.
func TestDocument(t *testing.T) {
	content, err := os.ReadFile("../../docs/invariants.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	names := map[string]bool{}
	for _, rule := range slices.Concat(parsec2check.Rules, parsec3check.Rules) {
		want.WriteString("| `" + rule.Name + "` | " + rule.Invariant + " | " + rule.Says + " |\n")
		if names[rule.Name] {
			t.Errorf("two rules are called %s", rule.Name)
		}
		names[rule.Name] = true
	}
	if !strings.Contains(string(content), want.String()) {
		t.Errorf("docs/invariants.md does not have\n%s", want.String())
	}
}
