package config

import (
	"errors"
	"fmt"
	"strings"
)

// NamedToken lets one administrator in.
type NamedToken struct {
	// Name is that of the audit log.
	Name  string
	Token Secret
	// ReadOnly is for one that may change nothing.
	ReadOnly bool
}

const (
	// maxTokenName is the longest name in bytes, and maxNamedTokens how many there may be:
	// each request compares with all.
	maxTokenName   = 64
	maxNamedTokens = 1000
	// SingleTokenName is what --administration-token is called.
	SingleTokenName = "administrator"
	// readOnlyWord ends the line of a token that may change nothing.
	readOnlyWord = "read"
)

// TokenLineError is of a line of --administration-tokens. It tells no token.
type TokenLineError struct {
	// Line is its number, from 1 on.
	Line   int
	Reason error
}

func (e *TokenLineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

func (e *TokenLineError) Unwrap() error { return e.Reason }

// What is wrong with a line.
var (
	errTokenLine  = errors.New("neither name:token nor name:token:read")
	errTokenName  = errors.New("the name must be 1 to 64 letters, digits, or one of . _ - @ of ASCII")
	errSingleName = errors.New("the name " + SingleTokenName + " is that of --administration-token")
	errNameTwice  = errors.New("the name is that of a line before")
	errTokenTwice = errors.New("the token is that of a line before, or --administration-token")
	errTokenBytes = errors.New("no HTTP header can carry the token; make one with: openssl rand -base64 48")
	errTokenGuess = errors.New("anybody could guess the token; make one with: openssl rand -base64 48")
	errManyTokens = fmt.Errorf("there are more than %d tokens", maxNamedTokens)
)

// namedTokens reads the lines of --administration-tokens, beside the single token. Empty
// ones, and those that begin with #, say nothing.
func (c *Config) namedTokens(text string) ([]NamedToken, error) {
	var tokens []NamedToken
	names, values := map[string]bool{}, map[string]bool{c.AdministrationToken.Reveal(): true}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		token, err := parseTokenLine(line)
		value := token.Token.Reveal()
		switch {
		case err != nil:
		case names[token.Name]:
			err = errNameTwice
		case values[value]:
			err = errTokenTwice
		case !isCarried(value):
			err = errTokenBytes
		case !c.Development && weakRule(value) != "":
			err = errTokenGuess
		case len(tokens) == maxNamedTokens:
			err = errManyTokens
		}
		if err != nil {
			return nil, &TokenLineError{number, err}
		}
		names[token.Name], values[value] = true, true
		tokens = append(tokens, token)
	}
	return tokens, nil
}

func parseTokenLine(line string) (token NamedToken, err error) {
	parts := strings.Split(line, ":")
	const withWord = 3
	switch {
	case len(parts) == withWord && parts[2] == readOnlyWord:
		token.ReadOnly = true
	case len(parts) != withWord-1:
		return token, errTokenLine
	}
	token.Name, token.Token = parts[0], NewSecret(parts[1])
	switch {
	case token.Name == SingleTokenName:
		return token, errSingleName
	case !isTokenName(token.Name):
		return token, errTokenName
	case parts[1] == "":
		return token, errTokenLine
	}
	return token, nil
}

func isTokenName(name string) bool {
	return name != "" && len(name) <= maxTokenName && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-@", r)
	}) < 0
}

// CurrentAdministrationTokens returns the named tokens of the moment: what the file holds
// now, if they are in one.
func (c *Config) CurrentAdministrationTokens() ([]NamedToken, error) {
	if c.AdministrationTokensFile == "" {
		return c.AdministrationTokens, nil
	}
	text, err := readSecretFile(c.AdministrationTokensFile)
	if err != nil {
		return nil, err
	}
	tokens, err := c.namedTokens(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.AdministrationTokensFile, err)
	}
	return tokens, nil
}

// checkAndRead is check, and then readTokens: these are beside a token that is good.
func (c *Config) checkAndRead() error {
	if err := c.check(); err != nil {
		return err
	}
	return c.readTokens()
}

// readTokens keeps the named tokens that were given.
func (c *Config) readTokens() (err error) {
	if c.AdministrationTokens, err = c.namedTokens(c.administrationTokens.Reveal()); err != nil {
		return wrongValue(tokensOption, err.Error())
	}
	return nil
}
