package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
	"parsec-server/pkg/config"
)

// organizationExpireCommand is for both ways.
func (p program) organizationExpireCommand(name, short, long string, expired bool) *cobra.Command {
	var asJSON bool
	command := p.administrationCommand(name, short, func(ctx context.Context, a administration) error {
		if err := a.Update(ctx, a.organization, client.OrganizationSettings{IsExpired: &expired}); err != nil {
			return err
		}
		return p.printEffect(ctx, a, asJSON)
	})
	command.Long = long
	jsonOption(command, &asJSON)
	return command
}

// printEffect prints what an organization is like after a change.
func (p program) printEffect(ctx context.Context, a administration, asJSON bool) error {
	state, err := a.Organization(ctx, a.organization)
	if err != nil {
		return fmt.Errorf("the change is made, but what it came to is not known: %w", err)
	}
	if asJSON {
		return p.printState(a, state)
	}
	access, outsiders, limit := "open", "not offered", "no limit"
	if state.IsExpired {
		access = "expired: nobody can connect"
	}
	if state.UserProfileOutsiderAllowed {
		outsiders = "offered"
	}
	if state.ActiveUsersLimit != nil {
		limit = strconv.FormatUint(*state.ActiveUsersLimit, 10) + " at most"
	}
	const most = uint64(1<<63-1) / uint64(time.Second)
	period := span(time.Duration(min(state.MinimumArchivingPeriod, most)) * time.Second)
	fmt.Fprintf(p.stdout, "Organization %s is %s\n  active users: %s\n  profile OUTSIDER: %s\n  workspaces stay archived for: %s at least\n", a.organization, access, limit, outsiders, period)
	if state.TOS != nil {
		fmt.Fprintf(p.stdout, "  terms of service:\n")
		for _, locale := range slices.Sorted(maps.Keys(state.TOS.PerLocaleURLs)) {
			fmt.Fprintf(p.stdout, "    %s: %s\n", printable(locale), printable(state.TOS.PerLocaleURLs[locale]))
		}
	}
	return nil
}

// printState prints an organization for programs.
func (p program) printState(a administration, state *client.OrganizationState) error {
	return p.printJSON(struct {
		ID string `json:"organization_id"`
		*client.OrganizationState
	}{a.organization.String(), state})
}

// The options of the terms of service.
const (
	tosOption   = "tos"
	noTOSOption = "no-tos"
)

// tosOptions are the terms of service that a command sets.
type tosOptions struct {
	urls []string
	none bool
}

func (o *tosOptions) define(command *cobra.Command) {
	command.Flags().StringArrayVar(&o.urls, tosOption, nil, "Terms of service that users of Parsec 3 must accept, <locale>:<url> such as fr:https://example.com/cgu; several for several languages. All must accept again.")
	command.Flags().BoolVar(&o.none, noTOSOption, false, "No terms of service.")
}

var errTOSForm = errors.New("it is not <locale>:<url>, such as fr:https://example.com/cgu")

// add adds them to the settings.
func (o *tosOptions) add(settings *client.OrganizationSettings) error {
	switch {
	case o.none && len(o.urls) > 0:
		return &config.UsageError{Message: "--" + tosOption + " and --" + noTOSOption + " are both given."}
	case o.none:
		settings.TOS = &client.TermsOfService{}
		return nil
	case len(o.urls) == 0:
		return nil
	}
	urls := map[string]string{}
	for _, text := range o.urls {
		locale, url, found := strings.Cut(text, ":")
		if !found || locale == "" || !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
			return invalidValue("--"+tosOption, errTOSForm)
		}
		if _, twice := urls[locale]; twice {
			return invalidValue("--"+tosOption, errors.New("the locale "+locale+" is given twice"))
		}
		urls[locale] = url
	}
	settings.TOS = &client.TermsOfService{PerLocaleURLs: urls}
	return nil
}

func (p program) organizationBootstrapLinkCommand() *cobra.Command {
	var asJSON bool
	command := p.administrationCommand("bootstrap-link", "Print again the URL to bootstrap an organization with.",
		func(ctx context.Context, a administration) error {
			token, err := a.BootstrapToken(ctx, a.organization)
			if err != nil {
				return err
			}
			return p.printBootstrap(a, token, asJSON)
		})
	jsonOption(command, &asJSON)
	command.Long = `Print again the URL to bootstrap an organization with, for each generation of clients.

Whoever opens it first becomes the administrator of the organization. An organization that
is bootstrapped has none any more.`
	return command
}

func (p program) organizationResetTOTPCommand() *cobra.Command {
	var choice client.UserChoice
	var sendEmail, asJSON bool
	command := p.administrationCommand("reset-totp", "Have a user of Parsec 3 set its one-time passwords up again.",
		func(ctx context.Context, a administration) error {
			reset, err := a.ResetTOTP(ctx, a.organization, choice, sendEmail)
			if err != nil {
				return err
			}
			if asJSON {
				err = p.printJSON(reset)
			} else {
				fmt.Fprintf(p.stdout, "%s: <%s> sets its one-time passwords up again by\n%s\n", printable(reset.UserID), printable(reset.Email), reset.URL)
			}
			if err == nil && sendEmail && reset.EmailSent != "SENT_AS_REQUESTED" {
				return fmt.Errorf("the passwords are reset, but the e-mail is not sent (%s): give the user the link above", printable(reset.EmailSent))
			}
			return err
		})
	p.userOptions(command, &choice)
	command.Flags().BoolVar(&sendEmail, "send-email", false, "Send the link to the user.")
	jsonOption(command, &asJSON)
	return command
}
