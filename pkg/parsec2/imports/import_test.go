//go:build !without_postgresql

package imports_test

import (
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/pkg/imports"
	parsec2imports "parsec-server/pkg/parsec2/imports"
)

var wing = parsec2imports.Wing{}

// TestOfficialDatabases imports the real ones, twice.
func TestOfficialDatabases(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"1.13", "2.17"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, release))
			to := testkit.NewPostgres(t)
			before := moving.Dump(t, owner)
			report := moving.Move(t, wing, from, to, imports.Choices{BlockData: true})
			for _, one := range report.Organizations {
				for _, finding := range one.Findings {
					t.Logf("%s %s %s: %s: %s", one.ID, finding.Severity, finding.Rule, finding.Subject, finding.Detail)
					if finding.Severity == imports.Stop {
						t.Error("that is a stop")
					}
				}
			}
			first := moving.Dump(t, to)
			if err := moving.Run(t.Context(), t, wing, from, to, imports.Choices{BlockData: true}, nil); err != nil {
				t.Fatal(err)
			}
			if second := moving.Dump(t, to); second != first {
				t.Errorf("a second run changes something:\n%s", moving.Difference(first, second))
			}
			if after := moving.Dump(t, owner); after != before {
				t.Error("the source has changed")
			}
		})
	}
}
