//go:build !without_postgresql

package imports_test

import (
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/internal/testkit/moving"
	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
)

// TestAccountsOfTwoSources imports two databases that have accounts of the same people.
func TestAccountsOfTwoSources(t *testing.T) {
	t.Parallel()
	sample := testkit.LoadOfficial(t, "3.9.3")
	first, _ := testkit.NewOfficial(t, sample)
	second, owner := testkit.NewOfficial(t, sample)
	connection := testkit.Connect(t, owner)
	testkit.Execute(t, connection, "UPDATE organization SET organization_id = organization_id || '_2'")
	testkit.Execute(t, connection, "UPDATE account SET email = 'carol@example.com' WHERE email = 'bob@example.com'")
	testkit.Execute(t, connection, "UPDATE vault_authentication_method SET auth_method_id = md5('carol')::uuid WHERE _id = 1")
	testkit.Execute(t, connection, "UPDATE account SET human_handle_label = 'Second' WHERE email = 'alice@example.com'")
	names := map[string]string{"": "", "first": identityOf(t, first), "second": identityOf(t, second)}
	for name, test := range map[string]struct {
		choices imports.Choices
		want    string
		finding string
	}{
		"nobody's":    {imports.Choices{}, "alice bob recovered", "stop account_taken: account alice@example.com"},
		"left out":    {imports.Choices{SkipAccounts: true}, "alice bob recovered", ""},
		"the first's": {imports.Choices{AccountsFrom: names["first"]}, "alice bob carol recovered", "repair account_taken: account alice@example.com"},
		"the second's": {
			imports.Choices{AccountsFrom: names["second"]}, "Second bob carol recovered", "repair account_taken: account alice@example.com",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := testkit.NewPostgres(t)
			if err := moving.Run(t.Context(), t, wing, first, to, imports.Choices{}, nil); err != nil {
				t.Fatal(err)
			}
			report := moving.Move(t, wing, second, to, test.choices)
			if len(report.Importable()) != len(report.Organizations) {
				t.Errorf("organizations are left out:\n%s", strings.Join(moving.Findings(report), "\n"))
			}
			all := strings.Join(moving.Findings(report), "\n")
			if !strings.Contains(all, test.finding) || test.finding == "" && strings.Contains(all, "account_taken") {
				t.Errorf("%q is not in\n%s", test.finding, all)
			}
			if have := accountsOf(t, to); have != test.want {
				t.Errorf("there are %q, not %q", have, test.want)
			}
		})
	}
}

// TestAccountsInUse leaves accounts alone that clients use here already.
func TestAccountsInUse(t *testing.T) {
	t.Parallel()
	from, owner := testkit.NewOfficial(t, testkit.LoadOfficial(t, "3.9.3"))
	to := testkit.NewPostgres(t)
	if err := moving.Run(t.Context(), t, wing, from, to, imports.Choices{}, nil); err != nil {
		t.Fatal(err)
	}
	testkit.Execute(t, testkit.Connect(t, to), "UPDATE organization SET importing = false")
	testkit.Execute(t, testkit.Connect(t, owner), "UPDATE account SET human_handle_label = 'Second' WHERE email = 'alice@example.com'")
	testkit.Execute(t, testkit.Connect(t, owner), "UPDATE account SET deleted_on = now() WHERE email = 'bob@example.com'")
	if err := moving.Run(t.Context(), t, wing, from, to, imports.Choices{}, nil); err != nil {
		t.Fatal(err)
	}
	if have := accountsOf(t, to); have != "alice bob recovered" {
		t.Errorf("there are %q", have)
	}
}

// accountsOf tells the accounts of a database.
func accountsOf(t *testing.T, dsn string) (all string) {
	t.Helper()
	err := testkit.Connect(t, dsn).QueryRow(t.Context(), `
SELECT coalesce(string_agg(CASE WHEN convert_from(a.label, 'UTF8') = 'Second' THEN 'Second' ELSE split_part(a.email, '@', 1) END, ' ' ORDER BY a.email), '')
FROM parsec3.account a`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// identityOf is what `--accounts-from` calls a source.
func identityOf(t *testing.T, dsn string) string {
	t.Helper()
	snapshot, _, err := imports.OpenSnapshot(t.Context(), database.Source{DSN: dsn}, []imports.Wing{wing})
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	return snapshot.Identity
}
