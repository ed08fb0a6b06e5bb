package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
)

// The messages about fields of docs/protocol/administration.md §4.
const (
	invalidJSON   = "Invalid JSON"
	notAnObject   = "Invalid input type."
	missingField  = "Missing data for required field."
	nullField     = "Field may not be null."
	notABoolean   = "Not a valid boolean."
	notAnInteger  = "Not a valid integer."
	notAString    = "Not a valid string."
	notAnID       = "Invalid data"
	negativeField = "Must be greater than or equal to 0."
	noUserField   = "Missing either `user_id` or `user_email` field"
	twoUserFields = "Both `user_id` and `user_email` fields are provided"
)

// badDataError is the reason of a 400.
type badDataError struct{ reason string }

func (e *badDataError) Error() string { return e.reason }

// form is a JSON object whose fields are taken out one by one; those that are
// not are ignored.
type form struct {
	fields map[string]json.RawMessage
	// problems are in the order of the fields that were asked for.
	problems []problem
	// choice is what is wrong with fields that are each right.
	choice string
}

type problem struct{ field, message string }

func parseForm(body []byte) (*form, error) {
	if !json.Valid(body) {
		return nil, &badDataError{invalidJSON}
	}
	f := &form{}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		f.complain("_schema", notAnObject)
		return nil, f.err()
	}
	if err := json.Unmarshal(body, &f.fields); err != nil {
		return nil, &badDataError{invalidJSON}
	}
	return f, nil
}

// err returns the problems in the text form of releases 2.14 and later, nil if
// there is none.
func (f *form) err() error {
	if len(f.problems) == 0 {
		if f.choice != "" {
			return &badDataError{f.choice}
		}
		return nil
	}
	items := make([]string, len(f.problems))
	for i, p := range f.problems {
		items[i] = fmt.Sprintf("'%s': ['%s']", p.field, p.message)
	}
	return &badDataError{"{" + strings.Join(items, ", ") + "}"}
}

func (f *form) complain(field, message string) {
	f.problems = append(f.problems, problem{field, message})
}

// require complains about a field that is not given.
func (f *form) require(field string) {
	if _, given := f.fields[field]; !given {
		f.complain(field, missingField)
	}
}

// value is false for a field that is not given, or is null without leave.
func (f *form) value(field string) (json.RawMessage, bool) {
	raw, given := f.fields[field]
	if given && isNull(raw) {
		f.complain(field, nullField)
		return nil, false
	}
	return raw, given
}

func isNull(raw json.RawMessage) bool { return string(raw) == "null" }

// unquoted returns the text of a string, or of anything else as it is written.
func unquoted(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// boolean reads true and false, also as text, 0 and 1; nil if not given.
func (f *form) boolean(field string) *bool {
	raw, given := f.value(field)
	if !given {
		return nil
	}
	switch strings.ToLower(unquoted(raw)) {
	case "true", "1":
		return new(true)
	case "false", "0":
		return new(false)
	default:
		f.complain(field, notABoolean)
		return nil
	}
}

// count reads a whole number of 0 or more, also as text; nil if not given.
func (f *form) count(field string) *uint64 {
	raw, given := f.value(field)
	if !given {
		return nil
	}
	text := strings.TrimSpace(unquoted(raw))
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil && raw[0] != '"' {
		value, err = wholeNumber(text)
	}
	switch {
	case err != nil:
		f.complain(field, notAnInteger)
		return nil
	case value < 0:
		f.complain(field, negativeField)
		return nil
	default:
		return new(uint64(value))
	}
}

// wholeNumber reads a JSON number that has a fraction of zero or an exponent.
func wholeNumber(text string) (int64, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	if value != math.Trunc(value) || math.Abs(value) > 1<<53 {
		return 0, strconv.ErrRange
	}
	return int64(value), nil
}

// limit is count, and null for no limit; nil if not given.
func (f *form) limit(field string) *organization.UsersLimit {
	if raw, given := f.fields[field]; given && isNull(raw) {
		return &organization.UsersLimit{}
	}
	users := f.count(field)
	if users == nil {
		return nil
	}
	return &organization.UsersLimit{Users: users}
}

// text is false if the field is not given, or not a string.
func (f *form) text(field string) (string, bool) {
	raw, given := f.value(field)
	if !given {
		return "", false
	}
	if raw[0] != '"' {
		f.complain(field, notAString)
		return "", false
	}
	return unquoted(raw), true
}

// identifier reads a field with parse. It returns the zero value for a field that
// is absent.
func identifier[ID any](f *form, field string, parse func(string) (ID, error)) (id ID) {
	text, given := f.text(field)
	if !given {
		return id
	}
	id, err := parse(text)
	if err != nil {
		f.complain(field, notAnID)
	}
	return id
}

func (f *form) settings() organization.Change {
	return organization.Change{
		UserProfileOutsiderAllowed: f.boolean("user_profile_outsider_allowed"),
		ActiveUsersLimit:           f.limit("active_users_limit"),
		MinimumArchivingPeriod:     f.count("minimum_archiving_period"),
	}
}

type creationForm struct {
	id       parsec.OrganizationID
	settings organization.Change
}

func parseCreation(f *form) (given creationForm) {
	f.require("organization_id")
	given.id = identifier(f, "organization_id", parsec.ParseOrganizationID)
	given.settings = f.settings()
	return given
}

func parseChange(f *form) organization.Change {
	expired := f.boolean("is_expired")
	given := f.settings()
	given.Expired = expired
	return given
}

type freezeForm struct {
	user   organization.UserChoice
	frozen bool
}

func parseFreeze(f *form) (given freezeForm) {
	f.require("frozen")
	frozen := f.boolean("frozen")
	given.frozen = frozen != nil && *frozen
	given.user.ID = identifier(f, "user_id", parsec.ParseUserID).String()
	if email, hasEmail := f.text("user_email"); hasEmail {
		given.user.Email = &email
	}
	_, hasID := f.fields["user_id"]
	switch {
	case hasID && given.user.Email != nil:
		f.choice = twoUserFields
	case !hasID && given.user.Email == nil:
		f.choice = noUserField
	}
	return given
}

const (
	badFormat = "Missing/invalid mandatory query argument `format` (expected `csv` or `json`)"
	badAt     = "Invalid `at` query argument (expected RFC3339 datetime)"
)

// parseSurvey reads the query of GET /administration/stats.
func parseSurvey(query map[string][]string) (format string, at *parsec.DateTime, err error) {
	if values := query["format"]; len(values) > 0 {
		format = values[0]
	}
	if format != "json" && format != "csv" {
		return "", nil, &badDataError{badFormat}
	}
	values := query["at"]
	if len(values) == 0 || values[0] == "" {
		return format, nil, nil
	}
	date, err := parsec.ParseDateTime(values[0])
	if err != nil { // A plus that is not percent-encoded came as a space.
		date, err = parsec.ParseDateTime(strings.ReplaceAll(values[0], " ", "+"))
	}
	if err != nil {
		return "", nil, &badDataError{badAt}
	}
	return format, &date, nil
}
