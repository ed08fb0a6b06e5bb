package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"syscall"

	"github.com/spf13/cobra"

	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/telemetry"
)

func (p program) backendRunCommand() *cobra.Command {
	command := &cobra.Command{Use: "run", Short: "Run the server.", Args: noArguments}
	options := newSettingsFlags(command.Flags())
	command.RunE = func(command *cobra.Command, _ []string) (err error) {
		loaded, err := p.load(options)
		if err != nil {
			return err
		}
		log, output, err := telemetry.NewLogger(loaded.Config.Log, p.stderr)
		if err != nil {
			return invalidValue("--log-file", err)
		}
		defer func() { err = errors.Join(err, output.Close()) }()
		ignoreOthers()
		defer onSignal(syscall.SIGQUIT, func() { _ = pprof.Lookup("goroutine").WriteTo(p.stderr, 1) })()
		if output.IsFile() {
			defer onSignal(syscall.SIGHUP, func() {
				if err := output.Reopen(); err != nil {
					log.Error("the log goes on in the old file", "error", err)
				}
			})()
		}
		flush := func() {}
		if dsn := loaded.Config.Sentry.DSN.Reveal(); dsn != "" {
			reporting, flushReports, err := telemetry.WithSentry(log, telemetry.SentryOptions{
				DSN: dsn, Environment: loaded.Config.Sentry.Environment, Release: p.build.version,
			})
			if err != nil {
				return invalidValue("--sentry-dsn", err)
			}
			log, flush = reporting, flushReports
		}
		process := lifecycle.New(loaded.Config.ShutdownGracePeriod, log)
		defer process.End()
		onEnd(process, "error reports", flush)
		defer reportPanic(log)
		for _, warning := range loaded.Warnings {
			log.WarnContext(command.Context(), warning)
		}
		return p.serve(command.Context(), process, loaded.Config, log, p.build, p.stdout)
	}
	return command
}

// reportPanic is deferred: it logs what ends the process.
func reportPanic(log *slog.Logger) {
	if cause := recover(); cause != nil {
		log.Log(context.Background(), telemetry.LevelCritical, "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		panic(cause)
	}
}
