package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"parsec-server/pkg/parsec"
)

// genericRejection is the reason of a rejection without one
// (docs/protocol/administration.md §6).
const genericRejection = "File rejected (no reason)"

// RejectionError is what a service has against a vlob.
type RejectionError struct{ Reason string }

func (r *RejectionError) Error() string { return "rejected by the sequester service: " + r.Reason }

// Sequester hands the copy of a vlob to the service at an address: any 2xx
// accepts, 400 rejects, by a RejectionError, and everything else is a failure of
// the service, which it logs.
func (c *Client) Sequester(ctx context.Context, address string, organization parsec.OrganizationID, service parsec.SequesterServiceID, blob []byte) error {
	logger := c.logger.With(
		slog.String("organization", organization.String()),
		slog.String("service", service.String()))
	address, err := sequesterURL(address, organization, service)
	if err != nil {
		logger.ErrorContext(ctx, "sequester webhook has no valid address", slog.Any("error", err))
		return err
	}
	answer, err := c.post(ctx, address, "application/octet-stream", blob)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		logger.WarnContext(ctx, "sequester webhook failed", slog.Any("error", err))
		return err
	case answer.accepted():
		return nil
	case answer.status == http.StatusBadRequest:
		return &RejectionError{rejection(answer.body)}
	default:
		logger.WarnContext(ctx, "sequester webhook failed", slog.Int("status", answer.status))
		return fmt.Errorf("status %d", answer.status)
	}
}

// sequesterURL adds the parameters of the call to the address of the service.
func sequesterURL(address string, organization parsec.OrganizationID, service parsec.SequesterServiceID) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", withoutAddress(err)
	}
	query := parsed.Query()
	query.Set("organization_id", organization.String())
	query.Set("service_id", parsec.UUID(service).Hex())
	parsed.RawQuery = query.Encode()
	return parsed.String(), nil
}

// rejection returns the reason in the body of a 400.
func rejection(body []byte) string {
	var given struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(body, &given); err != nil || given.Reason == "" {
		return genericRejection
	}
	return given.Reason
}
