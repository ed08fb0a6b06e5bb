package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"
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
		defer onSignal(syscall.SIGQUIT, func() { p.dump(log, loaded.Config.Log.Format) })()
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
		ctx := command.Context()
		if loaded.Config.Data.Folder != "" {
			held, end, err := openData(ctx, loaded.Config, log, p.stdout)
			if err != nil {
				return err
			}
			defer end() // After the process, which needs the database.
			ctx = held
		}
		process := lifecycle.New(loaded.Config.ShutdownGracePeriod, log)
		defer process.End()
		onEnd(process, "error reports", flush)
		defer reportPanic(log, loaded.Config.Log.Format, process)
		for _, warning := range loaded.Warnings {
			log.WarnContext(ctx, warning)
		}
		// Libraries have no other log.
		slog.SetDefault(log)
		err = p.serve(ctx, process, loaded.Config, log, p.build, p.stdout)
		if errors.Is(context.Cause(ctx), errFolderLost) {
			err = errFolderLost
		}
		if err != nil && loaded.Config.Log.Format == telemetry.JSON && !errors.Is(err, context.Canceled) {
			log.Log(context.WithoutCancel(ctx), telemetry.LevelCritical, "the server ends", "error", err)
			err = errTold
		}
		return err
	}
	return command
}

// dump writes what each goroutine does.
func (p program) dump(log *slog.Logger, format telemetry.Format) {
	goroutines := pprof.Lookup("goroutine")
	if format != telemetry.JSON {
		_ = goroutines.WriteTo(p.stderr, 1)
		return
	}
	var stacks strings.Builder
	_ = goroutines.WriteTo(&stacks, 1) // never fails
	log.Info("goroutines", "stack", stacks.String())
}

// reportPanic is deferred: it logs what ends the process. Go would write lines that
// are no JSON.
func reportPanic(log *slog.Logger, format telemetry.Format, process *lifecycle.Process) {
	if cause := recover(); cause != nil {
		log.Log(context.Background(), telemetry.LevelCritical, "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		if format == telemetry.JSON {
			process.End()
			os.Exit(exitUsage) // as after a panic
		}
		panic(cause)
	}
}
