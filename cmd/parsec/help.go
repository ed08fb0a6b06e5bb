package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// helpPage is what help and the manual page of a command say.
type helpPage struct {
	path, usage, about string
	examples           []string
	commands           []helpGroup
	options            []helpGroup
}

// helpGroup is a heading with what is below it.
type helpGroup struct {
	title string
	items []helpItem
}

// helpItem is a command, or an option with what its value looks like, and what it does.
type helpItem struct {
	name, value, about string
	// notes are in brackets: whether it is required, its default, its variables.
	notes []string
}

// commandGroups are the headings of the commands of parsec, in the order of the
// documentation; others are below the last one.
var commandGroups = []struct {
	title string
	names []string
}{
	{"Server", []string{"backend"}},
	{"Administration of a running server", []string{"organization", "bench"}},
	{"Work on the database", []string{"realm", "sequester", "export-realm", "human-accesses", "account"}},
	{"This program", []string{"completion", "man", "version"}},
}

// newHelpPage describes a command.
func newHelpPage(command *cobra.Command) helpPage {
	page := helpPage{path: command.CommandPath(), usage: usageOf(command), about: cmp.Or(command.Long, command.Short), examples: examples[command.CommandPath()]}
	if command.HasAvailableSubCommands() {
		page.commands = commandsBelow(command)
	}
	page.options = optionsIn(command)
	return page
}

// usageOf is how a command is called.
func usageOf(command *cobra.Command) string {
	if !doesWork(command) {
		return command.CommandPath() + " COMMAND [OPTIONS]"
	}
	_, arguments, _ := strings.Cut(command.Use, " ")
	return strings.TrimSpace(command.CommandPath() + " [OPTIONS] " + arguments)
}

func commandsBelow(command *cobra.Command) []helpGroup {
	var groups []helpGroup
	add := func(title string, below *cobra.Command) {
		i := slices.IndexFunc(groups, func(group helpGroup) bool { return group.title == title })
		if i < 0 {
			i = len(groups)
			groups = append(groups, helpGroup{title: title})
		}
		groups[i].items = append(groups[i].items, helpItem{name: below.Name(), about: below.Short})
	}
	var rest []*cobra.Command
	for _, below := range command.Commands() {
		if below.IsAvailableCommand() && below.Name() != "help" {
			rest = append(rest, below)
		}
	}
	if command.HasParent() {
		for _, below := range rest {
			add("Commands", below)
		}
		return groups
	}
	for _, group := range commandGroups {
		for _, below := range rest {
			if slices.Contains(group.names, below.Name()) {
				add(group.title, below)
			}
		}
	}
	for _, below := range rest {
		known := slices.ContainsFunc(groups, func(group helpGroup) bool {
			return slices.ContainsFunc(group.items, func(item helpItem) bool { return item.name == below.Name() })
		})
		if !known {
			add(commandGroups[len(commandGroups)-1].title, below)
		}
	}
	return groups
}

// optionsIn returns the options of a command, its own ones first, then those of the groups
// of the documentation.
func optionsIn(command *cobra.Command) []helpGroup {
	groups := []helpGroup{{title: ownGroup}}
	command.Flags().SortFlags = false
	allFlags(command).VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		title := cmp.Or(note(flag, groupNote), ownGroup)
		i := slices.IndexFunc(groups, func(group helpGroup) bool { return group.title == title })
		if i < 0 {
			i = len(groups)
			groups = append(groups, helpGroup{title: title})
		}
		groups[i].items = append(groups[i].items, optionItem(flag))
	})
	return slices.DeleteFunc(groups, func(group helpGroup) bool { return len(group.items) == 0 })
}

func optionItem(flag *pflag.Flag) helpItem {
	item := helpItem{name: "--" + flag.Name, about: flag.Usage}
	if flag.Shorthand != "" {
		item.name = "-" + flag.Shorthand + ", " + item.name
	}
	if flag.NoOptDefVal == "" {
		item.value = "<" + valueKind(flag) + ">"
	}
	if isRequired(flag) {
		item.notes = append(item.notes, "required")
	}
	if choices := flag.Annotations[choiceNote]; len(choices) > 0 {
		item.notes = append(item.notes, "values: "+strings.Join(choices, ", "))
	}
	if byDefault := flag.DefValue; byDefault != "" && byDefault != "false" && byDefault != "0" && byDefault != "[]" {
		item.notes = append(item.notes, "default: "+byDefault)
	}
	if variables := flag.Annotations[variableNote]; len(variables) > 0 {
		item.notes = append(item.notes, "env: "+strings.Join(variables, ", "))
	}
	return item
}

// valueKinds are what the values of options look like that have the same name in several
// commands.
var valueKinds = map[string]string{
	organizationName: organizationName, "realm": "id", "service": "id", "service-id": "id", "user-id": "id",
	"at": "date", "snapshot-timestamp": "date", expirationDateOption: "date", "user-email": "e-mail", "human-email": "e-mail",
	"output": fileKind, "report": fileKind, "dump-realm-blocks": fileKind, "service-certificate": fileKind, "service-revocation-certificate": fileKind,
	archivingOption: "duration", "service-public-key": fileKind, "authority-private-key": fileKind, "webhook-url": "URL",
}

const fileKind = "file"

// valueKind is what the value of an option looks like.
func valueKind(flag *pflag.Flag) string {
	if kind := cmp.Or(note(flag, kindNote), valueKinds[flag.Name]); kind != "" {
		return kind
	}
	switch kind := flag.Value.Type(); kind {
	case "string", "stringArray":
		return "text"
	case "stringSlice":
		return "list"
	case "duration":
		return kind
	default:
		return "integer"
	}
}

// The width of help, in characters.
const (
	leastWidth   = 40
	defaultWidth = 80
	mostWidth    = 100
)

// showHelp writes help in the width of the terminal, with bold headings if it has any.
func (p program) showHelp(command *cobra.Command, _ []string) {
	width := defaultWidth
	if file, is := p.stdout.(*os.File); is {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil {
			width = min(max(columns, leastWidth), mostWidth)
		}
	}
	colors, _ := p.environment.Lookup("NO_COLOR")
	writeHelp(p.stdout, newHelpPage(command), width, isTerminal(p.stdout) && colors == "")
}

// writeHelp writes a page for a terminal.
func writeHelp(w io.Writer, page helpPage, width int, bold bool) {
	heading := func(text string) string {
		if bold {
			return "\x1b[1m" + text + "\x1b[0m"
		}
		return text
	}
	fmt.Fprintf(w, "%s %s\n\n%s", heading("Usage:"), page.usage, indented(page.about, "  ", width))
	if len(page.examples) > 0 {
		fmt.Fprintf(w, "\n%s\n", heading("Examples:"))
		for _, example := range page.examples {
			fmt.Fprintf(w, "  %s\n", example) // whole, to be copied
		}
	}
	for _, group := range page.commands {
		fmt.Fprintf(w, "\n%s\n", heading(group.title+":"))
		for _, item := range group.items {
			fmt.Fprintf(w, "  %s\n%s", item.name, indented(item.about, "      ", width))
		}
	}
	for _, group := range page.options {
		fmt.Fprintf(w, "\n%s\n", heading(group.title+":"))
		for _, item := range group.items {
			fmt.Fprintf(w, "  %s\n%s", strings.TrimSpace(item.name+" "+item.value), indented(item.text(), "      ", width))
		}
	}
	if len(page.commands) > 0 {
		fmt.Fprintf(w, "\n%s", indented("'"+page.path+" COMMAND --help' says more of a command.", "", width))
	}
}

// text is what an item does, with its notes.
func (i helpItem) text() string {
	text := i.about
	for _, note := range i.notes {
		text += " [" + note + "]"
	}
	return text
}

// indented wraps a text at spaces, in lines of width characters where it can.
func indented(text, indent string, width int) string {
	var lines, line string
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(indent+line+" "+word) > width {
			lines += indent + line + "\n"
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return lines + indent + line + "\n"
}
