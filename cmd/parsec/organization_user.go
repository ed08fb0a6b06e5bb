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

// printUsers prints the users that have a human handle, as every server tells them.
func (p program) printUsers(ctx context.Context, a administration) error {
	users, err := a.Users(ctx, a.organization)
	if err != nil {
		return err
	}
	for i := range users {
		p.printUser(&users[i])
	}
	return nil
}

// organizationFreezeCommand does what frozen says when it is run.
func (p program) organizationFreezeCommand(name, short string, frozen *bool) *cobra.Command {
	var choice client.UserChoice
	var asJSON bool
	command := p.administrationCommand(name, short, func(ctx context.Context, a administration) error {
		user, err := a.Freeze(ctx, a.organization, choice, *frozen)
		switch {
		case err != nil:
			return err
		case asJSON:
			return p.printJSON(user)
		}
		p.printUser(user)
		return nil
	})
	p.userOptions(command, &choice)
	jsonOption(command, &asJSON)
	return command
}

// userOptions defines the options that choose a user, one of which must be given.
func (p program) userOptions(command *cobra.Command, choice *client.UserChoice) {
	flags := command.Flags()
	flags.StringVar(&choice.ID, "user-id", "", "The user, by its id.")
	flags.StringVar(&choice.Email, "user-email", "", "The user, by its e-mail.")
	command.PreRunE = func(*cobra.Command, []string) error {
		if (choice.ID == "") == (choice.Email == "") {
			return &config.UsageError{Message: "Either --user-id or --user-email is needed."}
		}
		return nil
	}
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
