package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/client"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/protocol"
)

// callTimeout bounds what a command waits for a server.
const callTimeout = 30 * time.Second

func (p program) organizationCommand() *cobra.Command {
	organization := p.group("organization", "Organizations of a running server.")
	organization.AddCommand(
		p.organizationCreateCommand(), p.organizationBootstrapCommand(),
		p.organizationStatusCommand(), p.organizationStatsCommand(), p.organizationUpdateCommand(),
	)
	return organization
}

func (p program) organizationCreateCommand() *cobra.Command {
	return p.administrationCommand("create", "Create an organization and print the URL to bootstrap it with.",
		func(ctx context.Context, a administration) error {
			reply, err := a.conn.AdministrationCreate(ctx, &protocol.AdministrationCreateRequest{OrganizationID: a.organization})
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "Bootstrap organization url: %s\n", a.server.BootstrapAddress(a.organization, reply.BootstrapToken))
			return nil
		})
}

func (p program) organizationStatusCommand() *cobra.Command {
	return p.administrationCommand("status", "Print the state of an organization.",
		func(ctx context.Context, a administration) error {
			reply, err := a.conn.AdministrationStatus(ctx, &protocol.AdministrationStatusRequest{OrganizationID: a.organization})
			if err != nil {
				return err
			}
			expiration := "none"
			if reply.ExpirationDate != nil {
				expiration = reply.ExpirationDate.String()
			}
			fmt.Fprintf(p.stdout, "is_bootstrapped: %t\nexpiration_date: %s\nuser_profile_outsider_allowed: %t\n",
				reply.IsBootstrapped, expiration, reply.UserProfileOutsiderAllowed)
			return nil
		})
}

func (p program) organizationStatsCommand() *cobra.Command {
	return p.administrationCommand("stats", "Print what an organization holds; sizes are in bytes.",
		func(ctx context.Context, a administration) error {
			reply, err := a.conn.AdministrationStats(ctx, &protocol.AdministrationStatsRequest{OrganizationID: a.organization})
			if err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "users: %d\ndata_size: %d\nmetadata_size: %d\nworkspaces: %d\n",
				reply.Users, reply.DataSize, reply.MetadataSize, reply.Workspaces)
			return nil
		})
}

// The options of organization update.
const (
	expirationDateOption = "expiration-date"
	noExpirationOption   = "no-expiration"
	outsiderOption       = "user-profile-outsider-allowed"
)

func (p program) organizationUpdateCommand() *cobra.Command {
	var request protocol.AdministrationUpdateRequest
	command := p.administrationCommand("update", "Change an organization; what is not given stays.",
		func(ctx context.Context, a administration) error {
			request.OrganizationID = a.organization
			_, err := a.conn.AdministrationUpdate(ctx, &request)
			return err
		})
	flags := command.Flags()
	flags.String(expirationDateOption, "", "When the organization expires, such as 2030-01-31T00:00:00Z.")
	flags.Bool(noExpirationOption, false, "The organization never expires.")
	flags.Bool(outsiderOption, false, "Whether clients offer the OUTSIDER profile (=false for not).")
	command.PreRunE = func(*cobra.Command, []string) (err error) {
		request, err = updateRequest(flags)
		return err
	}
	return command
}

// updateRequest tells what the options change.
func updateRequest(flags *pflag.FlagSet) (protocol.AdministrationUpdateRequest, error) {
	var none protocol.AdministrationUpdateRequest
	unchanged := protocol.Unchanged
	request := protocol.AdministrationUpdateRequest{ExpirationDate: &unchanged}
	text, err := flags.GetString(expirationDateOption)
	if err != nil {
		return none, err
	}
	never, err := flags.GetBool(noExpirationOption)
	if err != nil {
		return none, err
	}
	outsider, err := flags.GetBool(outsiderOption)
	if err != nil {
		return none, err
	}
	switch {
	case text == "" && !never && !flags.Changed(outsiderOption):
		return none, &config.UsageError{Message: "Nothing to change."}
	case text != "" && never:
		return none, &config.UsageError{Message: "--" + expirationDateOption + " and --" + noExpirationOption + " are both given."}
	case never:
		request.ExpirationDate = nil
	case text != "":
		date, err := parsec.ParseDateTime(text)
		if err != nil {
			return none, invalidValue("--"+expirationDateOption, err)
		}
		request.ExpirationDate = &date
	}
	if flags.Changed(outsiderOption) {
		request.UserProfileOutsiderAllowed = &outsider
	}
	return request, nil
}

// administration is a connection of an administrator, for one organization.
type administration struct {
	conn         *client.Conn
	server       parsec.ServerAddress
	organization parsec.OrganizationID
}

// administrationCommand makes a command whose argument is an organization,
// which need not exist, and which runs call as administrator.
func (p program) administrationCommand(name, short string, call func(context.Context, administration) error) *cobra.Command {
	command := &cobra.Command{Use: name + " ORGANIZATION", Short: short, Args: oneArgument("ORGANIZATION")}
	command.Flags().SortFlags = false
	address := command.Flags().String("addr", "", "Address of the server, parsec://<host>[:<port>][?no_ssl=true]; or PARSEC_ADDR.")
	token := command.Flags().String("administration-token", "", "What the administrator authenticates with; or PARSEC_ADMINISTRATION_TOKEN.")
	command.RunE = func(command *cobra.Command, args []string) error {
		organization, err := parsec.ParseOrganizationID(args[0])
		if err != nil {
			return invalidValue("ORGANIZATION", err)
		}
		addressText, err := p.mandatory("addr", *address, "PARSEC_ADDR")
		if err != nil {
			return err
		}
		server, err := parsec.ParseServerAddress(addressText)
		if err != nil {
			return invalidValue("--addr", err)
		}
		tokenText, err := p.mandatory("administration-token", *token, "PARSEC_ADMINISTRATION_TOKEN")
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(command.Context(), callTimeout)
		defer cancel()
		reached := client.New(server, client.Options{})
		defer reached.Close()
		conn, err := reached.DialAdministration(ctx, tokenText)
		if err != nil {
			return err
		}
		defer conn.Close()
		return call(ctx, administration{conn, server, organization})
	}
	return command
}

// mandatory is the text of an option, or if it is empty that of the variable.
func (p program) mandatory(option, text, variable string) (string, error) {
	if text == "" {
		text, _ = p.environment.Lookup(variable)
	}
	if text == "" {
		return "", missingOption(option)
	}
	return text, nil
}

func missingOption(option string) error {
	return &config.UsageError{Message: "Missing option '--" + option + "'."}
}

func invalidValue(name string, err error) error {
	return &config.UsageError{Message: fmt.Sprintf("Invalid value for '%s': %s", name, err)}
}

// oneArgument wants the argument called name and no other.
func oneArgument(name string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &config.UsageError{Message: "Missing argument '" + name + "'."}
		}
		return noArguments(command, args[1:])
	}
}
