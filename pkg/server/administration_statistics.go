package server

import (
	"encoding/csv"
	"io"
	"iter"
	"strconv"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// profileForm is a member of the list of form 2.
type profileForm struct {
	Profile parsec.UserProfile `json:"profile"`
	countForm
}

type countForm struct {
	Active  uint64 `json:"active"`
	Revoked uint64 `json:"revoked"`
}

// statisticsForm has an ID in a survey.
type statisticsForm struct {
	ID           string  `json:"organization_id,omitempty"`
	DataSize     uint64  `json:"data_size"`
	MetadataSize uint64  `json:"metadata_size"`
	Realms       uint64  `json:"realms"`
	Users        *uint64 `json:"users,omitempty"`
	ActiveUsers  uint64  `json:"active_users"`
	// Profiles are a list of profileForm to API 1 to 3, else a map of countForm.
	Profiles any `json:"users_per_profile_detail"`
}

func formOfStatistics(statistics *organization.Statistics, form organization.Generation) statisticsForm {
	list, byProfile := make([]profileForm, len(parsec.UserProfiles)), map[parsec.UserProfile]countForm{}
	for i, profile := range parsec.UserProfiles {
		byProfile[profile] = countForm{statistics.Active[profile], statistics.Revoked[profile]}
		list[i] = profileForm{profile, byProfile[profile]}
	}
	active, revoked := statistics.Users()
	formed := statisticsForm{
		DataSize: statistics.DataSize, MetadataSize: statistics.MetadataSize, Realms: statistics.Realms,
		Users: new(active + revoked), ActiveUsers: active, Profiles: byProfile,
	}
	if form == organization.Parsec2 {
		formed.Profiles = list
	}
	return formed
}

func showStatistics(call *administrationCall, found *organization.Organization, _ struct{}) error {
	statistics, err := call.server.organizations.Statistics(call.r.Context(), found.ID)
	if err != nil {
		return err
	}
	return call.reply(formOfStatistics(&statistics, call.form))
}

func showServerStatistics(call *administrationCall) error {
	format, at, err := parseSurvey(call.r.URL.Query())
	if err != nil {
		return err
	}
	if format == "csv" {
		return call.stream("text/csv; charset=utf-8", at, writeStatisticsCSV)
	}
	return call.stream("application/json", at, writeStatisticsJSON)
}

// stream writes a survey as it comes.
func (call *administrationCall) stream(contentType string, at *parsec.DateTime, write func(io.Writer, iter.Seq2[organization.Surveyed, error]) error) error {
	return call.streamed(contentType, func(w io.Writer) error {
		return write(w, call.server.organizations.Survey(call.r.Context(), at))
	})
}

// writeStatisticsJSON writes nothing before the first organization is known.
func writeStatisticsJSON(w io.Writer, surveyed iter.Seq2[organization.Surveyed, error]) error {
	return writeList(w, "stats", surveyed, func(o *organization.Surveyed) any {
		bound := o.Organization.Bound()
		form := formOfStatistics(&o.Statistics, bound)
		form.ID = o.Organization.ID.String()
		if bound == organization.Parsec2 {
			form.Users = nil
		}
		return form
	})
}

func writeStatisticsCSV(w io.Writer, surveyed iter.Seq2[organization.Surveyed, error]) error {
	table := csv.NewWriter(w)
	table.UseCRLF = true
	header := []string{"organization_id", "data_size", "metadata_size", "realms", "active_users"}
	for _, profile := range parsec.UserProfiles {
		name := strings.ToLower(string(profile))
		header = append(header, name+"_users_active", name+"_users_revoked")
	}
	if err := table.Write(header); err != nil {
		return err
	}
	for o, err := range surveyed {
		if err != nil {
			return err
		}
		statistics := &o.Statistics
		active, _ := statistics.Users()
		row := []string{o.Organization.ID.String()}
		for _, number := range []uint64{statistics.DataSize, statistics.MetadataSize, statistics.Realms, active} {
			row = append(row, strconv.FormatUint(number, 10))
		}
		for _, profile := range parsec.UserProfiles {
			row = append(row, strconv.FormatUint(statistics.Active[profile], 10), strconv.FormatUint(statistics.Revoked[profile], 10))
		}
		if err := table.Write(row); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}
