// Package parsec3 is what the words of Parsec 3 (API 5) are: the identifiers and
// values of docs/protocol/v5/types.md that differ from those of API 1 to 3, which
// both share with package parsec. Everything in it is checked when it is parsed.
package parsec3
