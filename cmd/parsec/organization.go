package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
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
		p.organizationListUsersCommand(), p.organizationFreezeCommand("freeze", "Keep a user out of an organization.", true),
		p.organizationFreezeCommand("unfreeze", "Let a frozen user in again.", false), p.serverStatsCommand(),
	)
	return organization
}

// administration is how a command administrates a server.
type administration struct {
	*client.Administration

	client *parsec2.Client
	server parsec.ServerAddress
	token  string
	// organization is the zero one for commands about the whole server.
	organization parsec.OrganizationID
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
	command := &cobra.Command{Use: name + " ORGANIZATION", Short: short, Args: oneArgument("ORGANIZATION")}
	reach := p.reachOptions(command)
	command.RunE = func(command *cobra.Command, args []string) error {
		organization, err := parsec.ParseOrganizationID(args[0])
		if err != nil {
			return invalidValue("ORGANIZATION", err)
		}
		ctx, cancel := context.WithTimeout(command.Context(), callTimeout)
		defer cancel()
		return reach(func(a administration) error {
			a.organization = organization
			return call(ctx, a)
		})
	}
	return command
}

// reachOptions defines the options that every command of an administrator has.
// The function that it returns runs call with them.
func (p program) reachOptions(command *cobra.Command) func(call func(administration) error) error {
	command.Flags().SortFlags = false
	address := command.Flags().String("addr", "", "Address of the server, parsec://<host>[:<port>][?no_ssl=true] or parsec3://…; or PARSEC_ADDR.")
	token := command.Flags().String("administration-token", "", "What the administrator authenticates with; or PARSEC_ADMINISTRATION_TOKEN.")
	return func(call func(administration) error) error {
		addressText, err := p.mandatory("addr", *address, config.AddressVariable)
		if err != nil {
			return err
		}
		server, err := parsec.ParseAnyServerAddress(addressText)
		if err != nil {
			return invalidValue("--addr", err)
		}
		tokenText, err := p.mandatory("administration-token", *token, "PARSEC_ADMINISTRATION_TOKEN")
		if err != nil {
			return err
		}
		reached := parsec2.New(server, client.Options{})
		defer reached.Close()
		return call(administration{Administration: reached.Administration(tokenText), client: reached, server: server, token: tokenText})
	}
}

// webSocketOption asks for overWebSocket.
func webSocketOption(command *cobra.Command, into *bool) {
	command.Flags().BoolVar(into, "websocket", false, "Speak API 1 over WebSocket, for servers older than 2.5.")
}

// mandatory returns the text of an option, or if it is empty that of the
// variable.
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
