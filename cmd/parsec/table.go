package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// printTable prints a table for people: its first row is the header.
func (p program) printTable(rows [][]string) error {
	const gap = 2
	table := tabwriter.NewWriter(p.stdout, 0, 0, gap, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// printJSON prints a value for programs.
func (p program) printJSON(value any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // links have ampersands, and no page shows this
	return encoder.Encode(value)
}

// span returns a duration for people, in the largest unit of which it has one.
func span(of time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		name string
		long time.Duration
	}{{"day", day}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if count := of / unit.long; count == 1 {
			return "1 " + unit.name
		} else if count > 1 {
			return fmt.Sprintf("%d %ss", count, unit.name)
		}
	}
	return "0 seconds"
}

// ago says how long ago something was.
func ago(then, now time.Time) string {
	if now.Sub(then) < time.Minute {
		return "now"
	}
	return span(now.Sub(then)) + " ago"
}

// day returns a date for people.
func day(of time.Time) string { return of.Local().Format(time.DateOnly) }
