package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"parsec-server/pkg/blockstore"
	"parsec-server/pkg/blockstore/scrub"
	"parsec-server/pkg/config"
	"parsec-server/pkg/database"
	"parsec-server/pkg/imports"
	"parsec-server/pkg/organization"
	"parsec-server/pkg/parsec"
	parsec2imports "parsec-server/pkg/parsec2/imports"
	parsec3imports "parsec-server/pkg/parsec3/imports"
)

// importWings know the databases of official servers.
var importWings = []imports.Wing{parsec2imports.Wing{}, parsec3imports.Wing{}}

// keepFirst is what --same-human and --same-vlob take.
const keepFirst = "keep-first"

// importOptions are those of `import` and `import verify`.
type importOptions struct {
	settings      settingsFlags
	from          string
	fromBlocks    []string
	organizations []string
	skip          []string
	sameHuman     string
	sameVlob      string
	report        string
	dryRun, final bool
	skipAccounts  bool
	accountsFrom  string
}

func (p program) importCommand() *cobra.Command {
	options := &importOptions{}
	command := &cobra.Command{
		Use:   "import",
		Short: "Bring what a database of the official server holds into the one of this server. It can be run again, and goes on.",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return p.importOfficial(command.Context(), options)
		},
	}
	options.define(command)
	flags := command.Flags()
	flags.StringArrayVar(&options.fromBlocks, "from-blockstore", nil,
		"Copy the blocks from the block store of the official server, in the form of --blockstore, to --blockstore. Without it, --blockstore is that of the official server.")
	optional(flags, "db") // not needed by --dry-run
	flags.BoolVar(&options.dryRun, "dry-run", false, "Tell what would come, and what is wrong with it, and change nothing. With --db, it tells what of it that database has already.")
	flags.BoolVar(&options.final, "final", false, "The official server has stopped: bring the rest, compare everything, and let clients in.")
	verify := &importOptions{}
	verifying := &cobra.Command{
		Use:   "verify",
		Short: "Compare what was imported with the official database, verify what is signed, and look for each block. It changes nothing.",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return p.verifyImport(command.Context(), verify)
		},
	}
	verify.define(verifying)
	command.AddCommand(verifying)
	return command
}

func (o *importOptions) define(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.from, "from", "", "The database of the official server. Its user needs no more than to read.")
	describe(flags, "from", flagNotes{kind: settingNamed("db").Kind, variables: []string{config.ImportSourceVariable, config.ImportSourceVariable + "_FILE"}, required: true})
	o.settings.defineSome(flags, "db", "blockstore")
	optional(flags, "blockstore")
	flags.StringArrayVar(&o.organizations, "organization", nil, "Import this organization, and none that is not given so. It can be given several times.")
	flags.StringArrayVar(&o.skip, "skip", nil, "Leave this organization out. It can be given several times.")
	flags.StringVar(&o.sameHuman, "same-human", "", "Before 3.0: of two active users with one e-mail address, '"+keepFirst+"' has the first one keep it. Otherwise their organization is not imported.")
	flags.StringVar(&o.sameVlob, "same-vlob", "", "Before 3.0: of two workspaces with one file, '"+keepFirst+"' has the first one keep it. Otherwise their organization is not imported.")
	choose(flags, "same-human", keepFirst)
	choose(flags, "same-vlob", keepFirst)
	flags.BoolVar(&o.skipAccounts, "skip-accounts", false, "Leave accounts, and their vaults, out.")
	flags.StringVar(&o.accountsFrom, "accounts-from", "", "Of two official databases with an account of one person, take that of this one, by the name that `import` gives it.")
	flags.StringVar(&o.report, "report", "", "Write the whole report to this file, as JSON.")
}

// choices are those of the options.
func (o *importOptions) choices() (choices imports.Choices, selection imports.Selection, err error) {
	if o.report != "" { // Known before hours of copying.
		if _, err := os.Stat(filepath.Dir(o.report)); err != nil {
			return choices, selection, invalidValue("--report", err)
		}
	}
	choices = imports.Choices{At: systemClock(), SkipAccounts: o.skipAccounts, AccountsFrom: o.accountsFrom}
	for _, flag := range []struct {
		name, text string
		chosen     *bool
	}{{"--same-human", o.sameHuman, &choices.KeepFirstHuman}, {"--same-vlob", o.sameVlob, &choices.KeepFirstVlob}} {
		if *flag.chosen = flag.text == keepFirst; flag.text != "" && !*flag.chosen {
			return choices, selection, config.OneOf(flag.name, flag.text, []string{keepFirst})
		}
	}
	for _, list := range []struct {
		option string
		texts  []string
		into   *[]parsec.OrganizationID
	}{{"--organization", o.organizations, &selection.Only}, {"--skip", o.skip, &selection.Skip}} {
		for _, text := range list.texts {
			id, err := parsec.ParseOrganizationID(text)
			if err != nil {
				return choices, selection, invalidValue(list.option, err)
			}
			*list.into = append(*list.into, id)
		}
	}
	return choices, selection, nil
}

// importRun is one run of `import`.
type importRun struct {
	program  program
	options  *importOptions
	from     *imports.Snapshot
	wing     imports.Wing
	choices  imports.Choices
	report   *imports.Report
	progress *progress
	source   config.Secret
	blocks   config.Blockstore
	hasBlock bool
	// fromBlocks is where blocks are copied from, nil where they stay.
	fromBlocks *config.Blockstore
}

func (p program) newImportRun(options *importOptions) (*importRun, imports.Selection, error) {
	choices, selection, err := options.choices()
	if err != nil {
		return nil, selection, err
	}
	source, err := config.LoadImportSource(options.from, p.environment)
	return &importRun{program: p, options: options, choices: choices, source: source}, selection, err
}

// importOfficial surveys, and then copies.
func (p program) importOfficial(ctx context.Context, options *importOptions) error {
	r, selection, err := p.newImportRun(options)
	if err != nil {
		return err
	}
	if r.blocks, r.hasBlock, err = config.LoadGivenBlockstore(options.settings.given, p.environment); err != nil {
		return err
	}
	if len(options.fromBlocks) > 0 {
		if !r.hasBlock {
			return &config.UsageError{Message: "--from-blockstore needs --blockstore, where to copy to."}
		}
		from, err := config.ParseBlockstore(options.fromBlocks)
		if err != nil {
			return invalidValue("--from-blockstore", err)
		}
		r.fromBlocks = &from
	}
	r.choices.BlockData = r.hasBlock && r.blocks.Uses(config.BlockstorePostgreSQL) && r.fromBlocks == nil
	if options.dryRun {
		return r.dryRun(ctx, selection)
	}
	dsn, err := config.LoadDSN(options.settings.given, p.environment)
	if err != nil {
		return err
	}
	var still imports.Activity
	if options.final {
		if still, err = imports.AwaitStopped(ctx, database.Source{DSN: r.source.Reveal()}, stillInterval); err != nil {
			return explainSource(err)
		}
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.from.Close()
	if err := r.copy(ctx, dsn, selection, still); err != nil {
		return err
	}
	if err := r.copyBlocks(ctx); err != nil {
		return err
	}
	return r.tell(true)
}

// open opens the source, and refuses choices about what it cannot have.
func (r *importRun) open(ctx context.Context) (err error) {
	if r.from, r.wing, err = imports.OpenSnapshot(ctx, database.Source{DSN: r.source.Reveal()}, importWings); err != nil {
		return explainSource(err)
	}
	if r.wing.Generation() != organization.Parsec2 && (r.choices.KeepFirstHuman || r.choices.KeepFirstVlob) {
		r.from.Close()
		return &config.UsageError{Message: "--same-human and --same-vlob are for what official servers before 3.0 have left."}
	}
	return nil
}

// dryRun tells what would come, and what of it the database of this server, if that is
// given, has already.
func (r *importRun) dryRun(ctx context.Context, selection imports.Selection) error {
	dsn, given, err := config.LoadGivenDSN(r.options.settings.given, r.program.environment)
	if err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.from.Close()
	if !given {
		err = r.survey(ctx, selection)
	} else {
		err = r.surveyFor(ctx, dsn, selection)
	}
	if err == nil {
		err = r.sampleBlocks(ctx)
	}
	if err != nil {
		return err
	}
	return r.tell(false)
}

func (r *importRun) surveyFor(ctx context.Context, dsn config.Secret, selection imports.Selection) error {
	target, err := imports.LookAtTarget(ctx, database.Source{DSN: dsn.Reveal()})
	if err != nil {
		return err
	}
	defer target.Close()
	return r.surveyRest(ctx, target, selection)
}

// blockSample is how many blocks of each organization a dry run looks for.
const blockSample = 1000

// sampleBlocks looks for some blocks of each organization where the official server has
// them, if that is said, and is not its database, where the survey compares their sizes.
// Ids of blocks are random, so those from any place on are some at random.
func (r *importRun) sampleBlocks(ctx context.Context) error {
	from := r.blocks
	if r.fromBlocks != nil {
		from = *r.fromBlocks
	} else if !r.hasBlock {
		return nil
	}
	if from.Uses(config.BlockstorePostgreSQL) {
		return nil
	}
	array, end, err := openArray(from, config.Database{})
	if err != nil {
		return err
	}
	defer end()
	for _, one := range r.report.Importable() {
		var blocks []blockstore.Block
		err := r.from.Ask(ctx, database.List(&blocks, `
SELECT b.block_id, b.size::bigint FROM block b JOIN realm r ON r._id = b.realm WHERE r.organization = $1::bigint AND b.block_id >= $2::uuid
ORDER BY b.block_id LIMIT $3::bigint`, []any{one.Key, [16]byte{byte(rand.IntN(sampleStarts))}, blockSample}, func(b *blockstore.Block) []any {
			b.Organization = one.ID
			return []any{(*database.UUID)(&b.ID), &b.Size}
		}))
		if err != nil {
			return err
		}
		found, err := array.Survey(ctx, blocks)
		if err != nil {
			return err
		}
		tellSample(one, blocks, found)
	}
	return nil
}

// sampleStarts bounds the first byte of the id that a sample begins with: most ids are
// later.
const sampleStarts = 64

// tellSample notes what a sample has found.
func tellSample(one *imports.Organization, blocks []blockstore.Block, found []blockstore.Presence) {
	var missing, wrong []blockstore.Block
	for i, presence := range found {
		switch presence {
		case blockstore.Complete:
		case blockstore.Incomplete:
			missing = append(missing, blocks[i])
		case blockstore.Contradicted:
			wrong = append(wrong, blocks[i])
		}
	}
	if len(missing) > 0 {
		one.Note("block_missing", "block "+missing[0].ID.String(), "%d of the %d blocks that were looked for are not in the block store", len(missing), len(blocks))
	}
	if len(wrong) > 0 {
		one.Note("block_size", "block "+wrong[0].ID.String(), "%d of the %d blocks that were looked for have another size in the block store", len(wrong), len(blocks))
	}
}

// explainSource puts in words why the official database is not reached.
func explainSource(err error) error {
	return explainConnection(wrongDSN("--from", err), "--from, or "+config.ImportSourceVariable)
}

func (r *importRun) survey(ctx context.Context, selection imports.Selection) (err error) {
	fmt.Fprintf(r.program.stdout, "From the database %s of an official server %s (step %d).\n", r.from.Identity, r.wing.Schema().Releases[r.from.Step], r.from.Step)
	r.report, err = imports.Survey(ctx, r.from, r.wing, selection, r.choices, func(one *imports.Organization) {
		if isTerminal(r.program.stderr) {
			fmt.Fprintf(r.program.stderr, "looking at %s\n", one.ID)
		}
	})
	return err
}

func (r *importRun) copy(ctx context.Context, dsn config.Secret, selection imports.Selection, still imports.Activity) error {
	target, err := imports.OpenTarget(ctx, database.Source{DSN: dsn.Reveal()})
	if err != nil {
		return err
	}
	defer target.Close()
	if err := r.surveyRest(ctx, target, selection); err != nil {
		return err
	}
	r.report.LeaveStopped()
	r.tellFindings()
	r.progress = newItemProgress(r.program.stdout, r.program.stderr, r.report.Rows(r.choices).Rows)
	defer r.progress.end()
	if err := imports.Import(ctx, r.from, r.wing, target, r.report, r.choices, r); err != nil {
		return incomplete(err, sameCommand)
	}
	if !r.options.final {
		return nil
	}
	if _, err := target.Compare(ctx, r.from, r.wing, r.report); err != nil {
		return err
	}
	if r.report.LeaveStopped() > 0 {
		r.tellFindings()
		return errors.New("what was copied differs from the source, so it is not complete")
	}
	if err := still.Lasts(ctx, database.Source{DSN: r.source.Reveal()}, r.from); err != nil {
		return err
	}
	return imports.Complete(ctx, target, r.report, r.choices.At)
}

// surveyRest surveys what is not complete in the target.
func (r *importRun) surveyRest(ctx context.Context, target *imports.Target, selection imports.Selection) error {
	known, err := imports.List(ctx, r.from, r.wing, selection)
	if err != nil {
		return err
	}
	if err := target.Match(ctx, known); err != nil {
		return err
	}
	for _, one := range known.Organizations {
		if one.Complete {
			selection.Skip = append(selection.Skip, one.ID)
		}
	}
	if err := r.survey(ctx, selection); err != nil {
		return err
	}
	if err := target.Match(ctx, r.report); err != nil {
		return err
	}
	return target.MatchServer(ctx, r.from, r.wing, r.choices, r.report)
}

// stillInterval is how long an official server must write nothing to count as stopped.
const stillInterval = 10 * time.Second

// Advance implements imports.Progress.
func (r *importRun) Advance(table string, rows, bytes int64) {
	r.progress.reached = table
	r.progress.advance(rows, bytes)
}

// copyBlocks copies the bytes of blocks from another store.
func (r *importRun) copyBlocks(ctx context.Context) error {
	if r.fromBlocks == nil {
		return nil
	}
	// POSTGRESQL is the database of the official server there, and ours here.
	source, endSource, err := openBlockStore(*r.fromBlocks, config.Database{DSN: r.source, MaxConnections: operatorConnections})
	if err != nil {
		return err
	}
	defer endSource()
	s, err := r.program.openSession(ctx, &blockstoreOptions{settings: r.options.settings})
	if err != nil {
		return err
	}
	defer s.close()
	written, endWritten, err := s.openTarget(r.blocks)
	if err != nil {
		return err
	}
	defer endWritten()
	walk, err := s.walk(ctx)
	if err != nil {
		return err
	}
	written.Copied = func(blockstore.Block) {}
	_, err = scrub.Copy(ctx, walk, source, written)
	s.progress.end()
	if err == nil && s.remaining() > 0 {
		fmt.Fprintf(r.program.stdout, "Blocks: %s.\n", s.problemList())
	}
	return err
}

// tellFindings prints what is wrong, by organization.
func (r *importRun) tellFindings() {
	for _, finding := range r.report.Server {
		fmt.Fprintf(r.program.stdout, "%s: %s: %s (%s)\n", finding.Severity, finding.Subject, finding.Detail, finding.Rule)
	}
	for _, one := range r.report.Organizations {
		for _, finding := range one.Findings {
			fmt.Fprintf(r.program.stdout, "%s %s: %s: %s (%s)\n", one.ID, finding.Severity, finding.Subject, finding.Detail, finding.Rule)
		}
	}
}

// tell prints what the run has come to.
func (r *importRun) tell(copied bool) error {
	if !copied {
		r.report.LeaveStopped()
		r.tellFindings()
	}
	for _, one := range r.report.Organizations {
		if one.Left != "" {
			fmt.Fprintf(r.program.stdout, "%s: not imported: %s.\n", one.ID, one.Left)
		}
	}
	total, left := r.report.Rows(r.choices), len(r.report.Importable())
	words := fmt.Sprintf("%d organizations, %d rows, %s", left, total.Rows, byteCount(total.Bytes))
	switch {
	case left == 0:
		words = "Nothing is left to import."
	case !copied:
		words += fmt.Sprintf(" to be copied; that takes about %s.", estimate(total))
	case r.options.final:
		words += " copied and compared: the import is complete, and the server lets clients in."
	default:
		words += " copied. Stop the official server, and run the same command with --final for the rest."
	}
	fmt.Fprintln(r.program.stdout, words)
	if err := r.write(); err != nil {
		return err
	}
	if r.report.Stopped() {
		return errProblems
	}
	return nil
}

// write writes the report to a file.
func (r *importRun) write() error {
	if r.options.report == "" {
		return nil
	}
	text, err := json.MarshalIndent(r.report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.options.report, append(text, '\n'), 0o600)
}

// The speed of an import, on two cores (docs/import.md).
const (
	rowsPerSecond  = 60_000
	bytesPerSecond = 40 << 20
)

// estimate is how long it takes to copy.
func estimate(total imports.Count) time.Duration {
	seconds := total.Rows/rowsPerSecond + total.Bytes/bytesPerSecond + 1
	return time.Duration(seconds) * time.Second
}
