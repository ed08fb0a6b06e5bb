package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
)

// The exit codes (docs/configuration.md, "Where a value comes from").
const (
	exitSuccess = 0
	// exitFailure is of what happened: a server, a database or a file refused.
	exitFailure = 1
	// exitUsage is of what was typed or set: nothing was asked, and nothing changed.
	exitUsage = 2
	// exitProblems is of commands that have done their work, and found what is
	// not as it should be (docs/blockstore.md).
	exitProblems = 3
)

// errProblems ends a command that has done its work and has told of problems:
// exit code 3.
var errProblems = errors.New("there are problems")

// errTold ends a command that has failed and has printed why.
var errTold = errors.New("failed")

// sentence is an error in words for people, which name the thing, the place and the way
// out. Programs look at what caused it.
type sentence struct {
	words string
	cause error
}

func (s *sentence) Error() string { return s.words }
func (s *sentence) Unwrap() error { return s.cause }

// say puts an error in words.
func say(cause error, format string, arguments ...any) error {
	return &sentence{fmt.Sprintf(format, arguments...), cause}
}

// sameCommand is how most work goes on that is not complete.
const sameCommand = "the same command goes on"

// incomplete returns the error of work that failed before its end, with how it goes on,
// "" for not at all. The failure is not wrapped: Ctrl-C would be a success.
func incomplete(failure error, goesOn string) error {
	words := "not complete: " + failure.Error()
	if goesOn != "" {
		words += "; " + goesOn
	}
	return errors.New(words)
}

// exitCode tells why a command has ended, and returns its exit code. What is wrong is
// told on the standard error, but by the server on the standard output, as official ones
// do (docs/protocol/configuration.md §1).
func (p program) exitCode(ctx context.Context, command *cobra.Command, err error) int {
	if err == nil || errors.Is(err, context.Canceled) {
		if errors.Is(context.Cause(ctx), errInterrupted) {
			fmt.Fprintln(p.stdout, "bye ;-)")
			return exitSuccess
		}
		if err == nil || errors.Is(context.Cause(ctx), errTerminated) {
			return exitSuccess
		}
	}
	usage, isUsage := errors.AsType[*config.UsageError](wrongDSN("--db", err))
	switch {
	case errors.Is(err, errProblems):
		return exitProblems
	case errors.Is(err, errTold):
		return exitFailure
	case isUsage:
		fmt.Fprintf(p.stderr, "Usage: %s\nTry '%s --help' for help.\n\nError: %s\n", usageOf(command), command.CommandPath(), usage)
		if p.folderDenied {
			fmt.Fprintf(p.stderr, "The settings of the server of this machine are in %s, which you may not read: try sudo.\n", p.environment.Folder)
		}
		return exitUsage
	}
	to := p.stderr
	if isServer(command) {
		to = p.stdout
	}
	fmt.Fprintf(to, "Error: %s\n", oneLine(explainDatabase(err).Error()))
	return exitFailure
}

// oneLine joins the lines of an error.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}

func invalidValue(name string, err error) error {
	return &config.UsageError{Message: fmt.Sprintf("Invalid value for '%s': %s", name, err)}
}

// wrongDSN is for an error that may be of the DSN of a database that was typed or set.
func wrongDSN(name string, err error) error {
	if wrong, is := errors.AsType[*database.DSNError](err); is {
		return invalidValue(name, wrong)
	}
	return err
}

// wrongPath is for the error of a file or folder that was typed.
func wrongPath(name string, err error) error {
	if err == nil {
		return nil
	}
	return invalidValue(name, err)
}
