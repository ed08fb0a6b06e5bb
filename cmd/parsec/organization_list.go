package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
)

func (p program) organizationListCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "list", Short: "List the organizations of a server, with what they hold.", Args: noArguments,
		Long: `List the organizations of a server, with what they hold.

The last activity is the last date at which a user wrote or changed something: reading
leaves no trace.`,
	}
	reach := p.reachOptions(command)
	asJSON := command.Flags().Bool("json", false, "Print a list in JSON; sizes are in bytes.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return reach(func(a administration) error {
			all, err := a.Organizations(command.Context()) // No time limit: there may be many.
			if err != nil {
				return err
			}
			if *asJSON {
				return p.printJSON(all)
			}
			return p.printOrganizations(all, time.Now())
		})
	}
	return command
}

func (p program) printOrganizations(all []client.OrganizationOverview, now time.Time) error {
	rows := [][]string{{"ORGANIZATION", "STATE", "PARSEC", "USERS", "DATA", "METADATA", "CREATED", "LAST ACTIVITY"}}
	for i := range all {
		one := &all[i]
		generation, users, activity := "-", strconv.FormatUint(one.ActiveUsers, 10), "never"
		if one.Generation != nil {
			generation = strconv.Itoa(int(*one.Generation))
		}
		if one.ActiveUsersLimit != nil {
			users += " of " + strconv.FormatUint(*one.ActiveUsersLimit, 10)
		}
		if one.LastActivity != nil {
			activity = ago(*one.LastActivity, now)
		}
		rows = append(rows, []string{
			one.ID, stateOf(one), generation, users, byteCount(int64(one.DataSize)), byteCount(int64(one.MetadataSize)), day(one.CreatedOn), activity,
		})
	}
	return p.printTable(rows)
}

// stateOf says it in a word or two.
func stateOf(one *client.OrganizationOverview) string {
	switch {
	case one.IsBeingDeleted:
		return "being deleted"
	case one.IsExpired:
		return "expired"
	case !one.IsBootstrapped:
		return "not bootstrapped"
	default:
		return "open"
	}
}

func (p program) organizationListUsersCommand() *cobra.Command {
	var asJSON bool
	command := p.administrationCommand("list-users", "List the users of an organization, whatever their state.",
		func(ctx context.Context, a administration) error {
			members, err := a.Members(ctx, a.organization)
			if answer, is := errors.AsType[*client.HTTPError](err); is && answer.Status == http.StatusNotFound && !asJSON {
				return p.printUsers(ctx, a) // A server that tells less.
			}
			if err != nil {
				return err
			}
			return p.printMembers(members, asJSON, false)
		})
	command.Long = `List the users of an organization, whatever their state: active, frozen, revoked.

A user was last seen at the last date at which it wrote or changed something: reading leaves
no trace.`
	command.Flags().BoolVar(&asJSON, "json", false, "Print a list in JSON.")
	return command
}

var errNoUser = errors.New("there is no such user")

func (p program) organizationFindUsersCommand() *cobra.Command {
	command := &cobra.Command{
		Use: "find-users EMAIL", Short: "List the users of an e-mail address, in whatever letters, of every organization.", Args: oneArgument("EMAIL"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	reach := p.reachOptions(command)
	asJSON := command.Flags().Bool("json", false, "Print a list in JSON.")
	command.RunE = func(command *cobra.Command, args []string) error {
		return reach(func(a administration) error {
			found, err := a.FindMembers(command.Context(), args[0]) // No time limit: all users are passed over.
			if err != nil {
				return err
			}
			if len(found) == 0 && !*asJSON {
				return say(errNoUser, "No organization on %s has a user with the e-mail address %s.", hostPort(a.server), printable(args[0]))
			}
			return p.printMembers(found, *asJSON, true)
		})
	}
	return command
}

// printMembers prints users, of several organizations or of one.
func (p program) printMembers(members []client.Member, asJSON, several bool) error {
	if asJSON {
		if members == nil {
			members = []client.Member{}
		}
		return p.printJSON(members)
	}
	header := []string{"USER", "E-MAIL", "NAME", "PROFILE", "STATE", "DEVICES", "CREATED", "LAST SEEN"}
	if several {
		header = append([]string{"ORGANIZATION"}, header...)
	}
	rows, now := [][]string{header}, time.Now()
	for i := range members {
		one := &members[i]
		row := []string{
			printable(one.ID), cmp.Or(printable(one.Email), "-"), cmp.Or(printable(one.Name), "-"), string(one.Profile), one.State,
			strconv.FormatUint(one.Devices, 10), day(one.CreatedOn), ago(one.LastSeen, now),
		}
		if several {
			row = append([]string{printable(one.Organization)}, row...)
		}
		rows = append(rows, row)
	}
	return p.printTable(rows)
}
