package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	otherToken = "q7Zl0vM3kYt8Wc5RxN2eHj9u"
	thirdToken = "Xb4Tn6Dw1Ks8Gf3PqV7yLm0c"
)

func loadTokens(text string, arguments ...string) (Config, error) {
	given := append([]string{"db=MOCKED", "blockstore=MOCKED", "administration-token=" + goodToken}, arguments...)
	loaded, err := Load(typed(given...), environmentOf(map[string]string{"PARSEC_ADMINISTRATION_TOKENS": text}))
	return loaded.Config, err
}

func TestNamedTokens(t *testing.T) {
	loaded, err := loadTokens("alice:" + otherToken + "\n\n  # nobody\n\tbackup.job@example.com:" + thirdToken + ":read\n")
	if err != nil {
		t.Fatal(err)
	}
	tokens := loaded.AdministrationTokens
	if len(tokens) != 2 || tokens[0].Name != "alice" || tokens[0].ReadOnly || tokens[0].Token.Reveal() != otherToken ||
		tokens[1].Name != "backup.job@example.com" || !tokens[1].ReadOnly || tokens[1].Token.Reveal() != thirdToken {
		t.Errorf("%+v", tokens)
	}
	for text, want := range map[string]error{
		"alice":                          errTokenLine,
		"alice:":                         errTokenLine,
		"alice:" + otherToken + ":write": errTokenLine,
		"alice:" + otherToken + ":read:": errTokenLine,
		":" + otherToken:                 errTokenName,
		"al ice:" + otherToken:           errTokenName,
		strings.Repeat("a", 65) + ":" + otherToken: errTokenName,
		"administrator:" + otherToken:              errSingleName,
		"alice:" + goodToken:                       errTokenTwice,
		"alice:" + otherToken + "é":                errTokenBytes,
		"alice:s3cr3t":                             errTokenGuess,
	} {
		var line *TokenLineError
		_, err := parseAfter(text)
		if !errors.As(err, &line) || line.Line != 2 || !errors.Is(err, want) || strings.Contains(err.Error(), otherToken) {
			t.Errorf("%q: %v, want line 2: %v", text, err, want)
		}
		_, err = loadTokens("# first\n" + text)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) || !strings.Contains(usage.Message, "'--administration-tokens': line 2: ") {
			t.Errorf("%q at start: %v", text, err)
		}
	}
	for text, want := range map[string]error{
		"a:" + otherToken + "\na:" + thirdToken: errNameTwice, "a:" + otherToken + "\nb:" + otherToken: errTokenTwice,
	} {
		if _, err := (&Config{}).namedTokens(text); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	if _, err := loadTokens("alice:weak", "dev=true"); err != nil {
		t.Errorf("with --dev: %v", err)
	}
}

// parseAfter reads a second line.
func parseAfter(line string) ([]NamedToken, error) {
	return (&Config{AdministrationToken: NewSecret(goodToken)}).namedTokens("# first\n" + line)
}

// TestNamedTokensOfFile has the file be read each time, and its error say where.
func TestNamedTokensOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("alice:" + otherToken)
	loaded, err := Load(typed("db=MOCKED", "blockstore=MOCKED", "administration-token="+goodToken), environmentOf(map[string]string{"PARSEC_ADMINISTRATION_TOKENS_FILE": path}))
	if err != nil {
		t.Fatal(err)
	}
	write("# nobody\nbob:" + thirdToken + ":read\n")
	tokens, err := loaded.Config.CurrentAdministrationTokens()
	if err != nil || len(tokens) != 1 || tokens[0].Name != "bob" || !tokens[0].ReadOnly {
		t.Errorf("%+v, %v", tokens, err)
	}
	write("bob:" + thirdToken + "\nalice")
	if _, err := loaded.Config.CurrentAdministrationTokens(); err == nil || err.Error() != path+": line 2: "+errTokenLine.Error() {
		t.Errorf("got %v", err)
	}
}
