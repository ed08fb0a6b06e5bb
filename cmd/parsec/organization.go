package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/rpc"
)

// callTimeout bounds what a command waits for a server.
const callTimeout = 30 * time.Second

func (p program) organizationCommand() *cobra.Command {
	organization := p.group("organization", "Organizations of a running server.")
	organization.AddCommand(
		p.organizationCreateCommand(), p.organizationBootstrapCommand(),
		p.organizationStatusCommand(), p.organizationStatsCommand(), p.organizationUpdateCommand(),
		p.organizationListUsersCommand(), p.organizationFreezeCommand("freeze", "Keep a user out of an organization.", new(true)),
		p.organizationFreezeCommand("unfreeze", "Let a frozen user in again.", new(false)), p.serverStatsCommand(),
		p.organizationListCommand(), p.organizationFindUsersCommand(), p.organizationBootstrapLinkCommand(), p.organizationResetTOTPCommand(),
		p.organizationExpireCommand("expire", "Close an organization to its users.",
			"Close an organization to its users, whose connections end at once. Nothing of it is lost: unexpire opens it again.", true),
		p.organizationExpireCommand("unexpire", "Open an expired organization again.", "Open an expired organization again.", false),
		p.organizationDeleteCommand(),
	)
	return organization
}

// overWebSocket sends a command of API 1, for servers up to 2.4.
func overWebSocket[Request, Reply any](ctx context.Context, a administration, command *rpc.Command[Request, Reply], request *Request) (*Reply, error) {
	conn, err := a.client.DialAdministration(ctx, a.token)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return parsec2.Call(ctx, conn, command, request)
}

// administrationCommand makes a command whose argument is an organization,
// which need not exist, and which runs call as administrator.
func (p program) administrationCommand(name, short string, call func(context.Context, administration) error) *cobra.Command {
	return p.longAdministrationCommand(name, short, func(command *cobra.Command, a administration) error {
		return within(command.Context(), func(ctx context.Context) error { return call(ctx, a) })
	})
}

// longAdministrationCommand is administrationCommand for what lasts as long as it takes.
func (p program) longAdministrationCommand(name, short string, work func(*cobra.Command, administration) error) *cobra.Command {
	command := &cobra.Command{Use: name + " ORGANIZATION", Short: short, Args: oneArgument("ORGANIZATION")}
	reach := p.reachOptions(command)
	command.ValidArgsFunction = completeOrganizations(reach)
	command.RunE = func(command *cobra.Command, args []string) error {
		organization, err := parsec.ParseOrganizationID(args[0])
		if err != nil {
			return invalidValue("ORGANIZATION", err)
		}
		return reach(func(a administration) error {
			a.organization = organization
			if err := work(command, a); err != nil {
				return a.explain(command.Context(), err)
			}
			return nil
		})
	}
	return command
}

const jsonName = "json"

// notWithWebSocket is the error of an option that only REST has.
func notWithWebSocket(option string) error {
	return &config.UsageError{Message: "--" + option + " does not go with --" + webSocketName + "."}
}

// jsonOption asks for what a command prints in the form for programs.
func jsonOption(command *cobra.Command, into *bool) {
	command.Flags().BoolVar(into, jsonName, false, "Print an object in JSON.")
}

// within bounds what one call of a command waits for a server.
func within(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx)
}

// webSocketOption asks for overWebSocket.
func webSocketOption(command *cobra.Command, into *bool) {
	command.Flags().BoolVar(into, "websocket", false, "Speak API 1 over WebSocket, for servers older than 2.5.")
}

// oneArgument wants the argument called name and no other.
func oneArgument(name string) cobra.PositionalArgs { return namedArguments(name) }

// namedArguments wants those called names and no other.
func namedArguments(names ...string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return &missingArguments{names[len(args):]}
		}
		return noArguments(command, args[len(names):])
	}
}

func missingOption(option string) error {
	return config.NewMissingError(config.Missing{Name: "--" + option})
}
