//go:build !without_postgresql

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"parsec-server/internal/testkit"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/protocol"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// accountShell is a shell with a database that has accounts.
type accountShell struct {
	*shell
	store parsec3rules.Store
}

func newAccountShell(t *testing.T, emails ...string) *accountShell {
	t.Helper()
	dsn := testkit.NewPostgres(t)
	r := &accountShell{
		shell: &shell{t: t, variables: map[string]string{"PARSEC_DB": dsn}}, store: testkit.OpenParsec3Postgres(t, dsn, testkit.NewBus(t)),
	}
	for _, text := range emails {
		email := must(parsec3.ParseEmailAddress(text))
		method := parsec3rules.AuthMethod{ID: parsec3.AuthMethodID(parsec.NewUUID()), CreatedOn: date("2020-01-01"), VaultKeyAccess: []byte("access")}
		scope := parsec3rules.AccountScope{Email: email, Methods: []parsec3.AuthMethodID{method.ID}}
		r.update(scope, func(tx parsec3rules.AccountTx) {
			handle := must(parsec.ParseHumanHandle(text, "Zoe\n"))
			tx.CreateAccount(parsec3rules.Account{ID: parsec3rules.AccountID(parsec.NewUUID()), HumanHandle: handle}, method)
			tx.PutCode(parsec3rules.CodeOfDeletion, parsec3rules.Code{CreatedOn: date("2020-01-01")})
		})
		item := protocol.Fingerprint{1}
		r.update(parsec3rules.AccountScope{Email: email, Item: &item}, func(tx parsec3rules.AccountTx) {
			tx.AddItem(parsec3rules.VaultItem{Fingerprint: item, Data: []byte("item")})
		})
	}
	return r
}

func (r *accountShell) update(scope parsec3rules.AccountScope, effects func(parsec3rules.AccountTx)) {
	r.t.Helper()
	err := r.store.UpdateAccount(r.t.Context(), scope, func(tx parsec3rules.AccountTx) error {
		effects(tx)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// answer runs a command that may ask.
func (r *accountShell) answer(answer string, arguments ...string) (stdout, stderr string, err error) {
	r.t.Helper()
	var out, failures bytes.Buffer
	root := program{environment: environmentOf(r.variables), stdout: &out, stderr: &failures}.rootCommand()
	root.SetIn(strings.NewReader(answer))
	root.SetArgs(arguments)
	err = root.ExecuteContext(r.t.Context())
	return out.String(), failures.String(), err
}

func TestAccounts(t *testing.T) {
	r := newAccountShell(t, "zoe@example.com", "Zoe@example.com", "yves@example.com")
	line := func(email string) string { return email + `: Zoe\n (vault of 1 item(s), 10 bytes)` + "\n" }
	both := line("Zoe@example.com") + line("zoe@example.com")
	if got := r.succeed("account", "list"); got != line("Zoe@example.com")+line("yves@example.com")+line("zoe@example.com") {
		t.Errorf("printed\n%s", got)
	}
	if got := r.succeed("account", "find", "ZOE@example.com"); got != both {
		t.Errorf("printed\n%s", got)
	}
	var listed []printedAccount
	if err := json.Unmarshal([]byte(r.succeed("account", "list", "--json")), &listed); err != nil || len(listed) != 3 ||
		listed[1] != (printedAccount{"yves@example.com", "Zoe\n", 1, 1, 10}) {
		t.Errorf("listed %+v, %v", listed, err)
	}
	for answer, want := range map[string]error{"": errNotConfirmed, "y\n": errNotConfirmed, "Zoe@example.com\n": errNotConfirmed} {
		stdout, stderr, err := r.answer(answer, "account", "delete", "zoe@example.com")
		if stdout != "" || !errors.Is(err, want) || !strings.Contains(stderr, "Write zoe@example.com again to delete it: ") {
			t.Errorf("%q: printed %q and %q, error %v", answer, stdout, stderr, err)
		}
	}
	if stdout, _, err := r.answer("zoe@example.com\n", "account", "delete", "zoe@example.com"); err != nil || stdout != "Account zoe@example.com deleted\n" {
		t.Errorf("printed %q, error %v", stdout, err)
	}
	if got := r.succeed("account", "delete", "--yes", "yves@example.com"); got != "Account yves@example.com deleted\n" {
		t.Errorf("printed %q", got)
	}
	if got := r.succeed("account", "list"); got != line("Zoe@example.com") {
		t.Errorf("left\n%s", got)
	}
	r.update(parsec3rules.AccountScope{Email: must(parsec3.ParseEmailAddress("yves@example.com"))}, func(tx parsec3rules.AccountTx) {
		if code := tx.Code(parsec3rules.CodeOfDeletion); code.CreatedOn != 0 {
			t.Errorf("a code is left: %+v", code)
		}
	})
	for _, item := range []struct {
		arguments []string
		usage     bool
		want      string
	}{
		{[]string{"find", "zoe@example.org"}, false, "There is no account of the e-mail address"},
		{[]string{"find", "zoe"}, true, "Invalid value for 'EMAIL'"},
		{[]string{"find"}, true, "Missing argument 'EMAIL'."},
		{[]string{"delete", "--yes", "zoe@example.com"}, false, "There is no account of the e-mail address zoe@example.com, but of Zoe@example.com"},
		{[]string{"delete", "--yes", "yves@example.com"}, false, "There is no account of the e-mail address"},
		{[]string{"delete", "x", "--yes"}, true, "Invalid value for 'EMAIL'"},
		{[]string{"list", "x"}, true, "Got unexpected extra argument (x)"},
		{[]string{"list", "--db", "MOCKED"}, true, "needs a PostgreSQL database"},
		{[]string{"unknown"}, true, "No such command 'unknown'."},
	} {
		stdout, _, err := r.run(append([]string{"account"}, item.arguments...)...)
		_, usage := errors.AsType[*config.UsageError](err)
		if err == nil || stdout != "" || usage != item.usage || !strings.Contains(err.Error(), item.want) {
			t.Errorf("%q: printed %q, error %v", item.arguments, stdout, err)
		}
	}
	if got := r.succeed("account", "list", "--json"); !json.Valid([]byte(got)) {
		t.Errorf("printed %s", got)
	}
}

// TestNoAccounts prints an empty list.
func TestNoAccounts(t *testing.T) {
	r := newAccountShell(t)
	if got := r.succeed("account", "list", "--json"); got != "[]\n" {
		t.Errorf("printed %q", got)
	}
}
