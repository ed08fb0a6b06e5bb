package config

import (
	_ "embed" // the templates
	"io"
	"slices"
	"strings"
	"text/template"
)

//go:embed configuration.md.tmpl
var documentText string

//go:embed env.example.tmpl
var exampleText string

// settingGroup is a part of the table.
type settingGroup struct {
	Title    string
	Settings []Setting
}

// WriteDocument writes docs/configuration.md.
func WriteDocument(w io.Writer) error { return writeTemplate(w, documentText) }

// WriteExample writes .env.example.
func WriteExample(w io.Writer) error { return writeTemplate(w, exampleText) }

// writeTemplate parses when called: what is parsed at the start of the program
// would link text/template into it, and with that, since templates call
// methods by name, every method of every type: 7 MB.
func writeTemplate(w io.Writer, text string) error {
	functions := template.FuncMap{
		"cell":  escapeCell,
		"lines": wrap,
		"file":  func(variable string) string { return variable + fileSuffix },
	}
	parsed, err := template.New("document").Funcs(functions).Parse(text)
	if err != nil {
		return err
	}
	return parsed.Execute(w, settingGroups())
}

func settingGroups() []settingGroup {
	var groups []settingGroup
	for _, title := range []string{groupServer, groupStorage, groupOrganization, groupEmail, groupObservation} {
		groups = append(groups, settingGroup{title, slices.DeleteFunc(Settings(), func(s Setting) bool { return s.Group != title })})
	}
	return groups
}

// Option gives the setting as help does, such as "--port, -P".
func (s Setting) Option() string {
	if s.Short == "" {
		return "--" + s.Name
	}
	return "--" + s.Name + ", -" + s.Short
}

// Releases gives the official releases that have the setting.
func (s Setting) Releases() string { return releases(s.Since, s.Until) }

// Releases gives the official releases that have the name.
func (a Alias) Releases() string { return releases(a.Since, a.Until) }

func releases(since, until string) string {
	switch since {
	case own:
		return "none"
	case until:
		return since
	default:
		return since + "–" + until
	}
}

var cellEscaper = strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "[", `\[`)

// escapeCell makes text plain in a cell of a Markdown table.
func escapeCell(text string) string { return cellEscaper.Replace(text) }

// wrap cuts text at spaces into lines of at most 76 bytes where it can.
func wrap(text string) []string {
	const width = 76
	var lines []string
	var line string
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
