package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/config"
	"parsec-server/pkg/event"
	"parsec-server/pkg/lifecycle"
	"parsec-server/pkg/mail"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/outage"
	"parsec-server/pkg/parsec"
	parsec2mail "parsec-server/pkg/parsec2/mail"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/parsec2/webhook"
	parsec3mail "parsec-server/pkg/parsec3/mail"
	"parsec-server/pkg/parsec3/protocol"
	parsec3rules "parsec-server/pkg/parsec3/rules"
	parsec3webhook "parsec-server/pkg/parsec3/webhook"
	"parsec-server/pkg/server"
	"parsec-server/pkg/server/parsec2"
	"parsec-server/pkg/server/parsec3"
)

// generations are the rules of each generation of the protocol, on what they share.
type generations struct {
	parsec2 *rules.Rules
	parsec3 *parsec3rules.Rules
}

// newGenerations returns the rules that settings describe. What they begin ends with
// the process.
func newGenerations(process *lifecycle.Process, settings config.Config, stored stores, blocks blockstore.Store, bus *event.Bus, post mail.Options, blockStore *outage.Dependency, address parsec.ServerAddress, roots *x509.CertPool, logger *slog.Logger) generations {
	founding := foundingOf(settings.Organization)
	webhooks := webhook.New(settings.Organization.BootstrapWebhook.Reveal(), logger)
	endWebhooks(process, "webhooks", webhooks.Close, logger)
	parsec3webhooks := parsec3webhook.New(settings.Organization.BootstrapWebhook.Reveal(), logger)
	endWebhooks(process, "webhooks of Parsec 3", parsec3webhooks.Close, logger)
	parsec2mailer, parsec3mailer := mailers(settings.Email, post, address, logger)
	parsec3options := parsec3Options(settings, roots, parsec3mailer)
	parsec3options.BlockStore = blockStore
	third := parsec3rules.New(stored.parsec3, blocks, bus, parsec3webhooks, systemClock, logger, parsec3options)
	process.OnEnd("e-mails of Parsec 3", func(ctx context.Context) {
		if err := third.Close(ctx); err != nil {
			logger.Warn("e-mails not sent", "error", err)
		}
	})
	return generations{
		parsec2: rules.New(stored.parsec2, blocks, bus, webhooks, systemClock, logger, rules.Options{
			Founding: founding, BlockStore: blockStore, Mailer: parsec2mailer,
		}),
		parsec3: third,
	}
}

// parsec3Options returns the settings of the rules of Parsec 3.
func parsec3Options(settings config.Config, roots *x509.CertPool, mailer parsec3rules.Mailer) parsec3rules.Options {
	secret := cmp.Or(settings.Account.Secret.Reveal(), settings.AdministrationToken.Reveal())
	return withThirdParties(settings.Organization, parsec3rules.Options{
		Founding: foundingOf(settings.Organization), Debug: settings.Debug, DeviceFileProtection: settings.Organization.DeviceFileProtection,
		Accounts: protocol.AccountConfig(settings.Account.Config), Secret: []byte(secret),
		MailLimit: parsec3rules.MailLimit{
			MinDelay: time.Duration(settings.Account.MailLimit[0]) * time.Second, MaxPerHour: settings.Account.MailLimit[1],
		},
		TrustedRoots: roots, OnlineStatus: settings.Organization.InvitationOnlineStatus, Mailer: mailer,
	})
}

// mailers returns what sends the e-mails of each generation, nil without e-mail host. That
// of Parsec 3 is nil without address, too: strangers learn nothing of a single e-mail, but
// at once that none can be sent.
func mailers(settings config.Email, post mail.Options, address parsec.ServerAddress, logger *slog.Logger) (rules.Mailer, parsec3rules.Mailer) {
	switch {
	case settings.Host == "":
		return nil, nil
	case address == (parsec.ServerAddress{}):
		return parsec2mail.New(post, address, logger), nil
	default:
		return parsec2mail.New(post, address, logger), parsec3mail.New(post, address, logger)
	}
}

// withThirdParties adds the services that clients of Parsec 3 use beside the server.
func withThirdParties(settings config.Organization, options parsec3rules.Options) parsec3rules.Options {
	options.OpenBao, options.CryptpadServerURL = openBaoOf(settings.OpenBao), settings.CryptpadServerURL
	if keys := settings.SCWS; keys.WebApplication != nil {
		options.SCWS = &parsec3rules.SCWS{Services: keys.Services, WebApplication: keys.WebApplication}
	}
	return options
}

// openBaoOf returns what clients are told of OpenBao, nil for nothing.
func openBaoOf(settings config.OpenBao) *protocol.OpenBaoConfig {
	if settings.ServerURL == "" {
		return nil
	}
	told := &protocol.OpenBaoConfig{
		Type: protocol.FeatureEnabled, ServerURL: &settings.ServerURL, TransitMountPath: &settings.TransitMountPath,
		Secret: &protocol.OpenBaoSecret{Type: protocol.OpenBaoKV2, MountPath: settings.SecretMountPath},
	}
	for _, auth := range []protocol.OpenBaoAuth{
		{ID: protocol.OpenBaoHexagone, MountPath: settings.HexagoneMountPath}, {ID: protocol.OpenBaoProConnect, MountPath: settings.ProConnectMountPath},
	} {
		if auth.MountPath != "" {
			told.Auths = append(told.Auths, auth)
		}
	}
	return told
}

func endWebhooks(process *lifecycle.Process, name string, end func(context.Context) error, logger *slog.Logger) {
	process.OnEnd(name, func(ctx context.Context) {
		if err := end(ctx); err != nil {
			logger.Warn("webhooks not delivered", "error", err)
		}
	})
}

// foundingOf returns how organizations of either generation come into being.
func foundingOf(settings config.Organization) organization.Founding {
	return organization.Founding{
		SpontaneousBootstrap:          settings.SpontaneousBootstrap,
		InitialActiveUsersLimit:       settings.InitialActiveUsersLimit,
		InitialOutsiderAllowed:        settings.InitialOutsiderAllowed,
		InitialMinimumArchivingPeriod: &settings.InitialMinimumArchivingPeriod,
		InitialTOS:                    settings.InitialTOS,
	}
}

// wings returns what serves the generations, for organizations that an administrator
// keeps.
func (g generations) wings(organizations *organization.Administration, settings config.Config) []func(*server.Server) server.Wing {
	return []func(*server.Server) server.Wing{
		func(s *server.Server) server.Wing {
			return parsec2.New(s, g.parsec2, organizations, parsec2.Options{
				MaxUnauthenticatedPerAddress: settings.MaxUnauthenticatedConnectionsPerAddress,
			})
		},
		func(s *server.Server) server.Wing { return parsec3.New(s, g.parsec3) },
	}
}
