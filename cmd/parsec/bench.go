package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/bench"
	bench2 "parsec-server/pkg/client/parsec2/bench"
	bench3 "parsec-server/pkg/client/parsec3/bench"
	"parsec-server/pkg/config"
)

// generationOfLoad is what the clients of a generation can be used for.
type generationOfLoad struct {
	workloads []bench.Workload
	run       func(context.Context, bench.Options) (*bench.Report, error)
}

func loadOf(api uint32) (generationOfLoad, error) {
	switch api {
	case 1, 2, 3:
		return generationOfLoad{bench2.Workloads(), bench2.Run}, nil
	case 5:
		return generationOfLoad{bench3.Workloads(), bench3.Run}, nil
	default:
		return generationOfLoad{}, errors.New("the API must be 1, 2, 3 or 5")
	}
}

func (p program) benchCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "bench",
		Short: "Load a running server, in an organization made for it, and print how fast it answers.",
		Args:  noArguments,
	}
	var options bench.Options
	flags := command.Flags()
	reach := p.reachOptions(command)
	flags.StringVar((*string)(&options.Workload), "workload", string(bench.Mix), "What the connections do: "+
		bench.WorkloadNames(bench2.Workloads())+", with API 5 "+bench.WorkloadNames(bench3.Workloads())+".")
	flags.IntVar(&options.Connections, "connections", 32, "Connections that work at the same time.")
	flags.DurationVar(&options.Duration, "duration", 10*time.Second, "How long they work.")
	flags.IntVar(&options.Size, "size", 0, "Bytes of a vlob or block (default 1 KiB or 512 KiB).")
	flags.Uint32Var(&options.API, "api", 3, "API major: 1, 2, 3 or 5.")
	flags.BoolVar(&options.SharedRealm, "shared-realm", false, "All connections write to one realm instead of one each.")
	flags.BoolVar(&options.Reconnect, "reconnect", false, "Open lost connections again.")
	sources := flags.StringSlice("source", nil, "Local addresses to connect from in turn; one has about 28000 ports.")
	asJSON := flags.Bool("json", false, "Print JSON; times are in seconds.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		return reach(func(a administration) error {
			options.Address, options.AdministrationToken, options.TLS = a.server, a.token, a.tls
			for _, text := range *sources {
				source, err := netip.ParseAddr(text)
				if err != nil {
					return invalidValue("--source", err)
				}
				options.Sources = append(options.Sources, source)
			}
			load, err := loadOf(options.API)
			if err == nil {
				err = options.Check(load.workloads)
			}
			if err != nil {
				return &config.UsageError{Message: err.Error()}
			}
			return p.bench(command.Context(), load, options, *asJSON)
		})
	}
	return command
}

func (p program) bench(ctx context.Context, load generationOfLoad, options bench.Options, asJSON bool) error {
	if isTerminal(p.stderr) {
		options.Progress = p.showProgress
	}
	report, err := load.run(ctx, options)
	if options.Progress != nil {
		_, _ = fmt.Fprintln(p.stderr) // after the line of the progress
	}
	if err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(p.stdout).Encode(report)
	} else {
		err = report.WriteTable(p.stdout)
	}
	if err == nil && report.Operations == 0 && ctx.Err() == nil {
		err = errors.New("no operation succeeded")
	}
	return err
}

// showProgress writes over the line that it wrote before.
func (p program) showProgress(progress bench.Progress) {
	_, _ = fmt.Fprintf(p.stderr, "\r%s  %d connections  %d operations  %d errors\x1b[K",
		progress.Elapsed.Round(time.Second), progress.Connections, progress.Operations, progress.Errors)
}
