package server

import (
	"io"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// overviewForm is an organization in a list of all. It has one form whatever its
// generation.
type overviewForm struct {
	ID string `json:"organization_id"`
	// Generation is 2 or 3, null before the bootstrap.
	Generation       *organization.Generation `json:"generation"`
	IsBootstrapped   bool                     `json:"is_bootstrapped"`
	IsExpired        bool                     `json:"is_expired"`
	IsBeingDeleted   bool                     `json:"is_being_deleted"`
	ActiveUsers      uint64                   `json:"active_users"`
	RevokedUsers     uint64                   `json:"revoked_users"`
	ActiveUsersLimit *uint64                  `json:"active_users_limit"`
	Realms           uint64                   `json:"realms"`
	DataSize         uint64                   `json:"data_size"`
	MetadataSize     uint64                   `json:"metadata_size"`
	CreatedOn        string                   `json:"created_on"`
	LastActivity     *string                  `json:"last_activity"`
}

func formOfOverview(o *organization.Overview, now parsec.DateTime) overviewForm {
	active, revoked := o.Statistics.Users()
	form := overviewForm{
		ID: o.Organization.ID.String(), IsBootstrapped: o.Organization.Bootstrapped(), IsExpired: o.Organization.Expired(now),
		IsBeingDeleted: o.Organization.DeletedOn != nil, ActiveUsers: active, RevokedUsers: revoked, ActiveUsersLimit: o.Organization.ActiveUsersLimit,
		Realms: o.Statistics.Realms, DataSize: o.Statistics.DataSize, MetadataSize: o.Statistics.MetadataSize, CreatedOn: o.Organization.CreatedOn.Short(),
	}
	if bound := o.Organization.Bound(); bound != 0 {
		form.Generation = &bound
	}
	if o.LastActivity != 0 {
		form.LastActivity = new(o.LastActivity.Short())
	}
	return form
}

func listOrganizations(call *administrationCall) error {
	return call.streamed("application/json", func(w io.Writer) error {
		overviews := call.server.organizations.Overviews(call.r.Context())
		return writeList(w, "organizations", overviews, func(o *organization.Overview) any { return formOfOverview(o, call.server.now()) })
	})
}

// memberForm is a user of whatever state. It has one form whatever its generation.
type memberForm struct {
	// Organization is for a search over all.
	Organization string             `json:"organization_id,omitempty"`
	ID           string             `json:"user_id"`
	Email        string             `json:"user_email"`
	Name         string             `json:"user_name"`
	Profile      parsec.UserProfile `json:"profile"`
	// State is active, frozen or revoked.
	State     string  `json:"state"`
	Devices   uint64  `json:"devices"`
	CreatedOn string  `json:"created_on"`
	RevokedOn *string `json:"revoked_on"`
	LastSeen  string  `json:"last_seen"`
}

func formOfMember(member *organization.Member) memberForm {
	form := memberForm{
		ID: member.ID, Email: member.HumanHandle.Email(), Name: member.HumanHandle.Label(), Profile: member.Profile, State: "active",
		Devices: member.Devices, CreatedOn: member.CreatedOn.Short(), LastSeen: member.LastSeen.Short(),
	}
	switch {
	case member.RevokedOn != nil:
		form.State, form.RevokedOn = "revoked", new(member.RevokedOn.Short())
	case member.Frozen:
		form.State = "frozen"
	}
	return form
}

type membersForm struct {
	Users []memberForm `json:"users"`
}

func listMembers(call *administrationCall, found *organization.Organization, _ struct{}) error {
	members, err := call.server.organizations.Members(call.r.Context(), found.ID)
	if err != nil {
		return err
	}
	forms := make([]memberForm, len(members))
	for i := range members {
		forms[i] = formOfMember(&members[i])
	}
	return call.reply(membersForm{forms})
}

const badEmail = "Missing `email` query argument"

func findMembers(call *administrationCall) error {
	email := call.r.URL.Query().Get("email")
	if email == "" {
		return &badDataError{reason: badEmail}
	}
	found, err := call.server.organizations.FindMembers(call.r.Context(), email)
	if err != nil {
		return err
	}
	forms := make([]memberForm, len(found))
	for i := range found {
		forms[i] = formOfMember(&found[i].Member)
		forms[i].Organization = found[i].Organization.String()
	}
	return call.reply(membersForm{forms})
}

// showBootstrapLink is no GET: whoever has the link becomes the first administrator.
func showBootstrapLink(call *administrationCall, found *organization.Organization, _ struct{}) error {
	address, err := call.server.addressFor(call.r)
	if err != nil {
		return err
	}
	organizations := call.server.organizations
	token, err := organizations.PendingBootstrap(call.r.Context(), call.by, found.ID)
	if err != nil {
		return err
	}
	link, _ := organizations.BootstrapLink(organization.Parsec3, address.LocationOf(found.ID), token)
	return call.reply(createdForm{token, link.URL, link.HTTPRedirection})
}
