package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
	"parsec-server/pkg/config"
)

func (p program) organizationListUsersCommand() *cobra.Command {
	return p.administrationCommand("list-users", "Print the users of an organization that have a name and an e-mail, revoked ones included.",
		func(ctx context.Context, a administration) error {
			users, err := a.Users(ctx, a.organization)
			if err != nil {
				return err
			}
			for i := range users {
				p.printUser(&users[i])
			}
			return nil
		})
}

func (p program) organizationFreezeCommand(name, short string, frozen bool) *cobra.Command {
	var choice client.UserChoice
	command := p.administrationCommand(name, short, func(ctx context.Context, a administration) error {
		user, err := a.Freeze(ctx, a.organization, choice, frozen)
		if err != nil {
			return err
		}
		p.printUser(user)
		return nil
	})
	flags := command.Flags()
	flags.StringVar(&choice.ID, "user-id", "", "The user, by its id.")
	flags.StringVar(&choice.Email, "user-email", "", "The user, by its e-mail.")
	command.PreRunE = func(*cobra.Command, []string) error {
		if (choice.ID == "") == (choice.Email == "") {
			return &config.UsageError{Message: "Either --user-id or --user-email is needed."}
		}
		return nil
	}
	return command
}

// printUser prints one line.
func (p program) printUser(user *client.HumanUser) {
	frozen := ""
	if user.Frozen {
		frozen = " (frozen)"
	}
	fmt.Fprintf(p.stdout, "%s: %s <%s>%s\n", printable(user.ID), printable(user.Name), printable(user.Email), frozen)
}

// printable has no character that moves the cursor or begins a line: users
// choose their names.
func printable(text string) string {
	var safe strings.Builder
	for _, character := range text {
		if unicode.IsPrint(character) {
			safe.WriteRune(character)
		} else {
			safe.WriteString(strings.Trim(strconv.QuoteRune(character), "'"))
		}
	}
	return safe.String()
}
