package server

import (
	"errors"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// createdForm leaves out the addresses where no wing has them.
type createdForm struct {
	BootstrapToken     string `json:"bootstrap_token"`
	URL                string `json:"bootstrap_url,omitempty"`
	URLHTTPRedirection string `json:"bootstrap_url_as_http_redirection,omitempty"`
}

// createOrganization reads the body as for an organization of no generation: only the
// body says which one is meant.
func createOrganization(call *administrationCall) error {
	given, err := readForm(call, parseCreation)
	if err != nil {
		return err
	}
	address, err := call.server.addressFor(call.r)
	if err != nil {
		return err
	}
	organizations, ctx := call.server.organizations, call.r.Context()
	token, err := organizations.Create(ctx, call.by, given.id, given.settings)
	if errors.Is(err, organization.ErrAlreadyExists) {
		found, err := organizations.Find(ctx, given.id)
		if err != nil {
			return err
		}
		call.form = found.Bound()
		return organization.ErrAlreadyExists
	}
	if err != nil {
		return err
	}
	link, _ := organizations.BootstrapLink(organization.Parsec3, address.LocationOf(given.id), token)
	return call.reply(createdForm{token, link.URL, link.HTTPRedirection})
}

// organizationForm has the names of the form that the answer is in.
type organizationForm struct {
	IsBootstrapped             bool    `json:"is_bootstrapped"`
	IsExpired                  bool    `json:"is_expired"`
	UserProfileOutsiderAllowed bool    `json:"user_profile_outsider_allowed"`
	ActiveUsersLimit           *uint64 `json:"active_users_limit"`
	ArchivingPeriod            *uint64 `json:"realm_minimum_archiving_period_before_deletion,omitempty"`
	// TOS holds a *tosForm, which may be nil: only without it there is no field.
	TOS                    any     `json:"tos,omitempty"`
	MinimumArchivingPeriod *uint64 `json:"minimum_archiving_period,omitempty"`
}

type tosForm struct {
	PerLocaleURLs map[string]string `json:"per_locale_urls"`
	UpdatedOn     string            `json:"updated_on"`
}

func showOrganization(call *administrationCall, found *organization.Organization, _ struct{}) error {
	shown := organizationForm{
		IsBootstrapped: found.Bootstrapped(), IsExpired: found.Expired(call.server.now()),
		UserProfileOutsiderAllowed: found.UserProfileOutsiderAllowed, ActiveUsersLimit: found.ActiveUsersLimit,
	}
	if call.form != organization.Parsec2 {
		shown.ArchivingPeriod = &found.MinimumArchivingPeriod
		var terms *tosForm
		if found.TOS != nil {
			terms = &tosForm{found.TOS.PerLocaleURLs, found.TOS.UpdatedOn.Short()}
		}
		shown.TOS = terms
	}
	if call.form != organization.Parsec3 {
		shown.MinimumArchivingPeriod = &found.MinimumArchivingPeriod
	}
	return call.reply(shown)
}

func changeOrganization(call *administrationCall, found *organization.Organization, given organization.Change) error {
	if err := call.server.organizations.Update(call.r.Context(), call.by, found.ID, given); err != nil {
		return err
	}
	return call.reply(struct{}{})
}

type userForm struct {
	ID     string `json:"user_id"`
	Email  string `json:"user_email"`
	Name   string `json:"user_name"`
	Frozen bool   `json:"frozen"`
}

func formOfUser(user *organization.User) userForm {
	return userForm{user.ID, user.HumanHandle.Email(), user.HumanHandle.Label(), user.Frozen}
}

func listUsers(call *administrationCall, found *organization.Organization, _ struct{}) error {
	if !found.Bootstrapped() {
		return organization.ErrNotFound
	}
	users, err := call.server.organizations.Users(call.r.Context(), found.ID)
	if err != nil {
		return err
	}
	forms := make([]userForm, len(users))
	for i := range users {
		forms[i] = formOfUser(&users[i])
	}
	return call.reply(struct {
		Users []userForm `json:"users"`
	}{forms})
}

func freezeUser(call *administrationCall, found *organization.Organization, given freezeForm) error {
	switch {
	case !found.Bootstrapped():
		return organization.ErrNotFound
	case given.wrong != "":
		return &badDataError{reason: given.wrong}
	}
	user, err := call.server.organizations.FreezeUser(call.r.Context(), call.by, found.ID, given.user, given.frozen)
	if err != nil {
		return err
	}
	return call.reply(formOfUser(&user))
}

type resetTOTPForm struct {
	ID                 string `json:"user_id"`
	Email              string `json:"user_email"`
	URL                string `json:"totp_reset_url"`
	URLHTTPRedirection string `json:"totp_reset_url_as_http_redirection"`
	EmailSent          string `json:"email_sent_status"`
}

// emailOutcomes are the words for what became of an e-mail
// (docs/protocol/v5/administration.md §1.4).
var emailOutcomes = map[organization.EmailOutcome]string{
	organization.EmailNotAsked:          "NOT_SENT_AS_REQUESTED",
	organization.EmailSent:              "SENT_AS_REQUESTED",
	organization.EmailServerUnavailable: "SERVER_UNAVAILABLE",
	organization.EmailRecipientRefused:  "RECIPIENT_REFUSED",
	organization.EmailBadConfig:         "BAD_SMTP_CONFIG",
}

func resetTOTP(call *administrationCall, id parsec.OrganizationID, given resetForm) error {
	if given.wrong != "" {
		return &badDataError{reason: given.wrong}
	}
	address, err := call.server.addressFor(call.r)
	if err != nil {
		return err
	}
	reset, err := call.server.organizations.ResetTOTP(call.r.Context(), call.by, id, given.user, address.LocationOf(id), given.sendEmail)
	if err != nil {
		return err
	}
	return call.reply(resetTOTPForm{
		reset.User.ID, reset.User.HumanHandle.Email(), reset.Link.URL, reset.Link.HTTPRedirection, emailOutcomes[reset.Email],
	})
}
