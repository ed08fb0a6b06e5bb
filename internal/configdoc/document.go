package main

import (
	_ "embed" // the templates
	"io"
	"slices"
	"strings"
	"text/template"

	"parsec-server/pkg/config"
)

//go:embed configuration.md.tmpl
var documentText string

//go:embed env.example.tmpl
var exampleText string

var functions = template.FuncMap{"cell": escapeCell, "lines": wrap, "option": option, "releases": releases}

var (
	document = template.Must(template.New("document").Funcs(functions).Parse(documentText))
	example  = template.Must(template.New("example").Funcs(functions).Parse(exampleText))
)

// writeDocument writes docs/configuration.md.
func writeDocument(w io.Writer) error { return document.Execute(w, settingGroups()) }

// writeExample writes .env.example.
func writeExample(w io.Writer) error { return example.Execute(w, settingGroups()) }

// settingGroup is a part of the table.
type settingGroup struct {
	Title    string
	Settings []config.Setting
}

// settingGroups returns the groups in the order in which the table begins them.
func settingGroups() []settingGroup {
	var groups []settingGroup
	for _, setting := range config.Settings() {
		i := slices.IndexFunc(groups, func(g settingGroup) bool { return g.Title == setting.Group })
		if i < 0 {
			i = len(groups)
			groups = append(groups, settingGroup{Title: setting.Group})
		}
		groups[i].Settings = append(groups[i].Settings, setting)
	}
	return groups
}

// option returns the setting as help does, such as "--port, -P".
func option(s config.Setting) string {
	if s.Short == "" {
		return "--" + s.Name
	}
	return "--" + s.Name + ", -" + s.Short
}

// releases returns the official releases that have a setting or a name.
func releases(since, until string) string {
	switch since {
	case "own":
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
