package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

const afterOption = "after"

// blockstoreOptions are those of the commands that walk through a block store.
type blockstoreOptions struct {
	settings settingsFlags
	after    string
	json     bool
}

func (o *blockstoreOptions) define(command *cobra.Command, after string) {
	flags := command.Flags()
	o.settings.defineSome(flags, "blockstore", "db")
	flags.StringVar(&o.after, afterOption, "", after)
	flags.BoolVar(&o.json, "json", false, "Print a JSON object a line: the findings, then a summary.")
}

const afterBlock = "Go on after a block, <organization>/<block>, that a command stopped at."

// session is the database of such a command, and what it prints.
type session struct {
	program  program
	options  *blockstoreOptions
	database config.Database
	blocks   *blocksOfAll
	// inspected is the database itself.
	inspected *database.Database
	close     func()
	// progress is there once it is known how much there is to do.
	progress *progress
	counts   walkCounts
	// problems counts findings, of which done have been mended or deleted.
	problems map[scrub.Problem]int64
	done     int64
}

// walkCounts are the blocks that are done.
type walkCounts struct {
	Blocks int64 `json:"blocks"`
	Bytes  int64 `json:"bytes"`
}

// summary is the last line that --json prints.
type summary struct {
	Counts   any                     `json:"counts"`
	Problems map[scrub.Problem]int64 `json:"problems"`
	Done     int64                   `json:"done"`
	// Complete is false for a walk that ended early, by an error; After is then
	// what to go on after.
	Complete bool   `json:"complete"`
	Error    string `json:"error,omitempty"`
	After    string `json:"after,omitempty"`
}

// finding is what --json prints of one.
type finding struct {
	Problem      scrub.Problem `json:"problem"`
	Organization string        `json:"organization"`
	Block        string        `json:"block"`
	Node         string        `json:"node,omitempty"`
	Detail       string        `json:"detail"`
	Done         bool          `json:"done"`
}

// openSession connects to the database, which may be a replica. The caller closes
// it.
func (p program) openSession(ctx context.Context, options *blockstoreOptions) (*session, error) {
	database, err := p.database(&options.settings)
	if err != nil {
		return nil, err
	}
	access := storeOptions(database, nil)
	access.ReadOnly = true
	opened, err := openDatabase(ctx, access, nil)
	if err != nil {
		return nil, err
	}
	return &session{
		program:   p,
		options:   options,
		database:  database,
		blocks:    opened.blocks,
		inspected: opened.database,
		close:     opened.close,
		problems:  make(map[scrub.Problem]int64),
	}, nil
}

// onArray opens a session and the nodes of its store, one by one, for work.
func (p program) onArray(ctx context.Context, options *blockstoreOptions, work func(*session, *blockstore.Array) error) error {
	settings, err := config.LoadBlockstore(options.settings.given, p.environment)
	if err != nil {
		return err
	}
	s, err := p.openSession(ctx, options)
	if err != nil {
		return err
	}
	defer s.close()
	array, end, err := openArray(settings, s.database)
	if err != nil {
		return err
	}
	defer end()
	return work(s, array)
}

// begin shows how far the command is; total is in bytes, 0 if nobody knows.
func (s *session) begin(total int64) {
	s.progress = newProgress(s.program.stdout, s.program.stderr, total)
}

// beginItems is begin for a number of items that are not counted in bytes.
func (s *session) beginItems(total int64) {
	s.progress = newItemProgress(s.program.stdout, s.program.stderr, total)
}

// walk goes through the blocks of the database.
func (s *session) walk(ctx context.Context) (*scrub.Walk, error) {
	walk := &scrub.Walk{Index: s.blocks, Report: s.report, Advance: func(blocks, bytes int64) {
		s.counts.Blocks += blocks
		s.counts.Bytes += bytes
		s.progress.advance(blocks, bytes)
	}, Reached: func(last blockstore.Block) { s.progress.reached = blockName(&last) }}
	if s.options.after == "" {
		total, err := s.blocks.blocksSize(ctx)
		s.begin(total)
		return walk, err
	}
	s.begin(0)
	after, err := parseBlockName(s.options.after)
	if err != nil {
		return nil, invalidValue("--"+afterOption, err)
	}
	_, known, err := s.blocks.organizations.Organization(ctx, after.Organization)
	if err == nil && !known {
		err = noOrganization(errNoOrganization, after.Organization, s.database.DSN.Reveal())
	}
	walk.After = &after
	return walk, err
}

func parseBlockName(name string) (block blockstore.Block, err error) {
	organization, id, _ := strings.Cut(name, "/")
	if block.Organization, err = parsec.ParseOrganizationID(organization); err != nil {
		return block, err
	}
	uuid, err := parsec.ParseUUID(id)
	block.ID = parsec.BlockID(uuid)
	return block, err
}

func blockName(block *blockstore.Block) string {
	if block == nil {
		return ""
	}
	return block.Organization.String() + "/" + block.ID.String()
}

func (s *session) report(found scrub.Finding) {
	s.problems[found.Problem]++
	if found.Done {
		s.done++
	}
	if s.options.json {
		s.printJSON(finding{
			found.Problem, found.Organization.String(), found.Block.String(), found.Node, found.Detail, found.Done,
		})
		return
	}
	text := string(found.Problem)
	if found.Done {
		text += ", now " + doneWord(found.Problem)
	}
	text += " " + found.Organization.String() + "/" + found.Block.String()
	if found.Node != "" {
		text += " on " + found.Node
	}
	s.progress.line(text + ": " + found.Detail)
}

func doneWord(problem scrub.Problem) string {
	if problem == scrub.Orphan {
		return "deleted"
	}
	return "repaired"
}

func (s *session) printJSON(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // These types have texts.
	}
	s.progress.line(string(text))
}

// remaining counts the problems that are still there.
func (s *session) remaining() int64 {
	remaining := -s.done
	for _, count := range s.problems {
		remaining += count
	}
	return remaining
}

// problemList puts the counts in words, in a fixed order.
func (s *session) problemList() string {
	var parts []string
	for _, problem := range scrub.Problems {
		if count := s.problems[problem]; count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count, problem))
		}
	}
	if len(parts) == 0 {
		return "nothing wrong"
	}
	return strings.Join(parts, ", ")
}

// finish prints what a command has come to: after is where it ended, and
// failure why, if it is not over.
func (s *session) finish(after string, failure error, counts any, words string) error {
	if s.options.json {
		result := summary{Counts: counts, Problems: s.problems, Done: s.done, Complete: failure == nil}
		if failure != nil {
			result.Error, result.After = failure.Error(), after
		}
		s.printJSON(map[string]summary{"summary": result})
	} else {
		if failure != nil {
			words = "So far: " + words
		}
		s.progress.line(words)
	}
	switch {
	case failure != nil && s.options.json:
		return errTold
	case failure != nil && after != "":
		return incomplete(failure, fmt.Sprintf("go on with --%s '%s'", afterOption, after))
	case failure != nil:
		return incomplete(failure, "")
	case s.remaining() > 0:
		return errProblems
	default:
		return nil
	}
}
