package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"parsec-server/internal/whole"
	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
	"parsec-server/pkg/check"
	"parsec-server/pkg/database"
	"parsec-server/pkg/parsec"
)

// What --blocks says of the blocks.
const (
	blocksNone     = "none"
	blocksPresence = "presence"
	blocksDeep     = "deep"
)

// checkedFault is what --json prints of a fault of the database.
type checkedFault struct {
	Rule         string `json:"rule"`
	Invariant    string `json:"invariant"`
	Says         string `json:"says"`
	Organization string `json:"organization"`
	Subject      string `json:"subject"`
	Detail       string `json:"detail"`
	Advice       string `json:"advice"`
}

// blockRule is the rule of what scrub finds.
var blockRule = &check.Rule{
	Name: "blocks", Invariant: "49, v5.42",
	Says:   "The bytes of a block are in the block store, as they were uploaded.",
	Remedy: "Run `parsec backend blockstore repair` where there are other copies, or restore the block store.",
}

// checkCounts are what `parsec backend check` has looked at.
type checkCounts struct {
	whole.Counts
	Blocks int64 `json:"blocks"`
	Bytes  int64 `json:"bytes"`
}

// checkResult is the last line that --json prints.
type checkResult struct {
	Counts checkCounts      `json:"counts"`
	Faults map[string]int64 `json:"faults"`
	// Complete is false for a check that ended early, by an error.
	Complete bool   `json:"complete"`
	Error    string `json:"error,omitempty"`
}

// databaseCheck is one run of `parsec backend check`.
type databaseCheck struct {
	*session
	only   *parsec.OrganizationID
	counts checkCounts
	faults map[string]int64
}

func (p program) checkCommand() *cobra.Command {
	var organization, depth string
	options := &blockstoreOptions{}
	command := &cobra.Command{
		Use:   "check",
		Short: "Find what the database should not hold, and blocks that are missing, as after a restore. It changes nothing.",
		Args:  noArguments,
	}
	flags := command.Flags()
	options.settings.defineSome(flags, "blockstore", "db")
	flags.BoolVar(&options.json, "json", false, "Print a JSON object a line: the faults, then a summary.")
	flags.StringVar(&organization, organizationName, "", "Check this organization alone.")
	flags.StringVar(&depth, "blocks", blocksPresence, "How far to look at blocks: "+blocksPresence+" for what the block store lists, "+
		blocksDeep+" to read all of them and verify their checksums, "+blocksNone+" for the database alone.")
	choose(flags, "blocks", blocksNone, blocksPresence, blocksDeep)
	optional(flags, blockstoreName)
	command.RunE = func(command *cobra.Command, _ []string) error {
		if err := choice(flags, "blocks"); err != nil {
			return err
		}
		only, err := onlyOrganization(organization)
		if err != nil {
			return err
		}
		return p.check(command.Context(), options, only, depth)
	}
	return command
}

func (p program) check(ctx context.Context, options *blockstoreOptions, only *parsec.OrganizationID, depth string) error {
	if depth == blocksNone {
		s, err := p.openSession(ctx, options)
		if err != nil {
			return err
		}
		defer s.close()
		return (&databaseCheck{session: s, only: only, faults: map[string]int64{}}).run(ctx, nil, false)
	}
	return p.onArray(ctx, options, func(s *session, array *blockstore.Array) error {
		return (&databaseCheck{session: s, only: only, faults: map[string]int64{}}).run(ctx, array, depth == blocksDeep)
	})
}

// run checks the database, and then the blocks of it in an array, nil for none.
func (d *databaseCheck) run(ctx context.Context, array *blockstore.Array, deep bool) error {
	err := d.checkDatabase(ctx)
	if _, missing := errors.AsType[*whole.NotFoundError](err); missing && d.only != nil {
		return noOrganization(err, *d.only, d.database.DSN.Reveal())
	}
	if err == nil && array != nil {
		err = d.checkBlocks(ctx, array, deep)
	}
	return d.tell(err)
}

func (d *databaseCheck) checkDatabase(ctx context.Context) error {
	return d.inspected.Inspect(ctx, func(ctx context.Context, on *database.Inspection) (err error) {
		d.counts.Counts, err = whole.Check(ctx, on, whole.Options{
			Only: d.only, Report: d.fault,
			Begin:   func(rows int64) { d.beginItems(rows) },
			Advance: func(rows int64) { d.progress.advance(rows, 0) },
		})
		return err
	})
}

func (d *databaseCheck) checkBlocks(ctx context.Context, array *blockstore.Array, deep bool) error {
	total := int64(0)
	if d.only == nil {
		var err error
		if total, err = d.blocks.blocksSize(ctx); err != nil {
			return err
		}
	}
	d.progress.end()
	d.begin(total)
	walk := &scrub.Walk{Index: &blocksOfOne{d.blocks, d.only}, Report: d.block, Advance: func(blocks, bytes int64) {
		d.counts.Blocks += blocks
		d.counts.Bytes += bytes
		d.progress.advance(blocks, bytes)
	}, Reached: func(blockstore.Block) {}}
	_, err := scrub.Check(ctx, walk, array, scrub.CheckOptions{Deep: deep})
	return err
}

// blocksOfOne is the index of the blocks of one organization; nil is for all.
type blocksOfOne struct {
	all  *blocksOfAll
	only *parsec.OrganizationID
}

// Blocks implements scrub.Index.
func (b *blocksOfOne) Blocks(ctx context.Context, after *blockstore.Block, most int) ([]blockstore.Block, error) {
	if b.only == nil {
		return b.all.Blocks(ctx, after, most)
	}
	if after == nil {
		after = &blockstore.Block{Organization: *b.only} // no block has the id zero
	}
	page, err := b.all.Blocks(ctx, after, most)
	for i := range page {
		if page[i].Organization != *b.only {
			return page[:i], err
		}
	}
	return page, err
}

func (d *databaseCheck) block(found scrub.Finding) {
	subject := "block " + found.Block.String()
	if found.Node != "" {
		subject += " on " + found.Node
	}
	d.fault(check.Fault{
		Rule: blockRule, Organization: found.Organization, Subject: subject, Detail: string(found.Problem) + ": " + found.Detail,
	})
}

func (d *databaseCheck) fault(fault check.Fault) {
	rule := fault.Rule
	d.faults[rule.Name]++
	if d.options.json {
		d.printJSON(checkedFault{
			rule.Name, rule.Invariant, rule.Says, fault.Organization.String(), fault.Subject, fault.Detail, rule.Advice(),
		})
		return
	}
	place := fault.Subject
	if id := fault.Organization.String(); id != "" {
		place = id + " " + place
	}
	text := fmt.Sprintf("%s: %s\n    %s (%s; invariant %s)", place, fault.Detail, rule.Says, rule.Name, rule.Invariant)
	if d.faults[rule.Name] == 1 { // It is the same for the next one.
		text += "\n    " + rule.Advice()
	}
	d.progress.line(text)
}

// tell prints what the check has come to; failure is why it is not over.
func (d *databaseCheck) tell(failure error) error {
	faults := int64(0)
	for _, count := range d.faults {
		faults += count
	}
	if d.progress == nil {
		d.begin(0)
	}
	if d.options.json {
		result := checkResult{Counts: d.counts, Faults: d.faults, Complete: failure == nil}
		if failure != nil {
			result.Error = failure.Error()
		}
		d.printJSON(map[string]checkResult{"summary": result})
	} else {
		words := fmt.Sprintf("%d organizations checked, %d certificates and versions, %d blocks: ", d.counts.Organizations, d.counts.Rows, d.counts.Blocks)
		if failure != nil {
			words = "So far: " + words
		}
		d.progress.line(words + faultsInWords(faults))
	}
	switch {
	case failure != nil && d.options.json:
		return errTold
	case failure != nil:
		return incomplete(failure, "")
	case faults > 0:
		return errProblems
	default:
		return nil
	}
}

func faultsInWords(faults int64) string {
	switch faults {
	case 0:
		return "nothing wrong."
	case 1:
		return "1 fault."
	default:
		return fmt.Sprintf("%d faults.", faults)
	}
}
