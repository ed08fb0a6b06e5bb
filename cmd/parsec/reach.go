package main

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"parsec-server/pkg/client"
	"parsec-server/pkg/client/parsec2"
	"parsec-server/pkg/config"
	"parsec-server/pkg/parsec"
)

// administration is how a command administrates a server.
type administration struct {
	*client.Administration

	client *parsec2.Client
	server parsec.ServerAddress
	// public is what links are printed with: what clients know the server by.
	public parsec.ServerAddress
	token  string
	// tls trusts the server that runs here, nil for another.
	tls *tls.Config
	// tokenFrom says where the token came from.
	tokenFrom string
	// organization is the zero one for commands about the whole server.
	organization parsec.OrganizationID
}

const (
	addrOption  = "addr"
	tokenOption = "administration-token"
)

// reachOptions defines the options that every command of an administrator has.
// The function that it returns runs call with them: with the server that --addr or
// PARSEC_ADDR names, or else the one whose settings are here (config.LoadBeside). What
// call fails with is put in words.
func (p program) reachOptions(command *cobra.Command) func(call func(administration) error) error {
	flags := command.Flags()
	flags.SortFlags = false
	address := flags.String(addrOption, "", "Address of the server, parsec://<host>[:<port>][?no_ssl=true] or parsec3://…. Without it, the server that runs here with the settings of this command.")
	token := flags.String(tokenOption, "", "What the administrator authenticates with. Without it, that of the settings of the server.")
	describe(flags, addrOption, flagNotes{kind: config.URL, group: connectionGroup, variables: []string{config.AddressVariable}})
	describe(flags, tokenOption, flagNotes{kind: config.Text, group: connectionGroup, setting: tokenOption, variables: settingNamed(tokenOption).AllVariables(), required: true})
	return func(call func(administration) error) error {
		a, options, err := p.findServer(*address)
		if err != nil {
			return err
		}
		given := p.besides
		if *token != "" {
			given = append(given[:len(given):len(given)], config.Argument{Name: tokenOption, Text: *token})
		}
		secret, origin, err := config.LoadToken(given, p.environment)
		if err != nil {
			return err
		}
		a.token, a.tokenFrom, a.tls = secret.Reveal(), origin, options.TLS
		a.client = parsec2.New(a.server, options)
		defer a.client.Close()
		a.Administration = a.client.Administration(a.token)
		if err := call(a); err != nil {
			return a.explain(contextOf(command), err)
		}
		return nil
	}
}

// findServer returns where the server is, with its public address.
func (p program) findServer(address string) (a administration, options client.Options, err error) {
	from := ""
	if address == "" {
		if address, _ = p.environment.Lookup(config.AddressVariable); address != "" {
			from = " (variable " + config.AddressVariable + ")"
		}
	}
	if address != "" {
		a.server, err = parsec.ParseAnyServerAddress(address)
		if err != nil {
			return a, options, invalidValue("--"+addrOption, fmt.Errorf("%w%s%s", err, config.AddressHint(address), from))
		}
		a.public = a.server
		return a, options, nil
	}
	beside, err := config.LoadBeside(p.besides, p.environment)
	if err != nil {
		return a, options, err
	}
	if a.server, err = localAddress(beside.Listening); err != nil {
		return a, options, err
	}
	if a.public = beside.Address; a.public == (parsec.ServerAddress{}) {
		a.public = a.server
	}
	if beside.TLS.Enabled() {
		options.TLS, err = onlyCertificate(beside.TLS.CertificateFile)
	}
	return a, options, err
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return host + ":" + port
}

// localHost is where a server that listens answers on this machine, with its port.
func localHost(listening config.Listening) string {
	host := listening.Host
	address, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && address == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && address == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(listening.Port))
}

func localAddress(listening config.Listening) (parsec.ServerAddress, error) {
	text := "parsec3://" + localHost(listening)
	if !listening.TLS.Enabled() {
		text += "?no_ssl=true"
	}
	address, err := parsec.Parsec3Scheme.ParseServerAddress(text)
	if err != nil {
		return address, invalidValue("--host", err)
	}
	return address, nil
}

var errOtherCertificate = errors.New("it shows another certificate than that of the settings here")

// onlyCertificate trusts the server that has the certificate of a file, whatever it is
// called there: it is asked by its address on this machine, and gets the token.
func onlyCertificate(path string) (*tls.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, invalidValue("--ssl-certfile", err)
	}
	var wanted []byte
	for block, rest := pem.Decode(text); block != nil && wanted == nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			wanted = block.Bytes
		}
	}
	if wanted == nil {
		return nil, invalidValue("--ssl-certfile", errors.New("no certificate in PEM in "+path))
	}
	return &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does more: one certificate alone is trusted
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || string(state.PeerCertificates[0].Raw) != string(wanted) {
				return errOtherCertificate
			}
			return nil
		},
	}, nil
}
