package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// databaseOptions returns the options of commands that work on the database
// itself, next to the servers that run on it.
func databaseOptions(flags *pflag.FlagSet) *settingsFlags {
	options := &settingsFlags{}
	options.defineSome(flags, "db", "db-min-connections", "db-max-connections")
	return options
}

// operation is what a command does with an organization, by the generation of the
// organization; nil is for a generation that the command is not for.
type operation struct {
	parsec2 func(*rules.Rules) error
	parsec3 func(*parsec3rules.Rules) error
}

// The errors of a command that is for organizations of the other generation.
var (
	errOfParsec2 = errors.New("the organization is of API 1 to 3, which this command is not for")
	errOfParsec3 = errors.New("the organization is of Parsec 3, which this command is not for")
)

var (
	errNoOrganization  = errors.New("no such organization")
	errNotBootstrapped = errors.New("the organization is not bootstrapped")
)

// operate runs an operation with the rules of an organization, on the database that
// options name. One that does not exist, or is of no generation yet, counts as one of
// API 1 to 3.
func (p program) operate(ctx context.Context, options *settingsFlags, id parsec.OrganizationID, do operation) error {
	return p.withStores(ctx, options, func(opened stores, bus *event.Bus) error {
		stored, found, err := opened.organizations.Organization(ctx, id)
		if err != nil {
			return err
		}
		if found && stored.DeletedOn != nil {
			return beingDeleted(id)
		}
		if found && stored.Bound() == organization.Parsec3 {
			if do.parsec3 == nil {
				return say(errOfParsec3, "The organization %s is of Parsec 3, which this command is not for.", id)
			}
			return explainSequester(do.parsec3(operatorsParsec3(opened, bus)), id)
		}
		if !found {
			return noOrganization(errNoOrganization, id, opened.dsn)
		}
		if do.parsec2 == nil {
			return whyNotParsec3(stored)
		}
		err = do.parsec2(operatorsParsec2(opened, bus))
		if refusal, ok := errors.AsType[*protocol.Refusal](err); ok && refusal.Status == protocol.StatusNotFound {
			return noOrganization(errNoOrganization, id, opened.dsn)
		}
		return explainSequester(err, id)
	})
}

func beingDeleted(id parsec.OrganizationID) error {
	return say(organization.ErrBeingDeleted, "The organization %s is being deleted. `parsec organization delete %[1]s` shows how far it is.", id)
}

// explainRealm puts in words why nothing is done with a realm.
func explainRealm(err error, realm parsec.RealmID, id parsec.OrganizationID) error {
	_, notDue := errors.AsType[*organization.RealmNotDueError](err)
	switch {
	case errors.Is(err, organization.ErrRealmNotFound), errors.Is(err, rules.ErrRealmNotFound), errors.Is(err, parsec3rules.ErrExportNoRealm):
		return say(err, "There is no realm %s in the organization %s.", hexOf(realm), id)
	case notDue, errors.Is(err, organization.ErrRealmDeleted), errors.Is(err, organization.ErrRealmInUse),
		errors.Is(err, rules.ErrRealmDeleted), errors.Is(err, parsec3rules.ErrExportDeleted):
		return say(err, "Nothing is done with the realm %s of the organization %s: %s.", hexOf(realm), id, err)
	}
	return err
}

// explainSequester puts in words that an organization has no sequester services, or not
// the one that is meant.
func explainSequester(err error, id parsec.OrganizationID) error {
	if errors.Is(err, organization.ErrServiceNotFound) || errors.Is(err, rules.ErrServiceNotFound) {
		return say(err, "The organization %s has no such sequester service. `parsec sequester list-services --organization %[1]s` lists them.", id)
	}
	if errors.Is(err, organization.ErrNotSequestered) || errors.Is(err, rules.ErrNotSequestered) {
		return say(err, "The organization %s is not sequestered: only its bootstrap can name an authority of sequester.", id)
	}
	return err
}

// operateServer runs an operation of Parsec 3 that is of no organization.
func (p program) operateServer(ctx context.Context, options *settingsFlags, do func(*parsec3rules.Rules) error) error {
	return p.withStores(ctx, options, func(opened stores, bus *event.Bus) error { return do(operatorsParsec3(opened, bus)) })
}

func operatorsParsec2(opened stores, bus *event.Bus) *rules.Rules {
	return rules.New(opened.parsec2, nil, bus, nil, systemClock, slog.New(slog.DiscardHandler), rules.Options{})
}

func operatorsParsec3(opened stores, bus *event.Bus) *parsec3rules.Rules {
	return parsec3rules.New(opened.parsec3, nil, bus, nil, systemClock, slog.New(slog.DiscardHandler), parsec3rules.Options{})
}

// withStores opens the stores on the database that options name for the time of work.
func (p program) withStores(ctx context.Context, options *settingsFlags, work func(stores, *event.Bus) error) error {
	settings, err := config.LoadDatabase(options.given, p.environment)
	if err != nil {
		return err
	}
	bus := event.NewBus()
	defer bus.Close()
	opened, err := openDatabase(ctx, storeOptions(settings, slog.New(slog.DiscardHandler)), nil)
	if err != nil {
		return err
	}
	defer opened.close()
	return work(opened, bus)
}

// whyNotParsec3 returns why an organization is none of Parsec 3.
func whyNotParsec3(stored *organization.Organization) error {
	if !stored.Bootstrapped() {
		return say(errNotBootstrapped, "The organization %s is not bootstrapped yet.", stored.ID)
	}
	return say(errOfParsec2, "The organization %s is of API 1 to 3, which this command is not for.", stored.ID)
}

// The options that many commands have.
const (
	organizationName = "organization"
	blockstoreName   = "blockstore"
)

func systemClock() parsec.DateTime { return parsec.DateTimeOf(time.Now()) }

// organizationOption defines the option of a command that is about one organization, and
// returns what parses its value.
func organizationOption(flags *pflag.FlagSet) func() (parsec.OrganizationID, error) {
	text := flags.String(organizationName, "", "The organization.")
	require(flags, organizationName)
	return func() (parsec.OrganizationID, error) { return parseOrganization(*text) }
}

// onlyOrganization parses the value of --organization of a command that is about all of
// them without it: then it is nil.
func onlyOrganization(text string) (*parsec.OrganizationID, error) {
	if text == "" {
		return nil, nil
	}
	id, err := parseOrganization(text)
	return &id, err
}

func parseOrganization(text string) (parsec.OrganizationID, error) {
	if text == "" {
		return parsec.OrganizationID{}, missingOption(organizationName)
	}
	id, err := parsec.ParseOrganizationID(text)
	if err != nil {
		return id, invalidValue("--"+organizationName, err)
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
