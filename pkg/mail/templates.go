package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxTemplateBytes bounds a file of a template.
	maxTemplateBytes = 256 << 10
	// maxSubjectBytes bounds that of a subject.
	maxSubjectBytes = 1 << 10
	// maxTemplateFiles bounds what is read of a folder.
	maxTemplateFiles = 1000
)

// ErrOfficialTemplates is of a folder with the templates of official servers, which say
// nothing here.
var ErrOfficialTemplates = errors.New("templates of official servers (*.j2)")

// Templates replace built-in texts of e-mails. The nil Templates replace none.
type Templates struct {
	replaced map[string]*template // by the names of their files
}

// ReadTemplates reads the files of a folder, each of which replaces a part of an e-mail
// in a language: <kind>.<language>.<part>, of one of kinds, a language of Languages, and
// subject, txt or html. They are in UTF-8, of at most 256 KiB, 1 KiB for a subject.
// Files whose names begin with a dot are for others. Errors name file and line; the one
// of a folder with templates of official servers (docs/protocol/v5/administration.md §6)
// wraps ErrOfficialTemplates.
func ReadTemplates(folder string, kinds []*Kind) (*Templates, error) {
	names, err := listFolder(folder)
	if err != nil {
		return nil, err
	}
	templates := &Templates{map[string]*template{}}
	known := map[string]func(text string) (*template, error){}
	for _, kind := range kinds {
		for _, language := range Languages() {
			for _, part := range allParts {
				known[kind.file(language, part)] = func(text string) (*template, error) { return kind.parse(part, text) }
			}
		}
	}
	unknown := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return known[name] != nil })
	if err := checkUnknown(folder, unknown, len(unknown) < len(names)); err != nil {
		return nil, err
	}
	for _, name := range names {
		path := filepath.Join(folder, name)
		text, err := readTemplate(path)
		if err == nil {
			templates.replaced[name], err = known[name](text)
		}
		if wrong, ok := errors.AsType[*lineError](err); ok {
			return nil, fmt.Errorf("%s:%w", path, wrong)
		}
		if err != nil {
			return nil, err
		}
	}
	return templates, nil
}

// listFolder returns the names in a folder, in order, but for those that begin with a
// dot.
func listFolder(folder string) ([]string, error) {
	directory, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer directory.Close()
	names, err := directory.Readdirnames(maxTemplateFiles + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(names) > maxTemplateFiles:
		return nil, fmt.Errorf("%s holds more than %d files", folder, maxTemplateFiles)
	}
	slices.Sort(names)
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, ".") }), nil
}

// checkUnknown judges a folder by the names in it that replace nothing.
func checkUnknown(folder string, unknown []string, othersKnown bool) error {
	if len(unknown) == 0 {
		return nil
	}
	official, err := isOfficial(folder, unknown)
	switch {
	case err != nil:
		return err
	case official && othersKnown:
		return fmt.Errorf("%s holds both files for this server and templates of official servers (*.j2): put them apart", folder)
	case official:
		return fmt.Errorf("%s: %w", folder, ErrOfficialTemplates)
	default:
		return fmt.Errorf("%s: no e-mail has a text of this name", filepath.Join(folder, unknown[0]))
	}
}

// isOfficial reports whether a template of official servers is among names or in the
// folder "email".
func isOfficial(folder string, names []string) (bool, error) {
	const officialFolder, officialEnd = "email", ".j2"
	official := func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, officialEnd) })
	}
	if official(names) || !slices.Contains(names, officialFolder) {
		return official(names), nil
	}
	path := filepath.Join(folder, officialFolder)
	if information, err := os.Stat(path); err != nil || !information.IsDir() {
		return false, err
	}
	below, err := listFolder(path)
	return official(below), err
}

// readTemplate reads a file of text, whose lines end by a line feed then.
func readTemplate(path string) (string, error) {
	limit := maxTemplateBytes
	if strings.HasSuffix(path, "."+string(subjectPart)) {
		limit = maxSubjectBytes
	}
	if information, err := os.Stat(path); err != nil {
		return "", err
	} else if !information.Mode().IsRegular() { // to open others may take for ever
		return "", fmt.Errorf("%s is not a file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	switch {
	case err != nil:
		return "", err
	case len(content) > limit:
		return "", fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	return text, checkText(text)
}

// checkText refuses what is no text in UTF-8.
func checkText(text string) error {
	for at, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[at:], string(utf8.RuneError)) {
			return lineErrorAt(text, at, "this is not text in UTF-8")
		}
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return lineErrorAt(text, at, "the control character U+%04X may not be in a text", r)
		}
	}
	return nil
}

// BuiltIn returns the built-in texts of kinds by the names of the files that replace
// them: what ReadTemplates reads.
func BuiltIn(kinds []*Kind) map[string]string {
	files := map[string]string{}
	for _, kind := range kinds {
		for language, texts := range kind.texts {
			for part, text := range texts {
				written := text.fill(placesOf(kind), asIs)
				if part == subjectPart {
					written += "\n"
				}
				files[kind.file(language, part)] = written
			}
		}
	}
	return files
}

// placesOf has names stand for themselves.
func placesOf(kind *Kind) map[string]string {
	places := map[string]string{}
	for _, name := range kind.names {
		places[name] = placeBegin + name + placeEnd
	}
	return places
}

// text returns a part of an e-mail in a language: the one of a file, or the built-in
// one.
func (t *Templates) text(kind *Kind, language string, part part) *template {
	if t != nil {
		if replaced := t.replaced[kind.file(language, part)]; replaced != nil {
			return replaced
		}
	}
	return kind.texts[language][part]
}
