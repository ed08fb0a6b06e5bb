package server

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// The types of services (docs/protocol/v5/administration.md §1.5).
const (
	serviceStorage = "storage"
	serviceWebhook = "webhook"
)

type serviceForm struct {
	ID         string  `json:"service_id"`
	Label      string  `json:"service_label"`
	CreatedOn  string  `json:"created_on"`
	RevokedOn  *string `json:"revoked_on"`
	Type       string  `json:"type"`
	WebhookURL string  `json:"webhook_url,omitempty"`
}

func formOfService(service *organization.SequesterService) serviceForm {
	form := serviceForm{
		ID: parsec.UUID(service.ID).Hex(), Label: service.Label, CreatedOn: service.CreatedOn.Short(),
		Type: serviceStorage, WebhookURL: service.WebhookURL,
	}
	if service.WebhookURL != "" {
		form.Type = serviceWebhook
	}
	if service.RevokedOn != nil {
		form.RevokedOn = new(service.RevokedOn.Short())
	}
	return form
}

func listServices(call *administrationCall, id parsec.OrganizationID, _ struct{}) error {
	services, err := call.server.organizations.SequesterServices(call.r.Context(), id)
	if err != nil {
		return err
	}
	forms := make([]serviceForm, len(services))
	for i := range services {
		forms[i] = formOfService(&services[i])
	}
	return call.reply(struct {
		Services []serviceForm `json:"services"`
	}{forms})
}

type newServiceForm struct {
	certificate []byte
	webhookURL  string
}

func parseNewService(f *form) newServiceForm {
	return newServiceForm{f.certificate("service_certificate"), f.webhookURL("config")}
}

func createService(call *administrationCall, id parsec.OrganizationID, given newServiceForm) error {
	err := call.server.organizations.CreateSequesterService(call.r.Context(), call.by, id, given.certificate, given.webhookURL)
	if err != nil {
		return err
	}
	return call.reply(struct{}{})
}

func parseRevokedService(f *form) []byte { return f.certificate("revoked_service_certificate") }

func revokeService(call *administrationCall, id parsec.OrganizationID, certificate []byte) error {
	if err := call.server.organizations.RevokeSequesterService(call.r.Context(), call.by, id, certificate); err != nil {
		return err
	}
	return call.reply(struct{}{})
}

type serviceConfigForm struct {
	service    parsec.SequesterServiceID
	webhookURL string
}

func parseServiceConfig(f *form) serviceConfigForm {
	f.require("service_id")
	id := identifier(f, "service_id", parsec.ParseUUID)
	return serviceConfigForm{parsec.SequesterServiceID(id), f.webhookURL("config")}
}

func configureService(call *administrationCall, id parsec.OrganizationID, given serviceConfigForm) error {
	err := call.server.organizations.ConfigureSequesterService(call.r.Context(), call.by, id, given.service, given.webhookURL)
	if err != nil {
		return err
	}
	return call.reply(struct{}{})
}

// certificate reads base64, which must be given.
func (f *form) certificate(field string) []byte {
	f.require(field)
	text, given := f.text(field)
	if !given {
		return nil
	}
	signed, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which the library skips
		f.complain(field, notBase64)
	}
	return signed
}

// webhookURL reads the configuration of a service, which must be given. It returns ""
// for one of type storage.
func (f *form) webhookURL(field string) string {
	f.require(field)
	raw, given := f.value(field)
	if !given {
		return ""
	}
	var config struct {
		Type       *string `json:"type"`
		WebhookURL *string `json:"webhook_url"`
	}
	switch err := json.Unmarshal(raw, &config); {
	case err != nil || config.Type == nil:
		f.complain(field, notAType)
	case *config.Type == serviceStorage:
	case *config.Type != serviceWebhook:
		f.complain(field, notAType)
	case config.WebhookURL == nil || !parsec.IsHTTPURL(*config.WebhookURL):
		f.complain(field, notAnAddress)
	default:
		return *config.WebhookURL
	}
	return ""
}
