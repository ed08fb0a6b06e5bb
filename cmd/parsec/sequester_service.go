package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
		return "", invalidValue("--service-type", errors.New("neither storage nor webhook"))
	}
}

func (p program) sequesterCreateCommand() *cobra.Command {
	command := sequesterSubcommand("create-service", "create_service", "Certify a service and add it to an organization.")
	var making certification
	making.define(command.Flags())
	p.addsService(command, func(of organization.Generation) ([]byte, error) { return making.sign(systemClock(), of) })
	return command
}

// addsService has a command add a service with the certificate that certify
// returns for the generation of the organization.
func (p program) addsService(command *cobra.Command, certify func(organization.Generation) ([]byte, error)) {
	flags := command.Flags()
	name := flags.String("organization", "", "The organization.")
	var kind serviceKind
	flags.StringVar(&kind.kind, "service-type", "storage", "storage keeps the copies in the database, webhook sends them.")
	flags.StringVar(&kind.webhookURL, "webhook-url", "", "Where the copies are sent, for --service-type webhook only.")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := organizationOption(*name)
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
	command := sequesterSubcommand("generate-service-certificate", "generate_service_certificate",
		"Certify a service, away from the server; import-service-certificate adds it to an organization.")
	flags := command.Flags()
	var making certification
	making.define(flags)
	output := flags.StringP("output", "o", "", "File to write.")
	generation := flags.Uint8("generation", uint8(organization.Parsec2), "2 for an organization of API 1 to 3, 3 for one of Parsec 3: their certificates have other forms.")
	command.RunE = func(*cobra.Command, []string) error {
		if *output == "" {
			return missingOption("output")
		}
		of := organization.Generation(*generation)
		if of != organization.Parsec2 && of != organization.Parsec3 {
			return invalidValue("--generation", errors.New("neither 2 nor 3"))
		}
		signed, err := making.sign(systemClock(), of)
		if err != nil {
			return err
		}
		if err := os.WriteFile(*output, encodeServiceCertificate(signed), 0o600); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "Service certificate written to %s\n", *output)
		return nil
	}
	return command
}

func (p program) sequesterImportCommand() *cobra.Command {
	command := sequesterSubcommand("import-service-certificate", "import_service_certificate", "Add a certified service to an organization.")
	file := command.Flags().String("service-certificate", "", "File of generate-service-certificate.")
	command.PreRunE = func(*cobra.Command, []string) error {
		if *file == "" {
			return missingOption("service-certificate")
		}
		return nil
	}
	p.addsService(command, func(organization.Generation) ([]byte, error) {
		signed, err := readServiceCertificate(*file)
		if err != nil {
			return nil, invalidValue("--service-certificate", err)
		}
		return signed, nil
	})
	return command
}

func (p program) sequesterListCommand() *cobra.Command {
	command := sequesterSubcommand("list-services", "list_services", "Print the services of an organization, enabled ones first.")
	flags := command.Flags()
	name := flags.String("organization", "", "The organization.")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := organizationOption(*name)
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
				return p.printServices(listed, "Disabled", err)
			},
			parsec3: func(b *parsec3rules.Rules) error {
				services, err := b.SequesterServices(command.Context(), id)
				return p.printServices(services, "Revoked", err)
			},
		})
	}
	return command
}

// printServices prints services, unless there is an error; ended says what those are
// that are not active.
func (p program) printServices(services []organization.SequesterService, ended string, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Found %d sequester service(s)\n", len(services))
	for _, over := range []bool{false, true} {
		for i := range services {
			if service := &services[i]; (service.RevokedOn != nil) == over {
				p.printService(service, ended)
			}
		}
	}
	return nil
}

func (p program) printService(service *organization.SequesterService, ended string) {
	fmt.Fprintf(p.stdout, "\nService %s (id: %s)\n\tCreated on: %s\n",
		printable(service.Label), parsec.UUID(service.ID).Hex(), service.CreatedOn)
	if service.WebhookURL == "" {
		fmt.Fprint(p.stdout, "\tType: STORAGE\n")
	} else {
		fmt.Fprintf(p.stdout, "\tType: WEBHOOK\n\tWebhook URL: %s\n", printable(service.WebhookURL))
	}
	if service.RevokedOn != nil {
		fmt.Fprintf(p.stdout, "\t%s on: %s\n", ended, service.RevokedOn)
	}
}

func (p program) sequesterUpdateCommand() *cobra.Command {
	command := sequesterSubcommand("update-service", "update_service", "Enable or disable a service: clients make copies for enabled ones only.")
	flags := command.Flags()
	name := flags.String("organization", "", "The organization.")
	service := flags.String("service", "", "Id of the service.")
	enable := flags.Bool("enable", false, "Enable it.")
	disable := flags.Bool("disable", false, "Disable it.")
	database := databaseOptions(flags)
	command.RunE = func(command *cobra.Command, _ []string) error {
		id, err := organizationOption(*name)
		if err != nil {
			return err
		}
		serviceID, err := uuidOption("service", *service)
		if err != nil {
			return err
		}
		if *enable == *disable {
			return &config.UsageError{Message: "Either --enable or --disable is needed."}
		}
		return p.operate(command.Context(), database, id, operation{parsec2: func(b *rules.Rules) error {
			change := b.DisableSequesterService
			if *enable {
				change = b.EnableSequesterService
			}
			err := change(command.Context(), id, parsec.SequesterServiceID(serviceID))
			if err == nil {
				fmt.Fprintln(p.stdout, "Service updated")
			}
			return err
		}})
	}
	return command
}
