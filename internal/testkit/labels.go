package testkit

import (
	"html"
	"mime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"parsec-server/pkg/parsec"
)

// HumanLabels returns names of people that hold, one after the other, the characters
// that a name may: those of the first blocks, all that separate, hide or turn what is
// written, and the first of each script. Each holds at most 60 of them, between two
// letters.
func HumanLabels() []string {
	var characters []rune
	for r := range unicode.MaxRune {
		switch {
		case strings.ContainsRune(`<>@,:;\"[]`, r), unicode.Is(unicode.Cs, r):
		case r < 0x300, unicode.IsControl(r), unicode.IsSpace(r), unicode.Is(unicode.Cf, r):
			characters = append(characters, r)
		}
	}
	for _, script := range unicode.Scripts {
		if len(script.R16) > 0 {
			characters = append(characters, rune(script.R16[0].Lo))
		} else {
			characters = append(characters, rune(script.R32[0].Lo))
		}
	}
	labels := []string{"=?utf-8?q?=0D=0A?=", "Alice\r\nBcc= eve", "{organization}"}
	for len(characters) > 0 {
		some := characters[:min(60, len(characters))]
		characters = characters[len(some):]
		labels = append(labels, "A"+string(some)+"Z")
	}
	return labels
}

// ShownLabel is what an e-mail shows of a name: one line, without what hides or turns,
// and nothing that reads like an encoded word.
func ShownLabel(label string) string {
	var text strings.Builder
	for _, r := range label {
		switch {
		case unicode.IsControl(r), unicode.IsSpace(r):
			text.WriteByte(' ')
		case !unicode.Is(unicode.Cf, r):
			text.WriteRune(r)
		}
	}
	return strings.ReplaceAll(strings.Join(strings.Fields(text.String()), " "), "=?", "= ?")
}

// EveryHumanLabel returns names of people that hold, one after the other, every
// character of Unicode that a name may and that means something, between two letters;
// of those for private use, the first.
func EveryHumanLabel() []string {
	return packed(40, func(r rune) bool {
		const private = '\uE000'
		if r != private && !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z, unicode.Cc, unicode.Cf) {
			return false
		}
		_, err := parsec.ParseHumanHandle("alice@example.com", string(r))
		return err == nil
	})
}

// SomeOrganizations returns names of organizations that hold, one after the other, the
// characters that they may: those of the first blocks, that connect or join others, and
// the last of each script.
func SomeOrganizations() []string {
	last := map[rune]bool{}
	for _, script := range unicode.Scripts {
		if n := len(script.R16); n > 0 {
			last[rune(script.R16[n-1].Hi)] = true
		} else {
			last[rune(script.R32[len(script.R32)-1].Hi)] = true
		}
	}
	return packed(6, func(r rune) bool {
		_, err := parsec.ParseOrganizationID(string(r))
		return err == nil && (r < 0x300 || last[r] || unicode.Is(unicode.Pc, r) || unicode.Is(unicode.Cf, r))
	})
}

// packed returns texts of at most so many characters, between two letters.
func packed(many int, has func(rune) bool) []string {
	var texts []string
	var some []rune
	end := func() {
		if len(some) > 0 {
			texts = append(texts, "A"+string(some)+"Z")
		}
		some = some[:0]
	}
	for r := range unicode.MaxRune + 1 {
		if !has(r) {
			continue
		}
		if some = append(some, r); len(some) == many {
			end()
		}
	}
	end()
	return texts
}

// mailHeaders are all that an e-mail has.
var mailHeaders = []string{
	"From", "To", "Reply-To", "Subject", "Date", "Message-Id", "Mime-Version", "Content-Type", "Content-Language", "Auto-Submitted",
}

// WantOnlyItsHeaders reads an e-mail, which has each of its headers once and no other,
// with nothing in them that ends or hides a line.
func WantOnlyItsHeaders(t testing.TB, raw []byte) Mail {
	t.Helper()
	parsed, err := ParseMail(raw)
	if err != nil {
		t.Errorf("%v in %q", err, raw)
	}
	for name, values := range parsed.Header {
		if !slices.Contains(mailHeaders, name) || len(values) != 1 {
			t.Errorf("header %s: %q", name, values)
			continue
		}
		decoded, err := new(mime.WordDecoder).DecodeHeader(values[0])
		if err != nil || strings.ContainsFunc(decoded, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
			t.Errorf("header %s is %q, %v", name, decoded, err)
		}
	}
	return parsed
}

// WantInviter wants an e-mail to be of somebody who is called so and has the address
// alice@example.com: in its subject, in Reply-To, in its text and escaped in its HTML.
func WantInviter(t testing.TB, raw []byte, label string) {
	t.Helper()
	parsed, shown := WantOnlyItsHeaders(t, raw), ShownLabel(label)
	if subject, _ := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject")); !strings.Contains(subject, shown) {
		t.Errorf("%q: subject %q", label, subject)
	}
	if list, err := parsed.Header.AddressList("Reply-To"); err != nil || len(list) != 1 || list[0].Name != shown || list[0].Address != "alice@example.com" {
		t.Errorf("%q: reply to %v, %v", label, list, err)
	}
	if line := shown + " (alice@example.com)"; !strings.Contains(parsed.Text, ": "+line+"\n") || !strings.Contains(parsed.HTML, ">"+html.EscapeString(line)+"<") {
		t.Errorf("%q: %s\n%s", label, parsed.Text, parsed.HTML)
	}
}
