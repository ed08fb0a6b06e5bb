// Package parsec is the vocabulary of the protocol: identifiers, roles,
// dates, API versions and parsec:// addresses.
//
// A value of one of these types is valid once it exists: identifiers can only
// be made by their Parse functions, which apply docs/protocol/types.md, and
// their zero value means "none". The package imports nothing of this project.
package parsec
