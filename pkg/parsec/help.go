package parsec

// Pages of the project about its application, for whoever has not installed it
// yet (docs/protocol/invite.md §6).
const (
	DownloadURL      = "https://parsec.cloud/get-parsec"
	DocumentationURL = "https://docs.parsec.cloud"
)
