package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"parsec-server/pkg/event"
	"parsec-server/pkg/parsec"
)

// Codec writes the bodies of events to the outbox, and reads them.
type Codec interface {
	// Encode returns the name of the kind of body, and its bytes.
	Encode(body event.Body) (kind string, data []byte, err error)
	// Decode returns the body, nil for a kind that only a later server knows.
	Decode(kind string, data []byte) (event.Body, error)
}

// Codecs is the Codec of several who share a database. Their kinds have names that
// differ, and a body is of one of them.
type Codecs []Codec

// Encode implements Codec.
func (c Codecs) Encode(body event.Body) (kind string, data []byte, err error) {
	var problems []error
	for _, codec := range c {
		if kind, data, err = codec.Encode(body); err == nil {
			return kind, data, nil
		}
		problems = append(problems, err)
	}
	return "", nil, errors.Join(problems...)
}

// Decode implements Codec.
func (c Codecs) Decode(kind string, data []byte) (event.Body, error) {
	for _, codec := range c {
		if body, err := codec.Decode(kind, data); body != nil || err != nil {
			return body, err
		}
	}
	return nil, nil
}

// unknownKind is the error of reading an event that only a later server knows.
type unknownKind string

func (k unknownKind) Error() string { return "unknown kind " + string(k) }

// outboxPlace is which row of the outbox one is: an id is given again after a crash in
// which the server of the database loses who had it.
type outboxPlace struct {
	id        int64
	writtenOn time.Time
}

// isFirstOf reports whether rows, which are read from this place on, begin with its row.
func (p outboxPlace) isFirstOf(rows []outboxRow) bool {
	return len(rows) > 0 && rows[0].id == p.id && rows[0].writtenOn.Equal(p.writtenOn)
}

// outboxRow is the events of one transaction, in columns.
type outboxRow struct {
	outboxPlace

	organizations, authors, kinds []string
	bodies                        [][]byte
}

// outboxInsert writes events as one row, and nothing for none.
func outboxInsert(codec Codec, events []event.Event) ([]Statement, error) {
	if len(events) == 0 {
		return nil, nil
	}
	var row outboxRow
	for _, e := range events {
		kind, body, err := codec.Encode(e.Body)
		if err != nil {
			return nil, fmt.Errorf("write an event: %w", err)
		}
		row.organizations = append(row.organizations, e.Organization.String())
		row.authors = append(row.authors, e.Author.String())
		row.kinds = append(row.kinds, kind)
		row.bodies = append(row.bodies, body)
	}
	return []Statement{{
		SQL:  "INSERT INTO event_outbox (organizations, authors, kinds, bodies) VALUES ($1, $2, $3, $4)",
		Args: []any{row.organizations, row.authors, row.kinds, row.bodies},
	}}, nil
}

// events returns those of the row. The errors are of those that this server
// cannot read, as a later one may write; they are left out.
func (r *outboxRow) events(codec Codec) (events []event.Event, problems []error) {
	for i, kind := range r.kinds {
		e, err := readEvent(codec, r.organizations[i], r.authors[i], kind, r.bodies[i])
		if err != nil {
			problems = append(problems, fmt.Errorf("read the event %q of row %d: %w", kind, r.id, err))
			continue
		}
		events = append(events, e)
	}
	return events, problems
}

func readEvent(codec Codec, organization, author, kind string, body []byte) (e event.Event, err error) {
	if e.Body, err = codec.Decode(kind, body); err != nil {
		return e, err
	}
	if e.Body == nil {
		return e, unknownKind(kind)
	}
	if e.Organization, err = parsec.ParseOrganizationID(organization); err != nil {
		return e, err
	}
	if author != "" {
		e.Author, err = parsec.ParseDeviceID(author)
	}
	return e, err
}

// Publish delivers an event that comes with no change of state.
func (d *Database) Publish(ctx context.Context, e event.Event) error {
	inserts, err := outboxInsert(d.codec, []event.Event{e})
	if err != nil {
		return err
	}
	if err := d.Once(ctx, func() Statement { return inserts[0] }); err != nil {
		return err
	}
	d.wake(ctx, []event.Event{e})
	return nil
}

// Publishing runs one statement, and never again, whose last common table expression
// is called changed: if that has a row, the events are published, else there are none.
// It reports which. The row of the outbox has its id once what is changed is locked.
// What does not last is for what people do again after a crash of the server of the
// database: that may take back what was changed in the last second, unless something that
// lasts has been committed since, as nobody waits for the disk, nor for replicas.
// Whoever locks several rows here and is the victim of a deadlock has changed nothing:
// others were faster, as when a row is no longer as it was.
func (d *Database) Publishing(ctx context.Context, with string, args []any, lasts bool, events []event.Event) (changed bool, err error) {
	inserts, err := outboxInsert(d.codec, events)
	if err != nil {
		return false, err
	}
	var marks []string
	for i := range inserts[0].Args {
		marks = append(marks, "$"+strconv.Itoa(len(args)+i+1))
	}
	returning := doNotWait
	if lasts {
		returning = "''"
	}
	sql := with + "\nINSERT INTO event_outbox (organizations, authors, kinds, bodies) SELECT " + strings.Join(marks, ", ") + " FROM changed RETURNING " + returning
	all := slices.Concat(args, inserts[0].Args)
	err = d.Once(ctx, func() Statement { return Row(&changed, sql, all, new(string)) })
	switch {
	case isDeadlock(err):
		return false, nil
	case err != nil:
		return false, err
	}
	if changed {
		d.wake(ctx, events)
	}
	return changed, nil
}

// wake has the events that were committed delivered at once: by this server,
// which notifies the others, or, for the command of an operator, by all servers.
// What only others have to be told, while there are none, can wait until the outbox is
// read anyway.
func (d *Database) wake(ctx context.Context, events []event.Event) {
	if d.delivery != nil {
		unread := d.delivery.behind.Load() || slices.ContainsFunc(events, func(e event.Event) bool { return !event.IsKnown(e.Body) })
		if unread || !d.delivery.alone.Load() {
			d.delivery.commits.raise(unread)
		}
		return
	}
	if err := d.Once(ctx, func() Statement { return Statement{SQL: notify} }); err != nil { // They look by themselves soon.
		d.logger.DebugContext(ctx, "servers are not notified", slog.Any("error", err))
	}
}
