package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/rules"
	parsec3rules "parsec-server/pkg/parsec3/rules"
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
	organization := organizationOption(flags)
	filter := flags.String("filter", "", "Words, all of which must occur in 'name <e-mail> user-id', in any case.")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := organization()
		if err != nil {
			return err
		}
		words := strings.Fields(*filter)
		return p.operate(command.Context(), database, id, operation{
			parsec2: func(b *rules.Rules) error {
				people, err := b.Accesses(command.Context(), id, words)
				if err == nil {
					p.printAccesses(people)
				}
				return err
			},
			parsec3: func(b *parsec3rules.Rules) error {
				people, err := b.Accesses(command.Context(), id, words)
				if err == nil {
					p.printAccesses3(people)
				}
				return err
			},
		})
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
			p.printRole(indent+"\t\t", change.CertifiedOn, change.Role)
		}
	}
}

// printRole prints a role that was granted, or removed.
func (p program) printRole(indent string, on parsec.DateTime, role parsec.RealmRole) {
	what := "removed"
	if role != parsec.RoleNone {
		what = string(role) + " granted"
	}
	fmt.Fprintf(p.stdout, "%s%s: Access %s\n", indent, on, what)
}

// printAccesses3 is printAccesses for Parsec 3, where everybody has a human handle
// (docs/protocol/v5/administration.md §3).
func (p program) printAccesses3(people []parsec3rules.HumanAccesses) {
	fmt.Fprintf(p.stdout, "Found %d result(s)\n", len(people))
	for _, person := range people {
		fmt.Fprintf(p.stdout, "\nHuman %s %s\n", printable(person.HumanHandle.Label()), printable(person.HumanHandle.Email()))
		for i := range person.Users {
			p.printUserAccesses3(&person.Users[i])
		}
	}
}

func (p program) printUserAccesses3(accesses *parsec3rules.UserAccesses) {
	is := "REVOKED"
	if accesses.User.RevokedOn == nil {
		profile := string(accesses.User.Profile)
		is = profile[:1] + strings.ToLower(profile[1:])
	}
	fmt.Fprintf(p.stdout, "\tUser %s (%s)\n", parsec.UUID(accesses.User.ID), is)
	for _, change := range accesses.Changes {
		what := "Revoked"
		switch change.Kind {
		case parsec3rules.UserCreated:
			what = "Created with profile " + string(change.Profile)
		case parsec3rules.UserUpdated:
			what = "Updated to profile " + string(change.Profile)
		}
		fmt.Fprintf(p.stdout, "\t\t%s: %s\n", change.On, what)
	}
	for _, realm := range accesses.Realms {
		fmt.Fprintf(p.stdout, "\t\tRealm %s\n", parsec.UUID(realm.Realm).Hex())
		for _, change := range realm.Changes {
			p.printRole("\t\t\t", change.On, change.Role)
		}
	}
}
