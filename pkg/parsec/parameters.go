package parsec

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Parameters are those of the query of an address, in order.
type Parameters []Parameter

// Parameter is one of Parameters, unescaped.
type Parameter struct{ Name, Value string }

// parseParameters never fails: official clients read a malformed escape as literal
// text and what is not UTF-8 as U+FFFD.
func parseParameters(rawQuery string) Parameters {
	var parameters Parameters
	for item := range strings.SplitSeq(rawQuery, "&") {
		if item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		parameters = parameters.With(unescapeForm(name), unescapeForm(value))
	}
	return parameters
}

func unescapeForm(text string) string {
	raw := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		current := text[i]
		if current == '+' {
			current = ' '
		} else if current == '%' && i+2 < len(text) {
			if octet, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				current = byte(octet)
				i += 2
			}
		}
		raw = append(raw, current)
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}

// With returns the parameters and one more.
func (p Parameters) With(name, value string) Parameters {
	return append(p, Parameter{name, value})
}

// One returns the value of a parameter that may be given once.
func (p Parameters) One(name string) (value string, found bool, err error) {
	for _, parameter := range p {
		if parameter.Name != name {
			continue
		}
		if found {
			return "", false, fmt.Errorf("multiple values for param `%s`", name)
		}
		value, found = parameter.Value, true
	}
	return value, found, nil
}

// Mandatory returns the value of a parameter that must be given once.
func (p Parameters) Mandatory(name string) (string, error) {
	value, found, err := p.One(name)
	if err == nil && !found {
		err = fmt.Errorf("missing mandatory `%s` param", name)
	}
	return value, err
}

// String returns the query of an URL with its "?", or nothing.
func (p Parameters) String() string {
	var text strings.Builder
	separator := byte('?')
	for _, parameter := range p {
		text.WriteByte(separator)
		text.WriteString(url.QueryEscape(parameter.Name))
		text.WriteByte('=')
		text.WriteString(url.QueryEscape(parameter.Value))
		separator = '&'
	}
	return text.String()
}
