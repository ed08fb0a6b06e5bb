package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
	parsec2client "parsec-server/pkg/client/parsec2"
	parsec3client "parsec-server/pkg/client/parsec3"
	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec3"
	parsec3protocol "parsec-server/pkg/parsec3/protocol"
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
	require(flags, "human-label", "human-email", "device-label")
	flags.StringVar(&options.output, "output", "", "New file for the keys of the device, in clear. Without it they are lost.")
	command.RunE = func(command *cobra.Command, args []string) error {
		founded, err := options.found(args[0], systemClock())
		if err != nil {
			return err
		}
		return p.bootstrap(command.Context(), founded, options.output)
	}
	return command
}

// foundation is an organization of either generation before its server knows of it.
type foundation struct {
	// save writes the keys of its device to a new file.
	save func(path string) error
	// bootstrap has the server take it.
	bootstrap func(ctx context.Context) error
	server    parsec.ServerAddress
	id        parsec.OrganizationID
	// organization is its address, device the id of its device.
	organization, device string
}

// found makes the organization of an address, which says the generation.
func (f founding) found(text string, now parsec.DateTime) (foundation, error) {
	parsed, err := parsec3.ParseAddress(text)
	if target, bootstraps := parsed.Target.(parsec3.BootstrapTarget); err == nil && bootstraps {
		return f.foundParsec3(parsed.Location, target.Token, now)
	}
	if parsec.Parsec3Scheme.Begins(text) {
		return foundation{}, invalidValue("URL", cmp.Or(err, errors.New("not the link of a new organization")))
	}
	address, err := parsec.ParseBootstrapAddress(parsec.FromRedirection(text))
	if err != nil {
		return foundation{}, invalidValue("URL", err)
	}
	return f.foundParsec2(address, now)
}

// check wants every option that must be given.
func (f founding) check() error {
	for _, option := range []struct{ name, text string }{
		{"human-label", f.humanLabel}, {"human-email", f.humanEmail}, {"device-label", f.deviceLabel},
	} {
		if option.text == "" {
			return missingOption(option.name)
		}
	}
	return nil
}

func (f founding) foundParsec2(address parsec.BootstrapAddress, now parsec.DateTime) (foundation, error) {
	if err := f.check(); err != nil {
		return foundation{}, err
	}
	handle, err := parsec.ParseHumanHandle(f.humanEmail, f.humanLabel)
	if err != nil {
		return foundation{}, invalidValue(humanOptions, err)
	}
	label, err := parsec.ParseDeviceLabel(f.deviceLabel)
	if err != nil {
		return foundation{}, invalidValue("--device-label", err)
	}
	device, request, err := parsec2client.NewOrganization(address, parsec2client.Person{Label: label, HumanHandle: handle}, now)
	if err != nil {
		return foundation{}, err
	}
	return foundation{
		save: device.Save, server: address.Server(), id: device.Organization,
		bootstrap: func(ctx context.Context) error {
			reached := parsec2client.New(address.Server(), client.Options{})
			defer reached.Close()
			return reached.Bootstrap(ctx, device.Organization, request)
		},
		organization: address.Server().OrganizationAddress(device.Organization, device.RootVerifyKey).String(),
		device:       device.ID.String(),
	}, nil
}

func (f founding) foundParsec3(location parsec.Location, token *parsec3.AccessToken, now parsec.DateTime) (foundation, error) {
	if err := f.check(); err != nil {
		return foundation{}, err
	}
	handle, err := parsec3.ParseHumanHandle(f.humanEmail, f.humanLabel)
	if err != nil {
		return foundation{}, invalidValue(humanOptions, err)
	}
	label, err := parsec3.ParseDeviceLabel(f.deviceLabel)
	if err != nil {
		return foundation{}, invalidValue("--device-label", err)
	}
	founded := parsec3client.Founding{Organization: location.Organization(), Token: token}
	device, request, err := parsec3client.NewOrganization(founded, parsec3client.Person{Label: label, HumanHandle: handle}, now)
	if err != nil {
		return foundation{}, err
	}
	return foundation{
		save: device.Save, server: location.Server(), id: device.Organization,
		bootstrap: func(ctx context.Context) error {
			reached := parsec3client.New(location.Server(), parsec3client.LatestVersion, client.Options{})
			defer reached.Close()
			_, err := parsec3client.Call(ctx, reached.Anonymous(device.Organization), parsec3protocol.OrganizationBootstrap, request)
			return err
		},
		organization: parsec3.Address{Location: location, Target: parsec3.OrganizationTarget{RootVerifyKey: device.RootVerifyKey}}.String(),
		device:       device.ID.String(),
	}, nil
}

const humanOptions = "--human-label and --human-email"

// bootstrap writes the keys to the file output, none if it is empty, before
// the server knows of them: an organization whose keys could not be written
// would be lost.
func (p program) bootstrap(ctx context.Context, founded foundation, output string) error {
	if output == "" {
		fmt.Fprintln(p.stderr, "Warning: without --output the keys of the device are lost.")
	} else if err := wrongPath("--output", founded.save(output)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := founded.bootstrap(ctx); err != nil {
		err = founded.explain(ctx, err)
		switch {
		case output == "":
			return err
		case isRefused(err):
			return errors.Join(err, os.Remove(output))
		default:
			return fmt.Errorf("%w (in case the server has taken them, the keys stay in %s)", err, output)
		}
	}
	fmt.Fprintf(p.stdout, "Organization url: %s\nDevice: %s\n", founded.organization, founded.device)
	if output != "" {
		fmt.Fprintf(p.stdout, "Keys: %s\n", output)
	}
	return nil
}

// explain puts in words why the server has not taken the organization.
func (f *foundation) explain(ctx context.Context, err error) error {
	at := hostPort(f.server)
	status := ""
	if refusal, is := errors.AsType[*protocol.Refusal](err); is { // of either generation
		status = string(refusal.Status)
	}
	handshake, refused := errors.AsType[*parsec2client.HandshakeError](err)
	answer, answered := errors.AsType[*client.HTTPError](err)
	switch {
	case status == "already_bootstrapped", status == string(parsec3protocol.StatusOrganizationAlreadyBootstrapped):
		return say(err, "The organization %s on %s is bootstrapped already.", f.id, at)
	case status == "not_found", status == string(parsec3protocol.StatusInvalidBootstrapToken),
		refused && handshake.Result == "bad_identity", answered && answer.Status == http.StatusNotFound:
		return say(err, "%s knows no organization %s that waits to be bootstrapped with this link. `parsec organization create %[2]s` prints another one.", at, f.id)
	case status != "":
		return say(err, "%s refused: %s.", at, err)
	}
	return explainServer(ctx, f.server, err, linkWords)
}

// isRefused reports whether the organization was certainly not bootstrapped.
func isRefused(err error) bool {
	if failure, ok := errors.AsType[*client.HTTPError](err); ok {
		return failure.Status < http.StatusInternalServerError
	}
	if failure, ok := errors.AsType[*net.OpError](err); ok {
		return failure.Op == "dial"
	}
	_, handshake := errors.AsType[*parsec2client.HandshakeError](err)
	_, refusal := errors.AsType[*protocol.Refusal](err)
	_, refusal3 := errors.AsType[*parsec3protocol.Refusal](err)
	return handshake || refusal || refusal3
}
