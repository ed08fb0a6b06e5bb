package mail

import (
	"fmt"
	"strings"

	"parsec-server/pkg/parsec"
)

//go:generate go tool -modfile=../../internal/tools/go.mod qtc -file=letter.qtpl

// Letter is what an e-mail says: single lines of plain text, in which {name} stands for
// the value of Names. {server} always has one.
type Letter struct {
	Subject, Heading, Intro string
	// Facts say what it is about; there is at least one.
	Facts []Fact
	// Steps are what the recipient does, in order; there may be none.
	Steps []Step
	// Code is for the recipient to type, alone on its line; "" for none.
	Code string
	// Button is what opens Link; both are "" for none.
	Button, Link string
	// Unexpected is for who did not expect the e-mail.
	Unexpected string
	// DocumentationURL is the address of a page.
	DocumentationURL string
	// Names may hold anything, and show as text of one line.
	Names map[string]string
}

// Fact is a line of what an e-mail is about.
type Fact struct{ Name, Value string }

// Step is something to do. URL is the address of the page for it, "" for none.
type Step struct{ Text, URL string }

// page is a letter in the frame of its language, with its names filled in.
type page struct {
	Letter
	Language string
	// Colon comes between a name and its value.
	Colon string
	// LinkHelp comes before the link in clear.
	LinkHelp        string
	UnexpectedTitle string
	Documentation   string
	Footer          string
}

// frame fills in the names of a letter of the server at address.
func (l *language) frame(letter Letter, address parsec.ServerAddress) page {
	pairs := []string{"{server}", address.Hostname()}
	for name, value := range letter.Names {
		pairs = append(pairs, "{"+name+"}", oneLine(value))
	}
	names := strings.NewReplacer(pairs...)
	for _, text := range []*string{&letter.Subject, &letter.Heading, &letter.Intro, &letter.Button, &letter.Unexpected} {
		*text = names.Replace(*text)
	}
	facts, steps := make([]Fact, len(letter.Facts)), make([]Step, len(letter.Steps))
	for i, fact := range letter.Facts {
		facts[i] = Fact{fact.Name, names.Replace(fact.Value)}
	}
	for i, step := range letter.Steps {
		steps[i] = Step{names.Replace(step.Text), step.URL}
	}
	letter.Facts, letter.Steps = facts, steps
	return page{
		Letter: letter, Language: l.tag, Colon: l.colon, LinkHelp: l.linkHelp,
		UnexpectedTitle: l.unexpected, Documentation: l.documentation, Footer: names.Replace(l.footer),
	}
}

// invitation writes the letter of an invitation.
func (l *language) invitation(mail Invitation) Letter {
	words := l.invitations[mail.Type]
	letter := Letter{
		Subject: words.subject, Heading: words.heading, Intro: words.intro,
		Steps:  []Step{{l.install, mail.DownloadURL}, {words.open, ""}},
		Button: words.button, Link: mail.Link,
		Unexpected: words.unexpected, DocumentationURL: mail.DocumentationURL,
		Names: map[string]string{
			"greeter": mail.GreeterName, "organization": mail.Organization.String(),
			"recipient": mail.To, "inviter": mail.GreeterName,
		},
	}
	if mail.ReplyTo != (parsec.HumanHandle{}) {
		letter.Names["inviter"] = fmt.Sprintf("%s (%s)", mail.GreeterName, mail.ReplyTo.Email())
	}
	if mail.Type != parsec.InvitationDevice {
		letter.Facts = append(letter.Facts, Fact{l.invitedBy, "{inviter}"})
	}
	letter.Facts = append(letter.Facts, Fact{l.invited, "{recipient}"}, Fact{l.organization, "{organization}"})
	return letter
}
