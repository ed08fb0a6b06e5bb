package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
)

// humanAccessesCommand is `parsec human-accesses`, and the official `parsec backend
// human_accesses` (docs/protocol/administration.md §7) and `parsec human_accesses`.
func (p program) humanAccessesCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "human-accesses",
		Aliases: []string{"human_accesses"},
		Short:   "Print which roles people have had in which realms of an organization, and when.",
		Args:    noArguments,
	}
	flags := command.Flags()
	organization := flags.String("organization", "", "The organization.")
	filter := flags.String("filter", "", "Words, all of which must occur in 'name <e-mail> user-id', in any case.")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := organizationOption(*organization)
		if err != nil {
			return err
		}
		return p.operate(command.Context(), database, id, operation{parsec2: func(b *rules.Rules) error {
			people, err := b.Accesses(command.Context(), id, strings.Fields(*filter))
			if err == nil {
				p.printAccesses(people)
			}
			return err
		}})
	}
	return command
}

func (p program) printAccesses(people []rules.HumanAccesses) {
	humans := len(people)
	if humans > 0 && people[humans-1].HumanHandle == (parsec.HumanHandle{}) {
		humans--
	}
	fmt.Fprintf(p.stdout, "Found %d result(s)\n", humans)
	for _, person := range people {
		indent := ""
		if handle := person.HumanHandle; handle != (parsec.HumanHandle{}) {
			fmt.Fprintf(p.stdout, "\nHuman %s %s\n", printable(handle.Label()), printable(handle.Email()))
			indent = "\t"
		}
		for _, user := range person.Users {
			p.printUserAccesses(user, indent)
		}
	}
}

func (p program) printUserAccesses(accesses rules.UserAccesses, indent string) {
	user := accesses.User
	revoked := ""
	if user.Revocation != nil {
		revoked = ", revoked on " + user.Revocation.On.String()
	}
	if indent == "" {
		fmt.Fprintln(p.stdout)
	}
	fmt.Fprintf(p.stdout, "%sUser %s (%s, created on %s%s)\n", indent, user.ID, user.Profile, user.CreatedOn, revoked)
	for _, realm := range accesses.Realms {
		fmt.Fprintf(p.stdout, "%s\tRealm %s\n", indent, parsec.UUID(realm.Realm).Hex())
		for _, change := range realm.Changes {
			what := "removed"
			if change.Role != parsec.RoleNone {
				what = string(change.Role) + " granted"
			}
			fmt.Fprintf(p.stdout, "%s\t\t%s: Access %s\n", indent, change.CertifiedOn, what)
		}
	}
}
