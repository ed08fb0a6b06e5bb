package parsec

// Clients have the pages about the applications of both generations, for whoever has
// not installed theirs yet (docs/protocol/invite.md §6 and docs/protocol/v5/invite.md §8).
type Clients struct{ Parsec2, Parsec3 ClientPages }

// ClientPages are the addresses of pages about an application.
type ClientPages struct{ Download, Documentation string }

const (
	// lastParsec2 is the last release of Parsec 2. Where the current application is,
	// nobody finds it any more, and the current one cannot open its organizations.
	lastParsec2 = "2.17.0"

	documentation = "https://docs.parsec.cloud/en/"
	// documentation3 is that of the current release, joining3 its page about invitations.
	documentation3 = documentation + "stable/"
	joining3       = documentation3 + "userguide/join_organization.html"
)

// DefaultClients returns the pages of the project itself.
func DefaultClients() Clients {
	return Clients{
		Parsec2: ClientPages{"https://github.com/Scille/parsec-cloud/releases/tag/v" + lastParsec2, documentation + "v" + lastParsec2 + "/"},
		Parsec3: ClientPages{"https://parsec.cloud/en/start-parsec", documentation3},
	}
}

// Of returns the pages about the application that opens addresses of a scheme.
func (c Clients) Of(scheme Scheme) ClientPages {
	if scheme == Parsec3Scheme {
		return c.Parsec3
	}
	return c.Parsec2
}

// Joining returns the page about how to join an organization, that of the whole
// documentation if no other is known.
func (p ClientPages) Joining() string {
	if p.Documentation == documentation3 {
		return joining3
	}
	return p.Documentation
}

// Product returns the name of the application that opens addresses of the scheme.
func (s Scheme) Product() string {
	if s == Parsec3Scheme {
		return "Parsec 3"
	}
	return "Parsec 2"
}
