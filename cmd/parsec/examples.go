package main

// examples are command lines that help and manual pages show, of each command.
var examples = map[string][]string{
	"parsec backend run": {
		"parsec backend run --dev",
		"parsec backend run --db postgresql://parsec@localhost/parsec --blockstore POSTGRESQL",
	},
	"parsec backend config":             {"parsec backend config --port 7000"},
	"parsec backend migrate":            {"parsec backend migrate --dry-run", "parsec backend migrate"},
	"parsec backend migrate status":     {"parsec backend migrate status"},
	"parsec backend blockstore init":    {"parsec backend blockstore init"},
	"parsec backend blockstore check":   {"parsec backend blockstore check --deep"},
	"parsec backend blockstore repair":  {"parsec backend blockstore repair --apply"},
	"parsec backend blockstore copy":    {`parsec backend blockstore copy --to 's3:https\://s3.example.com:eu:parsec:<key>:<secret>' --apply`},
	"parsec backend blockstore orphans": {"parsec backend blockstore orphans --min-age 48h"},
	"parsec backend check":              {"parsec backend check", "parsec backend check --organization MyOrg --blocks deep"},
	"parsec backend healthcheck":        {"parsec backend healthcheck", "parsec backend healthcheck --live"},
	"parsec backend email preview":      {"parsec backend email preview /tmp/e-mails"},
	"parsec backend email templates":    {"parsec backend email templates /etc/parsec/e-mails"},

	"parsec organization create": {
		"parsec organization create MyOrg",
		"parsec organization create MyOrg --active-users-limit 50",
	},
	"parsec organization bootstrap":    {"parsec organization bootstrap 'parsec3://…' --human-label Alice --human-email alice@example.com --device-label laptop --output keys"},
	"parsec organization status":       {"parsec organization status MyOrg"},
	"parsec organization stats":        {"parsec organization stats MyOrg", "parsec organization stats MyOrg --at 2030-01-31"},
	"parsec organization update":       {"parsec organization update MyOrg --is-expired", "parsec organization update MyOrg --active-users-limit none"},
	"parsec organization list-users":   {"parsec organization list-users MyOrg"},
	"parsec organization freeze":       {"parsec organization freeze MyOrg --user-email alice@example.com"},
	"parsec organization unfreeze":     {"parsec organization unfreeze MyOrg --user-email alice@example.com"},
	"parsec organization server-stats": {"parsec organization server-stats --format csv --output stats.csv"},
	"parsec bench":                     {"parsec bench --connections 100 --duration 1m"},

	"parsec realm list-deletable": {"parsec realm list-deletable --organization MyOrg"},
	"parsec realm delete":         {"parsec realm delete --organization MyOrg --realm 0f9d… --dry-run"},
	"parsec realm delete-due":     {"parsec realm delete-due --dry-run"},

	"parsec sequester create-service":                          {"parsec sequester create-service --organization MyOrg --service-certificate certificate.pem"},
	"parsec sequester generate-service-certificate":            {"parsec sequester generate-service-certificate --service-label Archive --service-public-key service.pub --authority-private-key authority.key certificate.pem"},
	"parsec sequester import-service-certificate":              {"parsec sequester import-service-certificate --organization MyOrg --service-certificate certificate.pem"},
	"parsec sequester list-services":                           {"parsec sequester list-services --organization MyOrg"},
	"parsec sequester update-service":                          {"parsec sequester update-service --organization MyOrg --service 5b6c… --disable"},
	"parsec sequester generate-service-revocation-certificate": {"parsec sequester generate-service-revocation-certificate --service-id 5b6c… --authority-private-key authority.key revocation.pem"},
	"parsec sequester revoke-service":                          {"parsec sequester revoke-service --organization MyOrg --service-revocation-certificate revocation.pem"},
	"parsec sequester export-realm":                            {"parsec sequester export-realm --organization MyOrg --realm 0f9d… --service 5b6c… --output /srv/exports"},

	"parsec export-realm":   {"parsec export-realm --organization MyOrg --realm 0f9d… /srv/exports"},
	"parsec human-accesses": {"parsec human-accesses --organization MyOrg --filter alice"},
	"parsec account list":   {"parsec account list --json"},
	"parsec account find":   {"parsec account find zoe@example.com"},
	"parsec account delete": {"parsec account delete zoe@example.com"},

	"parsec completion bash": {"parsec completion bash > /etc/bash_completion.d/parsec"},
	"parsec completion zsh":  {"parsec completion zsh > ~/.zfunc/_parsec"},
	"parsec completion fish": {"parsec completion fish > ~/.config/fish/completions/parsec.fish"},
	"parsec man":             {"parsec man /usr/local/share/man/man1"},
	"parsec version":         {"parsec version"},
}
