package imports

import (
	"fmt"
	"slices"

	"parsec-server/pkg/parsec"
)

// Severity is what a Finding means for the organization.
type Severity string

// The severities (docs/protocol/import.md §5).
const (
	// Stop keeps the organization from being imported.
	Stop Severity = "stop"
	// Repair is mended by the import.
	Repair Severity = "repair"
	// Note is imported as it is.
	Note Severity = "note"
)

// Finding is something in the source that is not as it should be.
type Finding struct {
	Severity Severity `json:"severity"`
	// Rule names what was broken, for tools. It does not change.
	Rule string `json:"rule"`
	// Subject is what it is about, such as "user alice", and Detail what was found.
	Subject string `json:"subject"`
	Detail  string `json:"detail"`
}

// Count is how much of something there is.
type Count struct {
	Rows  int64 `json:"rows"`
	Bytes int64 `json:"bytes,omitempty"`
}

// Organization is one of the source, and what the import makes of it.
type Organization struct {
	ID parsec.OrganizationID `json:"id"`
	// Key is that of its row in the source.
	Key int64 `json:"-"`
	// Counts are by table of the source.
	Counts   map[string]Count `json:"counts"`
	Findings []Finding        `json:"findings"`
	// Left says why it is not imported, "" for one that is.
	Left string `json:"left_out,omitempty"`
	// Complete says that its import has ended, so that later runs leave it alone.
	Complete bool `json:"complete"`
}

// Found adds a finding.
func (o *Organization) Found(severity Severity, rule, subject, detail string) {
	o.Findings = append(o.Findings, Finding{severity, rule, subject, detail})
}

// Stop adds a finding that keeps the organization from being imported.
func (o *Organization) Stop(rule, subject, format string, args ...any) {
	o.Found(Stop, rule, subject, fmt.Sprintf(format, args...))
}

// Repair adds a finding of what the import mends.
func (o *Organization) Repair(rule, subject, format string, args ...any) {
	o.Found(Repair, rule, subject, fmt.Sprintf(format, args...))
}

// Note adds a finding of what is imported as it is.
func (o *Organization) Note(rule, subject, format string, args ...any) {
	o.Found(Note, rule, subject, fmt.Sprintf(format, args...))
}

// Stopped reports whether a finding keeps the organization from being imported.
func (o *Organization) Stopped() bool {
	return slices.ContainsFunc(o.Findings, func(finding Finding) bool { return finding.Severity == Stop })
}

// Report is what a run has found and done.
type Report struct {
	Identity   string `json:"source"`
	Generation uint8  `json:"generation"`
	Step       int    `json:"step"`
	Release    string `json:"release"`
	// Organizations are in the order of the source.
	Organizations []*Organization `json:"organizations"`
	// Server are findings of what is of no organization.
	Server []Finding `json:"server,omitempty"`
}

// Rows counts what is to be read of the organizations that are imported. The bytes of
// blocks are read only where they are in the database of the source, and come to that of
// the target.
func (r *Report) Rows(choices Choices) (total Count) {
	for _, one := range r.Organizations {
		if one.Left != "" {
			continue
		}
		for table, count := range one.Counts {
			total.Rows += count.Rows
			if table != "block" || choices.BlockData {
				total.Bytes += count.Bytes
			}
		}
	}
	return total
}

// LeaveStopped leaves out the organizations that a finding stops, and returns how many.
func (r *Report) LeaveStopped() (stopped int) {
	for _, one := range r.Organizations {
		if one.Left == "" && one.Stopped() {
			one.Left = "what is marked as " + string(Stop) + " keeps it from being imported"
			stopped++
		}
	}
	return stopped
}

// Stopped reports whether something keeps anything from being imported.
func (r *Report) Stopped() bool {
	stopped := slices.ContainsFunc(r.Server, func(finding Finding) bool { return finding.Severity == Stop })
	return stopped || slices.ContainsFunc(r.Organizations, (*Organization).Stopped)
}

// Importable returns the organizations that are imported.
func (r *Report) Importable() (all []*Organization) {
	for _, one := range r.Organizations {
		if one.Left == "" {
			all = append(all, one)
		}
	}
	return all
}
