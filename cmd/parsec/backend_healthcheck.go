package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/config"
)

const (
	// healthTimeout is less than what container engines wait.
	healthTimeout = 5 * time.Second
	// maxHealthBytes bounds what is shown of an answer.
	maxHealthBytes = 1 << 10
)

func (p program) backendHealthcheckCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server of this machine, found by its own settings, whether it serves. Exit code 0 or 1.",
		Args:  noArguments,
	}
	live := command.Flags().Bool("live", false, "Ask only whether the process answers, not whether its database does.")
	options := newSettingsFlags(command.Flags())
	optional(command.Flags(), "db", "blockstore", tokenOption)
	command.RunE = func(command *cobra.Command, _ []string) error {
		listening, err := config.LoadListening(options.given, p.environment)
		if err != nil {
			return err
		}
		path := "/readyz"
		if *live {
			path = "/healthz"
		}
		ctx, cancel := context.WithTimeout(command.Context(), healthTimeout)
		defer cancel()
		answer, err := askHealth(ctx, healthURL(listening, path))
		if err != nil {
			return explainHealth(listening, err)
		}
		fmt.Fprintln(p.stdout, answer)
		return nil
	}
	return command
}

// explainHealth puts in words why no server answers. What one says of itself stays.
func explainHealth(listening config.Listening, err error) error {
	at := localHost(listening)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return say(err, "No server answers at %s: connection refused. Start it, or run this with the settings that it runs with.", at)
	case errors.Is(err, context.DeadlineExceeded):
		return say(err, "The server at %s did not answer within %s. Its log may say why.", at, healthTimeout)
	default:
		return err
	}
}

// healthURL is where the server answers on this machine.
func healthURL(listening config.Listening, path string) string {
	scheme := "http"
	if listening.TLS.Enabled() {
		scheme = "https"
	}
	return scheme + "://" + localHost(listening) + path
}

// unhealthyError is the answer of a server that is not healthy.
type unhealthyError struct {
	url    string
	status int
	words  string
}

func (e *unhealthyError) Error() string {
	return fmt.Sprintf("%s answers %d %s: %s", e.url, e.status, http.StatusText(e.status), e.words)
}

// askHealth returns the answer of a healthy server. The certificate is for the
// public name of the server, not for the address asked: it is not checked, and
// nothing secret is sent.
func askHealth(ctx context.Context, url string) (string, error) {
	client := http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // see above
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // to another host: not the health of this one
		},
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthBytes))
	if err != nil {
		return "", err
	}
	answer := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		return "", &unhealthyError{url, response.StatusCode, answer}
	}
	return answer, nil
}
