package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"parsec-server/pkg/client"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec3"
)

// The options of the settings of an organization.
const (
	webSocketName        = "websocket"
	expirationDateOption = "expiration-date"
	noExpirationOption   = "no-expiration"
	isExpiredOption      = "is-expired"
	outsiderOption       = "user-profile-outsider-allowed"
	usersLimitOption     = "active-users-limit"
	archivingOption      = "minimum-archiving-period"
)

// settingOptions are the settings that a command changes.
type settingOptions struct {
	webSocket      bool
	expirationDate string
	noExpiration   bool
	isExpired      bool
	outsider       bool
	usersLimit     string
	archiving      string
	flags          *pflag.FlagSet
}

// newSettingOptions defines the options for an organization that is to be
// created, or that exists.
func newSettingOptions(command *cobra.Command, exists bool) *settingOptions {
	o := &settingOptions{flags: command.Flags()}
	if exists {
		o.flags.BoolVar(&o.isExpired, isExpiredOption, false, "Whether the organization is closed to its users (=false for not).")
	}
	o.flags.BoolVar(&o.outsider, outsiderOption, false, "Whether clients offer the OUTSIDER profile (=false for not).")
	o.flags.StringVar(&o.usersLimit, usersLimitOption, "", "How many users may be active, or none for no limit.")
	o.flags.StringVar(&o.archiving, archivingOption, "", "How long a workspace stays archived before it may be deleted, such as 30d or 12h; a number alone is of seconds.")
	webSocketOption(command, &o.webSocket)
	o.flags.StringVar(&o.expirationDate, expirationDateOption, "", "With --websocket: when the organization expires, such as 2030-01-31T00:00:00Z.")
	if exists {
		o.flags.BoolVar(&o.noExpiration, noExpirationOption, false, "With --websocket: the organization never expires.")
	}
	return o
}

func (o *settingOptions) changed(options ...string) bool {
	return slices.ContainsFunc(options, o.flags.Changed)
}

// check refuses options that do not go together.
func (o *settingOptions) check() error {
	for _, option := range []string{isExpiredOption, usersLimitOption, archivingOption, jsonName} {
		if o.webSocket && o.changed(option) {
			return notWithWebSocket(option)
		}
	}
	for _, option := range []string{expirationDateOption, noExpirationOption} {
		if !o.webSocket && o.changed(option) {
			return &config.UsageError{Message: "--" + option + " needs --" + webSocketName + "."}
		}
	}
	if o.expirationDate != "" && o.noExpiration {
		return &config.UsageError{Message: "--" + expirationDateOption + " and --" + noExpirationOption + " are both given."}
	}
	return nil
}

// settings returns what REST knows.
func (o *settingOptions) settings() (client.OrganizationSettings, error) {
	var settings client.OrganizationSettings
	if o.changed(isExpiredOption) {
		settings.IsExpired = &o.isExpired
	}
	if o.changed(outsiderOption) {
		settings.UserProfileOutsiderAllowed = &o.outsider
	}
	if o.changed(archivingOption) {
		period, err := parsePeriod(o.archiving)
		if err != nil {
			return settings, invalidValue("--"+archivingOption, err)
		}
		settings.MinimumArchivingPeriod = &period
	}
	switch {
	case !o.changed(usersLimitOption):
	case o.usersLimit == "none":
		settings.ActiveUsersLimit = &client.UsersLimit{}
	default:
		users, err := strconv.ParseUint(o.usersLimit, 10, 63)
		if err != nil {
			return settings, invalidValue("--"+usersLimitOption, errors.New("neither a number nor none"))
		}
		settings.ActiveUsersLimit = &client.UsersLimit{Users: &users}
	}
	return settings, nil
}

var errPeriod = errors.New("must be a duration such as 30d, 12h or 90s, or a number of seconds")

// parsePeriod returns the seconds of a duration, which may be in days.
func parsePeriod(text string) (seconds uint64, err error) {
	if seconds, err = strconv.ParseUint(text, 10, 63); err == nil {
		return seconds, nil
	}
	const secondsOfDay = 24 * 60 * 60
	if days, inDays := strings.CutSuffix(text, "d"); inDays {
		if seconds, err = strconv.ParseUint(days, 10, 32); err != nil {
			return 0, errPeriod
		}
		return seconds * secondsOfDay, nil
	}
	long, err := time.ParseDuration(text)
	if err != nil || long < 0 || long%time.Second != 0 {
		return 0, errPeriod
	}
	return uint64(long / time.Second), nil
}

func (p program) organizationCreateCommand() *cobra.Command {
	var options *settingOptions
	var settings client.OrganizationSettings
	var date *parsec.DateTime
	var asJSON bool
	command := p.administrationCommand("create", "Create an organization and print the URL to bootstrap it with, for each generation of clients.",
		func(ctx context.Context, a administration) (err error) {
			var token string
			if options.webSocket {
				token, err = a.createOverWebSocket(ctx, date)
			} else {
				token, err = a.Create(ctx, a.organization, settings)
			}
			if err != nil {
				return err
			}
			return p.printBootstrap(a, token, asJSON)
		})
	command.ValidArgsFunction = cobra.NoFileCompletions // it is a new name
	options = newSettingOptions(command, false)
	jsonOption(command, &asJSON)
	command.PreRunE = func(*cobra.Command, []string) (err error) {
		if options.webSocket && options.changed(outsiderOption) {
			return notWithWebSocket(outsiderOption)
		}
		if err := options.check(); err != nil {
			return err
		}
		if settings, err = options.settings(); err != nil {
			return err
		}
		date, err = dateOption(expirationDateOption, options.expirationDate)
		return err
	}
	return command
}

// printBootstrap prints no link of Parsec 3 for a token that only an older server makes.
// For programs the names are those of REST.
func (p program) printBootstrap(a administration, token string, asJSON bool) error {
	links := struct {
		ID      string `json:"organization_id"`
		Token   string `json:"bootstrap_token"`
		Parsec3 string `json:"bootstrap_url,omitempty"`
		Parsec2 string `json:"bootstrap_url_of_parsec2"`
	}{ID: a.organization.String(), Token: token, Parsec2: a.public.BootstrapAddress(a.organization, token).String()}
	if parsed, err := parsec3.ParseAccessToken(token); err == nil {
		links.Parsec3 = parsec3.Address{Location: a.public.LocationOf(a.organization), Target: parsec3.BootstrapTarget{Token: &parsed}}.String()
	}
	if asJSON {
		return p.printJSON(links)
	}
	fmt.Fprintf(p.stdout, "Bootstrap organization url: %s\n", links.Parsec2)
	if links.Parsec3 != "" {
		fmt.Fprintf(p.stdout, "Bootstrap organization url of Parsec 3: %s\n", links.Parsec3)
	}
	return nil
}

func (a administration) createOverWebSocket(ctx context.Context, expiration *parsec.DateTime) (token string, err error) {
	reply, err := overWebSocket(ctx, a, protocol.AdministrationCreate, &protocol.AdministrationCreateRequest{
		OrganizationID: a.organization, ExpirationDate: expiration,
	})
	if err != nil {
		return "", err
	}
	return reply.BootstrapToken, nil
}

func (p program) organizationUpdateCommand() *cobra.Command {
	var options *settingOptions
	var settings client.OrganizationSettings
	var request protocol.AdministrationUpdateRequest
	var asJSON bool
	command := p.administrationCommand("update", "Change an organization; what is not given stays.",
		func(ctx context.Context, a administration) error {
			if !options.webSocket {
				if err := a.Update(ctx, a.organization, settings); err != nil {
					return err
				}
				return p.printEffect(ctx, a, asJSON)
			}
			request.OrganizationID = a.organization
			_, err := overWebSocket(ctx, a, protocol.AdministrationUpdate, &request)
			return err
		})
	options = newSettingOptions(command, true)
	var terms tosOptions
	terms.define(command)
	jsonOption(command, &asJSON)
	command.Example = "  parsec organization update Acme --active-users-limit 50\n  parsec organization update Acme --tos fr:https://example.com/cgu --tos en:https://example.com/terms"
	command.PreRunE = func(*cobra.Command, []string) (err error) {
		if err := options.check(); err != nil {
			return err
		}
		if options.webSocket && options.changed(tosOption, noTOSOption) {
			return notWithWebSocket(tosOption)
		}
		if !options.changed(tosOption, noTOSOption, isExpiredOption, outsiderOption, usersLimitOption, archivingOption, expirationDateOption, noExpirationOption) {
			return &config.UsageError{Message: "Nothing to change: give what is to be changed, such as --active-users-limit 50."}
		}
		if settings, err = options.settings(); err != nil {
			return err
		}
		if err := terms.add(&settings); err != nil {
			return err
		}
		request, err = options.updateRequest()
		return err
	}
	return command
}

// updateRequest returns what the options change over WebSocket.
func (o *settingOptions) updateRequest() (protocol.AdministrationUpdateRequest, error) {
	date, err := dateOption(expirationDateOption, o.expirationDate)
	if err == nil && date == nil && !o.noExpiration {
		date = new(protocol.Unchanged)
	}
	request := protocol.AdministrationUpdateRequest{ExpirationDate: date}
	if o.changed(outsiderOption) {
		request.UserProfileOutsiderAllowed = &o.outsider
	}
	return request, err
}

func (p program) organizationStatusCommand() *cobra.Command {
	var webSocket, asJSON bool
	command := p.administrationCommand("status", "Print the state of an organization.",
		func(ctx context.Context, a administration) error {
			if webSocket && asJSON {
				return notWithWebSocket(jsonName)
			}
			if webSocket {
				return p.printStatus(ctx, a)
			}
			state, err := a.Organization(ctx, a.organization)
			if err != nil {
				return err
			}
			if asJSON {
				return p.printState(a, state)
			}
			limit := "none"
			if state.ActiveUsersLimit != nil {
				limit = strconv.FormatUint(*state.ActiveUsersLimit, 10)
			}
			fmt.Fprintf(p.stdout, "is_bootstrapped: %t\nis_expired: %t\nuser_profile_outsider_allowed: %t\nactive_users_limit: %s\nminimum_archiving_period: %d\n",
				state.IsBootstrapped, state.IsExpired, state.UserProfileOutsiderAllowed, limit, state.MinimumArchivingPeriod)
			return nil
		})
	command.Aliases = []string{"show"}
	webSocketOption(command, &webSocket)
	jsonOption(command, &asJSON)
	return command
}

func (p program) printStatus(ctx context.Context, a administration) error {
	reply, err := overWebSocket(ctx, a, protocol.AdministrationStatus, &protocol.AdministrationStatusRequest{OrganizationID: a.organization})
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
}
