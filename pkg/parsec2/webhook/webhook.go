// Package webhook has the rules of API 1 to 3 call out of the server.
package webhook

import (
	"context"
	"errors"
	"log/slog"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec2/protocol"
	"parsec-server/pkg/parsec2/rules"
	"parsec-server/pkg/webhook"
)

var _ rules.Webhooks = (*Webhooks)(nil)

// Webhooks implements rules.Webhooks by a client, whose methods it has.
type Webhooks struct{ *webhook.Client }

// New returns webhooks that announce new organizations to bootstrapURL, unless
// that is "". Close ends their goroutine.
func New(bootstrapURL string, logger *slog.Logger) *Webhooks {
	return &Webhooks{webhook.New(bootstrapURL, logger)}
}

// Sequester implements rules.Webhooks: what is neither accepted nor rejected is
// a timeout.
func (w *Webhooks) Sequester(ctx context.Context, organization parsec.OrganizationID, service rules.SequesterService, blob []byte) error {
	err := w.Client.Sequester(ctx, service.WebhookURL, organization, service.ID, blob)
	if err == nil {
		return nil
	}
	if rejection, rejected := errors.AsType[*webhook.RejectionError](err); rejected {
		return &protocol.Refusal{
			Status:  protocol.StatusRejectedBySequester,
			Reason:  reason(rejection),
			Details: &protocol.RejectedBySequesterDetails{ServiceID: service.ID, ServiceLabel: service.Label},
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return protocol.Refuse(protocol.StatusTimeout, "The sequester service "+service.Label+" is not available.")
}

// reason is never empty (docs/protocol/administration.md §6).
func reason(rejection *webhook.RejectionError) string {
	if rejection.Reason == nil || *rejection.Reason == "" {
		return "File rejected (no reason)"
	}
	return *rejection.Reason
}

// Bootstrapped implements rules.Webhooks.
func (w *Webhooks) Bootstrapped(organization parsec.OrganizationID, device rules.Device, human parsec.HumanHandle) {
	w.Client.Bootstrapped(webhook.Bootstrap{
		Organization: organization.String(), Device: device.ID.String(), DeviceLabel: nullable(device.Label.String()),
		HumanEmail: nullable(human.Email()), HumanLabel: nullable(human.Label()),
	})
}

func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
