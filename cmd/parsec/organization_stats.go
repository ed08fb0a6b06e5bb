package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec2/protocol"
)

func (p program) organizationStatsCommand() *cobra.Command {
	var webSocket, asJSON bool
	var instant string
	var command *cobra.Command
	command = p.administrationCommand("stats", "Print what an organization holds; sizes are in bytes.",
		func(ctx context.Context, a administration) error {
			at, err := dateOption("at", instant)
			switch {
			case err != nil:
				return err
			case webSocket && at != nil:
				return &config.UsageError{Message: "--at goes without --websocket."}
			case webSocket && asJSON:
				return notWithWebSocket(jsonName)
			case webSocket:
				return p.printStats(ctx, a)
			}
			var statistics *client.OrganizationStatistics
			if at == nil {
				statistics, err = a.Statistics(ctx, a.organization)
			} else {
				statistics, err = a.StatisticsAt(command.Context(), a.organization, *at) // No time limit, as below.
			}
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(struct {
					ID string `json:"organization_id"`
					*client.OrganizationStatistics
				}{a.organization.String(), statistics})
			}
			fmt.Fprintf(p.stdout, "data_size: %d\nmetadata_size: %d\nrealms: %d\nusers: %d\nactive_users: %d\nusers_per_profile_detail:\n",
				statistics.DataSize, statistics.MetadataSize, statistics.Realms, statistics.Users, statistics.ActiveUsers)
			for _, profile := range statistics.Profiles {
				fmt.Fprintf(p.stdout, "  %s: %d active, %d revoked\n", profile.Profile, profile.Active, profile.Revoked)
			}
			return nil
		})
	command.Flags().StringVar(&instant, "at", "", "Tell what there was at a date, 2030-01-31 (0:00 UTC) or 2030-01-31T12:30:00Z; without it what there is.")
	webSocketOption(command, &webSocket)
	jsonOption(command, &asJSON)
	return command
}

func (p program) printStats(ctx context.Context, a administration) error {
	reply, err := overWebSocket(ctx, a, protocol.AdministrationStats, &protocol.AdministrationStatsRequest{OrganizationID: a.organization})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "users: %d\ndata_size: %d\nmetadata_size: %d\nworkspaces: %d\n",
		reply.Users, reply.DataSize, reply.MetadataSize, reply.Workspaces)
	return nil
}

func (p program) serverStatsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "server-stats",
		Short: "Print what every organization of the server holds, as the server tells it.",
		Args:  noArguments,
	}
	reach := p.reachOptions(command)
	flags := command.Flags()
	format := flags.String("format", "json", "json or csv.")
	choose(flags, "format", "json", "csv")
	instant := flags.String("at", "", "Tell what there was at a date, 2030-01-31 (0:00 UTC) or 2030-01-31T12:30:00Z; without it what there is.")
	output := flags.String("output", "", "File to write instead of the standard output.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := choice(flags, "format"); err != nil {
			return err
		}
		at, err := dateOption("at", *instant)
		if err != nil {
			return err
		}
		// No time limit: the past may take long.
		return reach(func(a administration) error {
			return p.toFile(*output, func(w io.Writer) error { return a.ServerStatistics(command.Context(), *format, at, w) })
		})
	}
	return command
}

// toFile has write write the file, which changes only if the new one is whole;
// or the standard output if path is "".
func (p program) toFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return write(p.stdout)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return invalidValue("--output", err)
	}
	err = errors.Join(write(file), file.Close())
	if err == nil {
		err = wrongPath("--output", os.Rename(file.Name(), path))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(file.Name()))
	}
	return err
}
