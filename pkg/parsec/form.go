package parsec

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// form is the parameters of a query, in order.
type form []parameter

type parameter struct{ name, value string }

// parseForm never fails: official clients read a malformed escape as literal
// text and what is not UTF-8 as U+FFFD.
func parseForm(rawQuery string) form {
	var parameters form
	for item := range strings.SplitSeq(rawQuery, "&") {
		if item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		parameters = append(parameters, parameter{unescapeForm(name), unescapeForm(value)})
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

// one returns the value of a parameter that may be given once.
func (f form) one(name string) (value string, found bool, err error) {
	for _, parameter := range f {
		if parameter.name != name {
			continue
		}
		if found {
			return "", false, fmt.Errorf("multiple values for param `%s`", name)
		}
		value, found = parameter.value, true
	}
	return value, found, nil
}

// mandatory returns the value of a parameter that must be given once.
func (f form) mandatory(name string) (string, error) {
	value, found, err := f.one(name)
	if err == nil && !found {
		err = fmt.Errorf("missing mandatory `%s` param", name)
	}
	return value, err
}

// String is the query of an URL with its "?", or nothing.
func (f form) String() string {
	var text strings.Builder
	separator := byte('?')
	for _, parameter := range f {
		text.WriteByte(separator)
		text.WriteString(url.QueryEscape(parameter.name))
		text.WriteByte('=')
		text.WriteString(url.QueryEscape(parameter.value))
		separator = '&'
	}
	return text.String()
}
