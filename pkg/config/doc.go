// Package config turns the command line, PARSEC_CMD_ARGS, the PARSEC_*
// variables and secret files into one Config (docs/protocol/configuration.md).
//
// The table of settings is the only place where a setting is described: options,
// variables, help, docs/configuration.md and .env.example all come from it.
// What Load returns is valid and typed; nothing after it reads text again.
// Secrets are of type Secret, which no formatting verb, log or marshaller shows.
package config

//go:generate go run parsec-server/internal/configdoc ../..
