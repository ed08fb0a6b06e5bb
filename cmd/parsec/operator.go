package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// databaseOptions returns the options of commands that work on the database
// itself, next to the servers that run on it.
func databaseOptions(flags *pflag.FlagSet) *settingsFlags {
	options := &settingsFlags{}
	options.defineSome(flags, "db", "db-min-connections", "db-max-connections")
	return options
}

// operate runs call with the rules, on the database that options name.
func (p program) operate(ctx context.Context, options *settingsFlags, call func(*rules.Rules) error) error {
	settings, err := config.LoadDatabase(options.given, p.environment)
	if err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	bus := event.NewBus()
	defer bus.Close()
	opened, err := openDatabase(ctx, storeOptions(settings, logger), nil)
	if err != nil {
		return err
	}
	defer opened.close()
	err = call(rules.New(opened.parsec2, nil, bus, nil, systemClock, logger, rules.Options{}))
	if refusal, ok := errors.AsType[*protocol.Refusal](err); ok && refusal.Status == protocol.StatusNotFound {
		return errors.New("no such organization")
	}
	return err
}

func systemClock() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// organizationOption parses the value of --organization.
func organizationOption(text string) (parsec.OrganizationID, error) {
	if text == "" {
		return parsec.OrganizationID{}, missingOption("organization")
	}
	id, err := parsec.ParseOrganizationID(text)
	if err != nil {
		return id, invalidValue("--organization", err)
	}
	return id, nil
}

// uuidOption parses the value of an option that must be given.
func uuidOption(name, text string) (parsec.UUID, error) {
	if text == "" {
		return parsec.UUID{}, missingOption(name)
	}
	id, err := parsec.ParseUUID(text)
	if err != nil {
		return id, invalidValue("--"+name, err)
	}
	return id, nil
}
