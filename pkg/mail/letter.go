package mail

import (
	"fmt"
	"strings"

	"parsec-server/pkg/parsec"
)

//go:generate go tool -modfile=../../internal/tools/go.mod qtc -file=letter.qtpl

// letter is what an e-mail says, in the words of its language: single lines of
// plain text.
type letter struct {
	Language string
	// Colon comes between a name and its value.
	Colon   string
	Subject string
	Heading string
	Intro   string
	Facts   []fact
	// Install comes before the address of the download page.
	Install, DownloadURL string
	Open                 string
	Button               string
	// LinkHelp comes before the link in clear.
	LinkHelp, Link                  string
	UnexpectedTitle, Unexpected     string
	Documentation, DocumentationURL string
	Footer                          string
}

// fact is a line of what the invitation is about.
type fact struct{ Name, Value string }

// compose writes the letter of an invitation to an organization of the server
// at address.
func (l *language) compose(mail Invitation, address parsec.ServerAddress) letter {
	words := l.invitations[mail.Type]
	organization, greeter := mail.Organization.String(), oneLine(mail.GreeterName)
	names := strings.NewReplacer("{greeter}", greeter, "{organization}", organization, "{server}", address.Hostname())
	letter := letter{
		Language: l.tag, Colon: l.colon,
		Subject: names.Replace(words.subject), Heading: names.Replace(words.heading), Intro: names.Replace(words.intro),
		Install: l.install, DownloadURL: parsec.DownloadURL, Open: words.open,
		Button: names.Replace(words.button), LinkHelp: l.linkHelp,
		Link:            mail.Link,
		UnexpectedTitle: l.unexpected, Unexpected: names.Replace(words.unexpected),
		Documentation: l.documentation, DocumentationURL: parsec.DocumentationURL,
		Footer: names.Replace(l.footer),
	}
	if mail.ReplyTo != (parsec.HumanHandle{}) {
		greeter = fmt.Sprintf("%s (%s)", greeter, oneLine(mail.ReplyTo.Email()))
	}
	if mail.Type != parsec.InvitationDevice {
		letter.Facts = append(letter.Facts, fact{l.invitedBy, greeter})
	}
	letter.Facts = append(letter.Facts, fact{l.invited, oneLine(mail.To)}, fact{l.organization, organization})
	return letter
}
