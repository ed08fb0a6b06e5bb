package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"parsec-server/pkg/parsec"
)

// maxAdministrationError bounds what is read of a refusal, in bytes.
const maxAdministrationError = 64 << 10

// Administration calls the REST administration that servers have since 2.5
// (docs/protocol/administration.md §4). Its methods return an
// *AdministrationError for a refusal, and an *HTTPError for an answer of
// anything else, such as a server of an older release.
type Administration struct {
	client *Client
	token  string
}

// Administration calls the administration with the token of the server.
func (c *Client) Administration(token string) *Administration { return &Administration{c, token} }

// AdministrationError is a refusal.
type AdministrationError struct {
	// Status is the HTTP status.
	Status int
	// Code is the error field, such as already_exists, or what organizations of
	// Parsec 3 have in place of it, a sentence (docs/protocol/v5/administration.md §1.6).
	Code string
	// Reason says more, or is "".
	Reason string
}

func (e *AdministrationError) Error() string {
	if e.Reason == "" {
		return e.Code
	}
	return e.Code + ": " + e.Reason
}

// OrganizationSettings are the settings of an organization; nil leaves one as it
// is.
type OrganizationSettings struct {
	// IsExpired is not for the creation.
	IsExpired                  *bool       `json:"is_expired,omitempty"`
	UserProfileOutsiderAllowed *bool       `json:"user_profile_outsider_allowed,omitempty"`
	ActiveUsersLimit           *UsersLimit `json:"active_users_limit,omitempty"`
	// MinimumArchivingPeriod is in seconds.
	MinimumArchivingPeriod *uint64 `json:"minimum_archiving_period,omitempty"`
	// TOS is of Parsec 3.
	TOS *TermsOfService `json:"tos,omitempty"`
}

// UsersLimit is a number, nil for no limit.
type UsersLimit struct{ Users *uint64 }

// MarshalJSON implements json.Marshaler.
func (l UsersLimit) MarshalJSON() ([]byte, error) { return json.Marshal(l.Users) }

// TermsOfService are the address of the text in each language, nil for none.
type TermsOfService struct{ PerLocaleURLs map[string]string }

// MarshalJSON implements json.Marshaler.
func (t TermsOfService) MarshalJSON() ([]byte, error) { return json.Marshal(t.PerLocaleURLs) }

// OrganizationState is an organization as administrators see it. What a server
// of an older release does not know is zero.
type OrganizationState struct {
	IsBootstrapped             bool    `json:"is_bootstrapped"`
	IsExpired                  bool    `json:"is_expired"`
	UserProfileOutsiderAllowed bool    `json:"user_profile_outsider_allowed"`
	ActiveUsersLimit           *uint64 `json:"active_users_limit"`
	// MinimumArchivingPeriod is in seconds.
	MinimumArchivingPeriod uint64 `json:"minimum_archiving_period"`
	// TOS is nil without terms of service.
	TOS *AcceptedTerms `json:"tos"`
}

// AcceptedTerms are terms of service as they are.
type AcceptedTerms struct {
	PerLocaleURLs map[string]string `json:"per_locale_urls"`
}

// UnmarshalJSON implements json.Unmarshaler: organizations of Parsec 3 have another name
// for the archiving period.
func (o *OrganizationState) UnmarshalJSON(data []byte) error {
	type state OrganizationState // without this method
	read := struct {
		*state
		Period *uint64 `json:"realm_minimum_archiving_period_before_deletion"`
	}{state: (*state)(o)}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	if read.Period != nil {
		o.MinimumArchivingPeriod = *read.Period
	}
	return nil
}

// OrganizationStatistics sum up an organization. Sizes are in bytes.
type OrganizationStatistics struct {
	DataSize     uint64   `json:"data_size"`
	MetadataSize uint64   `json:"metadata_size"`
	Realms       uint64   `json:"realms"`
	Users        uint64   `json:"users"`
	ActiveUsers  uint64   `json:"active_users"`
	Profiles     Profiles `json:"users_per_profile_detail"`
}

// Profiles are the users of each profile, in the order of parsec.UserProfiles.
type Profiles []ProfileUsers

// ProfileUsers counts the users of a profile.
type ProfileUsers struct {
	Profile parsec.UserProfile `json:"profile"`
	Active  uint64             `json:"active"`
	Revoked uint64             `json:"revoked"`
}

// UnmarshalJSON implements json.Unmarshaler: organizations of Parsec 3 have a map in
// place of the list.
func (p *Profiles) UnmarshalJSON(data []byte) error {
	var byProfile map[parsec.UserProfile]ProfileUsers
	if err := json.Unmarshal(data, &byProfile); err != nil {
		return json.Unmarshal(data, (*[]ProfileUsers)(p))
	}
	*p = nil
	for _, profile := range parsec.UserProfiles {
		if users, found := byProfile[profile]; found {
			users.Profile = profile
			*p = append(*p, users)
		}
	}
	return nil
}

// HumanUser is a user that has a human handle.
type HumanUser struct {
	ID     string `json:"user_id"`
	Email  string `json:"user_email"`
	Name   string `json:"user_name"`
	Frozen bool   `json:"frozen"`
}

// Create creates an organization, or replaces one that is not bootstrapped, and
// returns its bootstrap token.
func (a *Administration) Create(ctx context.Context, id parsec.OrganizationID, settings OrganizationSettings) (token string, err error) {
	var reply struct {
		BootstrapToken string `json:"bootstrap_token"`
	}
	err = a.call(ctx, http.MethodPost, "organizations", struct {
		ID string `json:"organization_id"`
		OrganizationSettings
	}{id.String(), settings}, &reply)
	return reply.BootstrapToken, err
}

func organizationPath(id parsec.OrganizationID) string {
	return "organizations/" + url.PathEscape(id.String())
}

// Organization returns the state of an organization.
func (a *Administration) Organization(ctx context.Context, id parsec.OrganizationID) (*OrganizationState, error) {
	reply := new(OrganizationState)
	return reply, a.call(ctx, http.MethodGet, organizationPath(id), nil, reply)
}

// Update changes the settings that are given.
func (a *Administration) Update(ctx context.Context, id parsec.OrganizationID, settings OrganizationSettings) error {
	return a.call(ctx, http.MethodPatch, organizationPath(id), settings, &struct{}{})
}

// Statistics returns the statistics of an organization.
func (a *Administration) Statistics(ctx context.Context, id parsec.OrganizationID) (*OrganizationStatistics, error) {
	reply := new(OrganizationStatistics)
	return reply, a.call(ctx, http.MethodGet, organizationPath(id)+"/stats", nil, reply)
}

// Users returns the users that have a human handle.
func (a *Administration) Users(ctx context.Context, id parsec.OrganizationID) ([]HumanUser, error) {
	var reply struct {
		Users []HumanUser `json:"users"`
	}
	err := a.call(ctx, http.MethodGet, organizationPath(id)+"/users", nil, &reply)
	return reply.Users, err
}

// UserChoice names a user by its id or its e-mail; the other one is "".
type UserChoice struct {
	ID    string `json:"user_id,omitempty"`
	Email string `json:"user_email,omitempty"`
}

// Freeze keeps a user out, or lets it in again, and returns the user.
func (a *Administration) Freeze(ctx context.Context, id parsec.OrganizationID, choice UserChoice, frozen bool) (*HumanUser, error) {
	reply := new(HumanUser)
	return reply, a.call(ctx, http.MethodPost, organizationPath(id)+"/users/freeze", struct {
		UserChoice
		Frozen bool `json:"frozen"`
	}{choice, frozen}, reply)
}

// ErrNoSuchTime is returned for an organization that did not exist yet.
var ErrNoSuchTime = errors.New("there was no such organization then")

// StatisticsAt returns what the statistics of an organization were at an instant. The
// server sums up those before it in the order of their ids, too.
func (a *Administration) StatisticsAt(ctx context.Context, id parsec.OrganizationID, at parsec.DateTime) (*OrganizationStatistics, error) {
	response, err := a.serverStatistics(ctx, "json", &at)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	found, err := findStatistics(json.NewDecoder(response.Body), id)
	if err != nil {
		return nil, fmt.Errorf("receive the statistics: %w", err)
	}
	if found == nil {
		return nil, ErrNoSuchTime
	}
	found.Users = 0 // Of organizations of API 1 to 3 it is not told.
	for _, profile := range found.Profiles {
		found.Users += profile.Active + profile.Revoked
	}
	return found, nil
}

// findStatistics reads {"stats": […]} up to an organization, and returns nil if there is
// none.
func findStatistics(from *json.Decoder, id parsec.OrganizationID) (*OrganizationStatistics, error) {
	for _, want := range []json.Token{json.Delim('{'), "stats", json.Delim('[')} {
		token, err := from.Token()
		if err == nil && token != want {
			err = fmt.Errorf("%v in place of %v", token, want)
		}
		if err != nil {
			return nil, err
		}
	}
	for from.More() {
		var item struct {
			ID string `json:"organization_id"`
			OrganizationStatistics
		}
		if err := from.Decode(&item); err != nil {
			return nil, err
		}
		if item.ID == id.String() {
			return &item.OrganizationStatistics, nil
		}
	}
	_, err := from.Token() // The end of the list, or that of an answer that is cut.
	return nil, err
}

func (a *Administration) serverStatistics(ctx context.Context, format string, at *parsec.DateTime) (*http.Response, error) {
	query := url.Values{"format": {format}}
	if at != nil {
		query.Set("at", at.Time().Format(time.RFC3339Nano))
	}
	return a.do(ctx, http.MethodGet, "stats?"+query.Encode(), nil)
}

// ServerStatistics writes what the server answers, unchanged: format is json or
// csv, and at the instant that is summed up, nil for now.
func (a *Administration) ServerStatistics(ctx context.Context, format string, at *parsec.DateTime, w io.Writer) error {
	response, err := a.serverStatistics(ctx, format, at)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("receive the statistics: %w", err)
	}
	return nil
}

// call sends the JSON form of request, nothing if it is nil, and decodes the
// answer.
func (a *Administration) call(ctx context.Context, method, path string, request, reply any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	response, err := a.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(io.LimitReader(response.Body, MaxMessageBytes)).Decode(reply); err != nil {
		return fmt.Errorf("%w: administration: %w", ErrProtocol, err)
	}
	return nil
}

// do returns a 200 answer.
func (a *Administration) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	header := http.Header{"Authorization": {"Bearer " + a.token}}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	response, err := a.client.send(ctx, method, "/administration/"+path, header, body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	var refusal struct {
		Error  string          `json:"error"`
		Reason json.RawMessage `json:"reason"`
		Detail json.RawMessage `json:"detail"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxAdministrationError)).Decode(&refusal)
	switch {
	case err != nil, refusal.Error == "" && refusal.Detail == nil:
		return nil, NewHTTPError(response)
	case refusal.Error == "":
		detail := string(refusal.Detail)
		_ = json.Unmarshal(refusal.Detail, &detail) // Some are no text.
		return nil, &AdministrationError{Status: response.StatusCode, Code: detail}
	}
	// Releases up to 2.13 answer an object.
	var reason string
	if json.Unmarshal(refusal.Reason, &reason) != nil {
		reason = string(refusal.Reason)
	}
	return nil, &AdministrationError{response.StatusCode, refusal.Error, reason}
}
