package mail

import "parsec-server/pkg/parsec"

//go:generate go tool -modfile=../../internal/tools/go.mod qtc -file=letter.qtpl

// Letter is what an e-mail says: single lines of plain text, in which {{name}} stands
// for a value. Every e-mail knows {{server}}, {{recipient}}, {{client}}, {{download}} and
// {{documentation}}.
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
}

// Fact is a line of what an e-mail is about.
type Fact struct{ Name, Value string }

// Step is something to do. URL is the address of the page for it, "" for none.
type Step struct{ Text, URL string }

// page is a letter in the frame of its language.
type page struct {
	Letter
	Language string
	// Colon comes between a name and its value.
	Colon string
	// LinkHelp comes before the link in clear.
	LinkHelp        string
	UnexpectedTitle string
	// Documentation comes before DocumentationURL, the address of a page.
	Documentation, DocumentationURL string
	Footer                          string
}

// frame puts a letter in its frame.
func (l *language) frame(letter Letter) page {
	return page{
		Letter: letter, Language: l.tag, Colon: l.colon, LinkHelp: l.linkHelp, UnexpectedTitle: l.unexpected,
		Documentation: l.documentation, DocumentationURL: "{{documentation}}", Footer: l.footer,
	}
}

// invitation writes the letter of an invitation.
func (l *language) invitation(of parsec.InvitationType) Letter {
	words := l.invitations[of]
	letter := Letter{
		Subject: words.subject, Heading: words.heading, Intro: words.intro,
		Steps:  []Step{{l.install, "{{download}}"}, {words.open, ""}},
		Button: words.button, Link: "{{link}}", Unexpected: words.unexpected,
	}
	if of != parsec.InvitationDevice {
		letter.Facts = append(letter.Facts, Fact{l.invitedBy, "{{inviter}}"})
	}
	letter.Facts = append(letter.Facts, Fact{l.invited, "{{recipient}}"}, Fact{l.organization, "{{organization}}"})
	return letter
}
