package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/config"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/certificate"
	"parsec-server/pkg/parsec2/rules"
	parsec3rules "parsec-server/pkg/parsec3/rules"
)

// serviceKind is the type of a service, and where its webhook is.
type serviceKind struct{ kind, webhookURL string }

// parse returns the URL of the webhook, "" for storage.
func (k *serviceKind) parse() (webhookURL string, err error) {
	switch strings.ToLower(k.kind) {
	case "storage":
		if k.webhookURL != "" {
			return "", &config.UsageError{Message: "--webhook-url goes with --service-type webhook only."}
		}
		return "", nil
	case "webhook":
		if k.webhookURL == "" {
			return "", missingOption("webhook-url")
		}
		if !parsec.IsHTTPURL(k.webhookURL) {
			return "", invalidValue("--webhook-url", errors.New("not an http:// or https:// URL"))
		}
		return k.webhookURL, nil
	default:
		return "", config.OneOf("--service-type", k.kind, []string{"storage", "webhook"})
	}
}

func (p program) sequesterCreateCommand() *cobra.Command {
	command := sequesterSubcommand("create-service", "create_service", "Certify a service, unless it is certified already, and add it to an organization.")
	flags := command.Flags()
	var making certification
	making.define(flags)
	file := flags.String("service-certificate", "", "File of generate-service-certificate, in place of these three.")
	p.addsService(command, func(of organization.Generation) ([]byte, error) {
		if *file == "" {
			_, signed, err := making.sign(systemClock(), of)
			return signed, err
		}
		if making.given() {
			return nil, &config.UsageError{Message: "--service-certificate goes without keys and label: it has them."}
		}
		return readCertificate("service-certificate", *file, serviceCertificateType)
	})
	return command
}

// addsService has a command add a service with the certificate that certify
// returns for the generation of the organization.
func (p program) addsService(command *cobra.Command, certify func(organization.Generation) ([]byte, error)) {
	flags := command.Flags()
	name := organizationOption(flags)
	var kind serviceKind
	flags.StringVar(&kind.kind, "service-type", "storage", "storage keeps the copies in the database, webhook sends them.")
	choose(flags, "service-type", "storage", "webhook")
	flags.StringVar(&kind.webhookURL, "webhook-url", "", "Where the copies are sent, for --service-type webhook only.")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := name()
		if err != nil {
			return err
		}
		webhookURL, err := kind.parse()
		if err != nil {
			return err
		}
		if _, err := certify(organization.Parsec2); err != nil { // before the database is asked for anything
			return err
		}
		add := func(of organization.Generation, create func(context.Context, parsec.OrganizationID, []byte, string) error) error {
			signed, err := certify(of)
			if err == nil {
				err = create(command.Context(), id, signed, webhookURL)
			}
			if err == nil {
				fmt.Fprintln(p.stdout, "Service created")
			}
			return err
		}
		return p.operate(command.Context(), database, id, operation{
			parsec2: func(b *rules.Rules) error {
				err := add(organization.Parsec2, b.CreateSequesterService)
				if _, wrong := errors.AsType[certificate.Failure](err); wrong {
					err = fmt.Errorf("the authority of the organization has not signed this certificate: %w", err)
				}
				return err
			},
			parsec3: func(b *parsec3rules.Rules) error { return add(organization.Parsec3, b.CreateSequesterService) },
		})
	}
}

func (p program) sequesterGenerateCommand() *cobra.Command {
	command := sequesterSubcommand("generate-service-certificate [OUTPUT]", "generate_service_certificate",
		"Certify a service, away from the server; create-service adds it to an organization.")
	command.Args = optionalArgument
	flags := command.Flags()
	var making certification
	making.define(flags)
	require(flags, "service-public-key", "authority-private-key", "service-label")
	output := flags.StringP("output", "o", "", "File to write, in place of OUTPUT.")
	generation := flags.Uint8("generation", 0, "2 for an organization of API 1 to 3, 3 for one of Parsec 3: their certificates have other forms. "+
		"As the official commands have it, --output is for 2 and OUTPUT, or neither, for 3.")
	command.RunE = func(_ *cobra.Command, args []string) error {
		of, path, err := certificateOutput(*generation, *output, args)
		if err != nil {
			return err
		}
		now := systemClock()
		service, signed, err := making.sign(now, of)
		if err != nil {
			return err
		}
		path = inFolder(path, certificateName("certificate", service, now))
		named := "OUTPUT"
		if *output != "" {
			named = "--output"
		}
		if err := wrongPath(named, writeCertificate(path, serviceCertificateType, signed)); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Service certificate written to %s\n", path)
		return nil
	}
	return command
}

// certificateOutput returns which form of certificate is wanted, and where: the official
// command of API 1 to 3 has an option for that, and that of Parsec 3 an argument.
func certificateOutput(generation uint8, output string, args []string) (of organization.Generation, path string, err error) {
	of = organization.Generation(generation)
	switch {
	case output != "" && len(args) > 0:
		return 0, "", &config.UsageError{Message: "Either OUTPUT or --output."}
	case generation == 0 && output != "":
		of = organization.Parsec2
	case generation == 0:
		of = organization.Parsec3
	case of != organization.Parsec2 && of != organization.Parsec3:
		return 0, "", invalidValue("--generation", errors.New("neither 2 nor 3"))
	}
	if len(args) > 0 {
		output = args[0]
	}
	return of, output, nil
}

func (p program) sequesterImportCommand() *cobra.Command {
	command := sequesterSubcommand("import-service-certificate", "import_service_certificate", "Add a certified service to an organization.")
	file := command.Flags().String("service-certificate", "", "File of generate-service-certificate.")
	require(command.Flags(), "service-certificate")
	p.addsService(command, func(organization.Generation) ([]byte, error) {
		return readCertificate("service-certificate", *file, serviceCertificateType)
	})
	return command
}

func (p program) sequesterGenerateRevocationCommand() *cobra.Command {
	command := sequesterSubcommand("generate-service-revocation-certificate [OUTPUT]", "generate_service_revocation_certificate",
		"Certify that a service of Parsec 3 is revoked, away from the server; revoke-service tells an organization.")
	command.Args = optionalArgument
	flags := command.Flags()
	service := flags.String("service-id", "", "Id of the service.")
	authorityKey := flags.String("authority-private-key", "", "PEM file of the RSA key of the authority of the organization.")
	require(flags, "service-id", "authority-private-key")
	command.RunE = func(_ *cobra.Command, args []string) error {
		id, err := uuidOption("service-id", *service)
		if err != nil {
			return err
		}
		now := systemClock()
		signed, err := signRevocation(now, parsec.SequesterServiceID(id), *authorityKey)
		if err != nil {
			return err
		}
		path := inFolder(strings.Join(args, ""), certificateName("revocation_certificate", parsec.SequesterServiceID(id), now))
		if err := wrongPath("OUTPUT", writeCertificate(path, revocationCertificateType, signed)); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Service revocation certificate written to %s\n", path)
		return nil
	}
	return command
}

func (p program) sequesterRevokeCommand() *cobra.Command {
	command := sequesterSubcommand("revoke-service", "revoke_service",
		"Revoke a service of an organization of Parsec 3, for ever: it gets no key of the next rotations.")
	flags := command.Flags()
	name := organizationOption(flags)
	file := flags.String("service-revocation-certificate", "", "File of generate-service-revocation-certificate.")
	require(flags, "service-revocation-certificate")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := name()
		if err != nil {
			return err
		}
		signed, err := readCertificate("service-revocation-certificate", *file, revocationCertificateType)
		if err != nil {
			return err
		}
		return p.operate(command.Context(), database, id, operation{parsec3: func(b *parsec3rules.Rules) error {
			err := b.RevokeSequesterService(command.Context(), id, signed)
			if err == nil {
				fmt.Fprintln(p.stdout, "Service revoked")
			}
			return err
		}})
	}
	return command
}

func (p program) sequesterListCommand() *cobra.Command {
	command := sequesterSubcommand("list-services", "list_services", "Print the services of an organization, enabled ones first.")
	flags := command.Flags()
	name := organizationOption(flags)
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := name()
		if err != nil {
			return err
		}
		return p.operate(command.Context(), database, id, operation{
			parsec2: func(b *rules.Rules) error {
				_, services, err := b.SequesterServices(command.Context(), id)
				listed := make([]organization.SequesterService, len(services))
				for i, s := range services {
					listed[i] = organization.SequesterService{
						ID: s.ID, Label: s.Label, WebhookURL: s.WebhookURL, CreatedOn: s.CreatedOn, RevokedOn: s.DisabledOn,
					}
				}
				return p.printServices(listed, parsec2Services, err)
			},
			parsec3: func(b *parsec3rules.Rules) error {
				services, err := b.SequesterServices(command.Context(), id)
				return p.printServices(services, parsec3Services, err)
			},
		})
	}
	return command
}

// serviceWords are how a generation calls what services have: their kind, and when those
// ended that are not active.
type serviceWords struct{ kind, kindPrefix, ended string }

var (
	parsec2Services = serviceWords{"Type", "", "Disabled"}
	parsec3Services = serviceWords{"Service type", "SequesterServiceType.", "Revoked"}
)

// printServices prints services, unless there is an error.
func (p program) printServices(services []organization.SequesterService, words serviceWords, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Found %d sequester service(s)\n", len(services))
	for _, over := range []bool{false, true} {
		for i := range services {
			if service := &services[i]; (service.RevokedOn != nil) == over {
				p.printService(service, words)
			}
		}
	}
	return nil
}

func (p program) printService(service *organization.SequesterService, words serviceWords) {
	fmt.Fprintf(p.stdout, "\nService %s (id: %s)\n\tCreated on: %s\n",
		printable(service.Label), parsec.UUID(service.ID).Hex(), service.CreatedOn)
	kind := "STORAGE"
	if service.WebhookURL != "" {
		kind = "WEBHOOK"
	}
	fmt.Fprintf(p.stdout, "\t%s: %s%s\n", words.kind, words.kindPrefix, kind)
	if service.WebhookURL != "" {
		fmt.Fprintf(p.stdout, "\tWebhook URL: %s\n", printable(service.WebhookURL))
	}
	if service.RevokedOn != nil {
		fmt.Fprintf(p.stdout, "\t%s on: %s\n", words.ended, service.RevokedOn)
	}
}

func (p program) sequesterUpdateCommand() *cobra.Command {
	command := sequesterSubcommand("update-service", "update_service",
		"Enable or disable a service of API 1 to 3: clients make copies for enabled ones only. Or set the type of one of Parsec 3.")
	flags := command.Flags()
	name := organizationOption(flags)
	service := flags.String("service", "", "Id of the service.")
	require(flags, "service")
	enable := flags.Bool("enable", false, "Enable it.")
	disable := flags.Bool("disable", false, "Disable it.")
	var kind serviceKind
	flags.StringVar(&kind.kind, "service-type", "", "storage keeps what the service gets in the database alone, webhook has it asked too.")
	flags.StringVar(&kind.webhookURL, "webhook-url", "", "Where it is asked, for --service-type webhook only.")
	choose(flags, "service-type", "storage", "webhook")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := name()
		if err != nil {
			return err
		}
		serviceID, err := uuidOption("service", *service)
		if err != nil {
			return err
		}
		change, err := serviceChange(command.Context(), *enable, *disable, &kind, id, parsec.SequesterServiceID(serviceID))
		if err != nil {
			return err
		}
		if err := p.operate(command.Context(), database, id, change); err != nil {
			return err
		}
		fmt.Fprintln(p.stdout, "Service updated")
		return nil
	}
	return command
}

// serviceChange returns the one change that options ask for.
func serviceChange(ctx context.Context, enable, disable bool, kind *serviceKind, id parsec.OrganizationID, service parsec.SequesterServiceID) (change operation, err error) {
	chosen := 0
	for _, given := range []bool{enable, disable, kind.kind+kind.webhookURL != ""} {
		if given {
			chosen++
		}
	}
	switch {
	case chosen != 1:
		return operation{}, &config.UsageError{Message: "Either --enable, --disable or --service-type is needed."}
	case enable:
		change.parsec2 = func(b *rules.Rules) error { return b.EnableSequesterService(ctx, id, service) }
	case disable:
		change.parsec2 = func(b *rules.Rules) error { return b.DisableSequesterService(ctx, id, service) }
	default:
		webhookURL, err := kind.parse()
		if err != nil {
			return operation{}, err
		}
		change.parsec3 = func(b *parsec3rules.Rules) error { return b.ConfigureSequesterService(ctx, id, service, webhookURL) }
	}
	return change, nil
}
