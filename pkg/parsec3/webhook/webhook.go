// Package webhook has the rules of Parsec 3 call out of the server.
package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3"
	"parsec-server/pkg/parsec3/certificate"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
	"parsec-server/pkg/webhook"
)

// askLimit bounds the call of a sequester service
// (docs/protocol/v5/commands.md §11.8).
const askLimit = 10 * time.Second

var _ rules.Webhooks = (*Webhooks)(nil)

// Webhooks implements rules.Webhooks by a client, whose Close it has.
type Webhooks struct{ client *webhook.Client }

// New returns webhooks that announce new organizations to bootstrapURL, unless that is
// "". Close ends their goroutine.
func New(bootstrapURL string, logger *slog.Logger) *Webhooks {
	return &Webhooks{webhook.New(bootstrapURL, logger)}
}

// Close waits for the announcements that are left, at most until ctx is done.
func (w *Webhooks) Close(ctx context.Context) error { return w.client.Close(ctx) }

// Bootstrapped implements rules.Webhooks (docs/protocol/v5/administration.md §7.1).
func (w *Webhooks) Bootstrapped(organization parsec.OrganizationID, device parsec3.DeviceID, label parsec3.DeviceLabel, human parsec.HumanHandle) {
	w.client.Bootstrapped(webhook.Bootstrap{
		Organization: organization.String(), Device: device.String(), DeviceLabel: new(label.String()),
		HumanEmail: new(human.Email()), HumanLabel: new(human.Label()),
	})
}

// AskVlob implements rules.Webhooks. The parameters of both questions are those of
// docs/protocol/v5/administration.md §7.2.
func (w *Webhooks) AskVlob(ctx context.Context, service rules.SequesterService, question *rules.VlobQuestion) error {
	version := question.Version
	return w.ask(ctx, service, &webhook.Question{
		Organization: question.Organization,
		Parameters: []webhook.Parameter{
			{Name: "type", Value: "vlob_create_or_update"},
			{Name: "service_id", Value: parsec.UUID(service.ID).Hex()},
			{Name: "organization_id", Value: question.Organization.String()},
			{Name: "author", Value: version.Author.String()},
			{Name: "realm_id", Value: parsec.UUID(question.Realm).Hex()},
			{Name: "vlob_id", Value: parsec.UUID(version.Vlob).Hex()},
			{Name: "key_index", Value: strconv.FormatUint(version.KeyIndex, 10)},
			{Name: "version", Value: strconv.FormatUint(uint64(version.Version), 10)},
			{Name: "timestamp", Value: version.Timestamp.Short()},
		},
		Body: version.Blob,
	})
}

// AskKeyRotation implements rules.Webhooks. Everything is in the address, because
// existing services read it there.
func (w *Webhooks) AskKeyRotation(ctx context.Context, service rules.SequesterService, question *rules.KeyRotationQuestion) error {
	rotation, text := &question.Rotation, base64.StdEncoding.EncodeToString
	return w.ask(ctx, service, &webhook.Question{
		Organization: question.Organization,
		Parameters: []webhook.Parameter{
			{Name: "type", Value: "realm_rotate_key"},
			{Name: "service_id", Value: parsec.UUID(service.ID).Hex()},
			{Name: "organization_id", Value: question.Organization.String()},
			{Name: "author", Value: rotation.Author.String()},
			{Name: "timestamp", Value: rotation.Timestamp.Short()},
			{Name: "realm_id", Value: parsec.UUID(rotation.RealmID).Hex()},
			{Name: "key_index", Value: strconv.FormatUint(rotation.KeyIndex, 10)},
			{Name: "encryption_algorithm", Value: certificate.EncryptionAlgorithm},
			{Name: "hash_algorithm", Value: certificate.HashAlgorithm},
			{Name: "key_canary", Value: text(rotation.KeyCanary)},
			{Name: "keys_bundle", Value: text(question.KeysBundle)},
			{Name: "keys_bundle_access", Value: text(question.Access)},
		},
	})
}

// ask has the refusal of the service: what neither accepts nor rejects is not
// available.
func (w *Webhooks) ask(ctx context.Context, service rules.SequesterService, question *webhook.Question) error {
	question.Service, question.Address, question.Limit = service.ID, service.WebhookURL, askLimit
	err := w.client.Ask(ctx, question)
	if err == nil {
		return nil
	}
	if rejection, rejected := errors.AsType[*webhook.RejectionError](err); rejected {
		return protocol.RefuseForSequester(service.ID, rejection.Reason)
	}
	if errors.Is(ctx.Err(), context.Canceled) { // a deadline is of a service that does not answer
		return ctx.Err()
	}
	return protocol.RefuseWithoutSequester(service.ID)
}
