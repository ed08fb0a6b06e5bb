package config

import "parsec-server/pkg/parsec"

// The options about the applications: where people get them, and read how they work.
const (
	downloadOption       = "download-url"
	documentationOption  = "documentation-url"
	download2Option      = "v2-download-url"
	documentation2Option = "v2-documentation-url"
)

// clientSettings say where the applications of both generations are. E-mails, pages and
// redirections lead to the one that opens what they are about.
var clientSettings = []Setting{
	{
		Name: downloadOption, Variable: "PARSEC_DOWNLOAD_URL", Kind: URL, Default: parsec.DefaultClients().Parsec3.Download, Since: own, Group: groupServer,
		Help:  "Page where people get the application of Parsec 3, in e-mails and on pages: that of the project, or one of yours.",
		parse: into(func(c *Config) *string { return &c.Clients.Parsec3.Download }, parseHTTPURL),
	}, {
		Name: documentationOption, Variable: "PARSEC_DOCUMENTATION_URL", Kind: URL, Default: parsec.DefaultClients().Parsec3.Documentation, Since: own, Group: groupServer,
		Help:  "Page of its documentation for users.",
		parse: into(func(c *Config) *string { return &c.Clients.Parsec3.Documentation }, parseHTTPURL),
	}, {
		Name: download2Option, Variable: "PARSEC_V2_DOWNLOAD_URL", Kind: URL, Default: parsec.DefaultClients().Parsec2.Download, Since: own, Group: groupServer,
		Help:  "Page where people get the application of Parsec 2, which alone opens the organizations that it founded.",
		parse: into(func(c *Config) *string { return &c.Clients.Parsec2.Download }, parseHTTPURL),
	}, {
		Name: documentation2Option, Variable: "PARSEC_V2_DOCUMENTATION_URL", Kind: URL, Default: parsec.DefaultClients().Parsec2.Documentation, Since: own, Group: groupServer,
		Help:  "Page of its documentation for users.",
		parse: into(func(c *Config) *string { return &c.Clients.Parsec2.Documentation }, parseHTTPURL),
	},
}

// LoadClients reads where the applications are, for commands that do without the rest.
func LoadClients(arguments []Argument, environment Environment) (parsec.Clients, error) {
	l := newLoader(arguments, environment)
	_, err := l.load(downloadOption, documentationOption, download2Option, documentation2Option)
	return l.config.Clients, err
}
