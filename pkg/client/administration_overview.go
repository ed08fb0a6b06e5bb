package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"parsec-server/pkg/parsec"
)

// OrganizationOverview is an organization in a list of all.
type OrganizationOverview struct {
	ID string `json:"organization_id"`
	// Generation is 2 or 3, nil before the bootstrap.
	Generation       *uint8     `json:"generation"`
	IsBootstrapped   bool       `json:"is_bootstrapped"`
	IsExpired        bool       `json:"is_expired"`
	IsBeingDeleted   bool       `json:"is_being_deleted"`
	ActiveUsers      uint64     `json:"active_users"`
	RevokedUsers     uint64     `json:"revoked_users"`
	ActiveUsersLimit *uint64    `json:"active_users_limit"`
	Realms           uint64     `json:"realms"`
	DataSize         uint64     `json:"data_size"`
	MetadataSize     uint64     `json:"metadata_size"`
	CreatedOn        time.Time  `json:"created_on"`
	LastActivity     *time.Time `json:"last_activity"`
}

// Organizations lists all, in order of their ids.
func (a *Administration) Organizations(ctx context.Context) ([]OrganizationOverview, error) {
	var reply struct {
		Organizations []OrganizationOverview `json:"organizations"`
	}
	err := a.call(ctx, http.MethodGet, "organizations", nil, &reply)
	return reply.Organizations, err
}

// Member is a user of an organization, of whatever state.
type Member struct {
	// Organization is "" in the list of one.
	Organization string             `json:"organization_id,omitempty"`
	ID           string             `json:"user_id"`
	Email        string             `json:"user_email"`
	Name         string             `json:"user_name"`
	Profile      parsec.UserProfile `json:"profile"`
	State        string             `json:"state"`
	Devices      uint64             `json:"devices"`
	CreatedOn    time.Time          `json:"created_on"`
	RevokedOn    *time.Time         `json:"revoked_on"`
	LastSeen     time.Time          `json:"last_seen"`
}

// Members lists all users of an organization, by date of creation.
func (a *Administration) Members(ctx context.Context, id parsec.OrganizationID) ([]Member, error) {
	return a.members(ctx, organizationPath(id)+"/members")
}

// FindMembers looks for the users of an e-mail address in all organizations.
func (a *Administration) FindMembers(ctx context.Context, email string) ([]Member, error) {
	return a.members(ctx, "users?"+url.Values{"email": {email}}.Encode())
}

func (a *Administration) members(ctx context.Context, path string) ([]Member, error) {
	var reply struct {
		Users []Member `json:"users"`
	}
	err := a.call(ctx, http.MethodGet, path, nil, &reply)
	return reply.Users, err
}

// BootstrapToken returns that of an organization that is not bootstrapped yet.
func (a *Administration) BootstrapToken(ctx context.Context, id parsec.OrganizationID) (token string, err error) {
	var reply struct {
		BootstrapToken string `json:"bootstrap_token"`
	}
	err = a.call(ctx, http.MethodPost, organizationPath(id)+"/bootstrap_link", nil, &reply)
	return reply.BootstrapToken, err
}

// TOTPReset is how a user sets its one-time passwords up again.
type TOTPReset struct {
	UserID    string `json:"user_id"`
	Email     string `json:"user_email"`
	URL       string `json:"totp_reset_url"`
	EmailSent string `json:"email_sent_status"`
}

// ResetTOTP has a user of Parsec 3 set its one-time passwords up again, and sends it the
// link if that is asked for.
func (a *Administration) ResetTOTP(ctx context.Context, id parsec.OrganizationID, choice UserChoice, sendEmail bool) (*TOTPReset, error) {
	reply := new(TOTPReset)
	return reply, a.call(ctx, http.MethodPost, organizationPath(id)+"/users/reset_totp", struct {
		UserChoice
		SendEmail bool `json:"send_email"`
	}{choice, sendEmail}, reply)
}
