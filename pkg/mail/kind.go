package mail

import (
	"fmt"
	"slices"
	"strings"

	"parsec-server/pkg/parsec"
)

// Kind is one of the e-mails that a server sends: its built-in texts, and what others
// may say in their place.
type Kind struct {
	// name is that of its files, in the log and in the metrics.
	name string
	// names are those that stand for values in its texts.
	names []string
	// texts are the built-in ones, by language and part.
	texts map[string]map[part]*template
}

// part is a part of an e-mail, by the end of the name of its files.
type part string

// The parts of an e-mail.
const (
	subjectPart part = "subject"
	textPart    part = "txt"
	htmlPart    part = "html"
)

var allParts = []part{subjectPart, textPart, htmlPart}

// The names that many e-mails know.
const (
	// linkName and codeName are what an e-mail is sent for: its texts hold them.
	linkName = "link"
	codeName = "code"

	recipientName     = "recipient"
	serverName        = "server"
	clientName        = "client"
	downloadName      = "download"
	documentationName = "documentation"
)

// commonNames are those that every e-mail knows.
var commonNames = []string{recipientName, serverName, clientName, downloadName, documentationName}

// addressNames are those of addresses of pages.
var addressNames = []string{linkName, downloadName, documentationName}

// NewKind returns the e-mail of a name, with its letters by language: one for each of
// Languages. Beside the common ones, names are those that letters have values for.
// It panics where a letter has another.
func NewKind(name string, letters map[string]Letter, names ...string) *Kind {
	kind := &Kind{name, slices.Concat(names, commonNames), map[string]map[part]*template{}}
	for tag, words := range languages {
		letter := words.frame(letters[tag])
		texts := map[part]*template{}
		for part, text := range map[part]string{subjectPart: letter.Subject, textPart: letter.text(), htmlPart: letter.html()} {
			parsed, err := parseTemplate(text, kind.names)
			if err != nil {
				panic(fmt.Sprintf("%s in %s: %v", name, tag, err))
			}
			texts[part] = parsed
		}
		kind.texts[tag] = texts
	}
	return kind
}

// String returns the name of the e-mail, such as invitation_user.
func (k *Kind) String() string { return k.name }

// file returns the name of the file that replaces a part in a language.
func (k *Kind) file(language string, part part) string {
	return k.name + "." + language + "." + string(part)
}

// required are the names that a part must hold.
func (k *Kind) required(part part) []string {
	if part == subjectPart {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(k.names), func(name string) bool { return name != linkName && name != codeName })
}

// parse reads a text that replaces a part.
func (k *Kind) parse(part part, text string) (*template, error) {
	if part == subjectPart {
		text = strings.TrimSuffix(text, "\n")
		if end := strings.IndexAny(text, "\n\t"); end >= 0 {
			return nil, lineErrorAt(text, end, "a subject is one line, without tabs")
		}
	}
	if strings.TrimSpace(text) == "" {
		return nil, &lineError{1, "the text is empty"}
	}
	if at := strings.Index(text, "{%"); at >= 0 {
		return nil, lineErrorAt(text, at, "{%% is of another kind of templates: this one has names in {{ and }} alone")
	}
	parsed, err := parseTemplate(text, k.names)
	if err != nil {
		return nil, err
	}
	if part == htmlPart {
		addresses := slices.DeleteFunc(slices.Clone(addressNames), func(name string) bool { return !slices.Contains(k.names, name) })
		if err := checkPlaces(text, addresses); err != nil {
			return nil, err
		}
	}
	for _, name := range k.required(part) {
		if !slices.Contains(parsed.names, name) {
			return nil, lineErrorAt(text, len(text), "%s is missing in this text", written([]string{name}))
		}
	}
	return parsed, nil
}

// Invitations returns the e-mails about invitations, which both generations send.
func Invitations() []*Kind {
	return []*Kind{
		invitations[parsec.InvitationUser], invitations[parsec.InvitationDevice], invitations[parsec.InvitationShamirRecovery],
	}
}

// invitations are the e-mails about invitations.
var invitations = map[parsec.InvitationType]*Kind{
	parsec.InvitationUser:           newInvitation(parsec.InvitationUser, "greeter", "inviter", "organization", linkName),
	parsec.InvitationDevice:         newInvitation(parsec.InvitationDevice, "organization", linkName),
	parsec.InvitationShamirRecovery: newInvitation(parsec.InvitationShamirRecovery, "greeter", "inviter", "organization", linkName),
}

func newInvitation(of parsec.InvitationType, names ...string) *Kind {
	letters := map[string]Letter{}
	for tag, words := range languages {
		letters[tag] = words.invitation(of)
	}
	return NewKind("invitation_"+strings.ToLower(string(of)), letters, names...)
}
