package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"parsec-server/pkg/parsec"
)

// RejectionError is what a service has against what it is asked about.
type RejectionError struct {
	// Reason is nil if the service gives none.
	Reason *string
}

func (r *RejectionError) Error() string {
	if r.Reason == nil {
		return "rejected by the sequester service"
	}
	return "rejected by the sequester service: " + *r.Reason
}

// Question is a call by which a sequester service lets something happen, or not.
type Question struct {
	Organization parsec.OrganizationID
	Service      parsec.SequesterServiceID
	// Address is that of the service. Parameters come behind those that it has.
	Address    string
	Parameters []Parameter
	Body       []byte
	// Limit bounds the call, within that of every call.
	Limit time.Duration
}

// Parameter is one of a query.
type Parameter struct{ Name, Value string }

// Ask asks a service once: any 2xx accepts, 400 rejects, by a RejectionError, and
// everything else is a failure of the service. The log has when a service goes, and when
// it is back. The body has no Content-Type.
func (c *Client) Ask(ctx context.Context, question *Question) error {
	address, err := question.url()
	return c.ask(ctx, question.Organization, question.Service, sequesterCall{address, err, "", question.Body, question.Limit})
}

// Sequester hands the copy of a vlob to the service at an address, as Ask does.
func (c *Client) Sequester(ctx context.Context, address string, organization parsec.OrganizationID, service parsec.SequesterServiceID, blob []byte) error {
	address, err := sequesterURL(address, organization, service)
	return c.ask(ctx, organization, service, sequesterCall{address, err, "application/octet-stream", blob, callLimit})
}

// sequesterCall is a call of a sequester service, unless its address is bad.
type sequesterCall struct {
	address     string
	bad         error
	contentType string
	body        []byte
	limit       time.Duration
}

func (c *Client) ask(ctx context.Context, organization parsec.OrganizationID, service parsec.SequesterServiceID, call sequesterCall) error {
	found := c.services.of(organization, service)
	if call.bad != nil {
		found.Lost(ctx, fmt.Errorf("no valid address: %w", call.bad))
		return call.bad
	}
	limited, cancel := context.WithTimeout(ctx, call.limit)
	defer cancel()
	answer, err := c.post(limited, call.address, call.contentType, call.body)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		found.Lost(ctx, err)
		return err
	case answer.accepted():
		found.Back(ctx)
		return nil
	case answer.status == http.StatusBadRequest:
		found.Back(ctx)
		return &RejectionError{rejection(answer.body)}
	default:
		err = fmt.Errorf("status %d", answer.status)
		found.Lost(ctx, err)
		return err
	}
}

// url returns the address with the parameters.
func (q *Question) url() (string, error) {
	parsed, err := url.Parse(q.Address)
	if err != nil {
		return "", withoutAddress(err)
	}
	var query strings.Builder
	query.WriteString(parsed.RawQuery)
	for _, parameter := range q.Parameters {
		if query.Len() > 0 {
			query.WriteByte('&')
		}
		query.WriteString(url.QueryEscape(parameter.Name) + "=" + url.QueryEscape(parameter.Value))
	}
	parsed.RawQuery = query.String()
	return parsed.String(), nil
}

// sequesterURL adds the parameters of Sequester to the address of the service.
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

// rejection returns the reason in the body of a 400, nil if there is none.
func rejection(body []byte) *string {
	var given struct {
		Reason *string `json:"reason"`
	}
	if err := json.Unmarshal(body, &given); err != nil {
		return nil
	}
	return given.Reason
}
