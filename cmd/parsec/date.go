package main

import (
	"errors"
	"time"

	"parsec-server/pkg/parsec"
)

// dateOption parses the value of an option, nil if it is empty.
func dateOption(name, text string) (*parsec.DateTime, error) {
	if text == "" {
		return nil, nil
	}
	date, err := parseDate(text)
	if err != nil {
		return nil, invalidValue("--"+name, err)
	}
	return &date, nil
}

// parseDate reads a date with time, or without: then it begins, in UTC.
func parseDate(text string) (parsec.DateTime, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		text = day.Format(time.RFC3339)
	}
	date, err := parsec.ParseDateTime(text)
	if err != nil {
		return 0, errors.New("must be a date such as 2030-01-31 (0:00 UTC), or with its time and zone 2030-01-31T12:30:00Z")
	}
	return date, nil
}
