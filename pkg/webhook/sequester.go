package webhook

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
)

// genericRejection is the reason of a rejection that gives none
// (docs/protocol/administration.md §6).
const genericRejection = "File rejected (no reason)"

// Sequester implements rules.Webhooks: any 2xx accepts, 400 rejects, and
// everything else is a timeout.
func (c *Client) Sequester(ctx context.Context, organization parsec.OrganizationID, service rules.SequesterService, blob []byte) error {
	failed := protocol.Refuse(protocol.StatusTimeout, "The sequester service "+service.Label+" is not available.")
	logger := c.logger.With(
		slog.String("organization", organization.String()),
		slog.String("service", service.ID.String()))
	address, err := sequesterURL(service.WebhookURL, organization, service.ID)
	if err != nil {
		logger.ErrorContext(ctx, "sequester webhook has no valid address", slog.Any("error", err))
		return failed
	}
	answer, err := c.post(ctx, address, "application/octet-stream", blob)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		logger.WarnContext(ctx, "sequester webhook failed", slog.Any("error", err))
		return failed
	case answer.accepted():
		return nil
	case answer.status == http.StatusBadRequest:
		return &protocol.Refusal{
			Status: protocol.StatusRejectedBySequester,
			Reason: rejection(answer.body),
			Details: &protocol.RejectedBySequesterDetails{
				ServiceID: service.ID, ServiceLabel: service.Label,
			},
		}
	default:
		logger.WarnContext(ctx, "sequester webhook failed", slog.Int("status", answer.status))
		return failed
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

// rejection is the reason that the body of a 400 gives.
func rejection(body []byte) string {
	var given struct {
		Reason string `json:"reason"`
	}
	if err := json.Unmarshal(body, &given); err != nil || given.Reason == "" {
		return genericRejection
	}
	return given.Reason
}
