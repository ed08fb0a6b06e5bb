package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"net/http"
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
	notJSON       = "Content-Type must be application/json"
	notAMapping   = "Not a valid mapping type."
	notBase64     = "Not valid base64."
	notAnAddress  = "Not an http or https URL."
	notAType      = "Must be one of: storage, webhook."
)

// badDataError is what is wrong with the body or the query of a request.
type badDataError struct {
	// reason is the text of docs/protocol/administration.md §4.
	reason string
	// fields are those of docs/protocol/v5/administration.md §1.1, with status 422; nil
	// is status 400, whose detail is the reason.
	fields []fieldForm
}

// fieldForm is what is wrong with a field.
type fieldForm struct {
	Type     string          `json:"type"`
	Location []string        `json:"loc"`
	Message  string          `json:"msg"`
	Input    json.RawMessage `json:"input"`
}

func (e *badDataError) Error() string { return e.reason }

func (e *badDataError) refusal() refusal {
	if e.fields == nil {
		return refusal{http.StatusBadRequest, codeBadData, e.reason, e.reason}
	}
	return refusal{http.StatusUnprocessableEntity, codeBadData, e.reason, e.fields}
}

// form is a JSON object whose fields are taken out one by one; those that are
// not are ignored.
type form struct {
	// strict reads types as docs/protocol/v5/administration.md §1.1, else as
	// docs/protocol/administration.md §4.
	strict bool
	// generation is that of the organization in question, 0 for none.
	generation organization.Generation
	fields     map[string]json.RawMessage
	// problems are in the order of the fields that were asked for.
	problems []problem
}

type problem struct{ field, message string }

// readForm returns what parse takes out of the form of the request, nothing of a request
// that has none.
func readForm[Given any](call *administrationCall, parse func(*form) Given) (given Given, err error) {
	if _, none := any(given).(struct{}); none {
		return given, nil
	}
	f := &form{strict: call.form == organization.Parsec3, generation: call.form}
	isJSON := isJSON(call.r.Header)
	switch {
	case f.strict && !isJSON:
		f.complain("", notJSON)
		return given, f.err()
	case call.form == 0:
		f.strict = isJSON
	}
	held := call.server.StrangersShare(call.by.Address)
	defer held.Release()
	body, err := ReadBody(call.w, call.r, maxFormBytes, held)
	if err != nil {
		return given, err
	}
	defer PutBuffer(body)
	if err := f.read(*body); err != nil {
		return given, err
	}
	given = parse(f)
	return given, f.err()
}

// isJSON reports whether the body says that it is JSON.
func isJSON(header http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && mediaType == "application/json"
}

// nothing is the parse function of requests without body.
func nothing(*form) struct{} { return struct{}{} }

// read takes the fields out of a body.
func (f *form) read(body []byte) error {
	object := bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
	switch {
	case !json.Valid(body), object && json.Unmarshal(body, &f.fields) != nil:
		f.complain("", invalidJSON)
	case !object:
		f.complain("_schema", notAnObject)
	}
	return f.err()
}

// err returns the problems, nil if there is none. Their text is that of releases 2.14 to
// 2.17.
func (f *form) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	bad := &badDataError{}
	var items []string
	for _, p := range f.problems {
		if p.field == "" {
			bad.reason = p.message
		} else {
			items = append(items, fmt.Sprintf("'%s': ['%s']", p.field, p.message))
		}
		if f.strict {
			wrong := fieldForm{Type: "value_error", Location: []string{"body"}, Message: p.message, Input: f.fields[p.field]}
			if p.field != "" {
				wrong.Location = append(wrong.Location, p.field)
			}
			bad.fields = append(bad.fields, wrong)
		}
	}
	if bad.reason == "" {
		bad.reason = "{" + strings.Join(items, ", ") + "}"
	}
	return bad
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

// boolean reads true and false, unless it is strict also as text, 0 and 1; nil if not
// given.
func (f *form) boolean(field string) *bool {
	raw, given := f.value(field)
	if !given {
		return nil
	}
	text := string(raw)
	if !f.strict {
		if text = strings.ToLower(unquoted(raw)); text == "1" || text == "0" {
			return new(text == "1")
		}
	}
	switch text {
	case "true":
		return new(true)
	case "false":
		return new(false)
	default:
		f.complain(field, notABoolean)
		return nil
	}
}

// count reads a whole number of 0 or more, unless it is strict also as text or with a
// fraction of zero; nil if not given.
func (f *form) count(field string) *uint64 {
	raw, given := f.value(field)
	if !given {
		return nil
	}
	text := string(raw)
	if !f.strict {
		text = strings.TrimSpace(unquoted(raw))
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil && !f.strict && raw[0] != '"' {
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

// texts reads a map of texts, nil if not given.
func (f *form) texts(field string) map[string]string {
	raw, given := f.value(field)
	if !given {
		return nil
	}
	var members map[string]*string
	if json.Unmarshal(raw, &members) != nil {
		f.complain(field, notAMapping)
		return nil
	}
	texts := make(map[string]string, len(members))
	for name, text := range members {
		if text == nil {
			f.complain(field, notAMapping)
			return nil
		}
		texts[name] = *text
	}
	return texts
}

func (f *form) settings() organization.Change {
	period := "realm_minimum_archiving_period_before_deletion"
	if _, given := f.fields[period]; !given {
		period = "minimum_archiving_period" // its name before 3.9
	}
	change := organization.Change{
		UserProfileOutsiderAllowed: f.boolean("user_profile_outsider_allowed"),
		ActiveUsersLimit:           f.limit("active_users_limit"),
		MinimumArchivingPeriod:     f.count(period),
	}
	if f.generation != organization.Parsec2 { // which knows no such field
		if urls := f.texts("tos"); urls != nil {
			change.TOS = &organization.TOSChange{PerLocaleURLs: urls}
		}
	}
	return change
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
	removesTOS := f.drop("tos")
	given := f.settings()
	given.Expired = expired
	if removesTOS && f.generation != organization.Parsec2 {
		given.TOS = &organization.TOSChange{}
	}
	return given
}

// drop takes away a field that is null, and reports whether it was.
func (f *form) drop(field string) bool {
	raw, given := f.fields[field]
	if !given || !isNull(raw) {
		return false
	}
	delete(f.fields, field)
	return true
}

// choiceForm is which user is meant.
type choiceForm struct {
	user organization.UserChoice
	// wrong says what is wrong with fields that are each right, "" for nothing.
	wrong string
}

func (f *form) choice() (given choiceForm) {
	if f.strict {
		f.drop("user_id")
		f.drop("user_email")
		given.user.ID = identifier(f, "user_id", parsec.ParseUUID).Hex()
	} else {
		given.user.ID = identifier(f, "user_id", parsec.ParseUserID).String()
	}
	if email, hasEmail := f.text("user_email"); hasEmail {
		given.user.Email = &email
	}
	_, hasID := f.fields["user_id"]
	switch {
	case hasID && given.user.Email != nil:
		given.wrong = twoUserFields
	case !hasID && given.user.Email == nil:
		given.wrong = noUserField
	}
	return given
}

type freezeForm struct {
	choiceForm
	frozen bool
}

func parseFreeze(f *form) freezeForm {
	f.require("frozen")
	frozen := f.boolean("frozen")
	return freezeForm{f.choice(), frozen != nil && *frozen}
}

type resetForm struct {
	choiceForm
	sendEmail bool
}

func parseReset(f *form) resetForm {
	sendEmail := f.boolean("send_email")
	return resetForm{f.choice(), sendEmail != nil && *sendEmail}
}

const (
	badFormat = "Invalid `format` query argument (expected `csv` or `json`)"
	badAt     = "Invalid `at` query argument (expected RFC3339 datetime)"
)

// parseSurvey reads the query of GET /administration/stats.
func parseSurvey(query map[string][]string) (format string, at *parsec.DateTime, err error) {
	format = "json"
	if values := query["format"]; len(values) > 0 {
		format = values[0]
	}
	if format != "json" && format != "csv" {
		input, _ := json.Marshal(format) // texts can always be written
		return "", nil, &badDataError{badFormat, []fieldForm{{"value_error", []string{"query", "format"}, badFormat, input}}}
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
		return "", nil, &badDataError{reason: badAt}
	}
	return format, &date, nil
}
