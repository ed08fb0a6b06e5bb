package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
)

// founding is what the options of organization bootstrap say.
type founding struct {
	deviceLabel string
	humanLabel  string
	humanEmail  string
	output      string
}

func (p program) organizationBootstrapCommand() *cobra.Command {
	var options founding
	command := &cobra.Command{
		Use:   "bootstrap URL",
		Short: "Make the first user and device of an organization that was created.",
		Args:  oneArgument("URL"),
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&options.humanLabel, "human-label", "", "Name of the first user.")
	flags.StringVar(&options.humanEmail, "human-email", "", "E-mail address of the first user.")
	flags.StringVar(&options.deviceLabel, "device-label", "", "Name of the first device.")
	flags.StringVar(&options.output, "output", "", "New file for the keys of the device, in clear. Without it they are lost.")
	command.RunE = func(command *cobra.Command, args []string) error {
		address, err := parsec.ParseBootstrapAddress(parsec.FromRedirection(args[0]))
		if err != nil {
			return invalidValue("URL", err)
		}
		founder, err := options.founder()
		if err != nil {
			return err
		}
		return p.bootstrap(command.Context(), address, founder, options.output)
	}
	return command
}

func (f founding) founder() (parsec2.Person, error) {
	for _, option := range []struct{ name, text string }{
		{"human-label", f.humanLabel}, {"human-email", f.humanEmail}, {"device-label", f.deviceLabel},
	} {
		if option.text == "" {
			return parsec2.Person{}, missingOption(option.name)
		}
	}
	handle, err := parsec.ParseHumanHandle(f.humanEmail, f.humanLabel)
	if err != nil {
		return parsec2.Person{}, invalidValue("--human-label and --human-email", err)
	}
	label, err := parsec.ParseDeviceLabel(f.deviceLabel)
	if err != nil {
		return parsec2.Person{}, invalidValue("--device-label", err)
	}
	return parsec2.Person{Label: label, HumanHandle: handle}, nil
}

// bootstrap writes the keys to the file output, none if it is empty, before
// the server knows of them: an organization whose keys could not be written
// would be lost.
func (p program) bootstrap(ctx context.Context, address parsec.BootstrapAddress, founder parsec2.Person, output string) error {
	device, request, err := parsec2.NewOrganization(address, founder, systemClock())
	if err != nil {
		return err
	}
	if output == "" {
		fmt.Fprintln(p.stderr, "Warning: without --output the keys of the device are lost.")
	} else if err := device.Save(output); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reached := parsec2.New(address.Server(), client.Options{})
	defer reached.Close()
	if err := reached.Bootstrap(ctx, device.Organization, request); err != nil {
		switch {
		case output == "":
			return err
		case isRefused(err):
			return errors.Join(err, os.Remove(output))
		default:
			return fmt.Errorf("%w (in case the server has taken them, the keys stay in %s)", err, output)
		}
	}
	fmt.Fprintf(p.stdout, "Organization url: %s\nDevice: %s\n",
		address.Server().OrganizationAddress(device.Organization, device.RootVerifyKey), device.ID)
	if output != "" {
		fmt.Fprintf(p.stdout, "Keys: %s\n", output)
	}
	return nil
}

// isRefused reports whether the organization was certainly not bootstrapped.
func isRefused(err error) bool {
	if failure, ok := errors.AsType[*client.HTTPError](err); ok {
		return failure.Status < http.StatusInternalServerError
	}
	if failure, ok := errors.AsType[*net.OpError](err); ok {
		return failure.Op == "dial"
	}
	_, handshake := errors.AsType[*parsec2.HandshakeError](err)
	_, refusal := errors.AsType[*protocol.Refusal](err)
	return handshake || refusal
}
