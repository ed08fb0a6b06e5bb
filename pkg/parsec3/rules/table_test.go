package rules_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"parsec-server/pkg/parsec"
	"parsec-server/pkg/parsec3/protocol"
	"parsec-server/pkg/parsec3/rules"
)

// command is a command that would be answered ok, until a test spoils it, its
// author or the state.
type command struct {
	*fixture
	author *rules.Author
}

func (c *command) base() *command { return c }

// scenario is a command, with the content of its request.
type scenario interface {
	base() *command
	run() error
}

// row is a row of the table of a command, with a way to be answered by it. A row of
// several conditions may come several times.
type row[S scenario] struct {
	// number is that of docs/protocol/v5/commands.md, "" where its rows have none.
	number  string
	name    string
	violate func(s S)
	want    protocol.Status
}

// checkTable is checkRows for the rows of the table of a command in
// docs/protocol/v5/commands.md, after those of its §4: all of them, in its order, each
// with all its answers.
func checkTable[S scenario](t *testing.T, command string, begin func(t *testing.T) S, rows []row[S], apart ...[2]string) {
	t.Helper()
	var got []documentedRow
	for _, violated := range rows {
		if strings.HasPrefix(violated.number, "A") {
			continue
		}
		if last := len(got) - 1; last < 0 || got[last].number != violated.number {
			got = append(got, documentedRow{number: violated.number})
		}
		if last := &got[len(got)-1]; !slices.Contains(last.answers, violated.want) {
			last.answers = append(last.answers, violated.want)
		}
	}
	if want := documentedTable(t, command); !reflect.DeepEqual(got, want) {
		t.Errorf("the rows are\n%v, and documented\n%v", got, want)
	}
	checkRows(t, begin, rows, apart...)
}

// checkRows wants a command to be answered ok, by each of its rows, which are in
// the order of its table, and by the first of two rows that are violated together.
// These are each row and the next one that is not apart: pairs that nothing violates
// at once. What is refused changes nothing, and nobody is told.
func checkRows[S scenario](t *testing.T, begin func(t *testing.T) S, rows []row[S], apart ...[2]string) {
	t.Helper()
	t.Run("ok", func(t *testing.T) {
		if got := status(nil, begin(t).run()); got != protocol.StatusOK {
			t.Errorf("got %s", got)
		}
	})
	pairs := map[[2]string]bool{}
	for _, pair := range apart {
		pairs[pair] = true
	}
	for i, violated := range rows {
		t.Run(violated.name, func(t *testing.T) { checkRow(t, begin(t), violated) })
		for _, next := range rows[i+1:] {
			if pairs[[2]string{violated.name, next.name}] {
				continue
			}
			t.Run(violated.name+" before "+next.name, func(t *testing.T) {
				s := begin(t)
				next.violate(s)
				checkRow(t, s, violated)
			})
			break
		}
	}
}

func checkRow[S scenario](t *testing.T, s S, violated row[S]) {
	t.Helper()
	violated.violate(s)
	f := s.base().fixture
	f.events.take()
	before := f.stored(t.Context())
	if got := status(nil, s.run()); got != violated.want {
		t.Errorf("got %s, want %s", got, violated.want)
	}
	if after := f.stored(t.Context()); !reflect.DeepEqual(before, after) {
		t.Errorf("what is refused has changed\n%+v to\n%+v", before, after)
	}
	if told := f.events.bodies(); len(told) > 0 {
		t.Errorf("told %v of what is refused", told)
	}
}

// standingRows are those that begin every table (docs/protocol/v5/commands.md §4).
func standingRows[S scenario]() []row[S] {
	return []row[S]{
		{"A1", "organization unknown", func(s S) { s.base().spoilAuthor(func(a *rules.Author) { a.Organization = other }) }, aborted(rules.OrganizationNotFound)},
		{"A2", "organization expired", func(s S) { s.base().expire() }, aborted(rules.OrganizationExpired)},
		{"A3", "device unknown", func(s S) {
			s.base().spoilAuthor(func(a *rules.Author) { a.Device = deviceID("nobody@nothing") })
		}, aborted(rules.UnknownDevice)},
		{"A4", "user revoked", func(s S) { s.base().revokeAuthor() }, aborted(rules.UserRevoked)},
	}
}

// standingApart are the pairs of standingRows that nothing violates at once: who is
// unknown is not revoked, and what does not exist has not expired.
var standingApart = [][2]string{
	{"organization unknown", "organization expired"},
	{"device unknown", "user revoked"},
}

// spoilAuthor changes who sends the command.
func (c *command) spoilAuthor(change func(*rules.Author)) {
	spoiled := *c.author
	change(&spoiled)
	c.author = &spoiled
}

// revokeAuthor has another ADMIN revoke the user of the command.
func (c *command) revokeAuthor() {
	c.t.Helper()
	by := c.alice()
	if c.author.User == aliceID {
		c.setProfile(bobID, parsec.ProfileAdmin)
		by = c.bob()
	}
	c.ok(c.UserRevoke(c.t.Context(), by, c.revocation(by, c.author.User).request()))
}
