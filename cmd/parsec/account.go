package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/parsec3"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// accountCommand is for the accounts of the server, which only Parsec 3 has
// (docs/protocol/v5/account.md).
func (p program) accountCommand() *cobra.Command {
	account := p.group("account", "The accounts of the server, which are of no organization.")
	account.AddCommand(p.accountListCommand(), p.accountFindCommand(), p.accountDeleteCommand())
	return account
}

func (p program) accountListCommand() *cobra.Command {
	command := &cobra.Command{Use: "list", Short: "Print all accounts, in order of their e-mail addresses.", Args: noArguments}
	asJSON, database := accountOptions(command)
	command.RunE = func(command *cobra.Command, _ []string) error {
		return p.operateServer(command.Context(), database, func(b *parsec3rules.Rules) error {
			return p.printAccounts(b.Accounts(command.Context()), *asJSON)
		})
	}
	return command
}

func (p program) accountFindCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "find EMAIL", Short: "Print the accounts of an e-mail address, in whatever letters.", Args: oneArgument("EMAIL"),
	}
	asJSON, database := accountOptions(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		email, err := emailArgument(args[0])
		if err != nil {
			return err
		}
		return p.operateServer(command.Context(), database, func(b *parsec3rules.Rules) error {
			found, err := b.AccountsOf(command.Context(), email)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return noAccount(email)
			}
			return p.printAccounts(eachAccount(found), *asJSON)
		})
	}
	return command
}

// accountOptions defines those of commands that print accounts.
func accountOptions(command *cobra.Command) (asJSON *bool, database *settingsFlags) {
	flags := command.Flags()
	flags.SortFlags = false
	asJSON = flags.Bool("json", false, "Print a list in JSON.")
	return asJSON, databaseOptions(flags)
}

func emailArgument(text string) (parsec3.EmailAddress, error) {
	email, err := parsec3.ParseEmailAddress(text)
	if err != nil {
		return email, invalidValue("EMAIL", err)
	}
	return email, nil
}

func eachAccount(accounts []parsec3rules.Account) iter.Seq2[parsec3rules.Account, error] {
	return func(yield func(parsec3rules.Account, error) bool) {
		for i := range accounts {
			if !yield(accounts[i], nil) {
				return
			}
		}
	}
}

// printedAccount is what operators see of an account, which is nothing of what its vault
// holds.
type printedAccount struct {
	Email   string `json:"email"`
	Label   string `json:"label"`
	Methods uint64 `json:"auth_methods"`
	Items   uint64 `json:"vault_items"`
	Size    uint64 `json:"vault_size"`
}

// printAccounts prints accounts, a line each or as a list in JSON.
func (p program) printAccounts(accounts iter.Seq2[parsec3rules.Account, error], asJSON bool) error {
	printed := 0
	for account, err := range accounts {
		if err != nil {
			return err
		}
		handle, vault := account.HumanHandle, account.Vault
		is := printedAccount{handle.Email(), handle.Label(), vault.Methods, vault.Items, vault.Size}
		switch {
		case asJSON:
			line, err := json.Marshal(is)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%s\n%s", []string{"[", ","}[min(printed, 1)], line)
		default:
			fmt.Fprintf(p.stdout, "%s: %s (vault of %d item(s), %s)\n", printable(is.Email), printable(is.Label), is.Items, byteCount(int64(is.Size)))
		}
		printed++
	}
	switch {
	case asJSON && printed == 0:
		fmt.Fprintln(p.stdout, "[]")
	case asJSON:
		fmt.Fprintln(p.stdout, "\n]")
	}
	return nil
}

func (p program) accountDeleteCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "delete EMAIL", Short: "Erase an account with its vault, as its owner may do. The users of its owner stay.", Args: oneArgument("EMAIL"),
	}
	flags := command.Flags()
	flags.SortFlags = false
	yes := flags.Bool("yes", false, "Do not ask.")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, args []string) error {
		email, err := emailArgument(args[0])
		if err != nil {
			return err
		}
		return p.operateServer(command.Context(), database, func(b *parsec3rules.Rules) error {
			if err := p.checkDeleted(command.Context(), b, email, *yes, command.InOrStdin()); err != nil {
				return err
			}
			if err := b.DeleteAccount(command.Context(), email); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "Account %s deleted\n", email)
			return nil
		})
	}
	return command
}

// checkDeleted finds the account of an e-mail address, in this spelling, and has the
// operator say again that it is meant, unless that is said already.
func (p program) checkDeleted(ctx context.Context, b *parsec3rules.Rules, email parsec3.EmailAddress, yes bool, answer io.Reader) error {
	found, err := b.AccountsOf(ctx, email)
	if err != nil {
		return err
	}
	var others []string
	for i := range found {
		if found[i].HumanHandle.Email() == email.String() {
			if yes {
				return nil
			}
			return p.confirm(fmt.Sprintf("Account of %s <%s>, with a vault of %d item(s).", printable(found[i].HumanHandle.Label()), email, found[i].Vault.Items), email.String(), answer)
		}
		others = append(others, found[i].HumanHandle.Email())
	}
	if len(others) > 0 {
		return say(parsec3rules.ErrAccountNotFound, "There is no account of the e-mail address %s, but of %s: write it in these letters.", email, strings.Join(others, ", "))
	}
	return noAccount(email)
}

// noAccount is of an account that a database does not have.
func noAccount(email parsec3.EmailAddress) error {
	return say(parsec3rules.ErrAccountNotFound, "There is no account of the e-mail address %s. `parsec account list` prints all of them.", email)
}

// errNotConfirmed is that of an operator who thought better of it.
var errNotConfirmed = errors.New("not confirmed, so nothing is deleted; --yes does not ask")

// confirm tells what is to be deleted, and wants its name as the answer.
func (p program) confirm(what, name string, answer io.Reader) error {
	fmt.Fprintf(p.stderr, "%s\nWrite %s again to delete it: ", what, name)
	line, err := bufio.NewReader(answer).ReadString('\n')
	if errors.Is(err, io.EOF) {
		fmt.Fprintln(p.stderr) // nobody has ended the line
	} else if err != nil {
		return err
	}
	if strings.TrimSpace(line) != name {
		return errNotConfirmed
	}
	return nil
}
